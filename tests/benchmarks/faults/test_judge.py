"""The rules by which the campaign of faults judges, and its page."""

import json
from pathlib import Path

import pytest
from faults import judge, report

ROOT = Path(__file__).resolve().parents[3]

CLEAR = "lr is nan, which is no number. Set it to a number."


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ({}, "as it should"),
        ({"expected": "refused"}, "silent"),
        ({"said": CLEAR, "error": "ValueError", "names": ("lr",)}, "clear"),
        ({"said": CLEAR, "error": "ValueError", "names": ("rank",)}, "unclear"),
        ({"said": CLEAR, "error": "ValueError", "expected": "works"}, "unclear"),
        ({"said": "lr is wrong", "error": "ValueError"}, "unclear"),
        ({"said": CLEAR, "error": "KeyError"}, "unclear"),
        ({"said": "'NoneType' object has no attribute 'x'. Oh.", "error": "ValueError"}, "unclear"),
        ({"said": "[Errno 28] No space left. Oh.", "error": "OSError"}, "unclear"),
        ({"said": "Value 3 bigger than max of 2", "error": "PromptError", "own": False}, "clear"),
        ({"error": "Injected", "meant": True}, "as it should"),
        ({"error": "ServerError"}, "crash"),
        ({"wrong": "the adapter is not finite"}, "silent"),
        ({"lost": "clip", "error": "Injected", "meant": True}, "lost"),
    ],
)
def test_a_verdict(values, verdict):
    assert judge.verdict(judge.Seen(**{"expected": "either", **values})) == verdict


def test_the_page_has_the_figures_of_the_committed_rows():
    rows = [
        json.loads(line)
        for line in (ROOT / "benchmarks" / "faults" / "results" / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert f"{report.START}\n{report.page(rows)}\n{report.END}" in page
    assert {row["kind"] for row in rows} == set(report.TITLES)
    assert not [row for row in rows if row["verdict"] in judge.BAD]
    assert len({(row["kind"], row["case"]) for row in rows}) == len(rows) >= 14_880
