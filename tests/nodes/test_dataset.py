"""Pictures and captions through Concept Dataset, and the example concept."""

import re

import pytest
import runs
import torch


@pytest.fixture
def make(models):
    from purecc_pack.nodes import ConceptDataset

    def execute(images=None, captions=("",), kind="instance", class_word="robot", resolution=0, **values):
        """The node takes every input as a list."""
        lists = {k: [v] for k, v in values.items()}
        images = runs.pictures() if images is None else images
        return runs.execute(
            ConceptDataset,
            images=images,
            captions=list(captions),
            class_word=[class_word],
            kind=[kind],
            resolution=[resolution],
            vae=[models.vae],
            **lists,
        ).args[0]

    return execute


def complete(dataset):
    return sorted(item.texts.complete for item in dataset.items)


def test_no_captions_at_all_are_the_default(make):
    for captions in ([""], ["  \n "], []):
        assert complete(make(captions=captions)) == ["a [v] robot"] * 3
    assert complete(make(kind="style", class_word="style")) == ["a picture in [v] style"] * 3


def test_one_caption_for_all_a_line_each_or_a_list(make):
    assert complete(make(captions=["a [v] robot, left"])) == ["a [v] robot, left"] * 3
    expected = ["a [v] robot, 1", "a [v] robot, 2", "a [v] robot, 3"]
    assert complete(make(captions=["\n".join(expected)])) == expected
    assert complete(make(captions=expected)) == expected


def test_captions_stay_with_their_pictures(make, models):
    pictures = runs.pictures()
    with torch.inference_mode():
        alone = [models.vae.encode(p) for p in pictures]
    data = make(pictures, captions=[f"a [v] robot, {k}" for k in range(3)])
    for item in data.items:
        k = int(item.texts.complete[-1])
        assert torch.equal(item.latents, alone[k].float())
        assert torch.equal(item.image, pictures[k][0])


@pytest.mark.parametrize(
    ("captions", "message"),
    [
        (["a [v] robot", "a robot", "a [v] robot"], r"Caption 2 of 3: .*has no \[v\]"),
        (["a [v] robot", "a [v] robot", ""], "Caption 3 of 3: A caption is empty"),
        (["", "", ""], "Caption 1 of 3: A caption is empty"),
        (["a [v] robot [v] robot", "a [v] robot", "a [v] robot"], r"Caption 1 of 3: .*\[v\] 2 times"),
        (["a [v] dog", "a [v] robot", "a [v] robot"], "Caption 1 of 3: .*before the class word 'robot'"),
        (["a [v] robot", "a [v] robot"], "There are 3 pictures and 2 captions"),
        (["a [v] robot\na [v] robot"], "There are 3 pictures and 2 captions"),
        (["a [v] robot"] * 4, "There are 3 pictures and 4 captions"),
        (["a {red|blue} [v] robot"], "Caption 1 of 3"),
    ],
)
def test_captions_that_cannot_be_used_are_named(make, captions, message):
    with pytest.raises(ValueError, match=message):
        make(captions=captions)


def bad(change):
    pictures = runs.pictures()
    pictures[1] = change(pictures[1].clone())
    return pictures


def nan(picture):
    picture[0, 3, 3, 0] = float("nan")
    return picture


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (lambda: [], "no reference pictures: connect at least one"),
        (lambda: bad(lambda p: p[:, :32]), "Picture 2 of 3: .*64 x 32 pixels is too small: at least 64"),
        (lambda: bad(nan), "Picture 2 of 3: .*not numbers"),
        (lambda: bad(lambda p: p[..., :1]), r"Picture 2 of 3: .*shape \(1, 64, 64, 1\)"),
        (lambda: bad(lambda p: p[:0]), r"Picture 2 of 3: .*shape \(0, 64, 64, 3\)"),
    ],
)
def test_pictures_that_cannot_be_used_are_named(make, images, message):
    with pytest.raises(ValueError, match=message):
        make(images())


def test_a_batch_is_as_many_pictures(make):
    batch = torch.cat(runs.pictures())
    assert make([batch]).fingerprint == make().fingerprint
    assert len(make([batch, *runs.pictures(1, seed=4)]).items) == 4


def test_alpha_is_left_out(make):
    with_alpha = [torch.cat([p, torch.rand(1, 64, 64, 1)], dim=-1) for p in runs.pictures()]
    assert make(with_alpha).fingerprint == make().fingerprint


def test_sizes_and_crops(make):
    wide = [torch.rand(1, 100, 200, 3)]
    sizes = {}
    for resolution, crop in ((96, "center"), (0, "center"), (96, "none"), (64, "center")):
        (item,) = make(wide, resolution=resolution, crop=crop).items
        height, width = item.image.shape[:2]
        assert tuple(item.latents.shape[1:]) == (16, height // 8, width // 8)
        sizes[resolution, crop] = (width, height)
    assert sizes[96, "center"] == (96, 96) and sizes[64, "center"] == (64, 64)
    assert sizes[0, "center"] == (192, 96)
    assert sizes[96, "none"][0] == 2 * sizes[96, "none"][1] == 128


def test_flips_are_variants(make):
    (item,) = make(runs.pictures(1), flip=True).items
    (plain,) = make(runs.pictures(1)).items
    (mirrored,) = make([runs.pictures(1)[0].flip(2)]).items
    assert torch.equal(item.latents, torch.cat([plain.latents, mirrored.latents]))


def test_crops_are_variants(make):
    pictures = [torch.rand(1, 100, 100, 3, generator=torch.Generator().manual_seed(k)) for k in range(2)]
    data, again = make(pictures, resolution=64, crops=3), make(pictures, resolution=64, crops=3)
    assert data.fingerprint == again.fingerprint
    for item in data.items:
        assert item.latents.shape == (4, 16, 8, 8)
        assert len({runs.digest({"": v}) for v in item.latents}) == 4
    assert all(len(i.latents) == 8 for i in make(pictures, resolution=64, crops=3, flip=True).items)


def test_the_example_concept_is_a_dataset(make):
    from purecc_pack.nodes import ExampleConcept

    images, captions = runs.execute(ExampleConcept).args
    assert [tuple(i.shape) for i in images] == [(1, 96, 96, 3)] * 5 and len(captions) == 5
    data = make(images, captions, resolution=96)
    assert len(data.items) == 5
    assert all("robot" in i.texts.base and "[v]" not in i.texts.base for i in data.items)
    assert not any("stripes" in caption for caption in captions), "the background is what may leak"


def test_the_hosts_folder_loader_gives_the_same(comfyui):
    import shutil
    from pathlib import Path

    import folder_paths
    from comfy_extras.nodes_dataset import LoadImageTextDataSetFromFolderNode

    from purecc_pack.nodes import ExampleConcept
    from purecc_pack.purecc.tiny import concept

    target = Path(folder_paths.get_input_directory()) / "example concept"
    shutil.copytree(concept.FOLDER, target)
    try:
        images, captions = LoadImageTextDataSetFromFolderNode.execute("example concept").args
    finally:
        shutil.rmtree(target)
    ours = runs.execute(ExampleConcept).args
    theirs = {(text, runs.digest({"image": image})) for image, text in zip(images, captions, strict=True)}
    assert theirs == {(text, runs.digest({"image": image})) for image, text in zip(*ours, strict=True)}
    assert len(theirs) == 5 and all(re.search(r"\[v\] robot", text) for text, _ in theirs)
