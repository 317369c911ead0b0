"""Find a Chromium-like browser, and on Debian as root installs one when there is none."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge", "microsoft-edge")
MAC = ("Google Chrome", "Chromium", "Microsoft Edge")
WINDOWS = (
    "Google/Chrome/Application/chrome.exe",
    "Chromium/Application/chrome.exe",
    "Microsoft/Edge/Application/msedge.exe",
)


class BrowserError(RuntimeError):
    """No browser was found and none could be installed."""


def find_browser() -> Path | None:
    """Return the executable named by PURECC_BROWSER, else the first browser in the usual places, else None."""
    if os.environ.get("PURECC_BROWSER"):
        return Path(os.environ["PURECC_BROWSER"])
    found = [Path(path) for path in map(shutil.which, NAMES) if path]
    if sys.platform == "darwin":
        found += [Path(f"/Applications/{name}.app/Contents/MacOS/{name}") for name in MAC]
    if os.name == "nt":
        roots = [os.environ.get(name) for name in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")]
        found += [Path(root) / name for root in roots if root for name in WINDOWS]
    return next((path for path in found if path.is_file()), None)


def get_browser() -> Path:
    """Return a browser's executable, installing Debian's chromium when there is none and we may.

    Raises:
        BrowserError: there is none; the message says what to install.
    """
    found = find_browser()
    if found:
        return found
    if shutil.which("apt-get") and os.geteuid() == 0:
        print("Installing chromium for the browser tests", flush=True)
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for line in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "chromium"]):
            subprocess.run(["apt-get", *line], env=environment, capture_output=True, check=False)
        found = find_browser()
    if not found:
        raise BrowserError(
            "The browser tests need Chromium, Chrome or Edge and found none. Install one (Debian: "
            "`sudo apt-get install chromium`), or name its executable in PURECC_BROWSER."
        )
    return found
