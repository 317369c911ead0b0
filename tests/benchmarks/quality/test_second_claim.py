"""The page and the pairs of the second claim, on rows made by hand."""

import json

import pairs
import pytest
import second_page

FIGURES = {"fidelity": 0.5, "near": 0.0, "pair": 0.0, "change": 0.1}
ROWS = {
    "lora-token": {"alone": 0.4, "leak": 0.9, "follow concept": 0.5, "follow": 0.8, "class": 0.5, "drift": 0.04},
    "anchored-node": {"alone": 0.7, "leak": 0.5, "follow concept": 0.7, "follow": 0.97, "class": 0.0, "drift": 0.004},
    "two-stages-late": {
        "alone": 0.8,
        "leak": 0.15,
        "follow concept": 0.95,
        "follow": 0.97,
        "class": 0.0,
        "drift": 0.003,
    },
}


def records(seeds=(0, 1)):
    """Two sets; the methods differ in their number of steps, and LoRA wins on one."""
    out = []
    for label, figures in ROWS.items():
        for concept in ("fish-2", "car-3"):
            for seed in seeds:
                own = {**FIGURES, **figures}
                if (label, concept) == ("lora-token", "car-3"):
                    own["alone"] = 0.9
                steps = "100" if "stages" in label else "200"
                base = {**dict.fromkeys(own, 0.0), "leak": 0.1}
                made = {"processor": "one"}
                row = {"concept": concept, "seed": seed, "label": label, "title": label, "base": base, "made": made}
                out.append({**row, "curve": {steps: own}})
    return out


def test_targets_say_what_is_reached_and_where_lora_is_better():
    runs = second_page.ended(records())
    lines = {line[0]: line for line in second_page.targets(runs, "two-stages-late")}
    leak = lines["leak above the base's, in parts of LoRA's"]
    assert leak[1].mean == pytest.approx((0.15 - 0.1) / (0.9 - 0.1)) and leak[3] == "met"
    assert lines["in its place, alone"][3] == lines["prompts with it followed"][3] == "met"
    assert lines["not above LoRA, in its place, alone"][1] == "car-3"
    theirs = {line[0]: line for line in second_page.targets(runs, "anchored-node")}
    assert theirs["in its place, alone"][3] == theirs["leak above the base's, in parts of LoRA's"][3] == "missed"
    assert theirs["drift, in parts of LoRA's, after all steps"][1].mean == pytest.approx(0.1)


def test_the_page_names_sets_seeds_and_processor(tmp_path, monkeypatch, comfyui):
    monkeypatch.setattr(second_page, "RESULTS", tmp_path)
    monkeypatch.setattr(second_page, "rows", lambda phase: records())
    second_page.main()
    text = (tmp_path / "second-claim.md").read_text(encoding="utf-8")
    assert "4 runs a method; seeds 0, 1; made on one." in text
    assert "## The five new sets (1)" in text and "## Styles" not in text
    assert "one pose and size, in the captions" in text


def test_steps_to_half_count_the_first_stage():
    """The mean curve from nothing at the first step, by straight lines."""
    points = {"25": 0.2, "50": 0.4, "100": 0.8}
    made = {"processor": "one"}
    base = {"fidelity": 0.0}
    rows = [
        {"concept": c, "seed": 0, "label": "lora-token", "title": "LoRA", "base": base, "made": made}
        | {"curve": {step: {"fidelity": value + off} for step, value in points.items()}}
        for c, off in (("a", 0.1), ("b", -0.1))
    ]
    runs = second_page.Runs(rows)
    assert second_page.steps_to_half(runs, "lora-token")(runs.keys) == pytest.approx(50)
    assert second_page.steps_to_half(runs, "lora-token", before=100)(runs.keys) == pytest.approx(150)
    assert second_page.first_stage("two-stages-late") == 100 and second_page.first_stage("lora-token") == 0
    fast = [{**r, "curve": {"25": {"fidelity": 0.6}, "50": {"fidelity": 0.6}}} for r in rows]
    assert second_page.steps_to_half(second_page.Runs(fast), "lora-token")(runs.keys) == pytest.approx(12.5)


def test_pairs_are_the_same_for_a_seed_whatever_others_are_drawn():
    sets = ["a", "b", "c"]
    first, both = list(pairs.chosen(sets, [0])), list(pairs.chosen(sets, [0, 1]))
    assert both[: len(first)] == first and [r["number"] for r in both] == list(range(len(both)))
    assert len(first) == 3 * pairs.EACH
    assert len({(r["concept"], r["seed"], r["prompt"]) for r in both}) == len(both)
    left = sum(r["left"] == pairs.PAIR[0] for r in both)
    assert 0.25 < left / len(both) < 0.75, "sides at random"


def test_a_label_names_the_method_on_its_side():
    lora, ours = pairs.PAIR
    row = {"number": 3, "left": ours}
    assert [pairs.better(row, label) for label in "ab="] == [ours, lora, ""]
    assert pairs.better({"number": 3, "left": lora}, "a") == lora
    with pytest.raises(ValueError, match="pair 3 is judged 'c'"):
        pairs.better(row, "c")


def test_the_comparison_counts_what_was_judged_alone(tmp_path, monkeypatch, capsys, comfyui):
    import report

    rows = list(pairs.chosen(["a", "b"], [0]))
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    wins = [f"{r['number']} {'a' if r['left'] == pairs.PAIR[1] else 'b'}" for r in rows[:6]]
    (tmp_path / "pairs.txt").write_text("\n".join([*wins, f"{rows[6]['number']} ="]), encoding="utf-8")
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    pairs.compare()
    shown = capsys.readouterr().out
    assert "7 pairs" in shown and "| all | 7 | 6 | 0 | 1 | 1.000 [1.000, 1.000] |" in shown
