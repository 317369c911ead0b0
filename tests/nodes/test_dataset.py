"""Pictures and captions through Concept Dataset, and the example concept."""

import re

import pytest
import runs
import torch

pytestmark = pytest.mark.slow


@pytest.fixture
def make(models):
    from purecc_pack.nodes import ConceptDataset

    def execute(images=None, captions=("",), kind="instance", class_word="robot", resolution=0, **values):
        """The node takes every input as a list."""
        lists = {k: v if isinstance(v, list) else [v] for k, v in values.items()}
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
    for captions in ([""], ["  \n "], [], ["", "", ""]):
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
        (["a [v] robot", "a toy", "a [v] robot"], "Caption 2 of 3: .*'a toy'.*'robot'"),
        (["a robot by a robot", "a [v] robot", "a [v] robot"], "Caption 1 of 3: .*'robot' 2 "),
        (["a [v] robot", "a [v] robot", ""], "Caption 3 of 3: .*'scene'"),
        (["a [v] robot [v] robot", "a [v] robot", "a [v] robot"], r"Caption 1 of 3: .*\[v\] 2 "),
        (["a [v] dog", "a [v] robot", "a [v] robot"], "Caption 1 of 3: .*'robot'"),
        (["a [v] robot", "a [v] robot"], "3.* 2 captions"),
        (["a [v] robot\na [v] robot"], "3.* 2 captions"),
        (["a [v] robot"] * 4, "3.* 4 captions"),
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
        (lambda: [], "image"),
        (lambda: bad(lambda p: p[:, :32]), "Image 2 of 3: .*64 x 32 .* 64 "),
        (lambda: bad(nan), "Image 2 of 3: .*finite"),
        (lambda: bad(lambda p: p[..., :2]), r"Image 2 of 3: .*shape \(1, 64, 64, 2\)"),
        (lambda: bad(lambda p: p * 255), "Image 2 of 3: .*from .* to 25"),
        (lambda: bad(lambda p: p * 2 - 1), "Image 2 of 3: .*from -"),
        (lambda: bad(lambda p: p[:0]), r"Image 2 of 3: .*shape \(0, 64, 64, 3\)"),
    ],
)
def test_pictures_that_cannot_be_used_are_named(make, images, message):
    with pytest.raises(ValueError, match=message):
        make(images())


def test_a_batch_is_as_many_pictures(make):
    batch = torch.cat(runs.pictures())
    assert runs.fingerprint(make([batch])) == runs.fingerprint(make())
    assert len(make([batch, *runs.pictures(1, seed=4)]).items) == 4


def test_everything_that_is_wrong_is_said_at_once(make):
    with pytest.raises(ValueError, match=r"(?s)Image 2 of 3: .*\nCaption 3 of 3: .*a toy"):
        make(bad(nan), captions=["a [v] robot", "a [v] robot", "a toy"])


def test_transparency_is_laid_on_white_and_grey_is_a_colour(make):
    opaque = torch.rand(1, 64, 64, 1)
    (plain,) = runs.pictures(1)
    (item,) = make([torch.cat([plain, opaque], dim=-1)]).items
    torch.testing.assert_close(item.image, (plain * opaque + 1 - opaque)[0])
    (item,) = make([plain[..., :1]]).items
    assert torch.equal(item.image, plain[0, ..., :1].expand(64, 64, 3))


def test_values_a_little_out_of_range_are_cut_off(make):
    (item,) = make([runs.pictures(1)[0] * 1.4 - 0.2]).items
    assert torch.equal(item.image, (runs.pictures(1)[0] * 1.4 - 0.2)[0].clamp(0, 1))


def test_the_short_form_says_what_else_is_in_the_pictures(make):
    data = make(scene=["on a red sofa"])
    assert complete(data) == ["a [v] robot, on a red sofa"] * 3
    assert {i.texts.base for i in data.items} == {"a robot, on a red sofa"}
    assert {i.texts.target for i in data.items} == {"[v] robot"}
    expected = ["a [v] robot", "a [v] robot, a red sofa, a window", "a [v] robot, in snow"]
    for scene in (["in snow.\n\na red sofa, a window"], ["in snow", "", "a red sofa, a window"]):
        assert complete(make(scene=scene)) == expected
    style = make(kind="style", class_word="style", scene=["a house by a lake"])
    assert complete(style) == ["a house by a lake, in [v] style"] * 3
    assert {i.texts.base for i in style.items} == {"a house by a lake"}


def test_the_short_form_stands_in_for_a_caption_that_is_missing(make):
    captions = ["the [v] robot", "", "a [v] robot, 3"]
    assert complete(make(captions=captions, scene=["in snow"])) == [
        "a [v] robot, 3",
        "a [v] robot, in snow",
        "the [v] robot",
    ]
    with pytest.raises(ValueError, match=r"Caption 2 of 3: .*'scene'"):
        make(captions=captions)
    with pytest.raises(ValueError, match="'scene'"):
        make(captions=["a [v] robot"], scene=["in snow"])
    with pytest.raises(ValueError, match=r"3.* 2 lines.*'scene'"):
        make(scene=["in snow\non grass"])


def test_captions_of_other_trainers_are_marked(make):
    captions = ["photo of an old robot on grass", "photo of sks on grass", "sks robot, blue background"]
    data = make(captions=captions, trigger="sks")
    assert complete(data) == [
        "[v] robot, blue background",
        "photo of [v] robot on grass",
        "photo of an old [v] robot on grass",
    ]
    assert {i.texts.base for i in data.items} == {
        "robot, blue background",
        "photo of robot on grass",
        "photo of an old robot on grass",
    }


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


@pytest.mark.parametrize("method", ["LoRA", "PureCC", "anchored"])
def test_pictures_of_any_sizes_are_trained_on_in_their_own_shapes(make, models, extractor, method):
    from purecc_pack.purecc.method.anchored import AnchoredLearning
    from purecc_pack.purecc.method.pure_learning import ConceptCustomisation, PureLearning

    sizes = [(100, 200), (201, 99), (64, 64), (111, 222)]
    pictures = [torch.rand(1, h, w, 3, generator=torch.Generator().manual_seed(h)) for h, w in sizes]
    data = make(pictures, resolution=96, crop="none")
    shapes = sorted(tuple(i.latents.shape[2:]) for i in data.items)
    assert shapes == [(8, 16), (8, 16), (12, 12), (16, 8)]
    for item in data.items:
        assert all(side % 16 == 0 for side in item.image.shape[:2])
    recipe = {"LoRA": ConceptCustomisation, "PureCC": PureLearning, "anchored": AnchoredLearning}[method]()
    stage1 = extractor if method == "PureCC" else None
    outcome = runs.customise(models, data, runs.job("shapes", recipe, steps=6), extractor=stage1)
    assert len(outcome.history.losses) == 6
    assert all(torch.isfinite(torch.tensor(value)) for value in outcome.history.losses)


def test_flips_are_variants(make):
    (item,) = make(runs.pictures(1), flip=True).items
    (plain,) = make(runs.pictures(1)).items
    (mirrored,) = make([runs.pictures(1)[0].flip(2)]).items
    assert torch.equal(item.latents, torch.cat([plain.latents, mirrored.latents]))


def test_crops_are_variants(make):
    pictures = [torch.rand(1, 100, 100, 3, generator=torch.Generator().manual_seed(k)) for k in range(2)]
    data, again = make(pictures, resolution=64, crops=3), make(pictures, resolution=64, crops=3)
    assert all(torch.equal(a.latents, b.latents) for a, b in zip(data.items, again.items, strict=True))
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


@pytest.fixture
def input_folder(comfyui, tmp_path, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "input_directory", str(tmp_path / "input"))
    (tmp_path / "input").mkdir()
    return tmp_path / "input"


def test_a_folder_of_another_trainer_becomes_a_dataset(make, input_folder):
    from PIL import Image

    from purecc_pack.nodes import ImageFolder

    place = input_folder / "mine" / "10_sks robot"
    place.mkdir(parents=True)
    for k, picture in enumerate(runs.pictures(), start=8):
        Image.fromarray((picture[0].numpy() * 255).round().astype("uint8")).save(place / f"{k}.png")
    (place / "8.txt").write_text("photo of sks robot,\n on grass", encoding="utf-8")
    (place / "9.txt").write_text("a robot in snow", encoding="utf-8")
    assert "mine" in ImageFolder.define_schema().inputs[0].options
    images, captions, _ = runs.execute(ImageFolder, folder="mine").args
    assert captions == ["photo of sks robot, on grass", "a robot in snow", ""]
    data = make(images, captions, trigger="sks", scene="by a tree")
    assert complete(data) == ["a [v] robot in snow", "a [v] robot, by a tree", "photo of [v] robot, on grass"]
    for item in data.items:
        k = {"grass": 0, "snow": 1, "tree": 2}[item.texts.complete.split()[-1]]
        assert float((item.image - runs.pictures()[k][0]).abs().max()) < 0.6 / 255


@pytest.mark.parametrize("folder", ["..", "../..", "/", "nowhere", "mine/../../.."])
def test_only_folders_of_the_input_folder_are_read(input_folder, folder):
    from purecc_pack.nodes import ImageFolder

    (input_folder / "mine").mkdir()
    with pytest.raises(ValueError, match=re.escape(repr(folder))):
        runs.execute(ImageFolder, folder=folder)


@pytest.mark.parametrize("resolution", [96, 500, 512, 1024])
def test_pictures_of_nearly_one_shape_share_a_bucket(comfyui, resolution):
    from purecc_pack.purecc.host.data.image_tensors import nearest_bucket

    sides = torch.randint(600, 1400, (200, 2), generator=torch.Generator().manual_seed(0)).tolist()
    buckets = [nearest_bucket(*side, resolution) for side in sides]
    for (w, h), (width, height) in zip(sides, buckets, strict=True):
        assert width % 16 == height % 16 == 0 and width * height == pytest.approx(resolution**2, rel=0.2)
        assert width / height == pytest.approx(w / h, rel=0.2)
    assert len(set(buckets)) <= 12
    assert {nearest_bucket(s, s, resolution) for s in (64, 600, 4000)} == {(resolution // 16 * 16,) * 2}
    assert nearest_bucket(300, 400, resolution) == nearest_bucket(400, 300, resolution)[::-1]
