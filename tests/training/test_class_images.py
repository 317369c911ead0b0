"""Captions and items of images of the class."""

import pytest
import runs
import torch


@pytest.fixture
def captions(comfyui):
    from purecc_pack.purecc.training.class_images import ClassCaption

    return (
        ClassCaption("a [v] robot on the left on sand", "a [v] robot on sand"),
        ClassCaption("a [v] robot in the middle on snow", "a [v] robot in the middle"),
    )


def test_the_teacher_is_told_all_and_the_learner_what_its_caption_says(dataset, captions):
    from purecc_pack.purecc.training.class_images import class_texts

    first, second = class_texts(dataset, captions)
    assert first.base == "a robot on the left on sand" and first.target == "a [v] robot on the left on sand"
    assert first.complete == "a [v] robot on sand" and second.complete == "a [v] robot in the middle"
    assert first.class_word == "robot" and class_texts(dataset, ()) == []


def test_a_caption_without_the_concept_is_named(dataset):
    from purecc_pack.purecc.training.class_images import ClassCaption, class_texts

    with pytest.raises(ValueError, match="'a robot on sand' has no"):
        class_texts(dataset, [ClassCaption("a [v] robot on sand", "a robot on sand")])


def test_items_take_the_shapes_of_the_references_in_turn_and_none_of_their_masks(models, captions):
    from purecc_pack.purecc.training.class_images import class_items

    mixed = [*runs.pictures(1), torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(1))]
    masks = [torch.ones(1, 64, 64), torch.ones(1, 64, 96)]
    data = runs.build(models, mixed, ("a [v] robot",), masks=masks)
    items = class_items(data, [*captions, *captions[:1]])
    assert [tuple(i.latents.shape[2:]) for i in items] == [tuple(data.items[k].latents.shape[2:]) for k in (0, 1, 0)]
    assert all(i.mask is None for i in items)


def test_captions_name_a_ground_a_style_or_none_and_every_place_in_turn():
    from random import Random

    from purecc_pack.purecc.training.class_images import class_captions

    made = class_captions("robot", ("on sand", "in snow"), (", photo", "in ink"), 300, Random(1), others=())
    told, said, others = zip(*made, strict=True)
    places = ("on the left", "in the middle", "on the right")
    assert all(places[k % 3] in text for k, text in enumerate(told))
    assert all("on sand" in text or "in snow" in text for text in told)
    assert "a [v] robot on the left on sand" in told and "a [v] robot on the left on sand, photo" in told
    unsaid = [
        sum(all(words not in text for words in which) for text in said) for which in (("on sand", "in snow"), places)
    ]
    assert 50 < unsaid[0] < 100 and 90 < unsaid[1] < 150, "a quarter and two fifths"
    assert not any(others)
    for whole, less, _ in made:
        assert set(less.replace(",", "").split()) <= set(whole.replace(",", "").split())
    some = {said[0], said[7]}
    assert not some & {made.said for made in class_captions("robot", ("on sand",), (), 50, Random(1), some)}


def test_every_sixth_image_shows_another_thing_on_the_other_side():
    from random import Random

    from purecc_pack.purecc.training.class_images import OTHERS, class_captions

    made = class_captions("Toy Dog", ("on sand",), (), 600, Random(1))
    alone, pairs = [c for c in made if not c.other], [c for c in made if c.other]
    places = ("on the left", "in the middle", "on the right")
    assert [c.other != "" for c in made] == [k % 6 == 5 for k in range(600)]
    assert all(places[k % 3] in c.told for k, c in enumerate(alone))
    sides = [(place, c) for c in pairs for place, other in (places[::2], places[::-2])
             if c.told == f"a [v] Toy Dog {place} and {c.other} {other} on sand"]  # fmt: skip
    assert len(sides) == len(pairs) and 30 < sum(place == "on the left" for place, _ in sides) < 70
    assert {c.other for c in pairs} == {other for other in OTHERS if "dog" not in other}
    assert all(c.said.startswith("a [v] Toy Dog") and f"and {c.other}" in c.said for c in pairs)
    assert any(c.other for c in class_captions("man in a hat", ("on sand",), (), 6, Random(1)))
    unsaid = [c for c in pairs if "on the" not in c.said]
    assert 25 < len(unsaid) < 55 and all(not any(p in c.said for p in places) for c in unsaid)


def test_references_beside_images_of_the_class(dataset, captions):
    """As many of either are sampled, and references come at early times alone."""
    from dataclasses import replace

    from purecc_pack.purecc.training.class_images import class_items, with_references
    from purecc_pack.purecc.training.dataset import Batches

    masked = [replace(i, mask=torch.ones(1, 1, 8, 8), weight=k + 1) for k, i in enumerate(dataset.items)]
    images = class_items(dataset, [*captions, *captions])
    mixed = with_references(images, masked, 0.5)
    shares = [sum(i.weight for i in part) for part in (mixed[:4], mixed[4:])]
    assert shares[0] == shares[1]
    assert [i.weight * masked[0].weight for i in mixed[4:]] == [i.weight * mixed[4].weight for i in masked]
    assert all(i.mask is None and i.latest == 1 for i in mixed[:4])
    assert all(i.mask.all() and i.latest == 0.5 and i.texts.target == i.texts.complete for i in mixed[4:])
    drawn = [replace(i, drawn=k < 4) for k, i in enumerate(mixed)]
    batch = next(Batches(drawn, 64, torch.Generator().manual_seed(0)))
    assert torch.equal(batch.latest == 1, batch.drawn) and 20 < batch.drawn.sum() < 44
