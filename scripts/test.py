"""Installs what the tests need and runs them all: `python3 scripts/test.py [pytest arguments]`."""

import os
import subprocess
import sys

import browser
import host
import source


def main() -> int:
    """Returns pytest's exit code."""
    ready = host.prepare(tests=True)
    environment = os.environ | {
        "COMFYUI_PATH": str(ready.comfyui),
        "PURECC_BROWSER": str(browser.get_browser()),
        "PYTHONPYCACHEPREFIX": str(host.CACHE / "pycache"),
    }
    return subprocess.run([ready.python, "-m", "pytest", *sys.argv[1:]], cwd=host.ROOT, env=environment).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (host.HostError, source.SourceError, browser.BrowserError) as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit(130)
