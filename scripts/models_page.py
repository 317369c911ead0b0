"""Write docs/models.md: every family of models, what stands for [v] in it and what was tested, from the tests' record.

PURECC_RECORD=$PWD/benchmarks/models/record.json python scripts/test.py -n 0 tests/host/families   # writes the record
python scripts/models_page.py
"""

import json
from collections.abc import Iterable

from pack import ROOT

RECORD = ROOT / "benchmarks" / "models" / "record.json"
PAGE = ROOT / "docs" / "models.md"

RUNS = ("theta2", "base", "anchored", "stock", "untouched")
PASSED = ("plain", "checkpointed", "differences", "single", "branch", *RUNS)
"""Facts that a family has once each of its tests has passed."""

NONE = "\u2013"

TOKENS = {"token, found by stock embedding:": "stock", "token, through Apply Adapter": "Apply Adapter", "": "no"}

HEAD = """# Models

`scripts/models_page.py` writes this page from the [record](../benchmarks/models/record.json) of a run of the tests.

**Nothing real was run.** Every row stands for a tiny model of ComfyUI's own class with random weights, on a CPU. The
tests show that equations, gradients and files are right. They show nothing of quality, memory or good settings. For
what is measured, see the [README](../README.md#models).

## What a prompt calls the concept by

- *auto*: what training uses unless you choose otherwise with *concept_by*.
- *token*: a trained vector, in prompts `embedding:NAME`. *stock*: stock prompts find it. *Apply Adapter*: only the CLIP
  of that node does. *no*: only the trigger word, which is the name as plain text. *(read)*: known from ComfyUI's
  source; all else is tested.
- *layer-wise*: blocks that can take a vector of their own (equation 7). Such an adapter needs *Apply Adapter*.
- *latent*: channels, and pixels for each latent along a side.
- *sizes* of images that the model takes.

The LoRA of every family loads in the stock LoRA loader. [Usual values](practice.md) of resolution, rank and rate.
"""

TESTS = """
## What was tested

Errors are relative, the largest of LoRA, text and layer-wise vectors.

- *gradient*: float64, with and without checkpointing, against a reference that keeps a copy of every saved tensor.
- *differences*: that reference against finite differences.
- *float32*: gradients as training computes them, against that reference.
- *file*: the velocity of the stock model with the saved LoRA against that of the branch in training.
- *LoRA*: layers that the default adapts, of a model with so many *parameters*.
- *runs*: one step each of the extractor, pure learning with λ\\* and both origins, and the anchored method with a mask,
  a pool and drift. The stock KSampler drew the same image, bit for bit, with the stock LoRA loader and with *Apply
  Adapter*. A cancelled and a failing run left the user's model bit-identical.

"\u2013": the test exists, and its result is not on this record.
"""

REFUSED = """
## Refused

The nodes give the reason before any work.
"""

OTHERS = """
## Not tested

Everything else that ComfyUI loads: models that take an image or are a second stage, and models of video, sound and 3D.
"""


def page(record: dict[str, dict]) -> str:
    """Return the page.

    Args:
        record: of every family by its name, the facts that the tests wrote.
    """
    trained = {name: facts for name, facts in record.items() if "refused" not in facts}
    said = _table(
        ("model", "ComfyUI's class", "predicts", "auto", "token", "layer-wise", "latent", "sizes"),
        map(_said, trained.items()),
    )
    columns = ("model", "gradient", "differences", "float32", "file", "runs", "LoRA", "parameters")
    tested = _table(columns, map(_tested, trained.items()))
    reasons = ((name, f"{facts['refused']}.") for name, facts in record.items() if "refused" in facts)
    refused = _table(("model", "reason"), reasons)
    return "\n".join((HEAD, said, TESTS, tested, REFUSED, refused, OTHERS))


def complete(facts: dict) -> bool:
    """Return whether every test of a family is on record, or the family is refused."""
    return "refused" in facts or all(name in facts for name in PASSED)


def _said(row: tuple[str, dict]) -> tuple[str, ...]:
    name, facts = row
    if "cls" not in facts:
        return name, *[NONE] * 7
    kind = facts["cls"] if facts["listed"] else f"{facts['cls']}, all linear layers"
    auto = "token" if facts["ways"][0].startswith("token") else facts["ways"][0]
    token = TOKENS[next((way for way in facts["ways"] if way in TOKENS), "")]
    token += "" if token == "no" or facts["encoders tested"] else " (read)"
    layers = f"{facts['vectors']}" if facts["vectors"] else "no"
    latent = f"{facts['channels']}, {facts['pixels']} px"
    return name, kind, facts["predicts"], auto, token, layers, latent, facts["sizes"]


def _tested(row: tuple[str, dict]) -> tuple[str, ...]:
    name, facts = row
    errors = [
        _error(facts, *names) for names in (("plain", "checkpointed"), ("differences",), ("single",), ("branch",))
    ]
    runs = "yes" if all(facts.get(name) is True for name in RUNS) else NONE
    size = f"{facts['parameters'] / 1e6:.1f} M" if "parameters" in facts else NONE
    return name, *errors, runs, str(facts.get("layers", NONE)), size


def _error(facts: dict, *names: str) -> str:
    """Return the largest of some errors, or `NONE` if one is missing."""
    return f"{max(facts[name] for name in names):.0e}" if all(name in facts for name in names) else NONE


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(columns)
    return "\n".join([_row(columns), "|" + "---|" * len(columns), *map(_row, rows)])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(json.loads(RECORD.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
