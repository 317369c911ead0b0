"""Pictures of two models, what is measured on them, and drift, with small real models."""

import itertools
import json

import numpy as np
import pytest
import runs
import standin_encoders as small
import torch

PROMPTS = ("a [v] robot on a beach", "a robot in snow")


class Told:
    """Progress that keeps what it is told, and may stop the work."""

    def __init__(self, stop_after=None):
        self.texts, self.parts, self._left = [], 0, stop_after

    def say(self, text):
        self.texts.append(text)

    def advance(self, parts=1, preview=None):
        from comfy.model_management import InterruptProcessingException

        self.parts += parts
        if self._left is not None and self.parts > self._left:
            raise InterruptProcessingException


@pytest.fixture(scope="module")
def files(encoders):
    return encoders


@pytest.fixture(scope="module")
def customised(models, token_only):
    from purecc_pack.purecc.host.apply import apply

    with torch.inference_mode():
        return apply(models.model, models.clip, token_only)


def draw(models, customised, progress=None, prompts=PROMPTS, seeds=(5, 6, 7), trigger="embedding:plain", **sampling):
    from purecc_pack.purecc.host import drawing
    from purecc_pack.purecc.protocol.pictures import parse_prompts

    how = {"steps": 2, "cfg": 3.0, "scheduler": "simple", "width": 64, "height": 64, "batch": 2} | sampling
    texts = parse_prompts("\n".join(prompts), "robot")
    with torch.inference_mode():
        return drawing.draw(
            (models.model, models.clip), customised, models.vae, texts, seeds, drawing.Sampling(**how), trigger,
            progress or Told(),
        )  # fmt: skip


@pytest.fixture(scope="module")
def drawn(models, customised):
    return draw(models, customised)


def test_every_picture_is_that_of_the_stock_sampler_for_its_seed(models, customised, drawn):
    for pictures, (model, clip), texts in (
        (drawn.base, (models.model, models.clip), ("a robot on a beach", "a robot in snow")),
        (drawn.customised, customised, ("a embedding:plain robot on a beach", "a robot in snow")),
    ):
        assert pictures.shape == (2, 3, 64, 64, 3)
        for row, text in zip(pictures, texts, strict=True):
            for picture, seed in zip(row, drawn.seeds, strict=True):
                latent = runs.sample(model, runs.encode(clip, text), runs.encode(clip, ""), seed=seed)
                with torch.inference_mode():
                    stock = models.vae.decode(latent)[0].clamp(0, 1)
                torch.testing.assert_close(picture, stock, rtol=0, atol=2e-3)
    assert float((drawn.base - drawn.customised).abs().max()) > 0.01
    assert float((drawn.base[:, 0] - drawn.base[:, 1]).abs().max()) > 0.01
    assert drawn.settings["trigger"] == "embedding:plain" and drawn.settings["steps"] == 2


def test_the_bar_counts_steps_of_pictures_and_cancel_stops(models, customised):
    from comfy.model_management import InterruptProcessingException

    told = Told()
    draw(models, customised, told, prompts=PROMPTS[:1])
    assert told.parts == 2 * 1 * 3 * 2
    assert any("customised model, prompt 1 of 1" in text for text in told.texts)
    with pytest.raises(InterruptProcessingException):
        draw(models, customised, Told(stop_after=5))


def test_a_model_measured_against_itself_draws_the_same_pictures(models):
    same = draw(models, (models.model, models.clip), trigger="robot", prompts=("a [v] robot in snow",), seeds=(1,))
    other = draw(models, (models.model, models.clip), trigger="shiny", prompts=("a [v] robot in snow",), seeds=(1,))
    assert torch.equal(same.base, other.base)
    assert not torch.equal(same.customised, other.customised)


def test_an_embedding_that_the_clip_does_not_know_is_refused(models, customised):
    told = Told()
    with pytest.raises(ValueError, match="does not know embedding:other"):
        draw(models, customised, told, trigger="embedding:other")
    with pytest.raises(ValueError, match="does not know embedding:plain"):
        draw(models, (customised[0], models.clip), told)
    assert told.parts == 0


def test_a_vae_of_another_model_is_refused(models, customised):
    from types import SimpleNamespace

    with pytest.raises(ValueError, match="The VAE decodes latents of 4 channels and the models make 16"):
        draw(runs.Models(models.model, models.clip, SimpleNamespace(latent_channels=4)), customised)


def test_the_users_models_stay_as_they_are(models, token_only):
    from purecc_pack.purecc.host.apply import apply

    before = runs.state(models)
    with torch.inference_mode():
        pair = apply(models.model, models.clip, token_only)
    draw(models, pair, prompts=PROMPTS[:1], seeds=(1,))
    drift(models, pair, prompts=("a red car",), steps=2)
    assert runs.state(models) == before


def measure(files, drawn, references, nouns=(("robot",), ("snow", "robot")), progress=None, **changes):
    from purecc_pack.purecc.host import measuring

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
        (("clip_vision", "clip", "dino", "segmenter", "segmenter_clip"), "Nothing is connected"),
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
    from purecc_pack.purecc.host.measuring import as_pictures

    made = as_pictures([torch.rand(2, 8, 9, 3), torch.rand(1, 5, 5, 4)])
    assert [tuple(p.shape) for p in made] == [(8, 9, 3), (8, 9, 3), (5, 5, 3)]
    for wrong in ([], [torch.rand(8, 9, 3)], [torch.full((1, 4, 4, 3), float("nan"))]):
        with pytest.raises(ValueError, match="reference"):
            as_pictures(wrong)


def drift(models, pair, prompts, progress=None, **options):
    from purecc_pack.purecc.host import drift as host_drift

    with torch.inference_mode():
        return host_drift.drift(
            (models.model, models.clip), pair, prompts, 64, 64, progress or Told(), **options
        )  # fmt: skip


def test_drift_is_the_ratio_of_squares_over_the_base_s_trajectories(models, customised):
    """Written out: Euler with guidance 4 from the noise of seed 0, velocities by the host's own sampling path."""
    prompts, steps = ["a red car", "a bowl of fruit"], 2
    told = Told()
    made = drift(models, customised, prompts, told, steps=steps)
    assert told.parts == 4 * steps * len(prompts)
    noise = torch.randn(len(prompts), 16, 8, 8, generator=torch.Generator().manual_seed(0))
    even = torch.linspace(1, 0, steps + 1)
    times = 3 * even / (1 + 2 * even)
    above = below = 0.0
    for prompt, x in zip(prompts, noise.split(1), strict=True):
        conds = [runs.encode(models.clip, text) for text in (prompt, "")]
        other = runs.encode(customised[1], prompt)
        for now, then in itertools.pairwise(times):
            t = now.reshape(1)
            v, empty = runs.velocity(models.model, x, t, *conds).split(1)
            w = runs.velocity(customised[0], x, t, other)
            above += float((w - v).double().square().sum())
            below += float(v.double().square().sum())
            x = x + (then - now) * (empty + 4 * (v - empty))
    assert made == pytest.approx(above / below, rel=1e-4)
    assert made > 1e-4


def test_drift_of_an_adapter_is_what_its_training_measured(models, dataset):
    """Layer-wise vectors, LoRA and token together, through Apply Adapter, against the branch inside training."""
    from purecc_pack.purecc.host.apply import apply

    prompts = ("a red car", "a bowl of fruit (ripe)")
    outcome = runs.customise(models, dataset, runs.job("drifter", lr=3e-2, drift_every=3, drift_prompts=prompts))
    with torch.inference_mode():
        pair = apply(models.model, models.clip, outcome.adapter)
    (_, expected), *rest = outcome.history.drift
    assert not rest and expected > 1e-5
    assert drift(models, pair, prompts) == pytest.approx(expected, rel=1e-3)


def test_a_model_has_no_drift_from_itself(models):
    assert drift(models, (models.model, models.clip), ["a red car"], steps=2) == 0.0


@pytest.fixture(scope="module")
def flux(models, comfyui):
    """A small Flux with random weights that takes the stand-in's texts, and the same with its weights moved."""
    import comfy.model_patcher
    import comfy.supported_models
    import standin

    sizes = {"in_channels": 16, "out_channels": 16, "patch_size": 2, "hidden_size": 64, "num_heads": 2, "depth": 1}
    sizes |= {"depth_single_blocks": 1, "mlp_ratio": 2.0, "axes_dim": [8, 12, 12], "theta": 10000, "qkv_bias": True}
    sizes |= {"image_model": "flux", "guidance_embed": False, "context_in_dim": 4096, "vec_in_dim": 1344}
    sizes |= {"txt_ids_dims": []}
    out = []
    for seed in (0, 1):
        config = comfy.supported_models.Flux(dict(sizes))
        config.set_inference_dtype(torch.float32, None)
        model = config.get_model({}, device="cpu")
        weights = standin._fill(model.diffusion_model, torch.Generator().manual_seed(seed))
        model.diffusion_model.load_state_dict(weights)
        model.eval()
        out.append(comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu")))
    return out


def test_another_flow_model_is_drawn_with_and_has_a_drift(models, flux):
    base, moved = flux
    models = runs.Models(base, models.clip, models.vae)
    made = draw(models, (moved, models.clip), trigger="shiny", prompts=PROMPTS[:1], seeds=(5, 6))
    latent = runs.sample(
        moved, runs.encode(models.clip, "a shiny robot on a beach"), runs.encode(models.clip, ""), seed=6
    )
    with torch.inference_mode():
        stock = models.vae.decode(latent)[0].clamp(0, 1)
    torch.testing.assert_close(made.customised[0, 1], stock, rtol=0, atol=2e-3)
    assert drift(models, (base, models.clip), ["a red car"], steps=2) == 0.0
    assert drift(models, (moved, models.clip), ["a red car"], steps=2) > 0.1


def test_drift_refuses_what_has_none(models, files):
    import comfy.model_sampling

    with pytest.raises(ValueError, match="There are no prompts"):
        drift(models, (models.model, models.clip), ["", " "])
    with pytest.raises(ValueError, match="of another kind than the base model"):
        drift(models, (files.segmenter, files.segmenter_clip), ["a car"])
    noise_model = models.model.clone()
    noise_model.add_object_patch("model_sampling", comfy.model_sampling.ModelSamplingDiscrete())
    with pytest.raises(ValueError, match=r"SD3.*does not predict a velocity"):
        drift(models, (noise_model, models.clip), ["a car"])


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
