"""Measure how long ComfyUI's start waits for the pack: the import of its modules and all that they import first.

COMFYUI_PATH=/path/to/ComfyUI python benchmarks/start.py --rounds 5

Each round starts ComfyUI in a new process under `python -X importtime` and ends it once its nodes are loaded. What
ComfyUI has imported before it comes to the pack is not counted, as it is not without the pack either. A first start
writes the compiled bytecode and is not counted.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / "scripts")]

import serving  # noqa: E402

LINE = re.compile(r"import time: *(\d+) \| *(\d+) \| ( *)(\S+)$", re.M)


def started(base: Path) -> str:
    """Return what a start of ComfyUI on this base directory writes."""
    options = ["-X", "importtime", "main.py", "--cpu", "--quick-test-for-ci", "--base-directory", str(base)]
    options += ["--disable-api-nodes", "--database-url", "sqlite:///:memory:"]
    done = subprocess.run(
        [sys.executable, *options],
        cwd=os.environ["COMFYUI_PATH"],
        env=os.environ | {"PYTHONPYCACHEPREFIX": str(base / "pycache")},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"ComfyUI ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done.stderr


def imports(log: str) -> dict[str, float]:
    """Return the seconds of the pack's `nodes` and of all modules that it imports first, in order of their end."""
    found: dict[str, float] = {}
    rows = [(int(own), int(every), len(indent), name) for own, every, indent, name in LINE.findall(log)]
    (end,) = (k for k, row in enumerate(rows) if re.search(r"purecc\.nodes$", row[3]))
    depth = rows[end][2]
    for own, every, indent, name in reversed(rows[: end + 1]):
        if indent <= depth and found:
            break
        found[name] = (every if not found else own) / 1e6
    return found


def main() -> int:
    """Print the seconds of each start, their median, and the modules that take longest."""
    parser = argparse.ArgumentParser(description="Measure how long ComfyUI's start waits for the pack.")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        serving.link_pack(base)
        started(base)
        found = [imports(started(base)) for _ in range(rounds)]
    totals = [next(iter(one.values())) for one in found]
    print("seconds:", *(f"{total:.2f}" for total in totals), f"· median {statistics.median(totals):.2f}")
    own = {name: statistics.median(one.get(name, 0.0) for one in found) for name in [*found[-1]][1:]}
    for name, seconds in sorted(own.items(), key=lambda item: -item[1])[:10]:
        print(f"{seconds:8.3f}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
