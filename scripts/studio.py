"""Where pictures are taken: a real server on an empty base directory, a real browser, a large page, quiet settings."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import browser
import frontend
import host
import serving

SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Minimap.Visible": False,
    "LiteGraph.Canvas.MinFontSizeForLOD": 0,
    "Comfy.Graph.CanvasInfo": False,
}
READY = "PURECC_PICTURES"


@contextmanager
def front_end(width: int, height: int) -> Iterator[tuple]:
    """Open a page of that size with the front end ready, and its server: `with front_end(...) as (page, server):`."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        serving.link_pack(base)
        comfyui = Path(os.environ["COMFYUI_PATH"])
        with serving.Server(Path(sys.executable), comfyui, base) as server, sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=str(browser.get_browser()), args=frontend.FLAGS)
            page = chromium.new_context(viewport={"width": width, "height": height}).new_page()
            page.set_default_timeout(1_800_000)
            for _ in range(2):  # some settings are read at the start only
                frontend.visit(page, server.address)
                for name, value in SETTINGS.items():
                    page.evaluate("([name, value]) => app.extensionManager.setting.set(name, value)", [name, value])
            yield page, server
            chromium.close()


def run(script: str, make: Callable[[], None]) -> int:
    """Calls `make` if this interpreter has everything, else the script again in the pack's own environment."""
    if os.environ.get(READY):
        make()
        return 0
    ready = host.prepare(tests=True)
    environment = os.environ | {"COMFYUI_PATH": str(ready.comfyui), READY: "1"}
    return subprocess.run([ready.python, script, *sys.argv[1:]], env=environment).returncode
