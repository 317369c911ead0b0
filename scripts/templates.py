"""Make the bundled workflows and blueprints from their descriptions in scripts/graphs, in the real front end.

    python3 scripts/templates.py [NAME ...]

Files that no description names are removed. Pictures of the workflows are made by scripts/pictures.py.
"""

import argparse
import json
import re
import sys
import uuid
from pathlib import Path

import host
import studio
from graphs.all import BLUEPRINTS, WORKFLOWS
from graphs.describe import Graph

BUILD = (Path(__file__).parent / "graphs" / "build.js").read_text(encoding="utf-8")
FOLDERS = {"workflows": WORKFLOWS, "subgraphs": BLUEPRINTS}
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SPACE = uuid.UUID("3ab9a3ad-5d3f-5a8e-9f3b-6d1f1c2b7a10")


def build(page, name: str, graph: Graph) -> dict:
    """Return a graph as the front end saves it; the same description gives the same file."""
    return settled(page.evaluate(BUILD, graph.json), name)


def settled(saved: dict, name: str) -> dict:
    """Return a saved graph with ids made from its name, without the words of one language and the view of one page."""
    saved.get("extra", {}).pop("ds", None)
    for graph in (saved, *saved.get("definitions", {}).get("subgraphs", ())):
        for node in graph["nodes"]:
            for slot in (*node.get("inputs", ()), *node.get("outputs", ())):
                slot.pop("localized_name", None)
    text = json.dumps(saved, ensure_ascii=False)
    for number, old in enumerate(dict.fromkeys(UUID.findall(text))):
        text = text.replace(old, str(uuid.uuid5(SPACE, f"{name} {number}")))
    return json.loads(text)


def make(wanted: list[str]) -> None:
    """Write these files, or all."""
    with studio.front_end(1366, 768) as (page, server):
        (server.base / "input" / "my_concept").mkdir(parents=True)
        page.evaluate("() => app.refreshComboInNodes()")
        for folder, graphs in FOLDERS.items():
            for name, graph in graphs.items():
                if not wanted or name in wanted:
                    text = json.dumps(build(page, name, graph), ensure_ascii=False)
                    (host.ROOT / folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
                    print(f"{folder}/{name}.json")
    for folder, graphs in FOLDERS.items():
        for file in (host.ROOT / folder).glob("*.json"):
            if file.stem not in graphs:
                file.unlink()


def main() -> int:
    """Make the files."""
    parser = argparse.ArgumentParser(description="Make the bundled workflows and blueprints from scripts/graphs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these, such as 1_try_it")
    names = parser.parse_args().names
    if unknown := set(names) - set(WORKFLOWS) - set(BLUEPRINTS):
        parser.error(f"no such workflow: {', '.join(sorted(unknown))}")
    return studio.run(__file__, lambda: make(names))


if __name__ == "__main__":
    sys.exit(main())
