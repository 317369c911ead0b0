"""Estimate seconds and cards from the counts and the simulation, as tables: python benchmarks/scale/cards.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
RATE = 200.0
"""10¹² operations a second that a card is assumed to sustain in bfloat16. Not measured."""
DAY = 86400.0
CONCEPTS = (10, 1_000, 100_000)


def cards(concepts: int, seconds: float, share: float) -> float:
    """Return the cards that do so many concepts a day.

    Args:
        concepts: a day.
        seconds: of work for each.
        share: of a card's time that is work, the rest being deaths, waits and the queue.
    """
    return concepts * seconds / (DAY * share)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def costs(counts: dict[str, Any]) -> str:
    """Return what a concept costs on each model."""
    head = ["model, 1024 px", "10¹⁵ operations a concept", "of it the pool", "seconds (estimate)", "weights, GB"]
    head += ["adapter, MB", "state, MB"]
    rows = [
        [
            name,
            f"{of['a concept'] / 1000:.0f}",
            f"{of['the pool'] / 1000:.0f}",
            f"{of['a concept'] / RATE:.0f}",
            f"{of['weights']:.1f}",
            f"{1000 * of['adapter, float32']:.0f}",
            f"{1000 * of['state, float32']:.0f}",
        ]
        for name, of in counts["models"].items()
    ]
    return table(head, rows)


def needed(counts: dict[str, Any], share: float) -> str:
    """Return the cards and the storage for numbers of concepts a day."""
    head = ["concepts a day", *counts["models"], "adapters a day, GB"]
    rows = []
    for concepts in CONCEPTS:
        models = counts["models"].values()
        numbers = [f"{max(1, -(-cards(concepts, of['a concept'] / RATE, share) // 1)):.0f}" for of in models]
        sizes = [concepts * of["adapter, float32"] for of in models]
        rows.append([f"{concepts:,}", *numbers, f"{min(sizes):.3g} to {max(sizes):.3g}"])
    return table(head, rows)


def main() -> None:
    """Print both tables."""
    counts = json.loads((RESULTS / "counts.json").read_text(encoding="utf-8"))
    lines = (RESULTS / "simulation.jsonl").read_text(encoding="utf-8").splitlines()
    share = json.loads(lines[-1])["work share of rank hours"]
    print(costs(counts), needed(counts, share), sep="\n\n")


if __name__ == "__main__":
    main()
