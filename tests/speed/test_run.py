"""A smoke run of the benchmark: every row is there and whole, in order, and says what it should."""

import dataclasses
import json
import math

import pytest
import torch


@pytest.fixture(scope="module")
def speed(comfyui):
    torch.set_num_threads(1)
    from speed import run

    return run


STAGES = ["pure learning, paper", "anchored", "pure learning, layer-wise"]
HOST = "plain LoRA, all blocks"


@pytest.fixture(scope="module")
def results(speed, tmp_path_factory):
    """Rows of a small run with a further configuration, its files, and what `Row` calls its fields."""
    from speed import measured, stages

    folder = tmp_path_factory.mktemp("speed")
    half = stages.Configuration(job={"precision": "bfloat16"}, only=tuple(STAGES[:2]))
    line = ["--small", "--shapes", "64x2", "128x1", "--whole-steps", "4", "--folder", folder, "--stages", *STAGES]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(stages.CONFIGURATIONS, "half", half)
        speed.main([str(a) for a in line])
    records = [json.loads(x) for x in (folder / "small.jsonl").read_text(encoding="utf-8").splitlines()]
    return folder, records, {f.name for f in dataclasses.fields(measured.Row)}


def test_every_row_is_there_and_whole(results):
    _, records, fields = results
    found = [(r["who"], r["configuration"], r["stage"], r["pixels"]) for r in records if r["who"] != "sampler"]
    always, cards = ("fast", "small"), ("small, 7.2 GiB", "small, fp8, 5 GiB")
    lean = STAGES[2]
    of_ours = {(c, s) for c in always for s in STAGES} | {("half", s) for s in STAGES[:2]}
    wanted = {("ours", c, s, p) for c, s in of_ours for p in (64, 128)} | {("ours", c, lean, 64) for c in cards}
    wanted |= {("accuracy", c, s, 64) for c, s in of_ours} | {("accuracy", c, lean, 64) for c in cards}
    wanted |= {
        ("released", f"passes {k}", "pure learning, as released", p) for k in ("apart", "joined") for p in (64, 128)
    }
    host = {r["configuration"]: r["seconds"] for r in records if r["who"] == "host" and r["pixels"] == 64}
    wanted |= {("host", k, HOST, 64) for k in ("adapters in weights", "bypass")}
    wanted |= {("host", min(host, key=host.get), HOST, 128)}
    wanted |= {("whole", c, "extractor, then pure learning, paper", 64) for c in always}
    wanted |= {("whole", c, lean, 64) for c in cards}
    assert set(found) == wanted and len(found) == len(wanted)
    for r in records:
        assert set(r) == fields and not r["note"]
        if r["who"] == "accuracy":
            assert r["seconds"] is None and r["accuracy"]["gradient"] > 0.99
            continue
        assert r["seconds"] > 0 and r["spread"][0] <= r["seconds"] <= r["spread"][1]
        assert math.isclose(r["throughput"], r["tflop"] / r["seconds"], rel_tol=1e-3)
        assert math.isclose(r["of_ceiling"], r["throughput"] / r["ceiling"], rel_tol=1e-3)
        assert math.isclose(r["before"], sum(r["parts"].values()), rel_tol=1e-3, abs_tol=1e-9)
        assert r["about"]["device"].startswith("CPU") and "--small" in r["about"]["command"]


def test_every_row_says_what_it_computed_in(results):
    _, records, _ = results
    assert {r["configuration"] for r in records if r["about"]["dtype"] == "bfloat16"} == {"half"}
    assert {r["about"]["dtype"] for r in records if r["configuration"] != "half"} == {"float32"}


def test_times_of_another_precision_are_refused(speed, comfyui):
    from types import SimpleNamespace

    from speed import stages

    def check(computed, device="cpu", dtype=torch.bfloat16, **values):
        field = SimpleNamespace(dtype=computed, device=torch.device(device))
        return stages.Configuration(**values).check(field, dataclasses.replace(speed.SMALL, dtype=dtype))

    assert check(torch.bfloat16) == check(torch.bfloat16, fp8=True) == torch.bfloat16
    assert check(torch.bfloat16, "cuda", torch.float32, fp8=True) == torch.bfloat16
    assert check(torch.float32, job=stages.PLAIN) == torch.float32
    for given in ({}, {"fp8": True}, {"device": "cuda", "fp8": True}, {"job": stages.PLAIN}):
        with pytest.raises(RuntimeError, match="float16 and not in"):
            check(torch.float16, **given)


def test_what_targets_ask_for_comes_first(results):
    _, records, _ = results
    kinds = [(r["who"], r["pixels"]) for r in records]
    larger = min(k for k, (_, p) in enumerate(kinds) if p == 128)
    assert kinds[0] == ("released", 64)
    assert max(k for k, (who, p) in enumerate(kinds) if who in ("released", "ours", "host") and p == 64) < larger
    assert kinds.index(("whole", 64)) < kinds.index(("accuracy", 64)) < larger


def test_parts(results):
    folder, records, _ = results
    rows = {(r["who"], r["configuration"], r["stage"], r["pixels"]): r for r in records}
    common = {"latents", "texts", "copy", "adapters", "plan"}
    paper = rows["ours", "fast", "pure learning, paper", 64]
    assert set(paper["parts"]) == common
    assert set(rows["ours", "fast", "anchored", 64]["parts"]) == common | {"masks", "pool"}
    assert set(rows["ours", "fast", "anchored", 128]["parts"]) == common
    step = {"texts", "extractor forward", "learner forward with gradient", "backward", "clipping", "optimiser"}
    inside = {k: v for k, v in paper["details"].items() if k != "plan"}
    assert set(inside) == step | {"between"} and min(inside.values()) > 0
    assert paper["details"]["plan"].startswith("no checkpointing; about ")
    small = rows["ours", "small", "pure learning, paper", 64]
    assert small["details"]["plan"].startswith("checkpointing 2 of 2 blocks; about ")
    assert rows["host", "bypass", HOST, 64]["parts"]["set up"] > 0
    released = rows["released", "passes apart", "pure learning, as released", 64]
    inside = {"texts", "latents", "trained forward", "frozen forward", "backward", "optimiser"}
    bare = {f"bare {k}" for k in ("forward", "forward and backward", "forward and backward with an adapter")}
    assert inside | bare < set(released["details"])
    assert min(v for k, v in released["details"].items() if k in inside | bare) > 0
    assert "aten::" in (folder / "small-profile.txt").read_text(encoding="utf-8")


def test_memory_is_flat(results):
    """What lives after the last step lived after the first: of every trainer, and over a whole run."""
    _, records, _ = results
    assert all(abs(r["grown"]) < 2**16 for r in records if r["who"] != "accuracy")


def test_the_sampler_is_what_it_was(results):
    """A picture of the stock KSampler before and after training, and what it holds."""
    _, records, _ = results
    before, after = (r for r in [r for r in records if r["who"] == "sampler"][:2])
    assert (before["configuration"], after["configuration"]) == ("before training", "after training")
    assert after["details"]["difference"] == 0
    assert abs(after["details"]["held"] - before["details"]["held"]) < 2**16


def test_accuracy_sees_half_precision(results):
    """The plain path is itself; bf16 is near it and not equal."""
    _, records, _ = results
    rows = {(r["configuration"], r["stage"]): r["accuracy"] for r in records if r["who"] == "accuracy"}
    for (configuration, stage), errors in rows.items():
        velocities = [v for k, v in errors.items() if k.startswith("v.")]
        assert len(velocities) == (6 if stage == "anchored" else 4)
        assert ("direction" in errors) == ("scale" in errors) == (stage != "anchored")
        if configuration != "half":
            assert max(velocities) < 1e-5 and errors["gradient"] > 1 - 1e-5
        else:
            assert min(velocities) > 1e-4 and max(velocities) < 0.05 and 0.99 < errors["gradient"] < 1 - 1e-6


def test_what_is_missing_is_measured_and_nothing_after_the_deadline(results, speed, capsys):
    """No row twice with --missing; with no time left all that is asked for is named and none measured."""
    folder, records, _ = results
    line = ["--small", "--folder", str(folder), "--whole-steps", "4", "--configurations", "fast", "--stages", STAGES[0]]
    assert speed.main([*line, "--missing", "--shapes", "64x2", "128x1"]) == []
    assert speed.main([*line, "--budget", "0", "--shapes", "64x2"]) == []
    said = capsys.readouterr().out
    for title in (
        "ours, pure learning, paper, fast, 64 px x 2",
        "released, pure learning, as released, passes joined, 64 px x 2",
        f"host, {HOST}, bypass, 64 px x 2",
        "whole, extractor, then pure learning, paper, fast, 64 px x 2",
        "accuracy, pure learning, paper, fast, 64 px x 2",
    ):
        assert title in said.split("left out")[1]
    assert len((folder / "small.jsonl").read_text(encoding="utf-8").splitlines()) == len(records)


def test_a_row_that_fails_costs_no_other(speed, tmp_path, capsys, monkeypatch):
    from speed import host_node

    monkeypatch.setattr(host_node, "measure", lambda *given: 1 / 0)
    line = ["--small", "--shapes", "64x2", "--folder", str(tmp_path), "--who", "host", "ours"]
    with pytest.raises(SystemExit):
        speed.main([*line, "--stages", "plain LoRA", "extractor", "--configurations", "fast"])
    rows = [json.loads(x) for x in (tmp_path / "small.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(r["who"], r["stage"]) for r in rows] == [("ours", "plain LoRA"), ("ours", "extractor")]
    assert "failed:\n  host, 64 px x 2" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["torch's", "the run's"])
def test_a_whole_run_out_of_memory_is_a_row(results, speed, monkeypatch, kind):
    """The card's own error and the clear one that a run makes of it; what the run noted is no error."""
    from speed import measured, models, sizes, stages, whole, world

    folder, _, _ = results
    errors = dict(zip(("torch's", "the run's"), measured.TOO_LITTLE, strict=True))

    def fails(model, clip, dataset, job, listener, extractor):
        listener.note("tightened")
        raise errors[kind]("too little")

    monkeypatch.setattr(whole, "customise", fails)
    loaded = models.load(folder / "small.safetensors", sizes.SMALL)
    shared = world.World(loaded, folder / "small.safetensors", sizes.SMALL, {})
    found = whole.train(shared, whole.STAGES, stages.CONFIGURATIONS["fast"], measured.Shape(64, 2, 1, 1), 1, None)
    assert found.seconds == [] and found.note == "out of memory"


@pytest.mark.parametrize("fp8", [False, True])
def test_a_plan_is_counted_once(results, speed, monkeypatch, fp8):
    """As on a device with memory of its own: a dry run for a stage and a batch, whatever the configuration."""
    from comfy import model_management
    from speed import clock, models, ours, sizes, stages, world

    from purecc_pack.purecc.host import planning

    file = results[0] / "small.safetensors"
    loaded = models.load(file, sizes.SMALL)
    shared = world.World(loaded, file, sizes.SMALL, {64: world.references(loaded, 64)})
    name, counted, demand = "pure learning, layer-wise", [], planning.demand
    monkeypatch.setattr(planning, "demand", lambda *given: counted.append(1) or demand(*given))
    fast, small = (stages.Configuration(job, fp8=fp8) for job in ({}, {"checkpointing": "all"}))
    jobs = [stages.job(stages.STAGES[name], c, sizes.SMALL) for c in (fast, small)]
    with ours._prepared(shared, fast, jobs[0], clock.Parts(shared.device)) as assembly:
        monkeypatch.setattr(model_management, "is_device_cpu", lambda device: False)
        plans = [shared.plan(assembly, shared.dataset, job, (name, fast.base, 64)) for job in jobs]
    monkeypatch.undo()
    assert len(counted) == 1 and [plan.count for plan, _ in plans] == [0, 2]
    assert all(plan.needs > 0 and seconds >= shared.demands[name, fast.base, 64, 2][1] for plan, seconds in plans)


def test_half_precision_throughout(speed, tmp_path):
    """Every network's weights in bfloat16 and all that is measured computing in it, where the host prefers float16."""
    from comfy import model_management

    half = dataclasses.replace(speed.SMALL, name="small, half", dtype=torch.bfloat16)
    line = ["--small", "--shapes", "64x2", "--whole-steps", "2", "--folder", tmp_path]
    line += ["--stages", "pure learning, layer-wise", "--configurations", "fast", "small, fp8, 5 GiB"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "SMALL", half)
        for choice in ("should_use_fp16", "should_use_bf16"):  # as on a GPU
            patch.setattr(model_management, choice, lambda *given, **named: True)
        rows = speed.main([str(a) for a in line])
    found = {(r.who, r.configuration) for r in rows}
    assert {who for who, _ in found} == {"ours", "released", "host", "whole", "accuracy", "sampler"}
    assert {(who, "small, fp8, 5 GiB") for who in ("ours", "whole", "accuracy")} < found
    assert all(r.about["dtype"] == "bfloat16" and not r.note for r in rows)
    assert all(r.accuracy["gradient"] > 0.99 if r.who == "accuracy" else r.seconds > 0 for r in rows)
