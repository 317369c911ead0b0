"""Remake the pictures of the bundled workflows, by running and showing them in the real front end.

    python3 scripts/pictures.py

docs/quickstart.png shows the graph of 1_try_it with its results. In workflows/, every NAME.jpg is the card of the
gallery: reference images, before and after, all drawn by PureCC Tiny, since no other model is at hand.
"""

import argparse
import io
import json
import sys

import frontend
import host
import studio
from client import Client
from graphs.all import WORKFLOWS
from graphs.families import FAMILIES

ROOT = host.ROOT
FOLDER = ROOT / "workflows"
RUNS = {
    "1_try_it": "purecc/",
    "5_class_images_try_it": "purecc/class_images_",
    "5_two_stages_try_it": "purecc/two_stages_",
}
"""The workflows that run here, and how the names of their pictures begin."""
ROWS = {"references": "reference images", "base": "before", "customised": "after, same seeds"}
TITLES = {
    "1_try_it": "Try it",
    "3_use_your_concept": "Use your concept",
    "4_two_concepts": "Two concepts",
    "5_class_images_try_it": "Two stages on class images: try it",
    "5_two_stages_sd35": "The paper's two stages: SD 3.5",
    "5_two_stages_try_it": "The paper's two stages: try it",
    "6_measure": "Measure",
    **{f"2_teach_{family.key}": f"Teach {family.name}" for family in FAMILIES},
}
CELL, LABEL, HEAD = 120, 22, 40

# Shows the whole graph beside a margin (left, top, right, bottom) and returns where it is on the page.
FIT = """
([left, top, right, bottom]) => {
  const boxes = app.graph.groups.map(group => group._bounding);
  const low = i => Math.min(...boxes.map(box => box[i]));
  const high = i => Math.max(...boxes.map(box => box[i] + box[i + 2]));
  const x = low(0), y = low(1), w = high(0) - x, h = high(1) - y, ds = app.canvas.ds;
  ds.scale = Math.min((innerWidth - left - right) / w, (innerHeight - top - bottom) / h);
  const page = app.canvas.canvas.getBoundingClientRect();
  ds.offset[0] = (left - page.left) / ds.scale - x;
  ds.offset[1] = (top - page.top) / ds.scale - y;
  app.canvas.setDirty(true, true);
  return {x: left, y: top, width: w * ds.scale, height: h * ds.scale};
}
"""

# Closes what lies over the graph: the side bar, which opens by itself for a run inside a blueprint, and toasts.
CLEAR = """
async () => {
  const { command, sidebarTab, toast } = app.extensionManager, open = sidebarTab.activeSidebarTabId;
  if (open) await command.execute(`Workspace.ToggleSidebarTab.${open}`);
  toast.removeAll();
}
"""


def show(page, name: str) -> None:
    """Load a bundled workflow."""
    frontend.load(page, json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def fit(page, margin: tuple[int, int, int, int]) -> dict:
    """Bring the whole graph into view and return its place on the page."""
    place = page.evaluate(FIT, list(margin))
    page.wait_for_timeout(2500)
    return place


def run(page, client: Client, name: str) -> dict[str, list]:
    """Run a workflow and return its pictures by row."""
    from PIL import Image

    show(page, name)
    ended = frontend.run(page)
    if ended["name"] != "execution_success":
        raise SystemExit(f"{name} ended with {json.dumps(ended)[:2000]}")
    page.wait_for_timeout(2000)
    client.wait(ended["prompt_id"])
    past = client.get_json(f"/history/{ended['prompt_id']}")[ended["prompt_id"]]
    rows = {}
    for node, output in past["outputs"].items():
        kind = str(past["prompt"][2][node]["inputs"].get("filename_prefix", "")).removeprefix(RUNS[name])
        if kind in ROWS:
            rows[kind] = [Image.open(io.BytesIO(client.image(image))).convert("RGB") for image in output["images"]]
    return rows


def photograph(page) -> None:
    """Take the screenshot of the workflow that has run."""
    from PIL import Image

    page.evaluate(CLEAR)
    fit(page, (90, 130, 30, 30))
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    shot.quantize(256, method=Image.Quantize.MEDIANCUT).save(ROOT / "docs" / "quickstart.png", optimize=True)


def card(title: str, rows: dict[str, list], foot: str):
    """Return a card of the gallery: rows of square images, each under its name."""
    from PIL import Image, ImageDraw, ImageFont

    width = max(len(rows[kind]) for kind in ROWS)
    sheet = Image.new("RGB", (width * CELL, HEAD + len(ROWS) * (CELL + LABEL)), (30, 31, 36))
    pen = ImageDraw.Draw(sheet)
    pen.text((8, 7), title, fill="white", font=ImageFont.load_default(24))
    pen.text((sheet.width - 8, 17), foot, fill=(160, 164, 172), font=ImageFont.load_default(12), anchor="ra")
    for row, (kind, name) in enumerate(ROWS.items()):
        top = HEAD + row * (CELL + LABEL)
        pen.text((8, top + 3), name, fill="white", font=ImageFont.load_default(14))
        for column, image in enumerate(rows[kind]):
            size = (CELL - 4, CELL - 4)
            sheet.paste(image.resize(size, Image.Resampling.LANCZOS), (column * CELL + 2, top + LABEL))
    return sheet


def make() -> None:
    """Make the pictures, in an environment that has everything."""
    with studio.front_end(2400, 1350) as (page, server):
        rows = {}
        for name in RUNS:
            rows[name] = run(page, Client(server.address), name)
            if name == "1_try_it":
                photograph(page)
        for name in WORKFLOWS:
            foot = "" if name in RUNS else "drawn by PureCC Tiny"
            made = card(TITLES[name], rows.get(name) or rows["1_try_it"], foot)
            made.save(FOLDER / f"{name}.jpg", quality=88)
        for file in FOLDER.glob("*.jpg"):
            if file.stem not in WORKFLOWS:
                file.unlink()


def main() -> int:
    """Make the pictures."""
    argparse.ArgumentParser(description="Remake the pictures of the bundled workflows.").parse_args()
    return studio.run(__file__, make)


if __name__ == "__main__":
    sys.exit(main())
