"""The page asks before it queues whether a run that was broken off goes on, and only where its state fits."""

import re
import urllib.request

import panels
from panels import wait

START = "() => { window.queued = app.queuePrompt(0, 1) }"
RUNS = """
() =>
  app.graph.nodes.flatMap(n => n.widgets ?? []).filter(w => w.name === "purecc_live").map(w => w.panel.run.id)
"""


def stop(server, identity: str) -> None:
    request = urllib.request.Request(f"{server.address}/purecc/runs/{identity}/stop", b"", method="POST")
    urllib.request.urlopen(request, timeout=60).close()


SEED = "() => LiteGraph.createNode('PureCCPureLearning').widgets.find(w => w.name === 'control_after_generate').value"


def test_a_new_node_keeps_its_seed(page):
    assert page.evaluate(SEED) == "fixed"


def test_a_cancelled_run_is_offered_and_goes_on(page, server):
    values = {"name": "offered", "steps": 5000, "sample_every": 0, "drift_prompts": ""}
    node = panels.opened(page, **values)
    panels.queue(page, node)
    wait(page, node, "head.step >= 3")
    server.client.interrupt()
    cancelled = wait(page, node, "head.state === 'cancelled'")

    page.evaluate(panels.WIDGETS, [node, {"steps": 2}])
    panels.queue(page, node)  # which waits for no dialog
    assert wait(page, node, "head.state === 'finished'")["head"]["total"] == 2

    page.evaluate(panels.WIDGETS, [node, {"steps": 5000}])
    before = page.evaluate(RUNS)
    page.evaluate(START)
    dialog = page.locator("dialog.purecc-offer")
    said = dialog.locator("p").inner_text()
    step = int(re.search(r"step (\d+) of 5000", said)[1])
    assert step >= cancelled["head"]["step"] and said == panels.text("offer", name="offered", step=step, total=5000)
    dialog.get_by_role("button", name=panels.text("offer_close")).click()
    page.evaluate("() => queued")
    assert server.client.get_json("/prompt")["exec_info"]["queue_remaining"] == 0
    assert page.evaluate(RUNS) == before

    page.wait_for_timeout(2100)  # an answer holds for a batch
    page.evaluate(START)
    dialog.get_by_role("button", name=panels.text("offer_resume"), exact=True).click()
    running = wait(page, node, f"head.state === 'running' && head.step > {step}")
    assert panels.text("note_resumed", step=step, total=5000) in running["text"]
    assert [row[0] for row in running["rows"]] == list(range(1, len(running["rows"]) + 1)), "the curve is whole"
    stop(server, running["id"])
    wait(page, node, "head.state === 'stopped'")
    page.evaluate(START)  # the run has ended well: nothing to go on with
    page.evaluate("() => queued")
