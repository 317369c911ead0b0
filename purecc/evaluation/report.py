"""Report a protocol's measures by prompt and on average, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from . import measures
from .pictures import ProtocolPictures

COLUMNS = {
    "delta_clip_t": ("ΔCLIP-T", 2),
    "clip_t_base": ("CLIP-T, base", 2),
    "clip_t": ("CLIP-T, customised", 2),
    "seg_cons": ("Seg-Cons", 2),
    "clip_i": ("CLIP-I", 3),
    "dino": ("DINO", 3),
}
"""Measures in the order of the table: title and decimals."""

NOT_COVERED = "HPSv2.1, PickScore and CSD"
"""Columns of PureCC's Table 1 whose models ComfyUI does not load."""

LEAST_CLIP_T = 10.0
"""Even unrelated images and texts reach this in a trained CLIP; a lower value means that something is wrong."""

NEEDS = {
    "CLIP-T and ΔCLIP-T": "clip_vision and clip",
    "CLIP-I": "clip_vision",
    "DINO": "dino",
    "Seg-Cons": "segmenter, segmenter_clip and nouns",
}


@dataclass(frozen=True)
class Scores:
    """One prompt's measures as `measures` defines them; None: not measured.

    Attributes:
        clip_t_base: of the base's images.
        clip_t: of the customised model's images.
        delta_clip_t: their difference.
        seg_cons: mean over the seeds.
        clip_i: of the customised model's images; None for a prompt without the concept.
        dino: the same with DINO.
        clip_i_base: of the base's images, which do not show the concept: the baseline.
        dino_base: the same with DINO.
    """

    clip_t_base: float | None = None
    clip_t: float | None = None
    delta_clip_t: float | None = None
    seg_cons: float | None = None
    clip_i: float | None = None
    dino: float | None = None
    clip_i_base: float | None = None
    dino_base: float | None = None


@dataclass(frozen=True)
class Report:
    """Measures of one customised model.

    Attributes:
        pictures: what was measured.
        scores: one per prompt.
        encoders: description of the encoder of each column.
        drift: velocity drift; None: not measured.
    """

    pictures: ProtocolPictures
    scores: tuple[Scores, ...]
    encoders: Mapping[str, str] = field(default_factory=dict)
    drift: float | None = None

    @property
    def columns(self) -> list[str]:
        """Those of COLUMNS for which any prompt has a value."""
        return [c for c in COLUMNS if any(getattr(s, c) is not None for s in self.scores)]

    def values(self, column: str, names_concept: bool) -> list[float]:
        """Return a column's values over the prompts with the concept, or those without."""
        rows = zip(self.pictures.prompts, self.scores, strict=True)
        return [v for p, s in rows if p.names_concept == names_concept and (v := getattr(s, column)) is not None]

    def mean(self, column: str, names_concept: bool = True) -> float | None:
        """Return a column's mean over prompts."""
        return measures.mean_of(self.values(column, names_concept))

    def rows(self) -> list[list[str]]:
        """Return the table as text: a header, a row per prompt, the means and their 95 % intervals."""
        columns = self.columns
        out = [["prompt", *(COLUMNS[c][0] for c in columns)]]
        for p, scores in zip(self.pictures.prompts, self.scores, strict=True):
            out.append([p.complete, *(_shown(getattr(scores, c), COLUMNS[c][1]) for c in columns)])
        for names_concept, name in ((True, "mean, with [v]"), (False, "mean, without [v]")):
            known = [self.values(c, names_concept) for c in columns]
            if not any(known):
                continue
            digits = [COLUMNS[c][1] for c in columns]
            means = [_shown(measures.mean_of(v), d) for v, d in zip(known, digits, strict=True)]
            out.append([name, *means])
            if max(map(len, known)) > 1:
                spans = [measures.interval(v) if len(v) > 1 else None for v in known]
                shown = [_span(s, d) for s, d in zip(spans, digits, strict=True)]
                out.append(["95 % interval", *shown])
        return out

    def remarks(self) -> list[str]:
        """Return the notes that belong to the table."""
        seeds, prompts = len(self.pictures.seeds), len(self.pictures.prompts)
        out = [f"{prompts} prompts, {seeds} seeds each. Intervals are over prompts."]
        floors = {n: self.mean(c) for n, c in (("CLIP-I", "clip_i_base"), ("DINO", "dino_base"))}
        if any(v is not None for v in floors.values()):
            shown = ", ".join(f"{n} {v:.3f}" for n, v in floors.items() if v is not None)
            out.append(f"Baseline, the base model's own images: {shown}.")
        base = self.mean("clip_t_base")
        if base is not None and base < LEAST_CLIP_T:
            out.append(
                f"CLIP-T of the base model is {base:.1f}, where a trained CLIP usually gives 20 to 35: check that clip "
                "and clip_vision come from the same CLIP."
            )
        if self.drift is not None:
            out.append(f"Velocity drift on unrelated prompts: {self.drift:.4f}.")
        out += [f"{column} is left out: connect {needed}." for column, needed in self.missing().items()]
        out.append(f"Not covered of the paper's Table 1: {NOT_COVERED}.")
        return out

    def missing(self) -> dict[str, str]:
        """Return the columns whose encoder was not connected, with the inputs they need."""
        return {column: needed for column, needed in NEEDS.items() if column not in self.encoders}

    def markdown(self) -> str:
        """Return the table and the notes as markdown."""
        head, *body = ([cell.replace("|", "\\|") for cell in row] for row in self.rows())
        lines = [head, ["---"] * len(head), *body]
        return "\n".join(["| " + " | ".join(line) + " |" for line in lines] + ["", *(f"- {r}" for r in self.remarks())])

    def as_dict(self) -> dict:
        """Return everything for JSON."""
        means: dict[str, dict[str, dict]] = {}
        for name, names_concept in (("with_concept", True), ("without_concept", False)):
            means[name] = {}
            for column in (*COLUMNS, "clip_i_base", "dino_base"):
                values = self.values(column, names_concept)
                if values:
                    span = list(measures.interval(values)) if len(values) > 1 else None
                    means[name][column] = {
                        "mean": measures.mean_of(values),
                        "interval_95": span,
                        "prompts": len(values),
                    }
        rows = zip(self.pictures.prompts, self.scores, strict=True)
        return {
            "prompts": [{"complete": p.complete, "base": p.base, **asdict(s)} for p, s in rows],
            "means": means,
            "drift": self.drift,
            "seeds": list(self.pictures.seeds),
            "drawn_with": self.pictures.settings,
            "measured_with": dict(self.encoders),
            "left_out": self.missing(),
            "not_covered": NOT_COVERED,
        }


def _shown(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _span(span: tuple[float, float] | None, digits: int) -> str:
    return "-" if span is None else f"{span[0]:.{digits}f} to {span[1]:.{digits}f}"
