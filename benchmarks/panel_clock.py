"""A custom node of the benchmark alone: clocks what the live run does in the server that trains.

GET /panel_clock starts it anew and gives the seconds since: {"steps", "run", "send"}. "run" is the time that a step
waits for `LiveRun.step`, with measuring the memory and handing the event on; "send" is the processor's time in which
the server's own thread writes these events to the pages, beside the training.
"""

import sys
import time

from aiohttp import web
from server import PromptServer

NODE_CLASS_MAPPINGS = {}

spent = {"steps": 0, "run": 0.0, "send": 0.0}
clocked = []


def _clock() -> None:
    live = next(module for name, module in sys.modules.items() if name.endswith(".purecc.host.live"))
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
    told = dict(spent)
    spent.update(steps=0, run=0.0, send=0.0)
    return web.json_response(told)
