"""Check lint and types, then runs the tests: `python3 scripts/test.py [--fast] [pytest arguments]`.

`--fast` leaves out the tests that start ComfyUI or a browser, and the slow ones.
"""

import os
import subprocess
import sys
from pathlib import Path

import browser
import host
import serving
import source

FAST = ["-m", "not server and not browser and not slow"]
TYPES = host.ROOT / "build" / "types" / "purecc_pack"
MOST_WORKERS = 8  # each takes about 1 GB, and as much again for its server


def check(python: Path) -> bool:
    """Whether ruff and mypy find nothing; what they find is printed."""
    serving.make_link(TYPES, host.ROOT)
    shown_as = f"{TYPES.relative_to(host.ROOT)}{os.sep}"
    clean = True
    for tool in (["ruff", "check"], ["ruff", "format", "--check", "--quiet"], ["mypy"]):
        done = subprocess.run([python, "-m", *tool], cwd=host.ROOT, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        print(f"{' '.join(tool)}: {done.stdout.strip().replace(shown_as, '') or 'clean'}", flush=True)
        clean = clean and not done.returncode
    return clean


def run(ready: host.Host, arguments: list[str]) -> int:
    """Return pytest's exit code; every worker has one thread."""
    environment = os.environ | {
        "COMFYUI_PATH": str(ready.comfyui),
        "OMP_NUM_THREADS": "1",
        "PYTHONPYCACHEPREFIX": str(host.CACHE / "pycache"),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # dozens of processes would each compile ComfyUI and PyTorch
    if "--fast" in arguments:
        arguments = [*FAST, *(argument for argument in arguments if argument != "--fast")]
    else:
        environment["PURECC_BROWSER"] = str(browser.get_browser())
    workers = min((os.cpu_count() or 1) + 1, MOST_WORKERS)  # one more: they wait for servers and pages
    spread = ["-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder"]  # in the order of tests/conftest.py
    line = [str(ready.python), "-m", "pytest", *spread, *arguments]
    return subprocess.run(line, cwd=host.ROOT, env=environment).returncode


def main() -> int:
    """Return 0 when there is nothing to mend."""
    ready = host.prepare(tests=True)
    return run(ready, sys.argv[1:]) if check(ready.python) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (host.HostError, source.SourceError, browser.BrowserError) as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit(130)
