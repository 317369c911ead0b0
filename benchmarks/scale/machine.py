"""What a row says of the machine it was measured on."""

from __future__ import annotations

import os

import processors


def machine() -> dict[str, object]:
    """Return the processor, its cores and how busy they are."""
    load = [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else []
    return {"processor": processors.name(), "cores": os.cpu_count(), "load before": load}
