"""Intervals, matched fidelity and relative rates against values worked out by hand."""

import math

import leakage
import pytest
import report
import statistics_of_runs as stats
import targets

STEPS = (50, 100, 200)
KEYS = [(concept, seed) for concept in ("a", "b", "c") for seed in range(5)]


def curves(fidelity, drift):
    return {
        key: {s: {"fidelity": f, "drift": d} for s, f, d in zip(STEPS, fidelity, drift, strict=True)} for key in KEYS
    }


def test_a_constant_has_no_spread_and_the_interval_holds_the_mean():
    runs = curves((0.2, 0.6, 0.8), (0.01, 0.02, 0.06))
    estimate = stats.bootstrap(KEYS, stats.mean_of(runs, "drift", 200))
    assert estimate.mean == estimate.low == estimate.high == pytest.approx(0.06)
    for i, key in enumerate(KEYS):
        runs[key][200]["drift"] = i / 10
    estimate = stats.bootstrap(KEYS, stats.mean_of(runs, "drift", 200))
    assert estimate.mean == pytest.approx(0.7) and estimate.low < 0.7 < estimate.high


def test_concepts_are_drawn_first():
    runs = curves((0.2, 0.6, 0.8), (0, 0, 0))
    for concept, seed in KEYS:
        runs[concept, seed][200]["drift"] = {"a": 0, "b": 0, "c": 9}[concept]
    estimate = stats.bootstrap(KEYS, stats.mean_of(runs, "drift", 200))
    assert (estimate.mean, estimate.low, estimate.high) == (3, 0, 9)  # fifteen runs are no fifteen concepts


def test_a_paired_difference_is_narrower_than_its_parts():
    a, b = curves((0, 0, 0), (0, 0, 0)), curves((0, 0, 0), (0, 0, 0))
    for i, key in enumerate(KEYS):
        a[key][200]["drift"], b[key][200]["drift"] = i, i + 1
    difference = stats.bootstrap(
        KEYS, lambda keys: stats.mean_of(b, "drift", 200)(keys) - stats.mean_of(a, "drift", 200)(keys)
    )
    assert difference.low == pytest.approx(1) == difference.high


def test_matched_fidelity_is_read_between_steps():
    runs = curves((0.2, 0.6, 0.8), (0.01, 0.02, 0.06))
    at = lambda level: stats.at_fidelity(runs, "drift", level)(KEYS)  # noqa: E731
    assert at(0.6) == pytest.approx(0.02) and at(0.7) == pytest.approx(0.04) and at(0.2) == pytest.approx(0.01)
    assert math.isnan(at(0.9)) and math.isnan(at(0.1)), "nothing was measured there"


def test_rates_relative_to_lora():
    method, lora = curves((0, 0, 0), (0.1, 0.1, 0.3)), curves((0, 0, 0), (0, 0, 0.9))
    base = {key: {"drift": 0.1} for key in KEYS}
    assert stats.relative(method, lora, base, "drift", 200)(KEYS) == pytest.approx(0.25)


def test_the_report_holds_what_all_methods_have(tmp_path):
    records = [
        {
            "label": label, "title": label, "concept": c, "seed": s, "base": {"fidelity": 0.0, "drift": 0.0},
            "curve": {"50": {"fidelity": 0.4, "drift": 0.01}, "200": {"fidelity": 0.9, "drift": drift}},
        }
        for label, drift in (("one", 0.02), ("two", 0.04))
        for c, s in KEYS
        if (label, c, s) != ("two", "a", 0)
    ]  # fmt: skip
    runs = report.Runs(records)
    assert len(runs.keys) == len(KEYS) - 1 and runs.last == 200
    text = report.last_step(runs, ["fidelity", "drift", "kl"])
    assert "| two | 0.900 [0.900, 0.900] | 0.0400 [0.0400, 0.0400] |" in text
    report.plot(runs, tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_text(encoding="utf-8").count("<polyline") == 2


def test_methods_are_compared_where_both_have_been():
    low, high = curves((0.1, 0.4, 0.3), (1, 4, 9)), curves((0.2, 0.8, 0.9), (0, 2, 3))
    level = stats.common_level(low, high, share=0.5)
    assert level(KEYS) == pytest.approx(0.2)
    assert stats.at_fidelity(low, "drift", level)(KEYS) == pytest.approx(2)
    assert stats.at_fidelity(high, "drift", level)(KEYS) == 0


def test_the_best_step_and_what_a_search_looks_for():
    runs = curves((0.2, 0.8, 0.8), (0, 0, 0))
    assert stats.best_step(runs, KEYS) == 100
    base = {key: {"leak": 0.1} for key in KEYS}
    for key in KEYS:
        for step, leak, taken in ((50, 0.1, 0.0), (100, 0.5, 0.2), (200, 0.1, 0.4)):
            runs[key][step] |= {"leak": leak, "class": taken}
    assert stats.score(runs, base)(KEYS) == pytest.approx(0.8 - 0.4 / 2)


def claimed(ours, lora, dop):
    """Runs of three methods with these drifts, ours with the same fidelity as LoRA."""
    records = []
    for label, drifts in (("anchored", ours), ("lora-token", lora), ("dop", dop)):
        for c, s in KEYS:
            curve = {
                str(step): {"fidelity": f, "drift": d, "leak": 10 * d, "class": 0.0, "follow": 0.98}
                for step, f, d in zip(STEPS, (0.2, 0.6, 0.85), drifts, strict=True)
            }
            base = {"fidelity": 0.0, "drift": 0.0, "leak": 0.05, "class": 0.0, "follow": 0.985}
            records.append({"label": label, "title": label, "concept": c, "seed": s, "base": base, "curve": curve})
    return report.Runs(records)


def test_targets_are_met_or_missed(monkeypatch):
    monkeypatch.setattr(stats, "RESAMPLES", 200)
    met = claimed((0.001, 0.002, 0.004), (0.01, 0.02, 0.04), (0.005, 0.01, 0.03))
    found = {(t.measure, t.aim): targets.verdict(stats.bootstrap(met.keys, t.over)) for t in targets.targets(met)}
    assert set(found.values()) == {"met"} and len(found) == 4 + 2 * len(targets.SHARES)
    worse = claimed((0.008, 0.015, 0.03), (0.01, 0.02, 0.04), (0.005, 0.01, 0.03))
    found = {(t.measure, t.aim): targets.verdict(stats.bootstrap(worse.keys, t.over)) for t in targets.targets(worse)}
    assert found["concept on the requested background", "not below LoRA's best"] == "met"
    assert found["confound, unnamed", "at most 0.2 of LoRA's, above the base"] == "missed"
    assert found["drift at 0.75 of the fidelity both reach", "at most 1/4 of LoRA's"] == "missed"
    assert found["drift at 0.75 of the fidelity both reach", "below DOP's"] == "missed"
    assert "| missed |" in targets.page(worse)
    del worse.curves["dop"]
    assert len(targets.targets(worse)) == 4 + len(targets.SHARES) and "DOP" not in targets.page(worse)


def test_a_verdict_knows_noise_and_what_cannot_be_told():
    assert targets.verdict(stats.Estimate(-0.1, -0.3, 0.1)) == "met in the mean, inside the noise"
    assert targets.verdict(stats.Estimate(0.1, -0.1, 0.3)) == "missed in the mean, inside the noise"
    assert "cannot be told" in targets.verdict(stats.Estimate(float("nan"), 0.0, 0.0))


def test_the_page_of_the_leakage():
    rows = [
        {"concept": c, "seed": s, "extractor": label, "picture": 0.8}
        | {"R(y_tar)": [own + s / 10, 0.1, 0.2, 0.3], "R2": [own * less] * 4, "class": [0.5] * 4}
        for c, own in (("robot", 0.2), ("cup", 0.6))
        for s in (0, 1)
        for label, less in (("lora-token", 1), ("anchored-apart", 0.5))
    ]
    text = leakage.page(rows)
    assert "| robot | 2 | 0.25 (0.20 to 0.30) | 0.10 | 0.20 | 0.30 | 0.50 |" in text
    assert "more outside than R(y_tar) in 1 of 2 sets" in text
    assert "| cup | 0.65 (0.60 to 0.70) | 0.65 (0.60 to 0.70) | 0.60 (0.60 to 0.60) | 0.30 (0.30 to 0.30) |" in text
