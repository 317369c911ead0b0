"""Clock what the live run does in the server that trains; a custom node of the benchmark only.

GET /panel_clock returns the seconds since the last call: {"steps", "run", "send"}. "run" is how long steps wait for
`LiveRun.step`, which measures the memory and hands the event on. "send" is the processor time in which the server's own
thread writes these events to the pages, beside the training.
"""

import sys
import time

from aiohttp import web
from server import PromptServer

NODE_CLASS_MAPPINGS: dict = {}

spent = {"steps": 0, "run": 0.0, "send": 0.0}
clocked: list = []


def _clock() -> None:
    live = next(module for name, module in sys.modules.items() if name.endswith(".purecc.host.ui.live_run"))
    step, send = live.LiveRun.step, PromptServer.instance.send

    def stepping(*args):
        began = time.perf_counter()
        step(*args)
        spent["run"] += time.perf_counter() - began
        spent["steps"] += 1

    async def sending(event, data, sid=None):
        began = time.thread_time()
        await send(event, data, sid)
        spent["send"] += (time.thread_time() - began) * (event == "purecc.run")

    live.LiveRun.step = stepping
    PromptServer.instance.send = sending
    clocked.append(live)


@PromptServer.instance.routes.get("/panel_clock")
async def _spent(request: web.Request) -> web.Response:
    if not clocked:
        _clock()
    measured = dict(spent)
    spent.update(steps=0, run=0.0, send=0.0)
    return web.json_response(measured)
