"""The training loop on the stand-in: what it moves and what it leaves, its rates, its ends."""

import math

import pytest
import runs
import torch
from loop import STILL, learnt, lora, pure, run
from torch.utils._python_dispatch import TorchDispatchMode

pytestmark = pytest.mark.slow


aten = torch.ops.aten


def test_stage_2_leaves_theta1_bit_identical(stage2, extractor):
    branched, data = stage2
    before = [p.detach().clone() for p in learnt(branched)]
    run(branched, data, pure(), steps=3)
    lora = branched.branches.export("extractor")
    assert lora.keys() == extractor.lora.keys()
    assert all(torch.equal(lora[k], extractor.lora[k]) for k in lora)
    tokens, layers = branched.prompting["extractor"].embedding.export()
    assert torch.equal(layers, extractor.layers)
    assert all(torch.equal(tokens[k], extractor.tokens[k]) for k in extractor.tokens)
    assert all(not torch.equal(p, b) for p, b in zip(learnt(branched), before, strict=True)), "all of θ2 has moved"


def test_one_base_model_in_memory(stage2, models):
    branched, data = stage2
    run(branched, data, pure(v_original="base"), steps=2)
    user = dict(models.model.model.diffusion_model.named_parameters())
    private = dict(branched.field.module.named_parameters())
    base = {name: p for name, p in private.items() if ".lora_" not in name}
    assert {name.replace(".base_layer", ""): p.shape for name, p in base.items()} == {
        n: p.shape for n, p in user.items()
    }
    assert not {p.data_ptr() for p in private.values()} & {p.data_ptr() for p in user.values()}
    adapted = [m for m in branched.field.module.modules() if hasattr(m, "lora_A")]
    rank = 4
    sizes = sum(2 * rank * (m.in_features + m.out_features) for m in adapted)
    assert sum(p.numel() for p in private.values()) == sum(p.numel() for p in user.values()) + sizes
    assert all(set(m.lora_A) == {"learner", "extractor"} for m in adapted) and len(adapted) == 7


def test_accumulated_batches_of_one_are_a_batch_of_two(stage2, monkeypatch):
    from purecc_pack.purecc.method.recipe import Samples
    from purecc_pack.purecc.training import batching
    from purecc_pack.purecc.training.dataset import Batches

    branched, data = stage2
    generator = torch.Generator().manual_seed(0)
    stream = Batches(data.items, 2, generator)
    whole = batching.noised(stream, runs.settings(), branched.field, generator)

    def rows(k):
        return Samples(whole.texts[k], whole.x_t[k], whole.t[k], whole.target[k], whole.mask[k], whole.drawn[k])

    parts = iter([whole, rows(slice(0, 1)), rows(slice(1, 2))])
    monkeypatch.setattr(batching, "noised", lambda *_: next(parts))
    one, _, (together,) = run(branched, data, pure(), **STILL)
    two, _, (apart,) = run(branched, data, pure(), batch=1, accumulation=2, **STILL)
    for a, b in zip(together, apart, strict=True):
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * float(a.abs().max()) + 1e-9)
    assert one.losses == pytest.approx(two.losses, rel=1e-5)
    assert one.steps[0].scales == pytest.approx(two.steps[0].scales, rel=1e-3)
    assert len(two.steps) == 1


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1 / 3, 2 / 3, 1, 1, 1, 1]),
        ("linear", [1 / 3, 2 / 3, 1, 0.75, 0.5, 0.25]),
        ("cosine", [1 / 3, 2 / 3, 1, (2 + 2**0.5) / 4, 0.5, (2 - 2**0.5) / 4]),
    ],
)
def test_schedule_and_warmup(stage2, schedule, expected):
    branched, data = stage2
    history, _, _ = run(branched, data, lora(), steps=6, batch=1, lr=1e-3, schedule=schedule, warmup=2)
    assert [s.lr for s in history.steps] == pytest.approx([1e-3 * f for f in expected], rel=1e-6)
    assert [s.number for s in history.steps] == [1, 2, 3, 4, 5, 6]


def test_the_two_rates_and_no_decay_of_the_embedding(stage2):
    branched, data = stage2
    parts = branched.branches.parameters("learner"), list(branched.prompting["learner"].embedding.parameters())
    for lr, embedding_lr in ((0.0, 1e-2), (1e-2, 0.0)):
        before = [[p.detach().clone() for p in part] for part in parts]
        run(branched, data, lora(), lr=lr, embedding_lr=embedding_lr, weight_decay=0.0)
        for part, old, rate in zip(parts, before, (lr, embedding_lr), strict=True):
            # AdamW's first step is the rate in every coordinate that has a gradient.
            steps = [float((p - o).abs().max()) for p, o in zip(part, old, strict=True)]
            assert all(s == pytest.approx(rate, rel=1e-2, abs=1e-9) for s in steps), (lr, embedding_lr)
    before = [[p.detach().clone() for p in part] for part in parts]
    run(branched, data, lora(), lr=1e-3, embedding_lr=1e-12, weight_decay=100.0)
    for p, old in zip(parts[0], before[0], strict=True):
        torch.testing.assert_close(p, 0.9 * old, rtol=0, atol=1.1e-3)
    for p, old in zip(parts[1], before[1], strict=True):
        torch.testing.assert_close(p, old, rtol=0, atol=1e-6)


def test_clipping(stage2):
    branched, data = stage2

    def norm(gradients):
        return math.sqrt(sum(float(g.square().sum()) for g in gradients if g is not None))

    free = run(branched, data, pure(), clip=0.0, **STILL)[2][0]
    clipped = run(branched, data, pure(), clip=1e-3, **STILL)[2][0]
    loose = run(branched, data, pure(), clip=1e9, **STILL)[2][0]
    assert norm(free) > 0.01 and norm(clipped) == pytest.approx(1e-3, rel=1e-3)
    for a, b, c in zip(free, clipped, loose, strict=True):
        if a is not None:
            torch.testing.assert_close(b, a * (1e-3 / norm(free)), rtol=1e-2, atol=1e-9)
            assert torch.equal(a, c)


def test_divergence_names_the_step_and_a_cause(models, dataset):
    from purecc_pack.purecc.training.loop import TrainingDiverged

    with pytest.raises(TrainingDiverged, match=r"at step 2 of 4.*learning rate.*1e\+30.*try a third") as raised:
        runs.customise(models, dataset, runs.job(steps=4, lr=1e30))
    assert "not a finite number" in str(raised.value)


def test_a_callback_ends_the_training(stage2):
    """With its step, which counts; ending at the last step is no early end."""
    from purecc_pack.purecc.training.loop import Callbacks, train

    branched, data = stage2
    for last, stopped in ((2, True), (3, False)):
        callbacks = Callbacks(on_step=lambda history, last=last: history.steps[-1].number == last)
        history = train(branched, data, pure(), runs.settings(steps=3), callbacks)
        assert [step.number for step in history.steps] == list(range(1, last + 1))
        assert history.stopped is stopped and len(history.losses) == last


def test_quartiles_of_the_scale():
    from purecc_pack.purecc.training.history import History, Step

    step = Step(1, {"total": 1.0}, (1.0, 3.0), 1e-4, 0.0)
    assert step.quartiles == (1.5, 2.0, 2.5)
    assert Step(1, {"total": 1.0}, (), 1e-4, 0.0).quartiles is None
    assert History([step]).scales == [2.0]


def test_the_drift_of_a_run_is_that_of_its_steps():
    from purecc_pack.purecc.training.history import History, Step

    drifts = (None, 0.0, None, 0.25)
    steps = [Step(k, {"total": 1.0}, (), 1e-4, 0.0, drift) for k, drift in enumerate(drifts, start=1)]
    assert History(steps).drift == [(2, 0.0), (4, 0.25)] and History().drift == []


class Readings(TorchDispatchMode):
    """Keeps what would have a GPU waited for: values that are read one by one, and indexing by a tensor."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.overloadpacket in (aten._local_scalar_dense, aten.nonzero, aten.index, aten.is_nonzero, aten.equal):
            self.seen.append(str(function))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_step_reads_its_figures_from_the_device_once(models, dataset, extractor, monkeypatch, accumulation):
    """After the draws, which are the CPU's; without a trained token, for which the host's CLIP itself indexes."""
    from purecc_pack.purecc.training import loop

    lists, plain, seen, step = [], torch.Tensor.tolist, Readings(), torch.optim.AdamW.step
    sample = loop.sample_step

    def sampled(*args):
        seen.__exit__(None, None, None)
        try:
            return sample(*args)
        finally:
            lists.clear()
            seen.__enter__()

    def tolist(tensor):
        lists.append(tuple(tensor.shape))
        return plain(tensor)

    def stepped(optimiser, *args, **kwargs):
        taken.append(list(lists))
        return step(optimiser, *args, **kwargs)

    taken = []
    monkeypatch.setattr(loop, "sample_step", sampled)
    monkeypatch.setattr(torch.Tensor, "tolist", tolist)
    monkeypatch.setattr(torch.optim.AdamW, "step", stepped)
    recipe = pure(v_original="base")
    with runs.at_work(models, dataset, runs.job(recipe=recipe, input_token=False), extractor) as (branched, data), seen:
        loop.train(branched, data, recipe, runs.settings(steps=2, accumulation=accumulation))
    figures = 1 + accumulation * (5 + 2)  # the norm; total, concept, pure, λ, cosine; λ of two samples
    assert taken == [[(figures,)]] * 2
    assert not seen.seen


def test_the_fused_optimiser_is_the_plain_one(models, dataset, extractor, monkeypatch):
    """Three steps of both, and the plain one where a device has no other."""
    made, plain = [], torch.optim.AdamW

    def without(*args, fused=None, **kwargs):
        if fused:
            raise RuntimeError("`fused=True` requires all the params to be floating point Tensors of supported devices")
        return plain(*args, **kwargs)

    for adamw in (plain, without):
        monkeypatch.setattr(torch.optim, "AdamW", adamw)
        with runs.at_work(models, dataset, runs.job(recipe=pure()), extractor) as (branched, data):
            history, _, _ = run(branched, data, pure(), steps=3, lr=1e-2, embedding_lr=1e-2, clip=1.0)
            made.append((history.losses, [p.detach().clone() for p in learnt(branched)]))
    (losses, weights), (theirs, expected) = made
    assert losses == pytest.approx(theirs, rel=1e-4)
    for weight, plain_weight in zip(weights, expected, strict=True):
        torch.testing.assert_close(weight, plain_weight, rtol=1e-3, atol=1e-4)


def test_what_takes_a_gradient_does_not_depend_on_which_branch_is_on(stage2):
    branched, _ = stage2
    own = branched.branches.parameters("learner"), branched.branches.parameters("extractor")
    for name in (None, "extractor", "learner"):
        with branched.branches.use(name):
            assert all(w.requires_grad for w in own[0]) and not any(w.requires_grad for w in own[1])
