"""The report: what it says without a GPU, what of measured rows, and that the kept counts are the counter's."""

import json
from xml.etree import ElementTree

import pytest


@pytest.fixture
def report(comfyui, monkeypatch, tmp_path):
    """The report on a copy of its folder without results but the counts."""
    from speed import report

    here = tmp_path / "speed"
    (here / "results").mkdir(parents=True)
    for name in ("README.md", "results/counts.json"):
        (here / name).write_text((report.HERE / name).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(report, "HERE", here)
    return report


def record(**changes):
    about = {
        "device": "A Card",
        "dtype": "bfloat16",
        "torch": "2",
        "peft": "1",
        "ComfyUI": "0",
        "command": "python run.py",
    }
    row = {"who": "ours", "configuration": "fast", "stage": "extractor", "size": "SD3.5 Medium", "pixels": 512}
    row |= {"batch": 2, "seconds": 0.0321, "spread": [0.03, 0.04], "steps": 10, "first": 1.5, "before": 3.25}
    row |= {"parts": {"texts": 2.0, "copy": 1.25}, "peak_reserved": 3 * 2**30, "context": 2**29, "grown": 0}
    row |= {"tflop": 9.0, "throughput": 280.0, "of_ceiling": 0.35, "ceiling": 800.0, "accuracy": None}
    return row | {"note": "", "details": {}, "about": about} | changes


def test_without_a_gpu_it_says_so(report):
    report.main()
    text = (report.HERE / "README.md").read_text(encoding="utf-8")
    assert "no figures of speed or memory yet" in text and text.count("| not run |") == 22
    assert "| forward, a sample, TFLOP | 2.14 | 10.79 |" in text
    assert not (report.HERE / "results" / "speed.svg").exists()
    report.main()
    assert (report.HERE / "README.md").read_text(encoding="utf-8") == text


def test_rows(report):
    lost = record(
        configuration="small", seconds=None, spread=None, throughput=None, of_ceiling=None, note="out of memory"
    )
    released = record(who="released", configuration="passes apart", parts={}, details={"texts": 0.01})
    near = record(who="accuracy", seconds=None, accuracy={"v.learner.complete": 0.002, "gradient": 0.999})
    rows = [record(seconds=9.0), record(details={"plan": "no checkpointing"}), lost, released, near]
    lines = "".join(json.dumps(r) + "\n" for r in rows)
    (report.HERE / "results" / "speed.jsonl").write_text(lines, encoding="utf-8")
    text = report.main()
    assert "## Measured: A Card, SD3.5 Medium (bfloat16)" in text and "no figures" not in text and "claim" not in text
    assert (
        "| 512 px x 2 | extractor | ours, fast | 0.0321 | 280 | 35% | 3.00 | 0.50 |  |" in text
    )  # the later of the two
    assert "| 512 px x 2 | extractor | ours, small | - | - | - | - | - | out of memory |" in text
    assert "| 3.25 | texts 2, copy 1.25 | 1.5 |" in text and "| 0.002 | - | - | 0.99900 |" in text
    assert "| 512 px x 2 | extractor | ours, fast | 0.0321 | no checkpointing |" in text
    plot = ElementTree.parse(report.HERE / "results" / "speed.svg").getroot()
    assert len([e for e in plot if e.tag.endswith("rect")]) == 1 + 2


def verdict(rows, what):
    from speed.targets import verdicts

    (line,) = [line for line in verdicts(rows) if line[0].startswith(what)]
    return line[1:]


def test_a_ratio_is_that_of_the_fastest(report):
    released = [
        record(who="released", configuration=f"passes {k}", stage="pure learning, as released", seconds=s, details={})
        for k, s in (("apart", 0.5), ("joined", 0.4))
    ]
    ours = record(stage="pure learning, as released", seconds=0.16)
    said = "2.50 times (0.4 s by passes joined, 0.16 s)", "at least 2.5 times", "met"
    assert verdict([*released, ours], "*fast*, as released") == said
    assert verdict([*released, ours | {"seconds": 0.17}], "*fast*, as released")[2] == "missed"
    assert verdict(released, "*fast*, as released")[2] == "not run"
    lost = ours | {"seconds": None, "of_ceiling": None, "note": "out of memory"}
    assert verdict([*released, lost], "*fast*, as released")[2] == "not run"


def test_the_context_counts_and_a_cap_that_was_passed_misses(report):
    what = "*small*, pure learning, layer-wise"
    row = record(configuration="small, 7.2 GiB", stage="pure learning, layer-wise", peak_reserved=int(6.7 * 2**30))
    assert verdict([row], what) == ("7.20 (0.50 of it context)", "at most 7.2", "met")
    assert verdict([row | {"context": 2**30}], what)[2] == "missed"
    assert verdict([row | {"note": "out of memory under the cap; these figures are without"}], what)[2] == "missed"
    assert verdict([row | {"seconds": None, "note": "out of memory"}], what)[2] == "missed"
    assert verdict([row | {"peak_reserved": None, "context": None}], what)[2] == "not run"


def test_a_whole_run_counts_with_all_its_steps(report):
    details = {"steps of each stage": 400, "a step in the first half": 0.05, "a step in the second half": 0.06}
    row = record(who="whole", stage="extractor, then pure learning, paper", seconds=59.0, details=details, grown=2**21)
    assert verdict([row], "*fast*, 400 + 400 steps")[2] == "met"
    short = row | {"details": {**details, "steps of each stage": 40}}
    assert verdict([short], "*fast*, 400 + 400 steps")[2] == "not run"
    assert verdict([row], "time of a step in the second half")[0::2] == ("1.200", "missed")
    assert verdict([row], "memory in use at the last step")[0::2] == ("2.00", "missed")


def test_the_released_step_is_held_to_bare_calls(report):
    row = record(who="released", stage="pure learning, as released", details={"transformers / bare calls": 1.104})
    assert verdict([row], "the released step's transformers") == ("1.104", "at most 1.10", "missed")
    row["details"] = {"transformers / bare calls": 1.09}
    assert verdict([row], "the released step's transformers")[2] == "met"


def test_the_sampler_before_and_after(report):
    def taken(when, **changes):
        details = {"difference": 0.0, "held": 10**9} | changes
        return record(who="sampler", configuration=when, stage="KSampler", batch=1, seconds=1.0, details=details)

    before = taken("before training")
    for changes, missed in (({}, None), ({"difference": 1e-3}, "difference"), ({"held": 2 * 10**9}, "memory")):
        rows = [before, taken("after training", **changes)]
        found = {k: verdict(rows, f"KSampler after training: {k}")[2] for k in ("difference", "time", "memory")}
        assert found == {k: "missed" if k == missed else "met" for k in found}


def test_small_sizes_are_no_claim(report, tmp_path):
    path = tmp_path / "small.jsonl"
    path.write_text(json.dumps(record(size="small", peak_reserved=None)) + "\n", encoding="utf-8")
    assert "No figure of it is a claim" in report.main(path)


def test_the_kept_counts(report):
    """What is written of the true shapes is what the counter says."""
    from speed import counting
    from speed.sizes import MEDIUM

    kept = json.loads((report.HERE / "results" / "counts.json").read_text(encoding="utf-8"))
    at_512 = kept["pixels"]["512"]
    assert at_512["forward"] == counting.pass_flops(MEDIUM, 512, gradient=False) / 1e12
    assert at_512["saved for a gradient pass, every block checkpointed"] == (
        counting.saved_bytes(MEDIUM, 512, 2, checkpointing=True) / 1e9
    )
    assert at_512["saved for both, v_original's too"] == counting.saved_bytes(MEDIUM, 512, 4) / 1e9
    assert kept["weights"] == counting.weight_bytes(MEDIUM)[0] / 1e9
