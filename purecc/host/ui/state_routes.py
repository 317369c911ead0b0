"""Serve over HTTP which runs of a prompt can go on, and take the user's answers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

from aiohttp import web

from ..messages import Message
from .guards import fresh, read_json, refused, same_origin

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
        prompt = await read_json(request, LONGEST_PROMPT)
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
