"""Masks through Concept Dataset and Concept Masks, and the method anchored on Pure Learning."""

import io

import numpy as np
import pytest
import runs
import torch
from PIL import Image
from trainers import learn

pytestmark = pytest.mark.slow


@pytest.fixture
def make(models):
    from purecc_pack.nodes import ConceptDataset

    def execute(images, masks=None, kind="instance", class_word="robot", captions=("",), **values):
        lists = {k: [v] for k, v in {"resolution": 0, "kind": kind, "class_word": class_word, **values}.items()}
        more = {} if masks is None else {"masks": masks}
        return runs.execute(
            ConceptDataset, images=images, captions=list(captions), vae=[models.vae], **lists, **more
        ).args[0]

    return execute


def half(height=64, width=64, left=True):
    """A mask of one half."""
    mask = torch.zeros(1, height, width)
    mask[:, :, : width // 2] = 1.0
    return mask if left else mask.flip(2)


def alike(count=1, height=64, width=64):
    """Pictures that are their own masks: what is done to the one can be read off the other."""
    masks = [(torch.rand(1, height // 8, width // 8) > 0.5).float() for _ in range(count)]
    masks = [m.repeat_interleave(8, 1).repeat_interleave(8, 2) for m in masks]
    return [m[..., None].expand(-1, -1, -1, 3).contiguous() for m in masks], masks


def averaged(image):
    """[h, w, 3] as a mask of its latents."""
    h, w = image.shape[:2]
    return image[..., 0].reshape(h // 8, 8, w // 8, 8).mean((1, 3))


def test_without_masks_there_are_none(make):
    for masks in (None, []):
        assert all(i.mask is None for i in make(runs.pictures(), masks).items)


def test_each_picture_keeps_its_own_averaged_down(make):
    pictures, masks = alike(3)
    for given in (masks, [torch.cat(masks)], [masks[0][0], *masks[1:]]):
        data = make(pictures, given)
        assert runs.fingerprint(data) == runs.fingerprint(make(pictures))
        for item in data.items:
            assert item.mask.shape == (1, 1, 8, 8)
            torch.testing.assert_close(item.mask[0, 0], averaged(item.image))
    odd = torch.zeros(1, 64, 64)
    odd[:, :4, :2] = 1.0
    (item,) = make(pictures[:1], [odd]).items
    assert float(item.mask[0, 0, 0, 0]) == pytest.approx(8 / 64) and float(item.mask.sum()) == pytest.approx(8 / 64)


@pytest.mark.parametrize(
    "values",
    [
        {"resolution": 64},
        {"resolution": 96, "crop": "none"},
        {"resolution": 0},
        {"resolution": 64, "flip": True},
        {"resolution": 64, "crops": 3},
        {"resolution": 96, "crop": "none", "flip": True, "crops": 2},
    ],
)
def test_it_is_cut_and_scaled_as_its_picture_is(make, monkeypatch, values):
    """The pictures that go to the VAE are their own masks, so each variant's mask is its picture averaged."""
    from purecc_pack.purecc.host.data import image_tensors

    seen, encode = [], image_tensors.encode
    monkeypatch.setattr(image_tensors, "encode", lambda vae, images, *_: seen.append(images) or encode(vae, images))
    pictures, masks = alike(2, 120, 200)
    data = make(pictures, masks, captions=["a [v] robot, 0", "a [v] robot, 1"], **values)
    expected = {runs.digest({"": v[0][0]}): v for v in seen}
    for item in data.items:
        variants = expected[runs.digest({"": item.image})]
        assert len(variants) == len(item.latents) == len(item.mask)
        for variant, mask in zip(variants, item.mask, strict=True):
            torch.testing.assert_close(mask[0], averaged(variant[0]), rtol=1e-4, atol=1e-5)
        assert len({runs.digest({"": m}) for m in item.mask}) == len(item.mask), "every variant its own"
    assert values.get("crops", 0) * (1 + values.get("flip", 0)) <= len(data.items[0].mask) - 1


def test_a_mask_of_another_size_but_like_shape_is_scaled(make):
    (item,) = make(runs.pictures(1), [half(256, 256)]).items
    expected = torch.zeros(8, 8)
    expected[:, :4] = 1.0
    torch.testing.assert_close(item.mask[0, 0], expected, rtol=0, atol=0.02)
    (item,) = make([torch.rand(1, 100, 200, 3)], [half(50, 100)]).items
    assert item.mask.shape == (1, 1, 12, 24)


def test_it_does_not_change_what_is_trained_on(make):
    pictures = runs.pictures()
    with_masks = make(pictures, [half()] * 3, flip=True, crops=2)
    assert runs.fingerprint(with_masks) == runs.fingerprint(make(pictures, flip=True, crops=2))


def nan():
    mask = half()
    mask[0, 3, 3] = float("nan")
    return mask


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (lambda: [half()] * 2, "3.* 2 masks"),
        (lambda: [torch.cat([half()] * 4)], "3.* 4 masks"),
        (lambda: [half(), half(64, 128), half()], "Mask 2 of 3: .*128 x 64.* 64 x 64"),
        (lambda: [half(), half(), nan()], "Mask 3 of 3: "),
    ],
)
def test_masks_that_cannot_be_used_are_named(make, masks, message):
    with pytest.raises(ValueError, match=message):
        make(runs.pictures(), masks())


def test_a_mask_that_is_cropped_away_is_named(make):
    edge = torch.zeros(1, 128, 512)
    edge[:, :, :40] = 1.0
    with pytest.raises(ValueError, match=r"Mask 1 of 1: .*crop"):
        make([torch.rand(1, 128, 512, 3)], [edge], resolution=128)
    (item,) = make([torch.rand(1, 128, 512, 3)], [edge], resolution=128, crop="none").items
    assert item.mask.shape == (1, 1, 8, 32) and float(item.mask.sum()) == pytest.approx(8 * 2.5, rel=0.05)


def show(models, dataset):
    from purecc_pack.nodes import ConceptMasks

    return runs.execute(ConceptMasks, model=models.model, clip=models.clip, dataset=dataset)


def preview(saved):
    """A picture that a node shows, from the host's temporary folder."""
    from pathlib import Path

    import folder_paths

    assert saved["type"] == "temp"
    path = Path(folder_paths.get_temp_directory()) / saved["subfolder"] / saved["filename"]
    return np.asarray(Image.open(path))


def test_concept_masks_finds_and_shows(models, dataset, comfyui):
    from purecc_pack.purecc.sheets.mask_overlay import overlay

    out = show(models, dataset)
    masked, images = out.args
    assert [i.texts for i in masked.items] == [i.texts for i in dataset.items]
    for item, image, saved in zip(masked.items, images, out.ui["images"], strict=True):
        assert item.mask.shape == (1, 1, 8, 8) and image.shape == (1, 64, 64, 3)
        assert torch.equal(image[0], overlay(item.image, item.mask[0]))
        shown = preview(saved)
        assert np.abs(shown / 255.0 - image[0].numpy()).max() < 1.5 / 255
    assert out.ui["text"][0].startswith("3 masks; they cover ")


def test_concept_masks_keeps_those_of_the_user_and_warns(models, make, comfyui):
    pictures = runs.pictures()
    speck = torch.zeros(1, 64, 64)
    speck[:, :5, :5] = 1.0
    data = make(
        pictures, [half(), torch.ones(1, 64, 64), speck], captions=["a [v] robot, 0\na [v] robot, 1\n[v] robot"]
    )
    out = show(models, data)
    assert out.args[0] is data
    warnings = out.ui["text"][1:]
    assert len(warnings) == 2
    assert any("'a [v] robot, 1'" in w and "100% of it, nearly everything" in w for w in warnings)
    assert any("'[v] robot'" in w and "nearly nothing" in w for w in warnings)


def test_concept_masks_of_a_style(models, make, comfyui):
    data = make(runs.pictures(), kind="style", class_word="style")
    out = show(models, data)
    assert out.args[0] is data and "style" in out.ui["text"][0] and len(out.ui["images"]) == 3
    assert all(torch.equal(p[0], i.image) for p, i in zip(out.args[1], data.items, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "weight", "masked", "prompts"),
    [
        ({}, 1.0, True, None),
        ({"anchor_weight": 0.5, "eta": 3.0, "scale": "fixed"}, 0.5, True, None),
        ({"mask": False, "pool_prompts": " a lake \n\na [class] on sand"}, 1.0, False, ("a lake",)),
        ({"pool_prompts": " \n"}, 1.0, True, ()),
    ],
)
def test_anchored_needs_no_extractor(models, dataset, values, weight, masked, prompts):
    from purecc_pack.purecc.method.anchored import AnchoredLearning
    from purecc_pack.purecc.network.lora import LoraSpec
    from purecc_pack.purecc.training.pool import POOL_PROMPTS

    adapter, lora, loss = learn(models, dataset, pool_images=3, **values)
    prompts = POOL_PROMPTS if prompts is None else prompts
    recipe = AnchoredLearning(weight, masked)
    values = {"layer_wise": False, "pool_images": 3, "pool_prompts": prompts, "lora": LoraSpec(targets="auto")}
    values |= {"places": "auto", "size": "fit"}
    job = runs.job("my_concept", recipe, steps=2, **values)
    assert adapter.id == runs.customise(models, dataset, job).adapter.id
    assert runs.digest(lora) == runs.digest(adapter.lora)
    assert {"concept", "preservation"} <= set(loss["parts"]) and len(loss["loss"]) == 2 and not loss["lambda"]


def test_pool_prompts_that_cannot_be_used_are_refused_by_anchored_alone(models, dataset):
    with pytest.raises(ValueError, match=r"'a \[v\] robot'"):
        learn(models, dataset, pool_prompts="a [v] robot")
    learn(models, dataset, pool_prompts="a [v] robot", method="LoRA", steps=1)


def test_the_masks_are_shown_on_the_panel_alone(models, dataset, monkeypatch):
    """Not as a picture of the host, too, which stays on a Vue node."""
    import comfy.utils

    from purecc_pack.purecc.host.training import find_masks, node_run
    from purecc_pack.purecc.host.ui.live_runs import RUNS
    from purecc_pack.purecc.sheets.canvas import image
    from purecc_pack.purecc.sheets.mask_overlay import tiled

    bars, sheets, as_jpeg = [], [], node_run._as_jpeg
    comfy.utils.set_progress_bar_global_hook(lambda value, total, picture, node_id=None: bars.append((value, picture)))
    monkeypatch.setattr(node_run, "_as_jpeg", lambda sheet: sheets.append(sheet) or as_jpeg(sheet))
    try:
        learn(models, dataset, pool_images=1, size="keep", places="say")
    finally:
        comfy.utils.set_progress_bar_global_hook(None)
    assert [value for value, _ in bars][-2:] == [1, 2] and not any(picture for _, picture in bars)
    sheet = sheets[0]
    assert RUNS.all()[-1].picture(0, "masks") == as_jpeg(sheet)
    with torch.inference_mode():
        found = find_masks.find_masks(models, dataset, runs.Quiet().phase).dataset
    expected = image(tiled(find_masks.pictures(found))[0])
    assert sheet.size == expected.size
    assert np.abs(np.asarray(sheet, dtype=int) - np.asarray(expected, dtype=int)).max() <= 1


def test_on_a_server_masks_are_found_shown_and_replaced(server):
    dataset = {"images": ["2", 0], "captions": ["2", 1], "class_word": "robot", "kind": "instance"}
    dataset |= {"resolution": 96, "crop": "center", "flip": False, "crops": 0, "vae": ["1", 2]}
    prompt = {
        "1": {"class_type": "PureCCTinyCheckpoint", "inputs": {}},
        "2": {"class_type": "PureCCExampleConcept", "inputs": {}},
        "3": {"class_type": "PureCCConceptDataset", "inputs": dataset},
        "4": {"class_type": "PureCCConceptMasks", "inputs": {"model": ["1", 0], "clip": ["1", 1], "dataset": ["3", 0]}},
        "5": {"class_type": "SaveImage", "inputs": {"images": ["4", 1], "filename_prefix": "masks/found"}},
        "6": {"class_type": "ImageToMask", "inputs": {"image": ["2", 0], "channel": "green"}},
        "7": {"class_type": "PureCCConceptDataset", "inputs": {**dataset, "masks": ["6", 0]}},
        "8": {"class_type": "PureCCConceptMasks", "inputs": {"model": ["1", 0], "clip": ["1", 1], "dataset": ["7", 0]}},
    }
    said = []

    def listen(name, data):
        if name == "progress_text":
            said.append((data.get("nodeId") or data.get("node"), data.get("text")))

    outputs = server.client.run(prompt, listen)
    for node in ("4", "8"):
        images = [Image.open(io.BytesIO(server.client.image(image))) for image in outputs[node]["images"]]
        assert [image.size for image in images] == [(96, 96)] * 5
        assert outputs[node]["text"][0].startswith("5 masks; they cover ")
    saved = [server.client.image(image) for image in outputs["5"]["images"]]
    shown = [server.client.image(image) for image in outputs["4"]["images"]]
    assert [np.asarray(Image.open(io.BytesIO(s))).tobytes() for s in saved] == [
        np.asarray(Image.open(io.BytesIO(s))).tobytes() for s in shown
    ]
    assert any("robot in image 5 of 5" in str(text) for _, text in said)
    assert not any("robot in image" in str(text) and str(node) == "8" for node, text in said)
