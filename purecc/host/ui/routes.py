"""Serve the live runs over HTTP. Routes take only a run's id."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from aiohttp import web

from ..messages import Message
from .live_run import LiveRun
from .live_runs import RUNS, Runs
from .run_state import REQUESTS, RequestRefused

LONGEST_BODY = 64
"""Bytes; no request needs a body."""
PATIENCE = 5.0
"""Seconds in which a body must arrive."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def register(routes: web.RouteTableDef, runs: Runs = RUNS) -> None:
    """Add the routes to a server's table.

    GET /purecc/runs: {"runs": [head, ...]}, see `LiveRun.head`.
    GET /purecc/runs/ID: everything of a run, see `LiveRun.state`.
    GET /purecc/runs/ID/samples/N/base|current|masks: a JPEG; the masks have no number.
    POST /purecc/runs/ID/stop|sample|save: request it; 409 if the run cannot do it now.

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
        await _check_empty(request)
        run = found(request)
        try:
            run.request(request.match_info["request"])
        except RequestRefused as refusal:
            raise refused(web.HTTPConflict, refusal.message) from None
        return fresh(run.head())


def register_on_server() -> None:
    """Add the routes to the running host's server."""
    from server import PromptServer

    register(PromptServer.instance.routes)


def fresh(data: dict[str, Any]) -> web.Response:
    """Return an answer that no cache keeps."""
    return web.json_response(data, headers={"Cache-Control": "no-store"})


def refused(kind: type[web.HTTPClientError], message: Message) -> web.HTTPClientError:
    """Return the error that refuses a request with a message."""
    return kind(text=json.dumps(message.as_json()), content_type="application/json")


def same_origin(handler: Handler) -> Handler:
    """Refuse requests from other sites' pages, even where --enable-cors-header lifts the host's own guard."""

    @wraps(handler)
    async def guarded(request: web.Request) -> web.StreamResponse:
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        host = request.headers.get("Host", "").lower()  # HTTP/1.0 may send none, and then no origin is its own
        other = origin is not None and (not host or origin.partition("://")[2].lower() != host)
        # Sec-Fetch-Site holds behind a proxy too, where the host's name differs.
        if site not in (None, "none", "same-origin") or (site is None and other):
            raise refused(web.HTTPForbidden, Message("other_site"))
        return await handler(request)

    return guarded


async def _check_empty(request: web.Request) -> None:
    """Refuse a body other than none or {}."""
    try:
        body = await asyncio.wait_for(_beginning(request), PATIENCE)
    except (asyncio.TimeoutError, ConnectionError, web.RequestPayloadError):  # broken off, or wrongly compressed
        request.content.feed_eof()  # else aiohttp reads on after the answer, and fails there
        broken = refused(web.HTTPBadRequest, Message("bad_body"))
        broken.force_close()  # the next request on this connection cannot be told apart from that body
        raise broken from None
    if len(body) > LONGEST_BODY:
        raise web.HTTPRequestEntityTooLarge(LONGEST_BODY, len(body))
    if body.strip() not in (b"", b"{}"):
        raise refused(web.HTTPBadRequest, Message("no_body"))


async def _beginning(request: web.Request) -> bytes:
    """Read a body to its end, and return enough of it to see whether it is too long."""
    kept = b""
    async for piece in request.content.iter_any():
        kept = (kept + piece)[: LONGEST_BODY + 1]
    return kept
