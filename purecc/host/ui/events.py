"""Send pictures, text and events to the browser."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import ui
from comfy_execution.graph_utils import ExecutionBlocker
from comfy_execution.progress import get_progress_state
from comfy_execution.utils import get_executing_context
from PIL import Image

from ..data.image_tensors import from_pil


def shown(picture: Image.Image) -> dict[str, Any]:
    """Save a picture among the host's previews, and return it as a node's ui output."""
    return ui.PreviewImage(from_pil(picture)).as_dict()


def show(output: dict[str, Any], node_id: str | None) -> None:
    """Show a ui output on a running node at once, for a node that may fail and then return none.

    Args:
        output: see `shown`.
        node_id: the node; nothing happens where it is None.
    """
    server, context = _server(), get_executing_context()
    if server is None or node_id is None or context is None:
        return
    event = {"node": node_id, "display_node": get_progress_state().dynprompt.get_display_node_id(node_id)}
    event |= {"output": output, "prompt_id": context.prompt_id}
    server.send_sync("executed", event, server.client_id)


def say(text: str, node_id: str | None) -> None:
    """Show a line of text on a node."""
    if node_id is not None and (server := _server()) is not None:
        server.send_progress_text(text, node_id)


def send(event: str, data: dict[str, Any]) -> None:
    """Send an event to every open page."""
    if (server := _server()) is not None:
        server.send_sync(event, data)


def blocked(reason: str) -> ExecutionBlocker:
    """Return an output that stops the nodes connected to it, with the reason as their error."""
    return ExecutionBlocker(reason)


def _server() -> Any:
    """Return the host's server; None where the host runs without one."""
    from server import PromptServer

    return getattr(PromptServer, "instance", None)
