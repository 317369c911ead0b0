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
    row |= {"parts": {"texts": 2.0, "copy": 1.25}, "peak_reserved": 3 * 2**30, "tflop": 9.0, "throughput": 280.0}
    row |= {"of_ceiling": 0.35, "ceiling": 800.0, "accuracy": {"v.learner.complete": 0.002, "gradient": 0.999}}
    return row | {"note": "", "details": {}, "about": about} | changes


def test_without_a_gpu_it_says_so(report):
    report.main()
    text = (report.HERE / "README.md").read_text(encoding="utf-8")
    assert "no figures of speed or memory yet" in text and "| forward, a sample, TFLOP | 2.14 | 10.79 |" in text
    assert not (report.HERE / "results" / "speed.svg").exists()
    report.main()
    assert (report.HERE / "README.md").read_text(encoding="utf-8") == text


def test_rows(report):
    lost = record(
        configuration="small", seconds=None, spread=None, throughput=None, of_ceiling=None, note="out of memory"
    )
    released = record(who="released", configuration="passes apart", parts={}, details={"texts": 0.01}, accuracy=None)
    rows = [record(seconds=9.0), record(), lost, released]
    lines = "".join(json.dumps(r) + "\n" for r in rows)
    (report.HERE / "results" / "speed.jsonl").write_text(lines, encoding="utf-8")
    text = report.main()
    assert "## Measured: A Card, SD3.5 Medium (bfloat16)" in text and "no figures" not in text and "claim" not in text
    assert "| 512 px x 2 | extractor | ours, fast | 0.0321 | 280 | 35% | 3.00 |  |" in text  # the later of the two
    assert "| 512 px x 2 | extractor | ours, small | - | - | - | - | out of memory |" in text
    assert "| 3.25 | texts 2, copy 1.25 | 1.5 |" in text and "| 0.002 | - | - | 0.99900 |" in text
    plot = ElementTree.parse(report.HERE / "results" / "speed.svg").getroot()
    assert len([e for e in plot if e.tag.endswith("rect")]) == 1 + 2


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
    assert kept["weights"] == counting.weight_bytes(MEDIUM)[0] / 1e9
