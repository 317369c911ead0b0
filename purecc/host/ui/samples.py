"""Keep the samples of a run, thinned evenly over its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sample:
    """An image of the model in training beside the base model's, as JPEG."""

    step: int
    prompt: str
    seed: int
    base: bytes
    current: bytes


class Samples:
    """Samples by number, from 0, and an image of the masks.

    Args:
        most: samples that are kept. Beyond it, steps between the first and the latest are dropped.
    """

    def __init__(self, most: int = 120):
        self.count = 0
        self.masks: bytes | None = None
        self._most = most
        self._kept: dict[int, Sample] = {}

    def add(self, samples: Sequence[Sample]) -> None:
        """Append samples and thin out the steps in between."""
        for sample in samples:
            self._kept[self.count] = sample
            self.count += 1
        self._thin()

    def clear(self) -> None:
        """Drop all samples and the masks."""
        self._kept.clear()
        self.masks = None

    @property
    def numbers(self) -> list[int]:
        """Numbers of the samples that are kept, in order."""
        return list(self._kept)

    @property
    def size(self) -> int:
        """Bytes of all images; equal images, such as the base model's, count once."""
        images = {image for s in self._kept.values() for image in (s.base, s.current)}
        return sum(map(len, images)) + len(self.masks or b"")

    def since(self, number: int) -> list[dict[str, Any]]:
        """Return number, step, prompt and seed of each sample from that number on."""
        return [
            {"number": k, "step": s.step, "prompt": s.prompt, "seed": s.seed}
            for k, s in self._kept.items()
            if k >= number
        ]

    def picture(self, number: int, which: str) -> bytes | None:
        """Return the JPEG "base" or "current" of a sample, or that of the "masks"; None where there is none."""
        if which == "masks":
            return self.masks
        sample = self._kept.get(number)
        return None if sample is None else {"base": sample.base, "current": sample.current}.get(which)

    def latest(self) -> Sample | None:
        """Return the first prompt's sample of the latest step, or None."""
        step = max((s.step for s in self._kept.values()), default=None)
        return next((s for s in self._kept.values() if s.step == step), None)

    def _thin(self) -> None:
        """Drop steps until few enough samples remain, each time the one that leaves the smallest gap."""
        steps = sorted({s.step for s in self._kept.values()})
        while len(self._kept) > self._most and len(steps) > 2:
            gone = steps.pop(min(range(1, len(steps) - 1), key=lambda k: steps[k + 1] - steps[k - 1]))
            self._kept = {k: s for k, s in self._kept.items() if s.step != gone}
