"""Save a caption that was edited in the browser beside its image, in the host's input folder."""

from __future__ import annotations

import asyncio
from pathlib import Path

import folder_paths
from aiohttp import web

from ...adapters import transaction
from ...text import folder_names as names
from ...text.image_folder import caption_file
from ...text.spelling import plain
from ..messages import Message
from .guards import fresh, read_json, refused, same_origin

LONGEST = 16_384
"""Bytes of a request."""
LONGEST_CAPTION = 4_000
"""Letters of a caption."""


def register(routes: web.RouteTableDef) -> None:
    """Add the route to a server's table.

    POST /purecc/caption {"image": path below the input folder, "text": the caption}: {"file": the caption's file}.
    """

    @routes.post("/purecc/caption")
    @same_origin
    async def _caption(request: web.Request) -> web.Response:
        asked = await read_json(request, LONGEST)
        image, text = (asked.get("image"), asked.get("text")) if isinstance(asked, dict) else (None, None)
        if not isinstance(image, str) or not isinstance(text, str):
            raise refused(web.HTTPBadRequest, Message("bad_body"))
        path = _image(image)
        text = plain(text)
        if len(text) > LONGEST_CAPTION or any(ord(c) < 32 or ord(c) == 127 for c in text):
            raise refused(web.HTTPBadRequest, Message("bad_caption", {"most": LONGEST_CAPTION}))
        try:
            file = await asyncio.to_thread(_write, path, text)
        except OSError as error:
            raise refused(web.HTTPConflict, Message("not_written", {"error": error.strerror or str(error)})) from None
        return fresh({"file": file})


def register_on_server() -> None:
    """Add the route to the running host's server."""
    from server import PromptServer

    register(PromptServer.instance.routes)


def _image(name: str) -> Path:
    """Return the path of an image in the input folder."""
    root = Path(folder_paths.get_input_directory()).resolve()
    try:
        path = (root / name).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        raise refused(web.HTTPNotFound, Message("no_image")) from None
    if not path.is_relative_to(root) or path.parent == root or not path.is_file() or not names.is_image(path):
        raise refused(web.HTTPNotFound, Message("no_image"))
    return path


def _write(image: Path, text: str) -> str:
    """Write the caption of an image, at once or not at all, and return the name of its file."""
    target = caption_file(image)
    if target.is_symlink() or (target.exists() and not target.is_file()):
        raise OSError(0, f"{target.name} is not a plain file")
    transaction.sweep(target.parent)
    transaction.publish({target: text.encode("utf-8")})
    return target.name
