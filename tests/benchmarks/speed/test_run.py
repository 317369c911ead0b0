"""Small runs of the benchmark: every row is there and whole, and says what it should."""

import itertools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow


ROOT = Path(__file__).resolve().parents[3]
STAGES = ["pure learning, paper", "anchored", "pure learning, layer-wise"]
WHO = ["ours", "TrainLoraNode", "released", "whole run", "accuracy"]
CARDS = ("small, 7.2 GiB", "small, fp8, 5 GiB")


@pytest.fixture(scope="module")
def speed(comfyui):
    torch.set_num_threads(1)
    from speed import run

    return run


def measure(speed, folder, who, *more):
    """The rows of a small run of one contestant."""
    out = folder / "small.jsonl"
    out.unlink(missing_ok=True)
    speed.main(["--here", "--small", "--folder", str(folder), "--who", who, "--whole-steps", "4", *more])
    return [json.loads(x) for x in out.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the checkpoint is kept between the runs."""
    return tmp_path_factory.mktemp("speed")


@pytest.fixture(scope="module")
def rows(speed, folder):
    """Rows by contestant, with a further configuration of ours in half precision."""
    from speed import stages

    with pytest.MonkeyPatch.context() as patch:
        half = stages.Configuration(precision="bfloat16", only=tuple(STAGES[:2]))
        patch.setitem(stages.CONFIGURATIONS, "half", half)
        more = {"ours": ["--prepare", "--shapes", "64x2", "128x1"]}
        of_ours = ["--stages", *STAGES]
        chosen = {"ours": of_ours, "accuracy": of_ours}
        return {who: measure(speed, folder, who, *chosen.get(who, ()), *more.get(who, ())) for who in WHO}


def test_every_row_is_there(rows):
    found = {who: [(r["stage"], r["setting"], r["pixels"], r["batch"]) for r in rows[who]] for who in WHO}
    settings = [(s, c) for s in STAGES for c in ("fast", "small")]
    settings += [(STAGES[2], c) for c in CARDS] + [(s, "half") for s in STAGES[:2]]
    assert sorted(found["ours"]) == sorted((*case, *shape) for case in settings for shape in ((64, 2), (128, 1)))
    assert sorted(found["accuracy"]) == sorted((*case, 64, 2) for case in settings)
    both = "extractor, then pure learning, paper"
    assert found["whole run"] == [(both, c, 64, 2) for c in ("fast", "small")]
    assert found["TrainLoraNode"] == [("plain LoRA, all blocks", c, 64, 2) for c in ("adapters in weights", "bypass")]
    assert found["released"] == [("pure learning, as released", f"passes {c}", 64, 2) for c in ("apart", "joined")]


def test_every_row_is_whole(rows):
    for r in itertools.chain(*rows.values()):
        assert r["note"] == "" and r["ceiling"] > 0 and r["about"]["device"].startswith("CPU")
        assert r["dtype"] == ("torch.bfloat16" if r["setting"] == "half" else "torch.float32")
        if r["who"] != "accuracy":
            assert min(r["each"]) <= r["seconds"] <= max(r["each"]) and r["seconds"] > 0 and r["tflop"] > 0
            assert abs(r["grown"]) < 2**16, "what lives after the last step lived after the first"


def test_parts(rows):
    """The phases of a run are the parts before the first step; nothing is looked for beside a thing that is alone."""
    from purecc_pack.purecc.host.messages import Phase

    every = {phase.name.lower() for phase in Phase} - {"measure_base", "train", "find_companion"} | {"latents"}
    of = {(r["stage"], r["setting"]): r for r in rows["ours"]}
    assert set(of["anchored", "fast"]["parts"]) == every
    assert set(of["pure learning, paper", "fast"]["parts"]) == every - {"find_masks", "sample_pool"}
    assert set(of["pure learning, layer-wise", "fast"]["parts"]) == every - {
        "find_masks",
        "sample_pool",
        "copy_encoders",
    }
    assert "0 of 2 blocks" in of["anchored", "fast"]["details"]["plan"]
    assert "2 of 2 blocks" in of["anchored", "small"]["details"]["plan"]
    assert all(list(r["parts"]) == ["set up"] for r in rows["TrainLoraNode"])
    parts = {"encoders", "transformers", "bare calls of their class"}
    assert all(set(r["details"]) == parts and min(r["details"].values()) > 0 for r in rows["released"])


def test_accuracy_sees_half_precision(rows):
    """The plain path is itself; bfloat16 is near it and not equal."""
    for r in rows["accuracy"]:
        errors = r["accuracy"]
        velocities = [v for k, v in errors.items() if k.startswith("v.")]
        assert len(velocities) == (6 if r["stage"] == "anchored" else 4)
        assert ("direction" in errors) == ("scale" in errors) == (r["stage"] != "anchored")
        if r["setting"] == "half":
            assert min(velocities) > 1e-4 and max(velocities) < 0.05 and 0.99 < errors["gradient"] < 1 - 1e-6
        else:
            assert max(velocities) < 1e-5 and errors["gradient"] > 1 - 1e-5


def test_masks_and_pool_may_stand_in(speed, folder):
    (found,) = measure(speed, folder, "ours", "--stages", "anchored", "--settings", "fast")
    assert not {"masks", "pool"} & set(found["parts"]) and found["seconds"] > 0


def test_a_budget_begins_no_row_late_and_none_twice(speed, folder, tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    given = ["--here", "--small", "--folder", str(folder), "--who", "ours", "--settings", "fast", "--out", str(out)]
    speed.main([*given, "--stages", "plain LoRA", "--budget", "600"])
    first = out.read_text(encoding="utf-8")
    assert len(first.splitlines()) == 1
    speed.main([*given, "--stages", "plain LoRA", "--budget", "600"])
    assert "plain LoRA, fast, 64 px x 2: there already" in capsys.readouterr().out
    speed.main([*given, "--stages", "extractor", "--budget", "1e-6"])
    assert "extractor, fast, 64 px x 2: no time left" in capsys.readouterr().out
    assert out.read_text(encoding="utf-8") == first


def test_a_row_that_fails_costs_no_other(speed, folder, monkeypatch):
    from speed import ours

    measured = ours.Ours.measure
    fails = lambda self, stage, *given: 1 / 0 if stage == "plain LoRA" else measured(self, stage, *given)  # noqa: E731
    monkeypatch.setattr(ours.Ours, "measure", fails)
    with pytest.raises(SystemExit, match="ours, plain LoRA, fast, 64 px x 2"):
        measure(speed, folder, "ours", "--stages", "plain LoRA", "extractor", "--settings", "fast")
    (line,) = (folder / "small.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["stage"] == "extractor"


def test_too_little_memory_is_a_row(comfyui):
    """The card's own error and the clear one that a run makes of it; no other error is."""
    from speed.clock import OUT_OF_MEMORY, Steps
    from speed.setup import Shape

    from purecc_pack.purecc.host.training.out_of_memory import OutOfMemory

    def failing(error):
        def work():
            raise error("too little")

        return lambda: Steps(torch.device("cpu"), Shape(64, 2)).measured(work)

    for error in (torch.OutOfMemoryError, OutOfMemory):
        found = failing(error)()
        assert (list(found.seconds), found.note) == ([], OUT_OF_MEMORY)
    with pytest.raises(ValueError, match="too little"):
        failing(ValueError)()


def test_times_of_another_precision_are_refused(speed, folder, monkeypatch, capsys):
    from speed import ours

    monkeypatch.setattr(ours, "_computing", lambda: torch.float16)
    for setting in ("fast", "small, fp8, 5 GiB"):
        with pytest.raises(SystemExit, match="failed"):
            measure(speed, folder, "ours", "--stages", STAGES[2], "--settings", setting)
        assert "float16 and not in" in capsys.readouterr().err


@pytest.mark.parametrize("who", ["ours", "TrainLoraNode", "released"])
def test_half_precision_throughout(speed, tmp_path, monkeypatch, who):
    """Every network computes in bfloat16 where the weights are, though the host prefers float16, as on a GPU."""
    from comfy import model_management

    monkeypatch.setattr(speed, "SMALL", replace(speed.SMALL, dtype=torch.bfloat16))
    for choice in ("should_use_fp16", "should_use_bf16"):
        monkeypatch.setattr(model_management, choice, lambda *given, **named: True)
    chosen = ["--stages", STAGES[2], "--settings", "fast", CARDS[1]] if who == "ours" else []
    found = measure(speed, tmp_path, who, *chosen)
    assert len(found) == 2 and all(r["dtype"] == "torch.bfloat16" and not r["note"] for r in found)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="the peak of a process is read from Linux")
def test_what_an_earlier_row_freed_is_no_peak_of_the_next(comfyui):
    from speed import clock

    device = torch.device("cpu")
    small = [torch.ones(2**14) for _ in range(2**13)]  # half a gigabyte in pieces that malloc keeps
    before = clock.taken(device)["peak"]
    kept = small[::1024]
    del small
    clock.forget_peak(device)
    assert clock.taken(device)["peak"] < before - 2**28 and len(kept) == 8


def test_memory_runs_out_before_the_system_kills(comfyui):
    """In a process of its own, which stays limited."""
    asked = (
        "import sys; sys.path[:0] = ['benchmarks', 'scripts', 'tests']\n"
        "import pack; pack.load_pack()\n"
        "import torch; from speed import clock; from speed.setup import Shape\n"
        "clock.keep_within(2**30)\n"
        "steps = clock.Steps(torch.device('cpu'), Shape(64, 1))\n"
        "print(repr(steps.measured(lambda: torch.zeros(2**30)).note))\n"
        "print(torch.zeros(2**25).shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.stdout.split("\n")[:2] == ["'out of memory'", "torch.Size([33554432])"], done.stderr
