"""A small client of a ComfyUI server: queue a prompt, follow it, fetch what it made."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable

from events import Events

Event = Callable[[str, dict], None]


class PromptError(RuntimeError):
    """The server refused a prompt before running it; the message names nodes and inputs."""


class ExecutionError(RuntimeError):
    """A node raised.

    Attributes:
        node: the id of the node.
        node_type: its class.
        exception_type: the class of what it raised.
        traceback: the lines of its traceback.
    """

    def __init__(self, data: dict):
        self.node, self.node_type = data.get("node_id"), data.get("node_type")
        self.exception_type = data.get("exception_type")
        self.traceback = data.get("traceback") or []
        super().__init__(f"{self.node_type} (node {self.node}): {str(data.get('exception_message')).strip()}")


class Interrupted(RuntimeError):
    """The prompt was cancelled."""


class Client:
    """A client of the server at `address`."""

    def __init__(self, address: str):
        self.address = address.rstrip("/")
        self.client_id = uuid.uuid4().hex

    def get(self, path: str, **query) -> bytes:
        """Return the body of a GET."""
        url = f"{self.address}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.read()

    def get_json(self, path: str, **query):
        """Return the JSON body of a GET."""
        return json.loads(self.get(path, **query))

    def post(self, path: str, body: dict | bool | None = None) -> dict:
        """Return the JSON answer to a POST, {} when it is empty."""
        request = urllib.request.Request(
            f"{self.address}{path}", json.dumps(body or {}).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"{}")

    def object_info(self) -> dict:
        """Return the definitions of all nodes."""
        return self.get_json("/object_info")

    def queue(self, prompt: dict, workflow: dict | None = None) -> str:
        """Queue an API-format prompt and return its id.

        Args:
            prompt: {node id: {"class_type", "inputs"}}.
            workflow: the UI-format workflow to embed in saved images.

        Raises:
            PromptError: the server found it invalid, or a part of it. The parts that it accepted do not run either.
        """
        extra = {"extra_pnginfo": {"workflow": workflow}} if workflow else {}
        try:
            answer = self.post("/prompt", {"prompt": prompt, "client_id": self.client_id, "extra_data": extra})
        except urllib.error.HTTPError as error:
            raise PromptError(explain(json.loads(error.read()))) from None
        if answer["node_errors"]:
            self.post("/queue", {"delete": [answer["prompt_id"]]})
            self.post("/interrupt", {"prompt_id": answer["prompt_id"]})
            raise PromptError(explain(answer))
        return answer["prompt_id"]

    def run(
        self, prompt: dict, on_event: Event | None = None, workflow: dict | None = None, silence: float = 600.0
    ) -> dict:
        """Queue a prompt, follow it to its end and return its outputs, {node id: ui output}.

        Args:
            prompt: API format.
            on_event: called with every event (name, data) of the server.
            workflow: UI format, to embed in saved images.
            silence: seconds without any event after which it gives up with TimeoutError.

        Raises:
            PromptError: refused before it ran.
            ExecutionError: a node raised.
            Interrupted: it was cancelled.
        """
        with Events(self.address, self.client_id, silence) as events:
            prompt_id = self.queue(prompt, workflow)
            for name, data in events:
                if on_event:
                    on_event(name, data)
                if data.get("prompt_id") == prompt_id and name in ENDS:
                    break
        return self.wait(prompt_id)

    def wait(self, prompt_id: str, timeout: float = 600.0) -> dict:
        """Return the outputs of a queued prompt once it has ended, raising as `run` does."""
        end = time.monotonic() + timeout
        while prompt_id not in (history := self.get_json(f"/history/{prompt_id}")):
            if time.monotonic() > end:
                raise TimeoutError(f"The prompt did not end within {timeout:.0f} s.")
            time.sleep(0.1)
        for name, data in history[prompt_id]["status"]["messages"]:
            if name == "execution_error":
                raise ExecutionError(data)
            if name == "execution_interrupted":
                raise Interrupted("The prompt was cancelled.")
        return history[prompt_id]["outputs"]

    def image(self, image: dict) -> bytes:
        """Return the bytes of an image as `outputs[node]["images"]` lists it."""
        return self.get("/view", **{key: image[key] for key in ("filename", "subfolder", "type")})

    def interrupt(self) -> None:
        """Cancels what is running."""
        self.post("/interrupt")


ENDS = ("execution_success", "execution_error", "execution_interrupted")


def explain(answer: dict) -> str:
    """Return a refusal of the server in plain lines."""
    error = answer.get("error", "A part of the prompt is invalid")
    lines = [
        f"{error.get('message', error)} {error.get('details', '')}".strip() if isinstance(error, dict) else str(error)
    ]
    for node, problem in (answer.get("node_errors") or {}).items():
        for one in problem["errors"]:
            lines.append(f"  {problem['class_type']} (node {node}): {one['message']}: {one.get('details', '')}")
    return "\n".join(lines)
