"""What is measured on pictures of two models, with small real encoders, and the nodes that do it."""

import json

import numpy as np
import pytest
import runs
import standin_encoders as small
import torch
from drawn import PROMPTS, Told

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files(encoders):
    return encoders


def measure(files, drawn, references, nouns=(("robot",), ("snow", "robot")), progress=None, **changes):
    from purecc_pack.purecc.host.evaluation import measuring

    known = {"clip_vision": files.vision, "clip": files.clip, "dino": files.dino, "segmenter": files.segmenter}
    known |= {"segmenter_clip": files.segmenter_clip, "nouns": nouns, "threshold": 0.6} | changes
    using = measuring.Encoders(**known)
    using.check()
    with torch.inference_mode():
        return measuring.measure(drawn, references, using, progress or Told(), 0.25)


def embed(vision, images):
    """As the host embeds them, one by one, in numpy."""
    with torch.inference_mode():
        return [vision.encode_image(image[None])["image_embeds"][0].double().numpy() for image in images]


def cosine(a, b):
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def mask(files, picture, noun):
    from comfy_extras.nodes_sam3 import SAM3_Detect

    with torch.inference_mode():
        cond = files.segmenter_clip.encode_from_tokens_scheduled(files.segmenter_clip.tokenize(f"{noun}:200"))
        found = SAM3_Detect.execute(files.segmenter, picture[None], cond, threshold=0.6, refine_iterations=0)
    return found.args[0][0].numpy() > 0


def test_all_measures_equal_an_independent_computation(files, drawn):
    from safetensors.torch import load_file

    references, told = [p[0] for p in runs.pictures(2, 80)], Told()
    report = measure(files, drawn, references, progress=told)
    assert told.parts == 2 * (12 + 2) + 12
    projection = load_file(files.clip_file)["text_projection.weight"].double().numpy()
    for p, (text, nouns) in enumerate((("a robot on a beach", ["robot"]), ("a robot in snow", ["snow", "robot"]))):
        scores = report.scores[p]
        with torch.inference_mode():
            pooled = files.clip.encode_from_tokens(files.clip.tokenize(text), return_pooled=True)[1]
        words = projection @ pooled[0].double().numpy()
        clip_base, clip = embed(files.vision, drawn.base[p]), embed(files.vision, drawn.customised[p])
        expected = {
            "clip_t_base": 100 * np.mean([cosine(e, words) for e in clip_base]),
            "clip_t": 100 * np.mean([cosine(e, words) for e in clip]),
        }
        expected["delta_clip_t"] = expected["clip_t"] - expected["clip_t_base"]
        ious = []
        for a, b in zip(drawn.customised[p], drawn.base[p], strict=True):
            pairs = [(mask(files, a, noun), mask(files, b, noun)) for noun in nouns]
            ious.append(np.mean([(x & y).sum() / (x | y).sum() for x, y in pairs]))
        expected["seg_cons"] = 100 * np.mean(ious)
        if p == 0:
            for name, vision in (("clip_i", files.vision), ("dino", files.dino)):
                theirs = embed(vision, references)
                for end, pictures in (("", drawn.customised[p]), ("_base", drawn.base[p])):
                    pairs = [cosine(a, b) for a in embed(vision, pictures) for b in theirs]
                    expected[name + end] = np.mean(pairs)
        for name in vars(scores):
            close = 2e-4 if "clip_i" in name or "dino" in name else 1e-2  # of 1, of 100: batches sum otherwise
            wanted = pytest.approx(expected[name], abs=close) if name in expected else None
            assert getattr(scores, name) == wanted, name
    assert 0 < report.scores[0].seg_cons < 100
    assert report.mean("clip_t") == report.scores[0].clip_t
    assert report.missing() == {} and report.drift == 0.25


def test_what_is_not_connected_is_left_out(files, drawn):
    references = [p[0] for p in runs.pictures(1, 80)]
    nothing = dict.fromkeys(("clip", "dino", "segmenter", "segmenter_clip"))
    report = measure(files, drawn, references, nouns=(), **nothing)
    assert report.columns == ["clip_i"]
    assert set(report.missing()) == {"CLIP-T and ΔCLIP-T", "DINO", "Seg-Cons"}
    only_dino = measure(files, drawn, references, nouns=(), **nothing | {"clip_vision": None, "dino": files.dino})
    assert only_dino.columns == ["dino"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("clip_vision", "clip", "dino", "segmenter", "segmenter_clip"), "clip_vision, dino or segmenter"),
        (("clip_vision",), "clip is connected without clip_vision"),
        (("segmenter",), "segmenter_clip is connected without segmenter"),
        (("segmenter_clip",), "segmenter_clip is not SAM3's text encoder"),
    ],
)
def test_half_connected_encoders_are_refused(files, drawn, changes, message):
    told = Told()
    with pytest.raises(ValueError, match=message):
        measure(files, drawn, [], progress=told, **dict.fromkeys(changes))
    assert told.parts == 0


def test_references_are_batches_or_lists_of_any_size():
    from purecc_pack.purecc.host.evaluation.measuring import as_images

    made = as_images([torch.rand(2, 8, 9, 3), torch.rand(1, 5, 5, 4)])
    assert [tuple(p.shape) for p in made] == [(8, 9, 3), (8, 9, 3), (5, 5, 3)]
    clear = torch.cat([torch.zeros(1, 5, 5, 3), torch.zeros(1, 5, 5, 1)], dim=-1)
    assert (as_images([clear])[0] == 1).all(), "transparency is laid on white, as for training"
    for wrong in ([], [torch.rand(8, 9, 3)], [torch.full((1, 4, 4, 3), float("nan"))]):
        with pytest.raises(ValueError, match="reference"):
            as_images(wrong)


def test_the_nodes_run_one_into_the_other(models, customised, files, monkeypatch, tmp_path):
    import folder_paths

    from purecc_pack.nodes import measuring, protocol

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    pair = {"model": models.model, "clip": models.clip, "customised_model": customised[0]}
    pair["customised_clip"] = customised[1]
    size = {"width": 64, "height": 64}
    drawn = runs.execute(
        protocol.ProtocolPictures, **pair, **size, vae=models.vae, prompts="\n".join(PROMPTS),
        trigger="embedding:plain", seeds=2, steps=2,
    )  # fmt: skip
    pictures, base, ours = drawn.args
    assert base.shape == ours.shape == (4, 64, 64, 3)
    assert torch.equal(base[2], pictures.base[1, 0]) and torch.equal(ours[1], pictures.customised[0, 1])
    moved = runs.execute(measuring.ModelDrift, **pair, **size, prompts="a red car\n\na bowl of fruit")
    assert moved.args[0] > 0 and f"{moved.args[0]:.4f} on 2 prompts at 64 x 64" in moved.args[1]
    made = runs.execute(
        measuring.MeasurePictures, pictures=[pictures], references=runs.pictures(2, 80), clip_vision=[files.vision],
        clip=[files.clip], dino=[files.dino], segmenter=[files.segmenter], segmenter_clip=[files.segmenter_clip],
        nouns=["robot, beach"], drift=[moved.args[0]], filename_prefix=["scores/mine"],
    )  # fmt: skip
    table, text, picture = made.args
    known = json.loads(text)
    assert known["means"]["with_concept"]["clip_i"]["mean"] == pytest.approx(known["prompts"][0]["clip_i"])
    assert known["drift"] == moved.args[0]
    assert "| mean, with [v] |" in table and "| mean, without [v] |" in table
    assert picture.shape[0] == 1 and picture.shape[3] == 3
    saved = tmp_path / "scores" / "mine_00001_.json"
    assert saved.read_text(encoding="utf-8") == text
    assert saved.with_suffix(".md").read_text(encoding="utf-8") == table + "\n"
    with pytest.raises(ValueError, match="no nouns"):
        runs.execute(
            measuring.MeasurePictures, pictures=[pictures], references=runs.pictures(2, 80),
            segmenter=[files.segmenter], segmenter_clip=[files.segmenter_clip],
        )  # fmt: skip


def test_small_encoders_are_only_small_while_asked_for(comfyui):
    import comfy.clip_vision
    import comfy.supported_models

    before = comfy.clip_vision.ClipVisionModel.__init__
    with small.shrink():
        assert comfy.clip_vision.ClipVisionModel.__init__ is not before
    assert comfy.clip_vision.ClipVisionModel.__init__ is before
    assert comfy.supported_models.SAM3.unet_extra_config == {}
