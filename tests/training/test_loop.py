"""The training loop and its recipes on the stand-in, against plain computations."""

import math
from pathlib import Path

import pytest
import runs
import safetensors.torch
import torch
from loop import STILL, learnt, move, one_prior, run, watched


def pure(**values):
    from purecc_pack.purecc.recipes import PureLearning

    return PureLearning(**values)


def lora():
    from purecc_pack.purecc.recipes import ConceptCustomisation

    return ConceptCustomisation()


def preserving(text, weight=1.0):
    from purecc_pack.purecc.recipes import OutputPreservation

    return OutputPreservation(text, weight)


def prior_preserving(weight=1.0):
    from purecc_pack.purecc.recipes import PriorPreservation

    return PriorPreservation(weight)


def direction(trace):
    return trace["v.extractor.target"] - trace["v.extractor.empty"]


class TestTheExtractorGuides:
    @pytest.fixture
    def directions(self, models, dataset, extractor):
        """R(y_tar) of a real step after a change to the trainee."""

        def of(change=lambda trainee: None, at=extractor):
            with runs.at_work(models, dataset, runs.job(recipe=pure()), at) as (trainee, scaled):
                change(trainee)
                return run(trainee, scaled, pure())[1][1]

        return of

    def test_theta1_changes_the_direction_and_theta2_does_not(self, directions):
        before = directions()
        theta2 = directions(move)
        assert torch.equal(direction(theta2), direction(before))
        assert not torch.equal(theta2["v.learner.complete"], before["v.learner.complete"])
        theta1 = directions(lambda trainee: move(trainee, "extractor"))
        assert float((direction(theta1) - direction(before)).abs().max()) > 0.05
        assert torch.equal(theta1["v.learner.complete"], before["v.learner.complete"])

    def test_theta1s_layer_wise_vectors_change_the_direction(self, directions):
        def change(trainee):
            with torch.no_grad():
                trainee.speakers["extractor"].embedding.layers.mul_(-2)

        changed, before = directions(change), directions()
        assert not torch.equal(changed["v.extractor.target"], before["v.extractor.target"])
        assert torch.equal(changed["v.extractor.empty"], before["v.extractor.empty"])
        assert torch.equal(changed["v.learner.complete"], before["v.learner.complete"])

    def test_theta1s_token_changes_the_direction(self, directions, extractor):
        from dataclasses import replace

        other = replace(extractor, tokens={k: -v for k, v in extractor.tokens.items()})
        assert not torch.equal(directions(at=other)["v.extractor.target"], directions()["v.extractor.target"])

    def test_the_released_variant_takes_it_from_the_base(self, stage2):
        trainee, data = stage2
        _, traces, _ = run(trainee, data, pure(direction="base"))
        before = traces[1]
        move(trainee, "extractor")
        after = run(trainee, data, pure(direction="base"))[1][1]
        assert torch.equal(after["v.base.target"], before["v.base.target"])
        assert not any(name.startswith("v.extractor") for name in after)


def test_stage_2_leaves_theta1_bit_identical(stage2, extractor):
    trainee, data = stage2
    before = [p.detach().clone() for p in learnt(trainee)]
    run(trainee, data, pure(), steps=3)
    lora = trainee.branches.export("extractor")
    assert lora.keys() == extractor.lora.keys()
    assert all(torch.equal(lora[k], extractor.lora[k]) for k in lora)
    tokens, layers = trainee.speakers["extractor"].embedding.export()
    assert torch.equal(layers, extractor.layers)
    assert all(torch.equal(tokens[k], extractor.tokens[k]) for k in extractor.tokens)
    assert all(not torch.equal(p, b) for p, b in zip(learnt(trainee), before, strict=True)), "all of θ2 has moved"


def test_one_base_model_in_memory(stage2, models):
    trainee, data = stage2
    run(trainee, data, pure(v_original="base"), steps=2)
    user = dict(models.model.model.diffusion_model.named_parameters())
    private = dict(trainee.model.module.named_parameters())
    base = {name: p for name, p in private.items() if ".lora_" not in name}
    assert {name.replace(".base_layer", ""): p.shape for name, p in base.items()} == {
        n: p.shape for n, p in user.items()
    }
    assert not {p.data_ptr() for p in private.values()} & {p.data_ptr() for p in user.values()}
    adapted = [m for m in trainee.model.module.modules() if hasattr(m, "lora_A")]
    rank = 4
    sizes = sum(2 * rank * (m.in_features + m.out_features) for m in adapted)
    assert sum(p.numel() for p in private.values()) == sum(p.numel() for p in user.values()) + sizes
    assert all(set(m.lora_A) == {"learner", "extractor"} for m in adapted) and len(adapted) == 7


class TestTheTrace:
    """An independent computation on the tensors of a traced step."""

    @pytest.fixture(scope="class")
    def trace(self, learned, comfyui):
        """Step 2 of stage 2, read back from the file that the node writes."""
        import folder_paths

        from purecc_pack.purecc.host.runs import _save_trace

        _save_trace("independent", 2, learned.traces[2])
        folder = Path(folder_paths.get_output_directory()) / "purecc" / "traces"
        (path,) = folder.glob("independent_step2_*.safetensors")
        return safetensors.torch.load_file(path)

    def test_losses_and_scale_in_float64(self, trace, learned):
        v = {k: t.double() for k, t in trace.items()}
        r_c = (v["v.learner.complete"] - v["v.learner.base"]).flatten(1)
        r_t = (v["v.extractor.target"] - v["v.extractor.empty"]).flatten(1)
        scale = (r_c * r_t).sum(1) / (r_t * r_t).sum(1)
        concept = (v["target"] - v["v.learner.complete"]).flatten(1).square().mean(1)
        guided = v["v.learner.base"].flatten(1) + scale[:, None] * r_t
        off = (guided - v["v.learner.complete"].flatten(1)).square().mean(1)
        near = {"rtol": 1e-4, "atol": 1e-6, "check_dtype": False}
        torch.testing.assert_close(trace["lambda"], scale, **near)
        torch.testing.assert_close(trace["loss.concept"], concept, **near)
        torch.testing.assert_close(trace["loss.pure"], off, **near)
        torch.testing.assert_close(trace["loss.total"], concept + off, **near)
        torch.testing.assert_close(trace["cosine"], torch.cosine_similarity(r_c, r_t), **near)
        step = learned.history.steps[1]
        assert step.losses["total"] == pytest.approx(float((concept + off).mean()), rel=1e-4)
        assert step.scales == pytest.approx(scale.tolist(), rel=1e-4)
        assert float(off.min()) > 0 and float(scale.abs().min()) > 0

    def test_velocities_of_a_hand_merged_base(self, trace, checkpoint, models, dataset, extractor):
        """θ2 as it was before step 2, and θ1: LoRA added to the weights of a fresh base, vectors put in by hooks."""
        theta2 = runs.customise(models, dataset, runs.job("pure", pure(), steps=1), extractor=extractor).adapter
        items = runs.items_of(models, dataset, trace)
        complete, base = [i.texts.complete for i in items], [i.texts.base for i in items]
        target = [i.texts.target for i in items]
        near = {"rtol": 1e-3, "atol": 1e-4}
        for name, adapter, texts in (
            ("v.learner.complete", theta2, complete),
            ("v.learner.base", theta2, base),
            ("v.extractor.target", extractor, target),
            ("v.extractor.empty", extractor, ["", ""]),
        ):
            expected = by_hand(checkpoint, adapter, trace["x_t"], trace["t"], texts)
            torch.testing.assert_close(trace[name], expected, **near, msg=lambda m, name=name: f"{name}: {m}")
        x0 = torch.cat([models.model.model.process_latent_in(i.latents) for i in items])
        t = trace["t"].view(-1, 1, 1, 1)
        torch.testing.assert_close(trace["x_t"], (1 - t) * x0 + t * (trace["target"] + x0), rtol=1e-5, atol=1e-5)


def by_hand(checkpoint, adapter, x_t, t, texts):
    """v with an adapter, in plain PyTorch on the network alone."""
    import folder_paths

    path = Path(folder_paths.get_folder_paths("embeddings")[0]) / "by_hand.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file({k: v.contiguous() for k, v in adapter.tokens.items()}, path)
    fresh = runs.load(checkpoint)
    network = fresh.model.model.diffusion_model.float()
    with torch.inference_mode():
        for key, up in adapter.lora.items():
            if key.endswith(".lora_up.weight"):
                stem = key.removesuffix(".lora_up.weight")
                down, alpha = adapter.lora[f"{stem}.lora_down.weight"], adapter.lora[f"{stem}.alpha"]
                layer = network.get_submodule(stem.removeprefix("diffusion_model."))
                layer.weight += alpha / len(down) * (up @ down)
        out = []
        for x, time, text in zip(x_t.split(1), t.split(1), texts, strict=True):
            cond, more = runs.encode(fresh.clip, text.replace("[v]", "embedding:by_hand"))[0]
            row = text.split().index("[v]") + 1 if "[v]" in text else None  # one token a word, after the start
            handles = []
            for block, vector in zip(network.joint_blocks, adapter.layers, strict=True):

                def put(_, args, vector=vector, row=row):
                    stream = args[0].clone()
                    if row is not None:
                        stream[:, row] = vector
                    return (stream, *args[1:])

                handles.append(block.register_forward_pre_hook(put))
            out.append(network(x, time * 1000, context=cond, y=more["pooled_output"]))
            for handle in handles:
                handle.remove()
    return torch.cat(out).clone()


def recipes():
    return {
        "LoRA": lora(),
        "PureCC": pure(),
        "PureCC, η 2": pure(eta=2.0),
        "PureCC, λ 3": pure(scale=3.0),
        "PureCC, stop-gradient": pure(v_original="theta2 stop-gradient"),
        "PureCC, base": pure(v_original="base"),
        "DOP": preserving("base", 1.5),
        "BPP": preserving("empty", 0.5),
        "prior": prior_preserving(0.7),
    }


# The passes of one step as (branch, samples, gradient), batch 2: those of one branch and like gradient together.
PASSES = {
    "LoRA": [("learner", 2, True)],
    "PureCC": [("learner", 4, True), ("extractor", 4, False)],
    "PureCC, η 2": [("learner", 4, True), ("extractor", 4, False)],
    "PureCC, λ 3": [("learner", 4, True), ("extractor", 4, False)],
    "PureCC, stop-gradient": [("learner", 2, True), ("learner", 2, False), ("extractor", 4, False)],
    "PureCC, base": [("learner", 2, True), (None, 2, False), ("extractor", 4, False)],
    "DOP": [("learner", 4, True), (None, 2, False)],
    "BPP": [("learner", 4, True), (None, 2, False)],
    "prior": [("learner", 4, True)],
}


@pytest.mark.parametrize("name", list(PASSES))
def test_passes_are_batched_and_make_no_graph_without_need(stage2, name):
    trainee, data = stage2
    with watched(trainee) as passes:
        run(trainee, data, recipes()[name], pool=one_prior(data), steps=2)
    assert [(branch, len(x), out.requires_grad) for branch, x, _, out in passes] == 2 * PASSES[name]
    assert all(out.grad_fn is None for _, _, _, out in passes if not out.requires_grad)


@pytest.mark.parametrize("name", list(PASSES))
def test_gradients_are_those_of_the_written_out_loss(stage2, models, dataset, name):
    trainee, data = stage2
    prior = one_prior(data)
    with watched(trainee) as passes:
        _, traces, (gradients,) = run(trainee, data, recipes()[name], pool=prior, **STILL)
    trace = traces[1]
    items = runs.items_of(models, dataset, trace)
    x_t, t, target = trace["x_t"], trace["t"], trace["target"]

    def v(branch, text, grad=True, x=x_t, t=t):
        texts = [{**vars(i.texts), "empty": ""}[text] for i in items] if text != "pool" else [prior[0].texts.base] * 2
        with torch.set_grad_enabled(grad):
            return trainee.run(branch, x, t, texts)

    def mse(a, b):
        return (a - b).square().mean()

    def off(complete, original, scale=None):
        r_t = v("extractor", "target", False) - v("extractor", "empty", False)
        if scale is None:
            r_c = (complete - original).flatten(1)
            scale = ((r_c * r_t.flatten(1)).sum(1) / r_t.flatten(1).square().sum(1)).detach().view(-1, 1, 1, 1)
        return mse(original + scale * r_t, complete)

    with torch.enable_grad():
        complete = v("learner", "complete")
        loss = mse(complete, target)
        match name:
            case "PureCC":
                loss = loss + off(complete, v("learner", "base"))
            case "PureCC, η 2":
                loss = loss + 2 * off(complete, v("learner", "base"))
            case "PureCC, λ 3":
                loss = loss + off(complete, v("learner", "base"), 3.0)
            case "PureCC, stop-gradient":
                loss = loss + off(complete, v("learner", "base", False))
            case "PureCC, base":
                loss = loss + off(complete, v(None, "base", False))
            case "DOP":
                loss = loss + 1.5 * mse(v("learner", "base"), v(None, "base", False))
            case "BPP":
                loss = loss + 0.5 * mse(v("learner", "empty"), v(None, "empty", False))
            case "prior":
                x, s = passes[0][1][2:], passes[0][2][2:]
                x0, time = prior[0].latents, s.view(-1, 1, 1, 1)
                x1 = (x - (1 - time) * x0) / time
                loss = loss + 0.7 * mse(v("learner", "pool", x=x, t=s), x1 - x0)
        with trainee.branches.use("learner"):
            expected = torch.autograd.grad(loss, learnt(trainee), allow_unused=True)
    assert float(trace["loss.total"].mean()) == pytest.approx(loss.item(), rel=1e-4)
    unused = 0
    for ours, theirs in zip(gradients, expected, strict=True):
        if ours is None or theirs is None:
            assert ours is theirs is None or not (ours if theirs is None else theirs).any()
            unused += 1
        else:
            torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=2e-3 * float(theirs.abs().max()) + 1e-9)
    assert unused < 4


def test_the_original_velocity_is_who_it_should_be(stage2):
    trainee, data = stage2
    by = {name: run(trainee, data, pure(v_original=name), **STILL)[1][1] for name in ORIGINS}
    assert torch.equal(by["theta2"]["v.learner.base"], by["theta2 stop-gradient"]["v.learner.base"])
    assert "v.learner.base" not in by["base"] and "v.base.base" not in by["theta2"]
    assert not torch.allclose(by["base"]["v.base.base"], by["theta2"]["v.learner.base"], atol=1e-3)
    move(trainee, seed=11)
    again = run(trainee, data, pure(v_original="base"), **STILL)[1][1]
    assert torch.equal(again["v.base.base"], by["base"]["v.base.base"]), "θ2 has no part in it"


ORIGINS = ("theta2", "theta2 stop-gradient", "base")


def test_accumulated_batches_of_one_are_a_batch_of_two(stage2, monkeypatch):
    from purecc_pack.purecc import training
    from purecc_pack.purecc.dataset import batches
    from purecc_pack.purecc.recipes import Samples

    trainee, data = stage2
    generator = torch.Generator().manual_seed(0)
    stream = batches(data.items, 2, generator)
    whole = training._draw(stream, trainee, runs.settings(), generator)

    def rows(k):
        return Samples(whole.texts[k], whole.x_t[k], whole.t[k], whole.target[k], whole.mask[k])

    parts = iter([whole, rows(slice(0, 1)), rows(slice(1, 2))])
    monkeypatch.setattr(training, "_draw", lambda *_: next(parts))
    one, _, (together,) = run(trainee, data, pure(), **STILL)
    two, _, (apart,) = run(trainee, data, pure(), batch=1, accumulation=2, **STILL)
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
    trainee, data = stage2
    history, _, _ = run(trainee, data, lora(), steps=6, batch=1, lr=1e-3, schedule=schedule, warmup=2)
    assert [s.lr for s in history.steps] == pytest.approx([1e-3 * f for f in expected], rel=1e-6)
    assert [s.number for s in history.steps] == [1, 2, 3, 4, 5, 6]


def test_the_two_rates_and_no_decay_of_the_embedding(stage2):
    trainee, data = stage2
    parts = trainee.branches.parameters("learner"), list(trainee.speakers["learner"].embedding.parameters())
    for lr, embedding_lr in ((0.0, 1e-2), (1e-2, 0.0)):
        before = [[p.detach().clone() for p in part] for part in parts]
        run(trainee, data, lora(), lr=lr, embedding_lr=embedding_lr, weight_decay=0.0)
        for part, old, rate in zip(parts, before, (lr, embedding_lr), strict=True):
            # AdamW's first step is the rate in every coordinate that has a gradient.
            steps = [float((p - o).abs().max()) for p, o in zip(part, old, strict=True)]
            assert all(s == pytest.approx(rate, rel=1e-2, abs=1e-9) for s in steps), (lr, embedding_lr)
    before = [[p.detach().clone() for p in part] for part in parts]
    run(trainee, data, lora(), lr=1e-3, embedding_lr=1e-12, weight_decay=100.0)
    for p, old in zip(parts[0], before[0], strict=True):
        torch.testing.assert_close(p, 0.9 * old, rtol=0, atol=1.1e-3)
    for p, old in zip(parts[1], before[1], strict=True):
        torch.testing.assert_close(p, old, rtol=0, atol=1e-6)


def test_clipping(stage2):
    trainee, data = stage2

    def norm(gradients):
        return math.sqrt(sum(float(g.square().sum()) for g in gradients if g is not None))

    free = run(trainee, data, pure(), clip=0.0, **STILL)[2][0]
    clipped = run(trainee, data, pure(), clip=1e-3, **STILL)[2][0]
    loose = run(trainee, data, pure(), clip=1e9, **STILL)[2][0]
    assert norm(free) > 0.01 and norm(clipped) == pytest.approx(1e-3, rel=1e-3)
    for a, b, c in zip(free, clipped, loose, strict=True):
        if a is not None:
            torch.testing.assert_close(b, a * (1e-3 / norm(free)), rtol=1e-2, atol=1e-9)
            assert torch.equal(a, c)


def test_divergence_names_the_step_and_a_cause(models, dataset):
    from purecc_pack.purecc.training import TrainingDiverged

    with pytest.raises(TrainingDiverged, match=r"at step 2 of 4.*learning rate.*1e\+30.*try a third") as raised:
        runs.customise(models, dataset, runs.job(steps=4, lr=1e30))
    assert "not a finite number" in str(raised.value)


def test_a_callback_ends_the_training(stage2):
    """With its step, which counts; ending at the last step is no early end."""
    from purecc_pack.purecc.training import Callbacks, train

    trainee, data = stage2
    for last, stopped in ((2, True), (3, False)):
        callbacks = Callbacks(on_step=lambda history, last=last: history.steps[-1].number == last)
        history = train(trainee, data, pure(), runs.settings(steps=3), callbacks)
        assert [step.number for step in history.steps] == list(range(1, last + 1))
        assert history.stopped is stopped and len(history.losses) == last


def test_quartiles_of_the_scale():
    from purecc_pack.purecc.training import History, Step

    step = Step(1, {"total": 1.0}, (1.0, 3.0), 1e-4, 0.0)
    assert step.quartiles == (1.5, 2.0, 2.5)
    assert Step(1, {"total": 1.0}, (), 1e-4, 0.0).quartiles is None
    assert History([step]).scales == [2.0]


def test_the_drift_of_a_run_is_that_of_its_steps():
    from purecc_pack.purecc.training import History, Step

    drifts = (None, 0.0, None, 0.25)
    steps = [Step(k, {"total": 1.0}, (), 1e-4, 0.0, drift) for k, drift in enumerate(drifts, start=1)]
    assert History(steps).drift == [(2, 0.0), (4, 0.25)] and History().drift == []


def test_what_a_recipe_lacks_is_said(models, dataset):
    from purecc_pack.purecc.training import train

    with runs.at_work(models, dataset, runs.job()) as (trainee, data):
        with pytest.raises(ValueError, match="needs an extractor: connect the output of Train Extractor"):
            train(trainee, data, pure(), runs.settings())
        with pytest.raises(ValueError, match="needs pictures of the base's own"):
            train(trainee, data, prior_preserving(), runs.settings())
