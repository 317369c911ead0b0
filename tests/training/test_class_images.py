"""Captions and items of images of the class."""

import pytest
import runs
import torch

CAPTIONS = (
    ("a [v] robot on the left on sand", "a [v] robot on sand"),
    ("a [v] robot in the middle on snow", "a [v] robot in the middle"),
)


def test_the_teacher_is_told_all_and_the_learner_what_its_caption_says(dataset):
    from purecc_pack.purecc.training.class_images import class_texts

    first, second = class_texts(dataset, CAPTIONS)
    assert first.base == "a robot on the left on sand" and first.target == "a [v] robot on the left on sand"
    assert first.complete == "a [v] robot on sand" and second.complete == "a [v] robot in the middle"
    assert first.class_word == "robot" and class_texts(dataset, ()) == []


def test_a_caption_without_the_concept_is_named(dataset):
    from purecc_pack.purecc.training.class_images import class_texts

    with pytest.raises(ValueError, match="'a robot on sand' has no"):
        class_texts(dataset, [("a [v] robot on sand", "a robot on sand")])


def test_items_take_the_shapes_of_the_references_in_turn_and_none_of_their_masks(models):
    from purecc_pack.purecc.training.class_images import class_items

    mixed = [*runs.pictures(1), torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(1))]
    masks = [torch.ones(1, 64, 64), torch.ones(1, 64, 96)]
    data = runs.build(models, mixed, ("a [v] robot",), masks=masks)
    items = class_items(data, [*CAPTIONS, *CAPTIONS[:1]])
    assert [tuple(i.latents.shape[2:]) for i in items] == [tuple(data.items[k].latents.shape[2:]) for k in (0, 1, 0)]
    assert all(i.mask is None for i in items)
