"""Remakes docs/live.png: the panel of a run that is under way, by the paper's method, in the real front end.

python3 scripts/live_picture.py
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import browser
import frontend
import help_pictures
import host
import pictures
import serving
from client import Client
from help_graph import GRAPH, TRAIN, WATCH

STEPS, SEEN = 120, 70
LEARN = {**TRAIN, **WATCH, "dataset": ["dataset", 0], "extractor": ["extract", 0], "method": "PureCC (paper)"}
LEARN |= {"name": "my_robot", "steps": STEPS, "sample_every": 20, "drift_every": 10, "best_drift": 0.05}
LEARN |= {"learning_rate": 0.002, "embedding_learning_rate": 0.002}
NODES = {key: GRAPH[key] for key in ("tiny", "concept", "dataset", "extract")}
NODES |= {"learn": ("PureCCPureLearning", LEARN), "save": ("PureCCSaveAdapter", {"adapter": ["learn", 0]})}
RUNNING = """
step => {
  const {head} = made.learn.widgets.find(widget => widget.name === "purecc_live")?.panel.run ?? {head: {}};
  return head.state !== "preparing" && head.step >= step;
}
"""
CLOSER = "() => { app.canvas.ds.scale = 1.5; app.canvas.ds.offset = [40, 780 - made.learn.size[1]] }"
STOP = "() => made.learn.widgets.find(widget => widget.name === 'purecc_live').panel.button.stop.click()"


def make() -> None:
    """Makes the picture, in an environment that has everything."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        serving.link_pack(base)
        comfyui = Path(os.environ["COMFYUI_PATH"])
        with serving.Server(Path(sys.executable), comfyui, base) as server, sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=str(browser.get_browser()), args=frontend.FLAGS)
            for setting, value in pictures.SETTINGS.items():
                Client(server.address).post(f"/settings/{setting}", value)
            page = chromium.new_context(viewport={"width": 1200, "height": 1250}).new_page()
            page.set_default_timeout(1_800_000)
            frontend.visit(page, server.address)
            page.evaluate("() => app.graph.clear()")
            page.evaluate(help_pictures.ADD, NODES)
            page.evaluate(help_pictures.PLACE, [[("learn", 480)]])
            page.evaluate("() => app.queuePrompt(0, 1)")
            page.wait_for_function(RUNNING, arg=SEEN)
            page.evaluate(CLOSER)
            page.wait_for_timeout(1500)
            page.locator(".purecc-panel:visible").first.screenshot(path=host.ROOT / "docs" / "live.png")
            page.evaluate(STOP)
            chromium.close()


def main() -> int:
    """Makes the picture here if this interpreter can, else in the pack's own environment."""
    if os.environ.get("PURECC_PICTURES"):
        make()
        return 0
    ready = host.prepare(tests=True)
    environment = os.environ | {"COMFYUI_PATH": str(ready.comfyui), "PURECC_PICTURES": "1"}
    return subprocess.run([ready.python, __file__], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
