"""A server that is killed with -9 under an open page: started again, it offers to go on, and the run goes on there."""

import os
import re
import signal
import sys
import time
from pathlib import Path

import panels
import pytest
import serving
from client import Client
from conftest import open_page
from panels import wait

pytestmark = pytest.mark.slow

START = "() => { window.queued = app.queuePrompt(0, 1) }"
STEPS = 5000


@pytest.fixture
def own(comfyui, tmp_path):
    """A server of this test alone."""
    import quick

    serving.link_pack(tmp_path)
    quick.install(tmp_path)
    with serving.Server(Path(sys.executable), comfyui, tmp_path) as running:
        running.client = Client(running.address)
        running.client.post("/settings/Comfy.TutorialCompleted", True)
        yield running


def test_a_killed_run_is_offered_in_the_page_and_goes_on(chromium, own):
    states = own.base / "user" / "__purecc" / "states"
    with open_page(chromium, own) as page:
        values = {"name": "killed", "steps": STEPS, "sample_every": 0, "drift_prompts": "", "state_every": 0.001}
        node = panels.opened(page, **values)
        panels.queue(page, node)
        wait(page, node, "head.step >= 5")
        end = time.monotonic() + 120
        while not list(states.glob("killed.*.safetensors")):
            assert time.monotonic() < end, own.tail()
            time.sleep(0.05)
        os.killpg(own.process.pid, signal.SIGKILL)
        own.process.wait()
        own.start()
        wait(page, node, "head.state === 'lost'")

        page.evaluate(START)
        dialog = page.locator("dialog.purecc-offer")
        said = dialog.locator("p").inner_text()
        step = int(re.search(rf"step (\d+) of {STEPS}", said)[1])
        assert step >= 1 and said == panels.text("offer", name="killed", step=step, total=STEPS)
        dialog.get_by_role("button", name=panels.text("offer_resume"), exact=True).click()
        running = wait(page, node, f"head.state === 'running' && head.step > {step}")
        assert panels.text("note_resumed", step=step, total=STEPS) in running["text"]
        assert [row[0] for row in running["rows"]] == list(range(1, len(running["rows"]) + 1)), "the curve is whole"
        own.client.interrupt()
        wait(page, node, "head.state === 'cancelled'")
