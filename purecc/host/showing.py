"""What the browser is shown: pictures and a line of text on a node, and events."""

from __future__ import annotations

from comfy_api.latest import ui
from comfy_execution.progress import get_progress_state
from comfy_execution.utils import get_executing_context
from PIL import Image

from .latents import from_pil


def shown(picture: Image.Image) -> dict:
    """A picture as a node's ui output, saved where the host's own previews are."""
    return ui.PreviewImage(from_pil(picture)).as_dict()


def show(output: dict, node_id: str | None) -> None:
    """Shows a ui output on a running node at once, for one that then fails and so returns none.

    Args:
        output: see `shown`.
        node_id: of the node; None: there is nowhere to show it.
    """
    server, context = _server(), get_executing_context()
    if server is None or node_id is None or context is None:
        return
    event = {"node": node_id, "display_node": get_progress_state().dynprompt.get_display_node_id(node_id)}
    event |= {"output": output, "prompt_id": context.prompt_id}
    server.send_sync("executed", event, server.client_id)


def say(text: str, node_id: str | None) -> None:
    """Shows a line of text on a node."""
    if node_id is not None and (server := _server()) is not None:
        server.send_progress_text(text, node_id)


def send(event: str, data: dict) -> None:
    """Tells every open page of an event."""
    if (server := _server()) is not None:
        server.send_sync(event, data)


def _server():
    """The host's server; None where it runs without one."""
    from server import PromptServer

    return getattr(PromptServer, "instance", None)
