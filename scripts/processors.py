"""The name of the processor that figures were measured on."""

import platform
from pathlib import Path


def name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name with family and model, since clouds give many the same name."""
    if not cpuinfo.is_file():
        return platform.processor() or platform.machine()
    fields = (line.partition(":") for line in reversed(cpuinfo.read_text(encoding="utf-8").splitlines()))
    known = {field.strip(): value.strip() for field, _, value in fields}
    more = [f"{word} {known[word]}" for word in ("cpu family", "model") if word in known]
    return ", ".join((known.get("model name", platform.machine()), *more))
