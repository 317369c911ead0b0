"""What a run writes while it trains, and what it goes on from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ...adapters.files import Adapter
from ...training.parallel import Ranks
from ..messages import Message
from .autosave import Saver, Saving
from .resuming import Follower, Resumer, Resuming


@dataclass(frozen=True)
class Keeping:
    """What a run writes while it trains, and what it goes on from.

    Attributes:
        saving: adapters.
        resuming: states.
        train_on: the adapter to go on from.
    """

    saving: Saving = field(default_factory=Saving)
    resuming: Resuming = field(default_factory=Resuming)
    train_on: Adapter | None = None

    def of(self, ranks: Ranks) -> Keeping:
        """Return what one of several processes keeps: of adapters, only the first keeps any."""
        return self if ranks.first else replace(self, saving=Saving())

    def resumer(
        self, ranks: Ranks, name: str, note: Callable[[Message, str | None], None], prompt: str, saver: Saver
    ) -> Resumer:
        """Return what finds the run's states, and writes them in the first process; see `Resumer`."""
        kind = Resumer if ranks.first else Follower
        return kind(self.resuming, name, note, prompt, self.train_on, saver)
