"""What customisation did to a model, told in plain words: one customised model, or several side by side."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ..texts import class_pattern
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
"""Words for a change, each up to a share of the change that another seed alone makes."""


@dataclass(frozen=True)
class Outcome:
    """What was found of one customised model.

    Attributes:
        name: for the eye.
        pictures: the base's and its own.
        drift: velocity drift on prompts unrelated to the concept; None: not measured.
        report: measures by encoders; None: no encoder was connected.
    """

    name: str
    pictures: ProtocolPictures
    drift: float | None = None
    report: Report | None = None

    @cached_property
    def changes(self) -> list[list[float]]:
        """`measures.change` against the base, of every prompt at every seed."""
        rows = zip(self.pictures.base, self.pictures.customised, strict=True)
        return [[measures.change(a, b) for a, b in zip(*row, strict=True)] for row in rows]


@dataclass(frozen=True)
class Preservation:
    """Customised models against one base, on the same prompts and seeds.

    Attributes:
        outcomes: at least one; all have the same prompts, seeds and pictures of the base.
        class_word: what the concept is one of.
        kind: "instance" or "style".
    """

    outcomes: tuple[Outcome, ...]
    class_word: str
    kind: str = "instance"

    @property
    def prompts(self) -> tuple[ProtocolPrompt, ...]:
        """P of them."""
        return self.outcomes[0].pictures.prompts

    @cached_property
    def floors(self) -> list[float | None]:
        """`measures.seed_floor` of the base for every prompt."""
        return [measures.seed_floor(row) for row in self.outcomes[0].pictures.base]

    def group(self, prompt: ProtocolPrompt) -> str:
        """Whether the prompt asks for the concept, for its class alone, or for neither: CONCEPT, CLASS, UNRELATED."""
        if prompt.names_concept:
            return CONCEPT
        named = re.search(rf"(?<![\w-]){class_pattern(self.class_word)}", prompt.base, re.IGNORECASE)
        return CLASS if named and self.kind == "instance" else UNRELATED

    def members(self, group: str) -> list[int]:
        """Which prompts belong to a group."""
        return [p for p, prompt in enumerate(self.prompts) if self.group(prompt) == group]

    @property
    def groups(self) -> list[str]:
        """Those that have a prompt."""
        return [g for g in (CONCEPT, CLASS, UNRELATED) if self.members(g)]

    def title(self, group: str) -> str:
        """A group in plain words, with what to expect of it."""
        return {
            CONCEPT: "Prompts with the concept: these pictures should show it",
            CLASS: f"Prompts for any {self.class_word}: these should not have become yours",
            UNRELATED: "Prompts without the concept: these should have stayed the same",
        }[group]

    def count(self, group: str) -> str:
        """How many prompts a group has, "1 prompt"."""
        count = len(self.members(group))
        return f"{count} {'prompt' if count == 1 else 'prompts'}"

    def change(self, outcome: Outcome, group: str) -> float | None:
        """The mean image change over a group's prompts and all seeds."""
        return measures.mean_of([c for p in self.members(group) for c in outcome.changes[p]])

    def floor(self, group: str) -> float | None:
        """The mean floor over a group's prompts."""
        return measures.mean_of([self.floors[p] for p in self.members(group)])

    def verdict(self, outcome: Outcome) -> str:
        """One line on what is most feared: what became of prompts without the concept."""
        out = []
        for group in (UNRELATED, CLASS):
            moved, floor = self.change(outcome, group), self.floor(group)
            if moved is not None:
                whose = {UNRELATED: "prompts without the concept", CLASS: f"prompts for any {self.class_word}"}[group]
                word = judged(moved, floor)
                out.append(f"{whose} changed by {percent(moved)}{f' ({word})' if word else ''}")
        if not out:
            return f"{outcome.name}: no prompt without [v] was drawn, so nothing is known of the rest of the model"
        between = measures.mean_of([self.floor(g) for g in (UNRELATED, CLASS)])
        against = f"; two seeds of the base differ by {percent(between)}" if between is not None else ""
        return f"{outcome.name}: {', '.join(out)}{against}"

    def rows(self) -> list[list[str]]:
        """The table: a head, a row a group, drift, the encoders' measures, then a row a prompt."""
        out = [["", *(o.name for o in self.outcomes), "two seeds of the base"]]
        for group in self.groups:
            name = f"{_SHORT[group].format(self.class_word)}, {self.count(group)}: change"
            out.append([name, *(percent(self.change(o, group)) for o in self.outcomes), percent(self.floor(group))])
        if any(o.drift is not None for o in self.outcomes):
            known = ["-" if o.drift is None else f"{o.drift:.4f}" for o in self.outcomes]
            out.append(["drift (0: the base itself)", *known, "-"])
        for title, column, names_concept, digits in _MEASURES:
            known = [None if o.report is None else o.report.mean(column, names_concept) for o in self.outcomes]
            if any(v is not None for v in known):
                out.append([title, *("-" if v is None else f"{v:.{digits}f}" for v in known), "-"])
        for p, prompt in enumerate(self.prompts):
            moved = [percent(measures.mean_of(o.changes[p])) for o in self.outcomes]
            out.append([prompt.complete, *moved, percent(self.floors[p])])
        return out

    def remarks(self) -> list[str]:
        """What a reader must know beside the table."""
        seeds = len(self.outcomes[0].pictures.seeds)
        out = [
            f"Change: how far a pixel is from the base's picture of the same prompt and seed, on average over {seeds} "
            "seeds; 0 % is the same picture, 100 % black against white. A thing that has only moved counts, too. The "
            "words go by its share of what another seed changes.",
        ]
        if any(o.drift is not None for o in self.outcomes):
            out.append(
                "Drift: how far the model's predictions have moved on eight fixed prompts without the concept, squared "
                "and relative to the base's own."
            )
        if any(o.report is not None for o in self.outcomes):
            out.append("CLIP-T, CLIP-I and DINO are explained on the help page of Measure Pictures.")
        return out

    def markdown(self) -> str:
        """The verdicts, the table and the remarks."""
        head, *body = ([cell.replace("|", "\\|") for cell in row] for row in self.rows())
        table = ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *body)]
        verdicts = [f"**{self.verdict(o)}.**" for o in self.outcomes]
        return "\n\n".join([*verdicts, "\n".join(table), "\n".join(f"- {r}" for r in self.remarks())])

    def as_dict(self) -> dict:
        """Everything, for JSON; changes and floors are 0 to 1."""
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
            "class_word": self.class_word,
            "kind": self.kind,
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
"""Rows of the table that encoders give: title, column of a Report, whether of prompts with the concept, decimals."""


def judged(moved: float, floor: float | None) -> str:
    """A change in the words of STEPS; empty where the change between two seeds is not known."""
    return next((words for share, words in STEPS if floor and moved / floor <= share), "")


def percent(value: float | None) -> str:
    """0 to 1 as "12 %", below a tenth with a decimal; "-" where nothing was measured."""
    if value is None:
        return "-"
    return f"{100 * value:.{1 if 0 < value < 0.0995 else 0}f} %"


def names(given: Sequence[str]) -> list[str]:
    """Names that differ, numbered where the same one is given again."""
    return [n if n not in given[:k] else f"{n} ({given[:k].count(n) + 1})" for k, n in enumerate(given)]
