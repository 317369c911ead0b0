"""Remakes the pictures of the bundled workflows, by running and showing them in the real front end.

    python3 scripts/pictures.py [--only-graphs]

docs/quickstart.png shows the quickstart's graph with its results. In workflows/, quickstart.jpg shows results, and the
others show their graphs, most because their model is not at hand. With --only-graphs the quickstart is not run.
"""

import argparse
import io
import json
import sys
from pathlib import Path

import frontend
import host
import studio
from client import Client

ROOT = host.ROOT
WORKFLOWS = ROOT / "workflows"
ROWS = {"purecc/references": "references", "purecc/base": "base model", "purecc/customised": "customised, same seeds"}
LOADERS = {"CheckpointLoaderSimple": "checkpoints", "CLIPVisionLoader": "clip_vision", "CLIPLoader": "text_encoders"}
CELL, LABEL = 120, 22

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


def show(page, name: str) -> None:
    """Loads a bundled workflow."""
    frontend.load(page, json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8")))


def fit(page, margin: tuple[int, int, int, int]) -> dict:
    """Brings the whole graph into view and returns its place on the page."""
    place = page.evaluate(FIT, list(margin))
    page.wait_for_timeout(2500)
    return place


def run_quickstart(page, client: Client) -> None:
    """Runs the quickstart, then takes its screenshot and makes its thumbnail."""
    from PIL import Image

    show(page, "quickstart")
    ended = frontend.run(page)
    if ended["name"] != "execution_success":
        raise SystemExit(f"The quickstart ended with {json.dumps(ended)[:2000]}")
    page.wait_for_timeout(2000)
    fit(page, (90, 130, 30, 30))
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    (ROOT / "docs").mkdir(exist_ok=True)
    shot.quantize(256, method=Image.Quantize.MEDIANCUT).save(ROOT / "docs" / "quickstart.png", optimize=True)
    past = client.get_json(f"/history/{ended['prompt_id']}")[ended["prompt_id"]]
    rows = {}
    for node, output in past["outputs"].items():
        title = ROWS.get(past["prompt"][2][node]["inputs"].get("filename_prefix"))
        if title:
            rows[title] = [Image.open(io.BytesIO(client.image(image))) for image in output["images"]]
    contact_sheet({title: rows[title] for title in ROWS.values()}).save(WORKFLOWS / "quickstart.jpg", quality=88)


def contact_sheet(rows: dict):
    """Returns rows of square images, each under its title."""
    from PIL import Image, ImageDraw, ImageFont

    width = max(len(images) for images in rows.values())
    sheet = Image.new("RGB", (width * CELL, len(rows) * (CELL + LABEL)), (30, 31, 36))
    pen = ImageDraw.Draw(sheet)
    for row, (title, images) in enumerate(rows.items()):
        top = row * (CELL + LABEL)
        pen.text((8, top + 3), title, fill="white", font=ImageFont.load_default(14))
        for column, image in enumerate(images):
            size = (CELL - 4, CELL - 4)
            sheet.paste(image.convert("RGB").resize(size, Image.Resampling.LANCZOS), (column * CELL + 2, top + LABEL))
    return sheet


def show_graphs(page, base: Path) -> None:
    """Makes the thumbnails of the other workflows; the files that they name exist in name only."""
    from PIL import Image

    (base / "input" / "my_concept").mkdir()
    for file in sorted(set(WORKFLOWS.glob("*.json")) - {WORKFLOWS / "quickstart.json"}):
        saved = json.loads(file.read_text(encoding="utf-8"))
        for node in saved["nodes"]:
            if node["type"] in LOADERS:
                named = base / "models" / LOADERS[node["type"]] / node["widgets_values"][0]
                named.parent.mkdir(parents=True, exist_ok=True)
                named.touch()
            if node["type"] == "PureCCLoadAdapter":
                placeholder(base / "models" / "loras" / node["widgets_values"][0])
        show(page, file.stem)
        place = fit(page, (20, 60, 20, 20))
        shot = Image.open(io.BytesIO(page.screenshot(clip=place))).convert("RGB")
        shot.thumbnail((1024, 1024), Image.Resampling.LANCZOS)
        shot.save(file.with_suffix(".jpg"), quality=85)


def placeholder(path: Path) -> None:
    """Writes a file that Load Adapter lists: the metadata of an adapter without any tensor."""
    about = {key: "" for key in ("id", "kind", "name", "has_embedding")} | {"format": "1", "part": "lora"}
    header = json.dumps({"__metadata__": {f"purecc.{key}": value for key, value in about.items()}}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(header).to_bytes(8, "little") + header)


def main() -> int:
    """Makes the pictures."""
    parser = argparse.ArgumentParser(description="Remake the pictures of the bundled workflows.")
    parser.add_argument("--only-graphs", action="store_true", help="do not run the quickstart")
    options = parser.parse_args()

    def make() -> None:
        with studio.front_end(2400, 1350) as (page, server):
            if not options.only_graphs:
                run_quickstart(page, Client(server.address))
            page.evaluate("() => app.extensionManager.command.execute('Workspace.ToggleFocusMode')")
            show_graphs(page, server.base)

    return studio.run(__file__, make)


if __name__ == "__main__":
    sys.exit(main())
