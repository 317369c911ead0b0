"""The contact sheet on Concept Dataset, of a run that ends well and of one that fails, in both renderers."""

import frontend
import numpy as np
import pytest
from PIL import Image

GRAPH = {
    "1": {"class_type": "PureCCTinyCheckpoint", "inputs": {}},
    "2": {"class_type": "PureCCExampleConcept", "inputs": {}},
    "3": {
        "class_type": "PureCCConceptDataset",
        "inputs": {
            "images": ["2", 0], "captions": "a [v] robot", "class_word": "robot", "kind": "instance",
            "resolution": 96, "crop": "center", "flip": False, "crops": 0, "vae": ["1", 2], "scene": "", "trigger": "",
        },
    },
}  # fmt: skip
FOLDER = {"class_type": "PureCCImageFolder", "inputs": {"folder": "sheet"}}
LOAD = "async graph => { await app.refreshComboInNodes(); await app.loadApiJson(graph, 'sheet') }"
# What is on the sheet of the dataset node once its images are there, and on the node beside it.
SHOWN = """
() => {
  const node = app.graph.getNodeById(3), sheet = node.widgets.find(widget => widget.name === "purecc_sheet")?.panel;
  if (!sheet?.element.checkVisibility()) return null;
  const images = [...sheet.element.querySelectorAll("img")];
  if (!images.length || !images.every(image => image.naturalWidth)) return null;
  const picture = document.querySelector("[data-node-id='3'] .image-preview img") ?? node.imgs?.[0];
  return {title: sheet.title.textContent, cards: [...sheet.grid.children].map(card => card.innerText),
          sources: images.map(image => image.src), first: node.widgets[0].name, picture: Boolean(picture),
          wrong: [...sheet.grid.children].map(card => card.classList.contains("purecc-wrong")),
          wide: images[0].getBoundingClientRect().width / app.canvas.ds.scale,
          fields: sheet.element.querySelectorAll("textarea").length,
          saved: [...JSON.parse(JSON.stringify(node.serialize())).size]};
}
"""

# How tall the dataset node is drawn; newer versions of the host keep what a Vue node's content adds out of its size.
TALL = "() => document.querySelector('[data-node-id=\"3\"]')?.offsetHeight ?? app.graph.getNodeById(3).size[1]"


@pytest.fixture(params=[False, True], ids=["canvas", "vue"])
def vue(request, shared_page):
    setting = "async on => await app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)"
    shared_page.evaluate(setting, request.param)
    yield request.param
    shared_page.evaluate(setting, False)


def run(page, caption=None):
    """How the run ends, and the sheet that is then on the node: another than before."""
    before = page.evaluate(SHOWN)
    if caption is not None:
        page.evaluate(
            "text => { app.graph.getNodeById(3).widgets.find(w => w.name === 'captions').value = text }", caption
        )
    ended = frontend.run(page)
    another = f"old => {{ const now = ({SHOWN})(); return now && String(now.sources) !== String(old?.sources) && now }}"
    return ended, page.wait_for_function(another, arg=before).json_value()


def test_the_sheet_is_on_the_node_and_says_what_is_wrong(shared_page, vue):
    page = shared_page
    page.evaluate(LOAD, GRAPH)
    page.wait_for_function("() => app.graph.getNodeById(3)?.widgets.length > 8")
    page.wait_for_timeout(1000)  # a Vue node takes the height of its content
    size, tall = page.evaluate("() => [...app.graph.getNodeById(3).size]"), page.evaluate(TALL)
    ended, sheet = run(page, "a [v] robot")
    assert ended["name"] == "execution_success"
    assert "learns [v] robot" in sheet["title"] and "All 5 images have the same caption" in sheet["title"]
    assert len(sheet["cards"]) == 5 and all("a robot" in card and "[v] robot" in card for card in sheet["cards"])
    assert sheet["first"] == "purecc_sheet" and not sheet["picture"] and not any(sheet["wrong"])
    assert sheet["wide"] > 100, "readable at the width of the node"
    assert page.evaluate(TALL) > tall and abs(sheet["saved"][1] - size[1]) < 2, "a file holds no sheet"
    ended, sheet = run(page, "a [v] robot\na [v] robot\na toy\na [v] robot\na [v] robot")
    assert ended["name"] == "execution_error"
    assert "Caption 3 of 5" in ended["exception_message"] and "'robot'" in ended["exception_message"]
    (wrong,) = [card for card, is_wrong in zip(sheet["cards"], sheet["wrong"], strict=True) if is_wrong]
    assert "Caption 3 of 5" in wrong and "1 cannot be used" in sheet["title"]
    ended, sheet = run(page, "a [v] robot on red stripes")
    assert ended["name"] == "execution_success" and not any(sheet["wrong"]) and sheet["fields"] == 0


def test_captions_are_edited_on_the_sheet_and_masks_are_shown(shared_page, vue, server):
    page, folder = shared_page, server.base / "input" / "sheet"
    folder.mkdir(parents=True, exist_ok=True)
    for k in (1, 2):
        Image.fromarray(np.full((96, 96, 3), 90 * k, np.uint8)).save(folder / f"{k}.png")
    (folder / "1.txt").write_text(f"a [v] robot on sand {vue}", encoding="utf-8")
    (folder / "2.txt").write_text("a [v] robot on snow", encoding="utf-8")
    mask = np.zeros((96, 96), np.uint8)
    mask[30:60, 30:60] = 255
    Image.fromarray(mask).save(folder / "1-masklabel.png")
    inputs = {**GRAPH["3"]["inputs"], "images": ["2", 0], "captions": ["2", 1], "masks": ["2", 2]}
    graph = {**GRAPH, "2": FOLDER, "3": {**GRAPH["3"], "inputs": inputs}}
    page.evaluate(LOAD, graph)
    page.wait_for_function("() => app.graph.getNodeById(2)?.comfyClass === 'PureCCImageFolder'")
    ended, sheet = run(page)
    assert ended["name"] == "execution_success" and sheet["fields"] == 2 and "same caption" not in sheet["title"]
    field = "() => app.graph.getNodeById(3).widgets[0].panel.element.querySelector('textarea')"
    edit = f"text => {{ const field = ({field})(); field.value = text; field.dispatchEvent(new Event('change')) }}"
    page.evaluate(edit, "a [v] robot  in the rain")
    page.wait_for_function(f"() => ({field})().classList.contains('purecc-edited')")
    assert (folder / "1.txt").read_text(encoding="utf-8") == "a [v] robot in the rain"
    ended, sheet = run(page)
    assert page.evaluate(f"() => ({field})().value") == "a [v] robot in the rain" and "rain" in sheet["cards"][0]
    page.evaluate("() => app.graph.getNodeById(3).widgets[0].panel.toggle.click()")
    masked = page.wait_for_function(
        f"old => {{ const now = ({SHOWN})(); return now?.sources[0] !== old[0] && now?.sources }}",
        arg=sheet["sources"],
    ).json_value()
    assert "_mask" in masked[0] and masked[1] == sheet["sources"][1], "an image without a mask stays"
    if not page.locator(".purecc-tab").count():
        page.evaluate("() => app.extensionManager.command.execute('Workspace.ToggleSidebarTab.purecc.run')")
    assert page.locator(".purecc-tab .purecc-sheet figure").count() == 2, "also in the side bar"
    page.evaluate("() => app.extensionManager.command.execute('Workspace.ToggleSidebarTab.purecc.run')")
