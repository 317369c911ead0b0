"""Measure how long ComfyUI's start waits for the pack.

COMFYUI_PATH=/path/to/ComfyUI python benchmarks/start.py --rounds 5

Each round is a new process that imports ComfyUI with its own nodes, and then loads the pack as ComfyUI does, under
`python -X importtime`. Counted are the seconds of the processor from then on, which other processes do not lengthen.
A first round writes the compiled bytecode and is not counted.
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

CHILD = """
import asyncio, sys, time
import comfy.options
comfy.options.enable_args_parsing()
import nodes, server
server.PromptServer(asyncio.new_event_loop())
asyncio.run(nodes.init_builtin_extra_nodes())
began = time.process_time()
print("pack", file=sys.stderr)
assert asyncio.run(nodes.load_custom_node(sys.argv[-1]))
print(time.process_time() - began)
"""
LINE = re.compile(r"import time: *(\d+) \| *\d+ \| *(\S+)$", re.M)


def started(base: Path, pack: Path) -> tuple[float, dict[str, float]]:
    """Return the seconds that loading the pack takes, and those of each module that is imported meanwhile."""
    options = [
        "-X",
        "importtime",
        "-c",
        CHILD,
        "--cpu",
        "--base-directory",
        str(base),
        "--whitelist-custom-nodes",
        str(pack),
    ]
    done = subprocess.run(
        [sys.executable, *options],
        cwd=os.environ["COMFYUI_PATH"],
        env=os.environ | {"PYTHONPYCACHEPREFIX": str(base / "pycache")},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"ComfyUI ended with {done.returncode}:\n{done.stderr[-3000:]}")
    rows = LINE.findall(done.stderr.split("\npack\n")[1])
    return float(done.stdout.split()[-1]), {name: int(own) / 1e6 for own, name in rows}


def main() -> int:
    """Print the seconds of each start, their median, and the modules that take longest."""
    parser = argparse.ArgumentParser(description="Measure how long ComfyUI's start waits for the pack.")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        pack = serving.link_pack(base)
        started(base, pack)
        found = [started(base, pack) for _ in range(rounds)]
    totals = [total for total, _ in found]
    print("seconds:", *(f"{total:.2f}" for total in totals), f"· median {statistics.median(totals):.2f}")
    own = {name: statistics.median(one.get(name, 0.0) for _, one in found) for name in found[-1][1]}
    for name, seconds in sorted(own.items(), key=lambda item: -item[1])[:10]:
        print(f"{seconds:8.3f}  {name.removeprefix(str(pack.parent))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
