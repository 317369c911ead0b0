"""Measure where the memory of a server goes: stock nodes, the pack's loader, and the campaign's bad values.

COMFYUI_PATH=/path/to/ComfyUI python benchmarks/faults/growth.py [--prompts 120] [--only NAME ...]

Each server gets as many prompts; every tenth time its memory is read, from inside.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path += [str(HERE.parent), str(ROOT / "scripts"), str(ROOT / "tests")]

ROWS = HERE / "results" / "growth.jsonl"
EVERY = 10
PROBE = HERE / "probe.py"


def stock(random: Random) -> dict[str, Any]:
    """Return a prompt of stock nodes that loads, samples and decodes; every third is refused."""
    from faults import host

    graph = host._graph()
    graph["base"] = {"class_type": "ProbeLoad", "inputs": {}}
    return varied(graph, random)


def loader(random: Random) -> dict[str, Any]:
    """Return the same prompt with the pack's loader."""
    from faults import host

    return varied(host._graph(), random)


def varied(graph: dict[str, Any], random: Random) -> dict[str, Any]:
    """Return a prompt that no cache has, of a random size."""
    graph["base"]["inputs"]["try"] = random.random()  # read again, as after a fault
    graph["empty"]["inputs"] |= {"width": 64 * random.randint(1, 4), "height": 64 * random.randint(1, 4)}
    graph["text"]["inputs"]["text"] = "a house " * random.randint(1, 5)
    wrong = random.random() < 1 / 3
    graph["sample"]["inputs"] |= {"seed": random.getrandbits(30), "steps": -1 if wrong else random.randint(1, 4)}
    return graph


SERVERS: dict[str, tuple[Callable[[Random], dict[str, Any]] | None, list[str], dict[str, str]]] = {
    "stock nodes, no pack": (stock, [], {}),
    "loader of the pack": (loader, [], {}),
    "bad values": (None, [], {}),
    "bad values, --cache-none": (None, ["--cache-none"], {}),
    "bad values, one arena": (None, [], {"MALLOC_ARENA_MAX": "1"}),
}
"""What is sent (None: the campaign's bad values), options of ComfyUI, and environment."""


def measured(name: str, prompts: int, note: Callable[[dict[str, Any]], None]) -> None:
    """Start a server, send it prompts, and tell what it holds."""
    import serving
    from client import Client

    from faults import host, inputs, world

    make, options, environment = SERVERS[name]
    with tempfile.TemporaryDirectory(prefix="purecc-growth-") as folder:
        base = Path(folder)
        (base / "custom_nodes/probe").mkdir(parents=True)
        weights = ROOT / "purecc/tiny/weights/purecc_tiny.safetensors"
        source = PROBE.read_text(encoding="utf-8").replace("CHECKPOINT", str(weights))
        (base / "custom_nodes/probe/__init__.py").write_text(source, encoding="utf-8")
        host.folder(base)
        if make is not stock:
            serving.link_pack(base)
        if make is None:
            from purecc_pack.purecc.adapters import files

            files.save(host.fitting(), base / "models/loras", base / "models/embeddings")
        os.environ.update(environment)
        server = serving.Server(Path(sys.executable), Path(os.environ["COMFYUI_PATH"]), base, cpu=True, options=options)
        random = Random(18)
        with server:
            client = Client(server.address)
            running = host.Host(server, client, client.object_info(), graph=host._graph())
            tries = inputs.Prompts(running) if make is None else None
            cases = list(tries.graphs.cases()) if tries else []
            Random("18 inputs").shuffle(cases)
            for number in range(prompts + 1):
                if number % EVERY == 0:
                    note({"server": name, "prompts": number, **client.get_json("/probe")})
                if tries:
                    tries.attempt(*cases[number])
                elif make:
                    what, answer = host.submit(running, make(random))
                    if what == "queued":
                        client.wait(answer)
            note({"server": name, "prompts": prompts, "after": "malloc_trim", **client.get_json("/probe", trim=1)})
            client.post("/history", {"clear": True})
            note({"server": name, "prompts": prompts, "after": "history cleared", **client.get_json("/probe", trim=1)})
        world.collect()
        for key in environment:
            del os.environ[key]


def main() -> None:
    """Measure, and write rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=120)
    parser.add_argument("--only", nargs="+", default=list(SERVERS), choices=list(SERVERS))
    options = parser.parse_args()
    from faults import world

    world.prepare()

    def note(row: dict[str, Any]) -> None:
        print(row, flush=True)
        with ROWS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    for name in options.only:
        measured(name, options.prompts, note)


if __name__ == "__main__":
    main()
