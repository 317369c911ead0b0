"""The address that `scripts/quickstart.py --open` prints opens the graph in a browser that has never been there."""

import contextlib
import json
import re
import sys
from types import SimpleNamespace

import frontend
import host
import quickstart

GRAPH = """
() => window.app?.graph?.nodes?.some(node => node.type === "PureCCExampleConcept") &&
  app.graph.nodes.map(node => [Number(node.id), node.type])
"""
IN_THE_WAY = "() => [...document.querySelectorAll('[role=dialog], [role=alertdialog]')].map(shown => shown.innerText)"


def test_the_printed_address_opens_the_graph(chromium, server, comfyui, tmp_path, monkeypatch, capsys):
    looked = []

    def wait():
        (address,) = re.findall(r"^The workflow is open at (\S+)$", capsys.readouterr().out, re.MULTILINE)
        context = chromium.new_context(viewport={"width": 1600, "height": 1000})
        page = context.new_page()
        frontend.visit(page, address)
        found = page.wait_for_function(GRAPH, timeout=180_000).json_value()
        page.wait_for_timeout(1000)
        looked.append((found, page.evaluate(IN_THE_WAY), page.title()))
        context.close()

    @contextlib.contextmanager
    def running(*_):
        yield SimpleNamespace(address=server.address, wait=wait)

    monkeypatch.setattr(sys, "argv", ["quickstart.py", "--open"])
    monkeypatch.setattr(host, "CACHE", tmp_path)
    monkeypatch.setattr(host, "prepare", lambda given: host.Host(sys.executable, comfyui))
    monkeypatch.setattr(quickstart.serving, "Server", running)
    monkeypatch.setattr(quickstart, "run", lambda *_: {"seconds": 1.0, "images": {}, "adapters": {}})
    quickstart.main()
    saved = json.loads((quickstart.ROOT / "workflows" / f"{quickstart.WORKFLOW}.json").read_text(encoding="utf-8"))
    ((nodes, in_the_way, title),) = looked
    assert sorted(nodes) == sorted([node["id"], node["type"]] for node in saved["nodes"])
    assert in_the_way == [] and quickstart.WORKFLOW in title
