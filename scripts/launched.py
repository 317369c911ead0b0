"""The place of this process among those that `accelerate launch` or torchrun started together."""

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A process of a launch.

    Attributes:
        count: of all its processes, on all machines.
        rank: of this one, from 0.
        local: number of this one on its machine, which is that of its GPU; None: not launched.
    """

    count: int = 1
    rank: int = 0
    local: int | None = None


def place(environment: Mapping[str, str] = os.environ) -> Place:
    """Return the place that the launcher gave this process."""
    if "LOCAL_RANK" not in environment:
        return Place()
    return Place(int(environment["WORLD_SIZE"]), int(environment["RANK"]), int(environment["LOCAL_RANK"]))
