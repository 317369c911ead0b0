"""Compute means over runs with paired bootstrap intervals, and compare at matched fidelity."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean

Key = tuple[str, int]
"""A concept and a seed: what is resampled, for all methods alike."""
Figure = Callable[[Sequence[Key]], float]
"""What is computed of the runs of some keys."""
Curve = Mapping[int, Mapping[str, float]]
"""Figures by step."""

RESAMPLES = 1000


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval; as text "-" where there is no mean."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        if math.isnan(self.mean):
            return "-"
        digits = 4 if abs(self.mean) < 0.05 else 3 if abs(self.mean) < 10 else 1
        return f"{self.mean:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def resamples(keys: Sequence[Key]) -> list[list[Key]]:
    """Resample as many keys, with replacement: first of concepts, then of seeds within each, since runs of one concept
    are more alike than runs of two (a two-level bootstrap); the same draws for the same keys."""
    rng = Random(0)
    seeds: dict[str, list[int]] = {}
    for concept, seed in sorted(keys):
        seeds.setdefault(concept, []).append(seed)
    names = list(seeds)
    out = []
    for _ in range(RESAMPLES):
        chosen = rng.choices(names, k=len(names))
        out.append([(name, seed) for name in chosen for seed in rng.choices(seeds[name], k=len(seeds[name]))])
    return out


def bootstrap(keys: Sequence[Key], figure: Callable[[Sequence[Key]], float]) -> Estimate:
    """Return a figure of runs with its percentile interval over resamples. Pass a difference for a paired one."""
    values = sorted(v for draw in resamples(keys) if (v := figure(draw)) == v)
    if not values:
        return Estimate(float("nan"), float("nan"), float("nan"))
    return Estimate(figure(keys), values[int(0.025 * len(values))], values[int(0.975 * (len(values) - 1))])


def mean_of(runs: Mapping[Key, Curve], name: str, step: int) -> Callable[[Sequence[Key]], float]:
    """Return the mean of a figure at a step."""
    return lambda keys: fmean(runs[key][step][name] for key in keys)


def mean_curve(runs: Mapping[Key, Curve], keys: Sequence[Key], name: str) -> list[float]:
    """Return the mean of a figure at each step that all runs have; at step 0 a run has the base's, if it is there."""
    steps = sorted(set.intersection(*(set(runs[key]) for key in keys)))
    return [fmean(runs[key][step][name] for key in keys) for step in steps]


def at_fidelity(
    runs: Mapping[Key, Curve], name: str, level: float | Callable[[Sequence[Key]], float]
) -> Callable[[Sequence[Key]], float]:
    """Return the mean of a figure where the mean curve first reaches a fidelity, between steps by straight lines.

    The fidelity is a number, or computed from the runs. The figure is nan where the curve never gets there, and where
    it is beyond at its first point: nothing was measured there.
    """

    def figure(keys: Sequence[Key]) -> float:
        fidelity = level(keys) if callable(level) else level
        xs, ys = mean_curve(runs, keys, "fidelity"), mean_curve(runs, keys, name)
        if xs[0] == fidelity:
            return ys[0]
        for (x0, y0), (x1, y1) in zip(zip(xs, ys, strict=True), zip(xs[1:], ys[1:], strict=True), strict=False):
            if x0 < fidelity <= x1:
                return y0 + (y1 - y0) * (fidelity - x0) / (x1 - x0)
        return float("nan")

    return figure


def common_level(*methods: Mapping[Key, Curve], share: float = 1.0) -> Callable[[Sequence[Key]], float]:
    """Return a share of the fidelity that all of the methods reach in the mean: of the least of their highest."""
    return lambda keys: share * min(max(mean_curve(runs, keys, "fidelity")) for runs in methods)


def best_step(runs: Mapping[Key, Curve], keys: Sequence[Key]) -> int:
    """Return the measured step with the highest mean fidelity; the earliest of equals."""
    curve = mean_curve(runs, keys, "fidelity")
    return sorted(set.intersection(*(set(runs[key]) for key in keys)))[curve.index(max(curve))]


def score(runs: Mapping[Key, Curve], base: Mapping[Key, Mapping[str, float]]) -> Callable[[Sequence[Key]], float]:
    """Fidelity - (leak above the base's + concept for the class word) / 2, in the mean, at the best step."""

    def at(key: Key, step: int) -> float:
        figures = runs[key][step]
        return figures["fidelity"] - (figures["leak"] - base[key]["leak"] + figures["class"]) / 2

    def figure(keys: Sequence[Key]) -> float:
        steps = set.intersection(*(set(runs[key]) for key in keys))
        return max(fmean(at(key, step) for key in keys) for step in steps)

    return figure


def relative(
    runs: Mapping[Key, Curve], lora: Mapping[Key, Curve], base: Mapping[Key, Mapping[str, float]], name: str, step: int
) -> Callable[[Sequence[Key]], float]:
    """Return (rate - base's rate) / (LoRA's rate - base's rate), of mean rates."""

    def figure(keys: Sequence[Key]) -> float:
        own, plain, ground = (
            fmean(runs[k][step][name] for k in keys),
            fmean(lora[k][step][name] for k in keys),
            fmean(base[k][name] for k in keys),
        )
        return (own - ground) / (plain - ground) if plain != ground else float("nan")

    return figure
