"""Remake the pictures of the help pages, web/docs/images/NODE.webp, in the real front end.

    python3 scripts/help_pictures.py [NODE ...]

One graph on the small base model is run once; then the nodes of each page, or of those named, are put side by side and
photographed.
"""

import argparse
import io
import json
import sys

import frontend
import host
import studio
from client import Client
from help_graph import GRAPH, LATER, NAME, PAGES

IMAGES = host.ROOT / "web" / "docs" / "images"
WIDEST, MARGIN = 760, 14  # pixels
LARGEST = 60_000  # bytes

ADD = """
graph => {
  const made = (window.made ??= {});
  for (const [key, [type, values]] of Object.entries(graph)) {
    const node = made[key] = LiteGraph.createNode(type);
    app.graph.add(node);
    for (const [name, value] of Object.entries(values)) {
      const widget = node.widgets?.find(widget => widget.name === name);
      if (Array.isArray(value)) made[value[0]].connect(value[1], node, node.findInputSlot(name));
      else if (widget) widget.value = value;
    }
    for (const widget of node.widgets ?? []) if (widget.name === "control_after_generate") widget.value = "fixed";
  }
}
"""
# Puts some nodes side by side, the others, their links and toasts out of sight, and returns the box around them.
PLACE = """
columns => {
  const shown = new Set(columns.flat().map(([key]) => made[key].id)), { canvas } = app;
  app.graph.nodes.filter(node => !shown.has(node.id)).forEach((node, i) => { node.pos = [20000 + 900 * i, 20000] });
  canvas.renderAll ??= canvas.renderLink;
  canvas.renderLink = function (context, from, to, link, ...rest) {
    if (link && !(shown.has(link.origin_id) && shown.has(link.target_id))) return;
    return this.renderAll(context, from, to, link, ...rest);
  };
  let x = 0, bottom = 0;
  for (const column of columns) {
    let y = 0, widest = 0;
    for (const [key, width, height] of column) {
      const node = made[key], least = node.computeSize();
      const folded = (node.flags.collapsed = height === 0);
      node.pos = [x, y];
      if (!folded) node.setSize([width, Math.max(least[1], height ?? 0)]);
      widest = Math.max(widest, width);
      y += (folded ? 0 : node.size[1]) + 60;
    }
    x += widest + 50;
    bottom = Math.max(bottom, y - 60);
  }
  const page = canvas.canvas.getBoundingClientRect(), [left, top] = [90, 200];
  canvas.ds.scale = Math.min(1, (innerHeight - top - 40) / bottom);
  canvas.ds.offset = [(left - page.left) / canvas.ds.scale, (top - page.top) / canvas.ds.scale];
  canvas.deselectAll();
  app.extensionManager.toast.removeAll();
  canvas.setDirty(true, true);
  const { scale } = canvas.ds;
  return { x: left, y: top - 54 * scale, width: (x - 50) * scale, height: (bottom + 54) * scale };
}
"""

# Brings the panel of a training node into view, below the host's bars.
SHOW = """
([key, scale]) => {
  const { canvas } = app, [x, y] = made[key].pos;
  const { y: down } = made[key].widgets.find(widget => widget.name === "purecc_live");
  canvas.ds.scale = scale;
  canvas.ds.offset = [90 / scale - x, 110 / scale - y - down];
  canvas.setDirty(true, true);
}
"""


def photograph(page, columns: list) -> bytes:
    """Return a screenshot of some nodes side by side, PNG."""
    place = page.evaluate(PLACE, columns)
    page.wait_for_timeout(1500)
    box = {"x": place["x"] - MARGIN, "y": place["y"] - MARGIN / 2}
    return page.screenshot(clip=box | {"width": place["width"] + 2 * MARGIN, "height": place["height"] + 1.5 * MARGIN})


def panel(page, key: str, width: int = 480, scale: float = 1) -> bytes:
    """Return a screenshot of the panel on a training node of that width, PNG."""
    page.evaluate(PLACE, [[(key, width)]])
    page.evaluate(SHOW, [key, scale])
    page.wait_for_timeout(1500)
    return page.locator(".purecc-panel:visible").first.screenshot()


def sheet(page, client: Client, key: str, past: dict) -> bytes:
    """Return what a report shows on its node, as it made it."""
    node = str(page.evaluate("key => made[key].id", key))
    return client.image(past["outputs"][node]["images"][0])


def save(name: str, taken: bytes) -> None:
    """Write a page's picture, no wider than it is shown and no larger than need be."""
    from PIL import Image

    picture = Image.open(io.BytesIO(taken)).convert("RGB")
    if picture.width > WIDEST:
        height = round(picture.height * WIDEST / picture.width)
        picture = picture.resize((WIDEST, height), Image.Resampling.LANCZOS)
    for quality in (80, 65, 50, 35):
        file = io.BytesIO()
        picture.save(file, "WEBP", quality=quality, method=6)
        if file.tell() < LARGEST:
            break
    (IMAGES / f"{name}.webp").write_bytes(file.getvalue())


def make(wanted: list[str]) -> None:
    """Make the pictures of these pages, in an environment that has everything."""
    IMAGES.mkdir(exist_ok=True)
    with studio.front_end(1100, 1250) as (page, server):
        client = Client(server.address)
        references = server.base / "input" / NAME
        references.mkdir(parents=True)
        for file in (host.ROOT / "purecc" / "tiny" / "concept").glob("0*"):
            (references / file.name).write_bytes(file.read_bytes())
        page.evaluate("() => app.refreshComboInNodes()")
        page.evaluate("() => app.graph.clear()")
        page.evaluate(ADD, GRAPH)
        ended = frontend.run(page)
        if ended["name"] != "execution_success":
            raise SystemExit(f"The graph ended with {json.dumps(ended)[:2000]}")
        client.wait(ended["prompt_id"])
        past = client.get_json(f"/history/{ended['prompt_id']}")[ended["prompt_id"]]
        page.evaluate("() => app.refreshComboInNodes()")
        page.evaluate(ADD, LATER)
        page.wait_for_timeout(2000)
        for name in wanted:
            shown = PAGES[name]
            if isinstance(shown, list):
                save(name, photograph(page, shown))
            elif shown.endswith("panel"):
                save(name, panel(page, shown.split()[0]))
            else:
                save(name, sheet(page, client, shown.split()[0], past))


def main() -> int:
    """Make the pictures."""
    parser = argparse.ArgumentParser(description="Remake the pictures of the help pages.")
    parser.add_argument("nodes", nargs="*", metavar="NODE", help="only of these pages, such as PureCCModelDrift")
    nodes = parser.parse_args().nodes
    if unknown := set(nodes) - set(PAGES):
        parser.error(f"no such page: {', '.join(sorted(unknown))}")
    return studio.run(__file__, lambda: make(nodes or list(PAGES)))


if __name__ == "__main__":
    sys.exit(main())
