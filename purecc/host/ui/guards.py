"""What every route does: refuse other sites, read a body to its end, and answer so that no cache keeps it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from aiohttp import web

from ..messages import Message

PATIENCE = 5.0
"""Seconds in which a body must arrive."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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


async def read_body(request: web.Request, longest: int) -> bytes:
    """Return a body of at most this many bytes.

    Raises:
        web.HTTPBadRequest: it does not arrive in time, breaks off, or is wrongly compressed.
        web.HTTPRequestEntityTooLarge: it is longer.
    """
    kept, length = bytearray(), 0

    async def read() -> None:
        nonlocal length
        async for piece in request.content.iter_any():
            length += len(piece)
            kept.extend(piece[: max(0, longest - len(kept))])

    try:
        await asyncio.wait_for(read(), PATIENCE)
    except (asyncio.TimeoutError, ConnectionError, web.RequestPayloadError):
        request.content.feed_eof()  # else aiohttp reads on after the answer, and fails there
        broken = refused(web.HTTPBadRequest, Message("bad_body"))
        broken.force_close()  # the next request on this connection cannot be told apart from that body
        raise broken from None
    if length > longest:
        raise web.HTTPRequestEntityTooLarge(longest, length)
    return bytes(kept)


async def read_json(request: web.Request, longest: int) -> Any:
    """Return a body of JSON.

    Raises:
        web.HTTPBadRequest: it is none; and see `read_body`.
    """
    body = await read_body(request, longest)
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise refused(web.HTTPBadRequest, Message("bad_body")) from None
