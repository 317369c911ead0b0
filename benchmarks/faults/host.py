"""A real server with the pack, for faults that come over HTTP, and the prompt that shows that all is well."""

import atexit
import hashlib
import json
import os
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import serving
from client import Client, ExecutionError, Interrupted
from PIL import Image

from faults import world

PATIENCE = 90.0
"""Seconds in which a prompt must end."""


@dataclass
class Host:
    """A running server.

    Attributes:
        server: the process.
        client: speaks to it.
        info: /object_info.
        well: hash of the pixels of the prompt that shows that all is well.
        graph: that prompt.
        tries: of it.
    """

    server: serving.Server
    client: Client
    info: dict[str, Any]
    well: str = ""
    graph: dict[str, Any] = field(default_factory=dict)
    tries: int = 0

    def alive(self) -> bool:
        """Return whether the process runs."""
        return self.server.process is not None and self.server.process.poll() is None

    def sampled(self) -> str:
        """Return a hash of an image of the base model, sampled and decoded now."""
        self.tries += 1
        graph = json.loads(json.dumps(self.graph))
        graph["base"]["inputs"]["try"] = self.tries  # so that nothing comes from the host's cache
        image = self.client.run(graph, silence=PATIENCE)["shown"]["images"][0]
        with Image.open(BytesIO(self.client.image(image))) as opened:
            return hashlib.sha256(opened.tobytes()).hexdigest()  # the file holds the prompt, too

    def harm(self) -> str:
        """Return what is lost: the server, or the base model as it was."""
        if not self.alive():
            return "the server has ended"
        try:
            now = self.sampled()
        except (ExecutionError, Interrupted, OSError, TimeoutError) as error:
            return f"the next prompt fails: {error}"
        return "" if now == self.well else "the user's model gives another image"


def submit(host: Host, prompt: dict[str, Any]) -> tuple[str, Any]:
    """Queue a prompt; return ("refused", answer), ("broken", text) or ("queued", its id)."""
    body = json.dumps({"prompt": prompt, "client_id": host.client.client_id}).encode()
    request = urllib.request.Request(f"{host.client.address}/prompt", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            answered = json.loads(answer.read())
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        if error.code >= 500:
            return "broken", f"{error.code} {text}"
        return "refused", json.loads(text)
    if answered["node_errors"]:
        host.client.post("/queue", {"delete": [answered["prompt_id"]]})
        host.client.post("/interrupt", {"prompt_id": answered["prompt_id"]})
        return "refused", answered
    return "queued", answered["prompt_id"]


def _graph() -> dict[str, Any]:
    def node(kind: str, **inputs: Any) -> dict[str, Any]:
        return {"class_type": kind, "inputs": inputs}

    sampler = {"seed": 5, "denoise": 1.0, "steps": 2, "cfg": 3.0, "sampler_name": "euler", "scheduler": "simple"}
    wires = {"model": ["base", 0], "positive": ["text", 0], "negative": ["text", 0], "latent_image": ["empty", 0]}
    return {
        "base": node("PureCCTinyCheckpoint"),
        "text": node("CLIPTextEncode", clip=["base", 1], text="a house by a lake"),
        "empty": node("EmptySD3LatentImage", width=64, height=64, batch_size=1),
        "sample": node("KSampler", **wires, **sampler),
        "decoded": node("VAEDecode", samples=["sample", 0], vae=["base", 2]),
        "shown": node("PreviewImage", images=["decoded", 0]),
    }


def folder(base: Path) -> None:
    """Make a folder of training images in the input folder."""
    place = base / "input" / "concept"
    place.mkdir(parents=True)
    for number, colour in enumerate(("red", "blue")):
        Image.new("RGB", (64, 64), colour).save(place / f"{number}.png")
        (place / f"{number}.txt").write_text("a [v] robot", encoding="utf-8")
    Image.new("RGB", (64, 64)).save(base / "input" / "one.png")


def fitting() -> Any:
    """Return an adapter of the embedded base."""
    bench = world.World.made()
    return bench.train(bench.job("LoRA", "an_adapter", layer_wise=False)).adapter


@cache
def shared() -> Host:
    """Return a server with a folder of images and an adapter, started once a process; it ends with it."""
    from purecc_pack.purecc.adapters import files

    base = Path(tempfile.mkdtemp(prefix="purecc-faults-"))
    serving.link_pack(base)
    folder(base)
    files.save(fitting(), base / "models/loras", base / "models/embeddings")
    server = serving.Server(Path(sys.executable), Path(os.environ["COMFYUI_PATH"]), base, cpu=True)
    atexit.register(shutil.rmtree, base, ignore_errors=True)
    server.start()
    atexit.register(server.stop)
    assert server.process is not None
    world.watched = server.process.pid
    client = Client(server.address)
    host = Host(server, client, client.object_info(), graph=_graph())
    host.well = host.sampled()
    return host
