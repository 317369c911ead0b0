"""What the panel of a run that has ended offers, pressed by the mouse, in both renderers."""

import json

import liveruns
import panels
import pytest

TELL = "detail => app.api.dispatchEvent(new CustomEvent('purecc.run', {detail}))"
CENTRE = """
id => {
  const node = app.graph.getNodeById(id), {ds} = app.canvas;
  ds.scale = 0.7;
  ds.offset = [600 - node.pos[0], 130 - node.pos[1]];
  app.canvas.setDirty(true, true);
}
"""
# The selected nodes: their class, id and name, and where each of their wires comes from.
SELECTED = """
() => [...app.canvas.selectedItems].map(node => ({
  kind: node.comfyClass, id: node.id, name: node.widgets.find(widget => widget.name === "name")?.value,
  wires: Object.fromEntries(node.inputs.filter(({link}) => link != null).map(({name, link}) => {
    const {origin_id, origin_slot} = app.graph.getLink(link), origin = app.graph.getNodeById(origin_id);
    return [name, [origin.comfyClass, origin.outputs[origin_slot].name, origin_id]];
  })),
}))
"""
COUNT = "kind => app.graph.nodes.filter(node => node.comfyClass === kind).length"


@pytest.fixture(params=[False, True], ids=["canvas", "vue"])
def node(request, shared_page) -> int:
    """A training node whose run has ended."""
    setting = "async on => await app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)"
    shared_page.evaluate(setting, request.param)
    found = panels.opened(shared_page, trainer="PureCCPureLearning", name="corgi")
    run = liveruns.made(node=str(found))
    run.step(liveruns.step(1))
    run.end("finished", prompt="a embedding:corgi dog on grass")
    shared_page.evaluate(TELL, json.loads(json.dumps(run.state())))
    panels.wait(shared_page, found, "head.state === 'finished'")
    yield found
    shared_page.evaluate(setting, False)


def press(page, node: int, name: str) -> None:
    page.evaluate(CENTRE, node)
    page.wait_for_timeout(500)
    page.locator(f".purecc-panel .purecc-{name}").click()
    page.wait_for_timeout(500)


def test_use_it_adds_the_adapter_wired_up_once(shared_page, node):
    page = shared_page
    for _ in range(2):
        press(page, node, "use")
        (added,) = page.evaluate(SELECTED)
        assert added["kind"] == "PureCCApplyAdapter" and page.evaluate(COUNT, added["kind"]) == 1
        origins = {name: tuple(wire[:2]) for name, wire in added["wires"].items()}
        base = "PureCCTinyCheckpoint"
        assert origins.pop("adapter") == ("PureCCPureLearning", "adapter") and added["wires"]["adapter"][2] == node
        assert origins == {"model": (base, "MODEL"), "clip": (base, "CLIP")}


def test_train_on_adds_a_copy_that_goes_on(shared_page, node):
    page = shared_page
    press(page, node, "train_on")
    (added,) = page.evaluate(SELECTED)
    assert (added["kind"], added["name"]) == ("PureCCPureLearning", "corgi_more") and added["id"] != node
    assert added["wires"]["train_on"] == ["PureCCPureLearning", "adapter", node]
    assert {"model", "clip", "vae", "dataset", "extractor"} <= set(added["wires"])


def test_copy_prompt_says_what_was_copied(shared_page, node):
    press(shared_page, node, "copy")
    shared_page.get_by_text(panels.text("copied", prompt="a embedding:corgi dog on grass")).last.wait_for()
