"""Whole runs: what the seed decides, what is trained and what is frozen, and what makes no difference."""

from dataclasses import replace

import pytest
import runs
import torch
from loop import pure

pytestmark = pytest.mark.slow


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture(scope="module")
def plain(models, dataset):
    """A short run of stage 1 with everything on."""
    return runs.customise(models, dataset, runs.job(steps=2)).adapter


def test_the_same_seed_gives_the_same_adapter(models, dataset, extractor, learned):
    again = runs.customise(models, dataset, runs.job("pure", pure()), extractor=extractor).adapter
    assert again.id == learned.adapter.id


def test_the_order_of_the_images_makes_no_difference(models, plain):
    shuffled = runs.build(models, runs.pictures()[::-1], runs.CAPTIONS[::-1])
    assert runs.customise(models, shuffled, runs.job(steps=2)).adapter.id == plain.id


def test_another_seed_or_another_picture_differs(models, dataset, plain):
    other = runs.customise(models, dataset, runs.job(steps=2, seed=1)).adapter
    assert all(not torch.equal(other.lora[k], v) for k, v in plain.lora.items() if not k.endswith("alpha"))
    pictures = runs.build(models, [*runs.pictures()[:2], *runs.pictures(1, seed=5)])
    assert runs.customise(models, pictures, runs.job(steps=2)).adapter.id != plain.id


def test_the_largest_seed_of_the_host_is_one(models, dataset):
    seed = 0xFFFFFFFFFFFFFFFF
    first, second = (runs.customise(models, dataset, runs.job(steps=1, seed=seed)).adapter for _ in range(2))
    assert first.id == second.id


def test_watching_changes_nothing(models, dataset, plain):
    """Drift, samples and traces neither draw from the run's randomness nor touch the process's own."""
    before = torch.get_rng_state()
    job = runs.job(steps=2, drift_every=1, drift_prompts=("a lake",), sample_every=1, trace_steps=frozenset([1, 2]))
    out = runs.customise(models, dataset, job)
    assert out.adapter.id == plain.id
    assert torch.equal(torch.get_rng_state(), before)
    assert len(out.history.drift) == 2 and list(out.traces) == [1, 2]


def test_gradient_checkpointing_gives_the_same_adapter(models, dataset, extractor, learned):
    job = runs.job("pure", pure(), checkpointing="all")
    adapter = runs.customise(models, dataset, job, extractor=extractor).adapter
    for ours, theirs in ((adapter.lora, learned.adapter.lora), (adapter.tokens, learned.adapter.tokens)):
        for key, tensor in theirs.items():
            torch.testing.assert_close(ours[key], tensor, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(adapter.layers, learned.adapter.layers, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("token", "layers", "rate"), [(True, True, 1e-2), (False, True, 1e-2), (True, False, 1e-2), (True, True, 0.0)]
)
def test_embeddings_are_trained_or_frozen_as_asked(models, dataset, extractor, token, layers, rate):
    """Stage 2 starts from the extractor's, so what is frozen stays bit-identical to them."""
    job = runs.job("pure", pure(), steps=2, input_token=token, layer_wise=layers, embedding_lr=rate)
    adapter = runs.customise(models, dataset, job, extractor=extractor).adapter
    assert adapter.tokens.keys() == extractor.tokens.keys()
    assert same(adapter.tokens, extractor.tokens) is not (token and rate > 0)
    if layers:
        assert torch.equal(adapter.layers, extractor.layers) is not (rate > 0)
        moved = (adapter.layers - extractor.layers).abs().amax(1)
        assert bool((moved > 0).all()) is (rate > 0), "every block's vector"
    else:
        assert adapter.layers is None
    assert not same(adapter.lora, extractor.lora)


def test_stage_1_starts_from_the_class_word(models, dataset):
    """The token where the class word's is, within a thousandth; the vectors where the base's text stream has it."""
    job = runs.job("ext", kind="extractor", steps=1, embedding_lr=0.0)
    adapter = runs.customise(models, dataset, job).adapter
    table = models.clip.cond_stage_model.clip_l.transformer.get_input_embeddings().weight
    token = models.clip.tokenize("robot")["l"][0][1][0]
    word = table[token].float()
    assert float((adapter.tokens["clip_l"][0] - word).norm() / word.norm()) < 3e-3
    assert not torch.equal(adapter.tokens["clip_l"][0], word)
    seen = []
    network = models.model.model.diffusion_model
    handles = [b.register_forward_pre_hook(lambda _, args: seen.append(args[0][0, 1])) for b in network.joint_blocks]
    noise = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    runs.velocity(models.model, noise, torch.tensor([0.5]), runs.encode(models.clip, "robot robot"))
    for handle in handles:
        handle.remove()
    for ours, block in zip(adapter.layers, seen, strict=True):
        assert float((ours - block).norm() / block.norm()) < 1e-2


def test_a_class_word_of_several_tokens(models):
    """The mean over them, the end token not among them."""
    from purecc_pack.purecc.host.models.embeddings import word_vectors

    with torch.inference_mode():
        vector = word_vectors(models.clip, "teddy bear")["clip_l"]
    table = models.clip.cond_stage_model.clip_l.transformer.get_input_embeddings().weight
    ids = [int(entry[0]) for entry in models.clip.tokenize("teddy bear")["l"][0][1:4]]
    assert ids[2] == 49407
    torch.testing.assert_close(vector[0], table[ids[:2]].float().mean(0))


def test_other_shapes_of_lora(models, dataset):
    from purecc_pack.purecc.network.lora import LoraSpec

    for targets, layers in (
        ("attention and second attention", 11),
        ("attention and mlp", 17),
        ("all blocks", 21),
        ("modulation", 4),
    ):
        spec = LoraSpec(rank=2, alpha=1.0, targets=targets)
        adapter = runs.customise(models, dataset, runs.job(steps=1, lora=spec)).adapter
        ups = {k: v for k, v in adapter.lora.items() if k.endswith("lora_up.weight")}
        assert len(ups) == layers and all(v.shape[1] == 2 for v in ups.values())
        assert all(v == 1.0 for k, v in adapter.lora.items() if k.endswith("alpha"))
    with pytest.raises(ValueError, match="'nothing'"):
        runs.customise(models, dataset, runs.job(steps=1, lora=LoraSpec(targets="nothing")))


def test_half_precision_is_near_float32(models, dataset):
    from purecc_pack.purecc.method.baselines import OutputPreservation

    outs = []
    for precision in ("float32", "bfloat16"):
        job = runs.job("p", OutputPreservation(), steps=2, precision=precision, trace_steps=frozenset([1]))
        outs.append(runs.customise(models, dataset, job))
    exact, half = outs
    for name in ("v.learner.complete", "v.base.base"):
        error = (half.traces[1][name] - exact.traces[1][name]).norm() / exact.traces[1][name].norm()
        assert 0 < float(error) < 0.05
    assert all(v.dtype == torch.float32 for v in half.adapter.lora.values())
    assert half.history.losses[1] == pytest.approx(exact.history.losses[1], rel=0.05)


def test_a_limit_on_samples_a_pass_changes_nothing_but_the_passes(models, dataset, extractor, learned):
    job = runs.job("pure", pure(), pass_limit=1)
    adapter = runs.customise(models, dataset, job, extractor=extractor).adapter
    for key, tensor in learned.adapter.lora.items():
        torch.testing.assert_close(adapter.lora[key], tensor, rtol=1e-2, atol=1e-3)


def test_pictures_of_several_shapes(models):
    """Buckets: each batch is of one shape."""
    mixed = [*runs.pictures(2), torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(1))]
    data = runs.build(models, mixed)
    out = runs.customise(models, data, runs.job(steps=4, trace_steps=frozenset(range(1, 5)), seed=2))
    assert {tuple(trace["x_t"].shape) for trace in out.traces.values()} == {(2, 16, 8, 8), (2, 16, 8, 12)}


def test_what_is_wrong_is_said_before_training(models, dataset, extractor, learned, checkpoint):
    quiet = runs.Quiet()
    cases = [
        ("extractor", dataset, runs.job(recipe=pure()), None),
        ("'pure'", dataset, runs.job(recipe=pure()), learned.adapter),
        (
            r"\{'clip_l': 768\}.*\{'clip_l': 64\}",
            dataset,
            runs.job(recipe=pure()),
            replace(extractor, tokens={"clip_l": torch.zeros(1, 768)}),
        ),
        (r"4 channels.*16", four_channels(dataset), runs.job(), None),
        ("drift_prompts", dataset, runs.job(drift_every=1, drift_prompts=()), None),
    ]
    for message, data, job, theta1 in cases:
        with pytest.raises(ValueError, match=message):
            runs.customise(models, data, job, quiet, theta1)
    assert not quiet.steps


def four_channels(dataset):
    return replace(dataset, items=tuple(replace(i, latents=i.latents[:, :4]) for i in dataset.items))


def test_an_extractor_of_another_model_is_refused(models, dataset, extractor):
    grown = {k: torch.cat([v, v]) if k.endswith("lora_up.weight") else v for k, v in extractor.lora.items()}
    with pytest.raises(ValueError, match="layer joint_blocks"):
        runs.customise(models, dataset, runs.job(recipe=pure()), extractor=replace(extractor, lora=grown))
