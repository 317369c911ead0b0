"""Serve the live runs over HTTP. Routes take a run's id and, for its samples, prompts."""

from __future__ import annotations

import re

from aiohttp import web

from ...text.texts import prompt
from ..messages import Message
from .guards import fresh, read_body, read_json, refused, same_origin
from .live_run import LiveRun
from .live_runs import RUNS, Runs
from .run_state import REQUESTS, RequestRefused

LONGEST_BODY = 64
"""Bytes of a request that needs no body."""
LONGEST_PROMPTS = 16_384
"""Bytes of the prompts of samples."""


def register(routes: web.RouteTableDef, runs: Runs = RUNS) -> None:
    """Add the routes to a server's table.

    GET /purecc/runs: {"runs": [head, ...]}, see `LiveRun.head`.
    GET /purecc/runs/ID: everything of a run, see `LiveRun.state`.
    GET /purecc/runs/ID/samples/N/base|current|masks: a JPEG; the masks have no number.
    POST /purecc/runs/ID/stop|sample|save: request it; 409 if the run cannot do it now.
    POST /purecc/runs/ID/prompts {"prompts": [text, ...]}: samples of these from now on; 400 if one cannot be read.

    A refusal is a message as JSON: {"key", "values", "text"}.
    """

    def found(request: web.Request) -> LiveRun:
        run = runs.get(request.match_info["id"])
        if run is None:
            raise refused(web.HTTPNotFound, Message("no_run"))
        return run

    @routes.get("/purecc/runs")
    @same_origin
    async def _list(request: web.Request) -> web.Response:
        return fresh({"runs": [run.head() for run in runs.all()]})

    @routes.get("/purecc/runs/{id}")
    @same_origin
    async def _run(request: web.Request) -> web.Response:
        return fresh(found(request).state())

    # Takes any number: the host looks for unknown paths among its files, and fails on a long name.
    @routes.get("/purecc/runs/{id}/samples/{number}/{which}")
    @same_origin
    async def _sample(request: web.Request) -> web.Response:
        run, asked = found(request), request.match_info
        number = int(asked["number"]) if re.fullmatch(r"[0-9]{1,9}", asked["number"]) else -1
        image = run.picture(number, asked["which"])
        if image is None:
            raise refused(web.HTTPNotFound, Message("no_picture"))
        headers = {"Cache-Control": "private, max-age=86400", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=image, content_type="image/jpeg", headers=headers)

    @routes.post(f"/purecc/runs/{{id}}/{{request:{'|'.join(REQUESTS)}}}")
    @same_origin
    async def _request(request: web.Request) -> web.Response:
        if (await read_body(request, LONGEST_BODY)).strip() not in (b"", b"{}"):
            raise refused(web.HTTPBadRequest, Message("no_body"))
        run = found(request)
        try:
            run.request(request.match_info["request"])
        except RequestRefused as refusal:
            raise refused(web.HTTPConflict, refusal.message) from None
        return fresh(run.head())

    @routes.post("/purecc/runs/{id}/prompts")
    @same_origin
    async def _prompts(request: web.Request) -> web.Response:
        asked = await read_json(request, LONGEST_PROMPTS)
        prompts = asked.get("prompts") if isinstance(asked, dict) else None
        if not isinstance(prompts, list) or not all(isinstance(one, str) for one in prompts):
            raise refused(web.HTTPBadRequest, Message("bad_body"))
        run = found(request)
        try:
            for one in prompts:
                prompt(one, run.about.name)
            run.ask_prompts([one for one in prompts if one.strip()])
        except ValueError as error:
            raise refused(web.HTTPBadRequest, Message("bad_prompts", {"error": str(error)})) from None
        except RequestRefused as refusal:
            raise refused(web.HTTPConflict, refusal.message) from None
        return fresh(run.head())


def register_on_server() -> None:
    """Add the routes to the running host's server."""
    from server import PromptServer

    register(PromptServer.instance.routes)
