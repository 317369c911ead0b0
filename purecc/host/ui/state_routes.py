"""Serve over HTTP which runs of a prompt can go on, and take the user's answers."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

from aiohttp import web

from ..messages import Message
from .routes import PATIENCE, fresh, refused, same_origin

LONGEST_PROMPT = 16 * 2**20
"""Bytes of a prompt beyond which it is refused."""


def register(
    routes: web.RouteTableDef, offers: Callable[[Any], list[dict[str, Any]]], answer: Callable[[str, bool], None]
) -> None:
    """Add the routes to a server's table.

    POST /purecc/states with a prompt in API format: {"offers": [...]}, see `offers`.
    POST /purecc/states/HASH/resume|anew: remember the answer for the prompt of that hash.

    Args:
        routes: the table.
        offers: returns the runs of a prompt that can go on; it reads files.
        answer: takes the hash of a prompt, and whether to go on.
    """

    @routes.post("/purecc/states")
    @same_origin
    async def _offers(request: web.Request) -> web.Response:
        prompt = await _prompt(request)
        return fresh({"offers": await asyncio.to_thread(offers, prompt)})

    @routes.post("/purecc/states/{hash}/{answer:resume|anew}")
    @same_origin
    async def _answer(request: web.Request) -> web.Response:
        if not re.fullmatch(r"[0-9a-f]{64}", request.match_info["hash"]):
            raise refused(web.HTTPNotFound, Message("no_run"))
        answer(request.match_info["hash"], request.match_info["answer"] == "resume")
        return fresh({})


def register_on_server(offers: Callable[[Any], list[dict[str, Any]]], answer: Callable[[str, bool], None]) -> None:
    """Add the routes to the running host's server; see `register`."""
    from server import PromptServer

    register(PromptServer.instance.routes, offers, answer)


async def _prompt(request: web.Request) -> Any:
    """Return the body as JSON."""
    body = b""

    async def read() -> None:
        nonlocal body
        async for piece in request.content.iter_any():
            body += piece
            if len(body) > LONGEST_PROMPT:
                raise web.HTTPRequestEntityTooLarge(LONGEST_PROMPT, len(body))

    try:
        await asyncio.wait_for(read(), 4 * PATIENCE)
        return json.loads(body)
    except (asyncio.TimeoutError, ConnectionError, web.RequestPayloadError, ValueError, RecursionError):
        raise refused(web.HTTPBadRequest, Message("bad_body")) from None
