"""What the live panel costs: seconds a training step with it and without, one run beside the other.

COMFYUI_PATH=/path/to/ComfyUI python benchmarks/panel.py --steps 60 --pairs 5

A server trains an extractor on the embedded base, in turn with no page of the front end open and with one that shows
the panel. Each run's pace is the median of the times between its steps, as the server itself noted them; printed are
the pairs, and the median of their ratios. Only on an otherwise idle machine does the ratio say something.
"""

import argparse
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / "scripts"), str(ROOT / "tests")]

import browser  # noqa: E402
import frontend  # noqa: E402
import panels  # noqa: E402
import serving  # noqa: E402
from client import Client  # noqa: E402
from events import Events  # noqa: E402


def prompt(page, values: dict) -> dict:
    """The API format of the training graph, with these values on the training node."""
    node = panels.opened(page, **values)
    made = page.evaluate("async () => (await app.graphToPrompt()).output")
    assert str(node) in made
    return made


def pace(server, graph: dict, seed: int) -> float:
    """Median seconds between two steps of a run, by the clock of the process that listens."""
    graph = json.loads(json.dumps(graph))
    for node in graph.values():
        if node["class_type"] == "PureCCTrainExtractor":
            node["inputs"]["seed"] = seed
    times = []
    with Events(server.address, server.client.client_id, 600.0) as events:
        queued = server.client.queue(graph)
        for name, data in events:
            if name == "progress" and data.get("value"):
                times.append(time.perf_counter())
            if name in ("execution_success", "execution_error") and data.get("prompt_id") == queued:
                break
    server.client.wait(queued)
    return statistics.median(b - a for a, b in itertools.pairwise(times))


def main() -> None:
    """Prints a table of pairs, and the median ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        base = Path(folder)
        serving.link_pack(base)
        with serving.Server(Path(sys.executable), Path(os.environ["COMFYUI_PATH"]), base) as server:
            server.client = Client(server.address)
            server.client.post("/settings/Comfy.TutorialCompleted", True)
            chromium = playwright.chromium.launch(executable_path=str(browser.get_browser()), args=frontend.FLAGS)
            page = chromium.new_context(viewport={"width": 1600, "height": 1000}).new_page()
            frontend.visit(page, server.address)
            graph = prompt(page, {"steps": options.steps, "sample_every": 0, "drift_prompts": "", "name": "panel"})
            pace(server, graph, 1)  # warms up
            ratios = []
            print("| pair | without, s a step | with, s a step | ratio |\n|---|---|---|---|")
            for pair in range(options.pairs):
                taken = {}
                for shows in (False, True) if pair % 2 else (True, False):
                    page.goto("about:blank") if not shows else frontend.visit(page, server.address)
                    node = panels.opened(page) if shows else None
                    taken[shows] = pace(server, graph, 100 + 2 * pair + shows)
                    if shows:  # else something else was measured
                        assert panels.wait(page, node, "head.state === 'finished'")["head"]["step"] == options.steps
                ratios.append(taken[True] / taken[False])
                print(f"| {pair + 1} | {taken[False]:.4f} | {taken[True]:.4f} | {ratios[-1]:.3f} |", flush=True)
            print(f"\nmedian ratio {statistics.median(ratios):.3f}")
            chromium.close()


if __name__ == "__main__":
    main()
