"""Measure what the live panel costs: seconds per training step with and without it, and seconds in its own code.

COMFYUI_PATH=/path/to/ComfyUI python benchmarks/panel.py --steps 60 --rounds 5
COMFYUI_PATH=/path/to/ComfyUI python benchmarks/panel.py --steps 80 --rounds 3 --own

A server trains an extractor on the embedded base in three ways: with no page open, queued in a page whose pack has no
scripts, and queued in the same page with its panel. A run's pace is the time between its first step and its end, as the
server sends them, over the steps between. Samples and drift are off. The ratio of the last two is as noisy as the
host's own page, which the training cores draw where there is no GPU: it cannot show a cost of a few percent.

With --own, all runs have the panel and its own code is clocked: what a step waits for, what the server's thread writes
to the page meanwhile (see `panel_clock`), and what the page's main thread draws. Each is a share of a step. Training
waits for the first only. What the browser paints after drawing is in none of them.
"""

import argparse
import os
import shutil
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
CLOCK = """
async () => {
  const {Panel} = await import("/extensions/purecc/js/panel.js");
  const draw = Panel.prototype.draw;
  window.drawn = 0;
  Panel.prototype.draw = function () {
    const began = performance.now();
    draw.call(this);
    window.drawn += (performance.now() - began) / 1000;
  };
}
"""


def pace(client: Client, page, kind: str, steps: int, seed: int) -> float:
    """Return seconds per step of one run."""
    page.unroute_all()
    if kind == "page, no panel":
        page.route("**/purecc.js", lambda route: route.fulfill(content_type="text/javascript", body=""))
    frontend.visit(page, client.address)
    values: dict = {"steps": steps, "sample_every": 0, "drift_prompts": "", "seed": seed, "name": f"panel-{seed}"}
    node = panels.opened(page, **values)
    has = page.evaluate("() => app.extensions.some(extension => extension.name === 'purecc.live')")
    assert has == (kind != "page, no panel")
    if has:
        page.evaluate(CLOCK)
    if kind == "no page":
        graph = page.evaluate("async () => (await app.graphToPrompt()).output")
        page.goto("about:blank")
    with Events(client.address, f"panel-{seed}", 600.0) as events:
        if kind == "no page":
            client.queue(graph)
        else:
            page.evaluate("() => app.queuePrompt(0, 1)")
        began, first = 0.0, 0
        for name, data in events:
            if name == "purecc.run" and data["state"] == "running" and not began:
                began, first = time.perf_counter(), data["step"]
            if name == "purecc.run" and data["ended"]:
                taken = (time.perf_counter() - began) / (data["step"] - first)
                assert (data["state"], data["step"]) == ("finished", steps)
                break
    if kind == "page and panel":  # else something else was measured
        assert panels.wait(page, node, "head.state === 'finished'")["head"]["step"] == steps
    while client.get_json("/queue")["queue_running"]:
        time.sleep(0.2)
    return taken


def compared(client: Client, page, options) -> None:
    """Print a table of rounds, and the median ratio."""
    rounds = []
    print(f"| round | {', s a step | '.join(KINDS)}, s a step | panel / none |\n|---|---|---|---|---|")
    for number in range(options.rounds):
        order = KINDS[number % 3 :] + KINDS[: number % 3]
        taken = {k: pace(client, page, k, options.steps, 100 + 3 * number + i) for i, k in enumerate(order)}
        rounds.append([taken[k] for k in KINDS])
        cells = " | ".join(f"{seconds:.4f}" for seconds in rounds[-1])
        print(f"| {number + 1} | {cells} | {rounds[-1][2] / rounds[-1][1]:.3f} |", flush=True)
    print(f"\nmedian ratio {statistics.median(with_ / without for _, without, with_ in rounds):.3f}")


def own(client: Client, page, options) -> None:
    """Print the seconds per step in the panel's own code, and their share of a step."""
    parts = ("waits for the live run", "is written to the page beside it", "is drawn in the page's main thread")
    print(f"| round | a step, s | {' | '.join(f'{part}, s | share' for part in parts)} |\n|{'---|' * 8}", flush=True)
    shares = []
    for number in range(options.rounds):
        client.get_json("/panel_clock")
        step = pace(client, page, KINDS[-1], options.steps, 200 + number)
        clock = client.get_json("/panel_clock")
        assert clock["steps"] == options.steps
        spent = [seconds / options.steps for seconds in (clock["run"], clock["send"], page.evaluate("() => drawn"))]
        shares.append([seconds / step for seconds in spent])
        cells = " | ".join(f"{s:.5f} | {share:.2%}" for s, share in zip(spent, shares[-1], strict=True))
        print(f"| {number + 1} | {step:.4f} | {cells} |", flush=True)
    medians = (statistics.median(column) for column in zip(*shares, strict=True))
    print("\nmedian shares " + ", ".join(f"{share:.2%}" for share in medians))


def main() -> None:
    """Run a server and a page, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--own", action="store_true", help="clock the panel's own code")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        base = Path(folder)
        serving.link_pack(base)
        shutil.copy(Path(__file__).with_name("panel_clock.py"), base / "custom_nodes")
        with serving.Server(Path(sys.executable), Path(os.environ["COMFYUI_PATH"]), base) as server:
            client = Client(server.address)
            client.post("/settings/Comfy.TutorialCompleted", True)
            chromium = playwright.chromium.launch(executable_path=str(browser.get_browser()), args=frontend.FLAGS)
            page = chromium.new_context(viewport={"width": 1600, "height": 1000}).new_page()
            pace(client, page, KINDS[-1], options.steps, 1)  # warms up
            (own if options.own else compared)(client, page, options)
            chromium.close()


if __name__ == "__main__":
    main()
