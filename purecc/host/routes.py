"""The live runs over HTTP: what they show, and what may be asked of them. A run's id is all that a route takes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import wraps

from aiohttp import web

from .live import RUNS, WISHES, LiveRun, Refused, Runs

LONGEST_BODY = 64
"""Bytes; nothing that is asked for needs a body."""
PATIENCE = 5.0
"""Seconds in which a body must have come."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def register(routes: web.RouteTableDef, runs: Runs = RUNS) -> None:
    """Adds the routes to a server's table.

    GET /purecc/runs: {"runs": [head, ...]}, see `LiveRun.head`.
    GET /purecc/runs/ID: everything of a run, see `LiveRun.state`.
    GET /purecc/runs/ID/samples/N/base|current: a JPEG.
    POST /purecc/runs/ID/stop|sample|save: asks for it; 409 where the run cannot.
    """

    def found(request: web.Request) -> LiveRun:
        run = runs.get(request.match_info["id"])
        if run is None:
            raise web.HTTPNotFound(text="There is no such run.")
        return run

    @routes.get("/purecc/runs")
    @_same_origin
    async def _list(request: web.Request) -> web.Response:
        return _fresh({"runs": [run.head() for run in runs.all()]})

    @routes.get("/purecc/runs/{id}")
    @_same_origin
    async def _run(request: web.Request) -> web.Response:
        return _fresh(found(request).state())

    # Any number is taken here: what no route takes the host looks for among its files, and fails on a long name.
    @routes.get("/purecc/runs/{id}/samples/{number}/{which}")
    @_same_origin
    async def _sample(request: web.Request) -> web.Response:
        run, asked = found(request), request.match_info
        number = int(asked["number"]) if re.fullmatch(r"[0-9]{1,9}", asked["number"]) else -1
        picture = run.picture(number, asked["which"])
        if picture is None:
            raise web.HTTPNotFound(text="There is no such sample.")
        headers = {"Cache-Control": "private, max-age=86400", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=picture, content_type="image/jpeg", headers=headers)

    @routes.post(f"/purecc/runs/{{id}}/{{wish:{'|'.join(WISHES)}}}")
    @_same_origin
    async def _wish(request: web.Request) -> web.Response:
        await _nothing_in(request)
        run = found(request)
        try:
            run.wish(request.match_info["wish"])
        except Refused as refusal:
            raise web.HTTPConflict(text=str(refusal)) from None
        return _fresh(run.head())


def _fresh(data: dict) -> web.Response:
    return web.json_response(data, headers={"Cache-Control": "no-store"})


def _same_origin(handler: Handler) -> Handler:
    """Refuses what another site's page sends, with or without the host's own guard (--enable-cors-header lifts it)."""

    @wraps(handler)
    async def guarded(request: web.Request) -> web.StreamResponse:
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        host = request.headers.get("Host", "").lower()  # HTTP/1.0 need not name any, and then nothing is its own
        other = origin is not None and (not host or origin.partition("://")[2].lower() != host)
        # A browser's word on the site holds behind a proxy too, where the host's name is another.
        if site not in (None, "none", "same-origin") or (site is None and other):
            raise web.HTTPForbidden(text="This was asked from another site.")
        return await handler(request)

    return guarded


async def _nothing_in(request: web.Request) -> None:
    """Refuses a body other than none or {}."""
    try:
        body = await asyncio.wait_for(_beginning(request), PATIENCE)
    except (asyncio.TimeoutError, ConnectionError, web.RequestPayloadError):  # broken off, or not compressed as it says
        request.content.feed_eof()  # else aiohttp reads on after the answer, and fails there
        refused = web.HTTPBadRequest(text="The request's body cannot be read.")
        refused.force_close()  # what would come next on this connection cannot be told from that body
        raise refused from None
    if len(body) > LONGEST_BODY:
        raise web.HTTPRequestEntityTooLarge(LONGEST_BODY, len(body))
    if body.strip() not in (b"", b"{}"):
        raise web.HTTPBadRequest(text="Nothing is to be said here but the run's id.")


async def _beginning(request: web.Request) -> bytes:
    """Of a body that is read to its end, in however many pieces it comes: enough to see whether it is too long."""
    kept = b""
    async for piece in request.content.iter_any():
        kept = (kept + piece)[: LONGEST_BODY + 1]
    return kept
