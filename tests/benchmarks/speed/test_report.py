"""The report: what it says without a GPU, and what it says of rows."""

import json

import pytest
from speed import names


@pytest.fixture
def report(monkeypatch, tmp_path):
    """The report on a copy of its folder without results but the counts."""
    from speed import report

    here = tmp_path / "speed"
    (here / "results").mkdir(parents=True)
    for name in ("README.md", "results/counts.json"):
        (here / name).write_text((report.HERE / name).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(report, "HERE", here)
    return report


def row(**changes):
    about = {"device": "A Card", "torch": "2", "peft": "1", "ComfyUI": "0"}
    made = {"who": "ours", "setting": "fast", "stage": "extractor", "size": "SD3.5 Medium", "pixels": 512, "batch": 2}
    made |= {"seconds": 0.0321, "peak": 3 * 2**30, "context": 2**29, "grown": 0, "dtype": "torch.bfloat16"}
    made |= {"tflop": 9.0, "ceiling": 800.0, "parts": {"captions": 2.0, "model": 1.25}, "accuracy": {}}
    return made | {"note": "", "details": {}, "about": about} | changes


def verdict(report, rows, what):
    (line,) = [line for line in report.targets(rows) if line[0].startswith(what)]
    return line[1:]


def test_without_a_gpu_it_says_so(report):
    report.main()
    text = (report.HERE / "README.md").read_text(encoding="utf-8")
    assert "no figures of speed or memory yet" in text
    assert {line[3] for line in report.targets([])} == {"not run"}
    assert "| forward, a sample, TFLOP | 2.14 | 10.79 |" in text
    report.main()
    assert (report.HERE / "README.md").read_text(encoding="utf-8") == text


def test_rows(report):
    lost = row(setting="small", seconds=None, peak=None, context=None, note="out of memory")
    released = row(who="released", setting="passes apart", parts={}, details={"encoders": 0.01})
    accuracy = {"v.learner.complete": 0.002, "gradient": 0.999}
    near = row(who="accuracy", seconds=None, accuracy=accuracy)
    rows = [row(seconds=9.0), row(details={"plan": "no checkpointing"}), lost, released, near]
    lines = "".join(json.dumps(r) + "\n" for r in rows)
    (report.HERE / "results" / "speed.jsonl").write_text(lines, encoding="utf-8")
    text = report.main()
    assert "## Measured: A Card, SD3.5 Medium\n" in text and "no figures" not in text and "claim" not in text
    (ours,) = [x for x in text.splitlines() if "ours, fast" in x]  # the later of the two
    assert ours.startswith("| 512 px x 2 | extractor | ours, fast | bfloat16 | 0.0321 | 280 | 35% | 3.00 | 0.50 |")
    assert "no checkpointing" in ours and "3.25 s (captions 2, model 1.25)" in ours
    assert "| ours, small | bfloat16 | - | - | - | - | - | out of memory" in text
    assert "| encoders 0.01 |" in text and "| extractor | fast | 0.002 | - | - | 0.99900 |" in text


def test_a_ratio_is_that_of_the_fastest(report):
    as_released = {"stage": names.AS_RELEASED}
    pairs = ("apart", 0.5), ("joined", 0.4)
    released = [row(who="released", setting=f"passes {k}", seconds=s, **as_released) for k, s in pairs]
    what = "*fast*, as released"
    assert verdict(report, [*released, row(seconds=0.16, **as_released)], what) == ("2.5", "at least 2.5", "met")
    assert verdict(report, [*released, row(seconds=0.17, **as_released)], what)[2] == "missed"
    assert verdict(report, released, what)[2] == "not run"
    lost = row(seconds=None, note="out of memory", **as_released)
    assert verdict(report, [*released, lost], what)[2] == "not run"


def test_the_context_counts_and_what_does_not_fit_misses(report):
    setting, *_ = names.CAPS
    what, found = f"*{setting}*, {names.LEAN[0]}", {"setting": setting, "stage": names.LEAN[0]}
    assert verdict(report, [row(peak=int(6.7 * 2**30), **found)], what) == ("7.2", "at most 7.2", "met")
    assert verdict(report, [row(peak=7 * 2**30, **found)], what)[2] == "missed"
    lost = {"seconds": None, "peak": None, "context": None, "note": "out of memory"}
    assert verdict(report, [row(**lost, **found)], what) == ("too little", "at most 7.2", "missed")
    assert verdict(report, [row(peak=None, context=None, **found)], what)[2] == "not run"


def test_a_whole_run_counts_with_all_its_steps(report):
    details = {"steps of each stage": 400, "a step in the first half": 0.05, "a step in the second half": 0.06}
    found = {"who": "whole run", "stage": f"extractor, then {names.PAPER}", "seconds": 59.0, "grown": 2**21}
    whole = [row(details=details, **found)]
    assert verdict(report, whole, "*fast*, 400 + 400 steps")[2] == "met"
    short = [row(details={**details, "steps of each stage": 40}, **found)]
    assert verdict(report, short, "*fast*, 400 + 400 steps")[2] == "not run"
    assert verdict(report, whole, "a step in the second half")[0::2] == ("1.2", "missed")
    assert verdict(report, whole, "memory at the last step")[0::2] == ("2", "missed")


def test_the_released_step_is_held_to_bare_calls(report):
    what = "the released step's transformers"
    for seconds, said in ((1.104, "missed"), (1.09, "met")):
        details = {"transformers": seconds, "bare calls of their class": 1.0}
        assert verdict(report, [row(who="released", details=details)], what)[2] == said


def test_small_sizes_are_no_claim(report, tmp_path):
    path = tmp_path / "small.jsonl"
    path.write_text(json.dumps(row(size="small", peak=None, context=None)) + "\n", encoding="utf-8")
    assert "No figure of it is a claim" in report.main(path)


def test_a_processor_has_targets_of_its_own(report):
    """At batch 1; memory is that of the whole process."""
    about = {"device": "CPU (A Processor, threads: 1)"}
    common = {"batch": 1, "about": about, "context": None}
    gib = 2**30
    rows = [
        row(stage=names.AS_RELEASED, seconds=50.0, peak=12 * gib, **common),
        row(stage=names.AS_RELEASED, setting="small", seconds=60.0, peak=7 * gib, **common),
        row(who="released", stage=names.AS_RELEASED, setting="passes joined", seconds=66.0, peak=20 * gib, **common),
        row(who="TrainLoraNode", stage=names.ALL_BLOCKS, setting="bypass", seconds=30.0, peak=9 * gib, **common),
        row(stage=names.ALL_BLOCKS, seconds=25.0, peak=9 * gib, **common),
    ]
    assert verdict(report, rows, "*fast*, as released") == ("1.32", "at least 1.3", "met")
    assert verdict(report, rows, "*fast*, plain LoRA, all blocks") == ("1.2", "at least 1.15", "met")
    assert verdict(report, rows, "*small*, as released, peak") == ("0.35", "at most 0.333", "missed")
    assert verdict(report, rows, "*fast*, the same with")[2] == "not run"
    assert verdict(report, rows, "the same without the user's own")[2] == "not run"
    rows[1]["details"] = {names.USERS: 3.0}
    assert verdict(report, rows, "the same without the user's own") == ("0.2", "at most 0.333", "met")
    rows[2]["details"] = {names.LEFT_OUT: 9.0}
    assert verdict(report, rows, "*fast*, as released")[0] == "1.5", "with the layers of T5 that were left out"


def test_another_kind_is_not_set_beside_the_released_step(report):
    """Which is written for Stable Diffusion 3 alone."""
    common = {"batch": 1, "about": {"device": "CPU (A Processor, threads: 1)"}, "size": "SDXL"}
    rows = [
        row(who="TrainLoraNode", stage=names.ALL_BLOCKS, setting="bypass", seconds=30.0, **common),
        row(stage=names.ALL_BLOCKS, seconds=20.0, **common),
    ]
    assert verdict(report, rows, "*fast*, plain LoRA, all blocks") == ("1.5", "at least 1.15", "met")
    assert not any("released" in line[0] for line in report.targets(rows))
