"""From an empty canvas to a sample of an own concept, with six photos: every click and drag is made and counted."""

from pathlib import Path

import gestures
import panels
from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parents[2]
# Where on the screen a node has its title, the dots of its inputs and outputs, and its settings. Those of a subgraph,
# made anew by a link, take no click before they are drawn, and nothing draws them while the pointer rests.
PLACES = """
title => {
  const node = app.graph.nodes.find(node => node.title === title), canvas = app.canvas.canvas.getBoundingClientRect();
  if (!node) return null;
  app.canvas.draw(true, true);
  const at = ([x, y]) => {
    const [left, top] = app.canvas.ds.convertOffsetToCanvas([x, y]);
    return [left + canvas.x, top + canvas.y];
  };
  const {pos: [x, y], size: [width], widgets = []} = node;
  const slots = kind => Object.fromEntries(
    (node[kind] ?? []).map(({name}, k) => [name, at(node.getConnectionPos(kind === "inputs", k))]));
  return {title: at([x + 60, y - 15]), in: slots("inputs"), out: slots("outputs"),
          settings: Object.fromEntries(
            widgets.filter(w => w.last_y >= 0).map(w => [w.name, at([x + width / 2, y + w.last_y + 10])]))};
}
"""
# The samples in the side bar, once both pictures of the latest are there.
SAMPLES = """
() => {
  const images = [...document.querySelectorAll(".purecc-tab .purecc-panel img")];
  return images.length > 1 && images.every(image => image.naturalWidth) && images.map(image => image.src);
}
"""
# Whether the panel of the node that trained, inside the blueprint's subgraph, began with the dataset.
BEGAN = """
() => {
  const inside = app.graph.nodes.flatMap(node => node.subgraph?.nodes ?? []);
  const widget = inside.flatMap(node => node.widgets ?? []).find(widget => widget.name === "purecc_live");
  return widget.panel.run.before.map(({key}) => key);
}
"""


class Pointer:
    """The mouse of a page. Every press of a button and every drag counts; keys do not."""

    def __init__(self, page):
        self._page, self._mouse, self.actions = page, page.mouse, 0

    def once(self, gesture, *where):
        """A gesture that counts once however often it is made."""
        before = self.actions

        def make():
            self.actions = before
            gesture(*where)

        return make

    def click(self, place):
        self.actions += 1
        self._mouse.click(*place)

    def double_click(self, place):
        self.actions += 2
        self._mouse.dblclick(*place)

    def drag(self, start, end):
        self.actions += 1
        self._mouse.move(*start)
        self._mouse.down()
        self._mouse.move(*end, steps=8)
        self._mouse.up()

    def shift_drag(self, start, end):
        self._page.keyboard.down("Shift")
        self.drag(start, end)
        self._page.keyboard.up("Shift")

    def drop(self, files, place):
        """Drags files from another window of the desktop."""
        self.actions += 1
        session = self._page.context.new_cdp_session(self._page)
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            session.send("Input.dispatchDragEvent", {"type": kind, "x": place[0], "y": place[1], "data": data})


def middle(locator):
    """Where an element is, once it is on the screen."""
    locator.wait_for()
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def places(page, title, setting=None):
    """Where the parts of a node are, once it stands still and the setting, if one is named, is drawn."""
    before = None
    for _ in range(100):
        now = page.evaluate(PLACES, title)
        if now and now == before and (setting is None or setting in now["settings"]):
            return now
        before = now
        page.wait_for_timeout(300)
    raise AssertionError(f"{title} found no place: {before}")


def chosen(page, pointer, name, place, gesture, *where):
    """Opens the search by a gesture, chooses a node and puts it at a place."""
    gestures.repeat(pointer.once(gesture, *where), gestures.search_box(page).wait_for)
    gestures.choose(page, name)
    gestures.place(page, pointer.once(pointer.click, place))


def written(page, pointer, title, name, value):
    """Opens a setting of a node, where it stands by now, and writes its value."""
    field = page.locator(".graphdialog input")
    press = pointer.once(lambda: pointer.click(places(page, title, name)["settings"][name]))
    gestures.repeat(press, field.wait_for)
    page.keyboard.press("Control+A")
    page.keyboard.type(value)
    page.keyboard.press("Enter")
    field.wait_for(state="hidden")


def test_twelve_clicks_and_drags_lead_to_a_sample_of_an_own_concept(page, server, tmp_path):
    examples = sorted((ROOT / "purecc" / "tiny" / "concept").glob("*.png"))
    photos = [tmp_path / f"photo {k}.png" for k in range(1, 7)]
    for source, photo in zip([*examples, examples[0]], photos, strict=True):
        image = Image.open(source)
        (ImageOps.mirror(image) if photo is photos[-1] else image).save(photo)
    page.evaluate("() => app.graph.clear()")
    pointer = Pointer(page)

    chosen(page, pointer, "Learn a concept", (800, 200), pointer.double_click, (800, 300))
    learn = places(page, "Learn a concept")

    (x, y) = learn["in"]["model"]  # a wire that ends on the canvas opens the search
    chosen(page, pointer, "Tiny Checkpoint", (x - 250, y - 40), pointer.shift_drag, (x, y), (x - 200, y - 60))
    base = places(page, "Tiny Checkpoint")
    for kind in ("clip", "vae"):
        pointer.drag(base["out"][kind.upper()], learn["in"][kind])

    pointer.drop(photos, learn["title"])
    places(page, "Image Folder")

    for name, value in (("class_word", "robot"), ("resolution", "96"), ("steps", "3")):
        written(page, pointer, "Learn a concept", name, value)
    pointer.click(middle(page.get_by_test_id("queue-button")))

    sources = page.wait_for_function(SAMPLES, timeout=300_000).json_value()
    assert pointer.actions <= 12
    assert len(set(sources)) > 1, "the base model's beside it"
    page.locator(".purecc-tab").get_by_text(panels.text("finished", total=3)).wait_for()
    assert page.evaluate(BEGAN) == ["phase_read_images", "phase_encode_images"]
    panels.idle(server)
    assert (server.base / "models" / "loras" / "my_concept.safetensors").is_file()
    folder = server.base / "input" / "photos"
    assert sorted(file.name for file in folder.iterdir()) == [photo.name for photo in photos]
