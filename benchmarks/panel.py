"""What the live panel costs: seconds a training step with it and without, one run beside the other.

COMFYUI_PATH=/path/to/ComfyUI python benchmarks/panel.py --steps 60 --rounds 5

A server trains an extractor on the embedded base, in turn with no page of the front end open, queued in a page whose
pack has no scripts, and queued in the same page with its panel. A run's pace is the time between its first step and its
end, as the server tells them, over the steps between. The panel's cost is the median ratio of the last two. Only on an
otherwise idle machine does it say something; without a GPU the processor that trains also draws the page.
"""

import argparse
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

KINDS = ("no page", "page, no panel", "page and panel")


def pace(server, page, kind: str, steps: int, seed: int) -> float:
    """Seconds a step of one run."""
    page.unroute_all()
    if kind == "page, no panel":
        page.route("**/purecc.js", lambda route: route.fulfill(content_type="text/javascript", body=""))
    frontend.visit(page, server.address)
    values = {"steps": steps, "sample_every": 0, "drift_prompts": "", "seed": seed, "name": f"panel-{seed}"}
    node = panels.opened(page, **values)
    has = page.evaluate("() => app.extensions.some(extension => extension.name === 'purecc.live')")
    assert has == (kind != "page, no panel")
    if kind == "no page":
        graph = page.evaluate("async () => (await app.graphToPrompt()).output")
        page.goto("about:blank")
    with Events(server.address, f"panel-{seed}", 600.0) as events:
        if kind == "no page":
            server.client.queue(graph)
        else:
            page.evaluate("() => app.queuePrompt(0, 1)")
        began = None
        for name, data in events:
            if name == "purecc.run" and data["state"] == "running" and began is None:
                began, first = time.perf_counter(), data["step"]
            if name == "purecc.run" and data["ended"]:
                taken = (time.perf_counter() - began) / (data["step"] - first)
                assert (data["state"], data["step"]) == ("finished", steps)
                break
    if kind == "page and panel":  # else something else was measured
        assert panels.wait(page, node, "head.state === 'finished'")["head"]["step"] == steps
    while server.client.get_json("/queue")["queue_running"]:
        time.sleep(0.2)
    return taken


def main() -> None:
    """Prints a table of rounds, and the median ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
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
            pace(server, page, KINDS[-1], options.steps, 1)  # warms up
            rounds = []
            print(f"| round | {', s a step | '.join(KINDS)}, s a step | panel / none |\n|---|---|---|---|---|")
            for number in range(options.rounds):
                order = KINDS[number % 3 :] + KINDS[: number % 3]
                taken = {k: pace(server, page, k, options.steps, 100 + 3 * number + i) for i, k in enumerate(order)}
                rounds.append([taken[k] for k in KINDS])
                cells = " | ".join(f"{seconds:.4f}" for seconds in rounds[-1])
                print(f"| {number + 1} | {cells} | {rounds[-1][2] / rounds[-1][1]:.3f} |", flush=True)
            print(f"\nmedian ratio {statistics.median(with_ / without for _, without, with_ in rounds):.3f}")
            chromium.close()


if __name__ == "__main__":
    main()
