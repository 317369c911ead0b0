"""Report what customisation changed in a model, for one customised model or several side by side."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ..text.concept import Concept
from ..text.spelling import plain, whole_word_pattern
from . import measures
from .pictures import ProtocolPictures, ProtocolPrompt
from .report import Report

CONCEPT, CLASS, UNRELATED = "concept", "class", "unrelated"

STEPS = (
    (0.1, "next to nothing changed"),
    (0.3, "little changed"),
    (0.6, "somewhat changed"),
    (0.8, "clearly changed"),
    (1.0, "nearly as much as another seed would"),
    (math.inf, "more than another seed would"),
)
"""Words for a change, each up to a share of the change that another seed makes."""


@dataclass(frozen=True)
class Outcome:
    """The results of one customised model.

    Attributes:
        name: for display.
        pictures: the base's images and its own.
        drift: velocity drift on prompts unrelated to the concept; None: not measured.
        report: measures by encoders; None: no encoder was connected.
    """

    name: str
    pictures: ProtocolPictures
    drift: float | None = None
    report: Report | None = None

    @cached_property
    def changes(self) -> list[list[float]]:
        """`measures.change` against the base, by prompt and seed."""
        rows = zip(self.pictures.base, self.pictures.customised, strict=True)
        return [[measures.change(a, b) for a, b in zip(*row, strict=True)] for row in rows]


@dataclass(frozen=True)
class Preservation:
    """Customised models compared with one base on the same prompts and seeds.

    Attributes:
        outcomes: at least one; all have the same prompts, seeds and base images.
        concept: what was learned.
    """

    outcomes: tuple[Outcome, ...]
    concept: Concept

    @property
    def prompts(self) -> tuple[ProtocolPrompt, ...]:
        """The prompts, P of them."""
        return self.outcomes[0].pictures.prompts

    @cached_property
    def floors(self) -> list[float | None]:
        """`measures.seed_floor` of the base, by prompt."""
        return [measures.seed_floor(row) for row in self.outcomes[0].pictures.base]

    def group(self, prompt: ProtocolPrompt) -> str:
        """Return CONCEPT, CLASS or UNRELATED: the prompt asks for the concept, for its class alone, or for neither."""
        if prompt.names_concept:
            return CONCEPT
        named = re.search(whole_word_pattern(plain(self.concept.class_word)), prompt.base, re.IGNORECASE)
        return CLASS if named and self.concept.kind == "instance" else UNRELATED

    def members(self, group: str) -> list[int]:
        """Return the indices of a group's prompts."""
        return [p for p, prompt in enumerate(self.prompts) if self.group(prompt) == group]

    @property
    def groups(self) -> list[str]:
        """The groups that have a prompt."""
        return [g for g in (CONCEPT, CLASS, UNRELATED) if self.members(g)]

    def title(self, group: str) -> str:
        """Return the heading of a group, with what to expect of its images."""
        return {
            CONCEPT: "Prompts with the concept: these images should show it",
            CLASS: f"Prompts for any {self.concept.class_word}: these should not show yours",
            UNRELATED: "Prompts without the concept: these should not change",
        }[group]

    def count(self, group: str) -> str:
        """Return the size of a group in words: "1 prompt"."""
        count = len(self.members(group))
        return f"{count} {'prompt' if count == 1 else 'prompts'}"

    def change(self, outcome: Outcome, group: str) -> float | None:
        """Return the mean image change over a group's prompts and all seeds."""
        return measures.mean_of([c for p in self.members(group) for c in outcome.changes[p]])

    def floor(self, group: str) -> float | None:
        """Return the mean seed floor over a group's prompts."""
        return measures.mean_of([self.floors[p] for p in self.members(group)])

    def verdict(self, outcome: Outcome) -> str:
        """Return one line on how much prompts without the concept changed."""
        out = []
        for group in (UNRELATED, CLASS):
            moved, floor = self.change(outcome, group), self.floor(group)
            if moved is not None:
                whose = {UNRELATED: "prompts without the concept", CLASS: f"prompts for any {self.concept.class_word}"}[
                    group
                ]
                word = judged(moved, floor)
                out.append(f"{whose} changed by {percent(moved)}{f' ({word})' if word else ''}")
        if not out:
            return f"{outcome.name}: all prompts have [v], so the rest of the model was not measured"
        between = measures.mean_of([self.floor(g) for g in (UNRELATED, CLASS)])
        against = f"; two seeds of the base differ by {percent(between)}" if between is not None else ""
        return f"{outcome.name}: {', '.join(out)}{against}"

    def rows(self) -> list[list[str]]:
        """Return the table: a header, a row per group, drift, the encoders' measures, then a row per prompt."""
        out = [["", *(o.name for o in self.outcomes), "two seeds of the base"]]
        for group in self.groups:
            name = f"{_SHORT[group].format(self.concept.class_word)}, {self.count(group)}: change"
            out.append([name, *(percent(self.change(o, group)) for o in self.outcomes), percent(self.floor(group))])
        if any(o.drift is not None for o in self.outcomes):
            drifts = ["-" if o.drift is None else f"{o.drift:.4f}" for o in self.outcomes]
            out.append(["drift (0: the base itself)", *drifts, "-"])
        for title, column, names_concept, digits in _MEASURES:
            known = [None if o.report is None else o.report.mean(column, names_concept) for o in self.outcomes]
            if any(v is not None for v in known):
                out.append([title, *("-" if v is None else f"{v:.{digits}f}" for v in known), "-"])
        for p, prompt in enumerate(self.prompts):
            moved = [percent(measures.mean_of(o.changes[p])) for o in self.outcomes]
            out.append([prompt.complete, *moved, percent(self.floors[p])])
        return out

    def remarks(self) -> list[str]:
        """Return the notes that belong to the table."""
        seeds = len(self.outcomes[0].pictures.seeds)
        out = [
            f"Change: mean difference from the base's image of the same prompt and seed, over {seeds} seeds. 0 % is "
            "the same image, 100 % black against white. An object that only moved counts as change. The words in "
            "brackets compare it with the change that another seed makes.",
        ]
        if any(o.drift is not None for o in self.outcomes):
            out.append(
                "Drift: squared change of the model's predictions on eight fixed prompts without the concept, relative "
                "to the base's predictions."
            )
        if any(o.report is not None for o in self.outcomes):
            out.append("The help page of Measure Pictures explains CLIP-T, CLIP-I and DINO.")
        return out

    def markdown(self) -> str:
        """Return the verdicts, the table and the notes as markdown."""
        head, *body = ([cell.replace("|", "\\|") for cell in row] for row in self.rows())
        table = ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *body)]
        verdicts = [f"**{self.verdict(o)}.**" for o in self.outcomes]
        return "\n\n".join([*verdicts, "\n".join(table), "\n".join(f"- {r}" for r in self.remarks())])

    def as_dict(self) -> dict:
        """Return everything for JSON; changes and floors are 0 to 1."""
        pictures = self.outcomes[0].pictures
        models = []
        for o in self.outcomes:
            groups = {g: {"change": self.change(o, g), "floor": self.floor(g)} for g in self.groups}
            per_prompt = [measures.mean_of(row) for row in o.changes]
            about = {"name": o.name, "trigger": o.pictures.settings.get("trigger"), "verdict": self.verdict(o)}
            known = {} if o.report is None else o.report.as_dict()
            about |= {"drift": o.drift, "groups": groups, "change_by_prompt": per_prompt, "change": o.changes}
            models.append({**about, "measures": known.get("means"), "measured_with": known.get("measured_with")})
        return {
            "models": models,
            "prompts": [
                {"complete": p.complete, "base": p.base, "group": self.group(p), "floor": floor}
                for p, floor in zip(self.prompts, self.floors, strict=True)
            ],
            "class_word": self.concept.class_word,
            "kind": self.concept.kind,
            "seeds": list(pictures.seeds),
            "drawn_with": {k: v for k, v in pictures.settings.items() if k != "trigger"},
        }


_SHORT = {CONCEPT: "with the concept", CLASS: "any {}", UNRELATED: "without the concept"}

_MEASURES = (
    ("ΔCLIP-T, without the concept (0: as the base)", "delta_clip_t", False, 2),
    ("ΔCLIP-T, with the concept", "delta_clip_t", True, 2),
    ("CLIP-I, likeness to the references", "clip_i", True, 3),
    ("CLIP-I of the base", "clip_i_base", True, 3),
    ("DINO, likeness to the references", "dino", True, 3),
    ("DINO of the base", "dino_base", True, 3),
)
"""Rows of the table from encoders: title, column of a Report, whether over prompts with the concept, decimals."""


def judged(moved: float, floor: float | None) -> str:
    """Return a change in the words of STEPS; empty if the change between two seeds is not known."""
    return next((words for share, words in STEPS if floor and moved / floor <= share), "")


def percent(value: float | None) -> str:
    """Format 0 to 1 as "12 %", below a tenth with one decimal; None as "-"."""
    if value is None:
        return "-"
    return f"{100 * value:.{1 if 0 < value < 0.0995 else 0}f} %"


def names(given: Sequence[str]) -> list[str]:
    """Make names unique by numbering repeated ones."""
    return [n if n not in given[:k] else f"{n} ({given[:k].count(n) + 1})" for k, n in enumerate(given)]
