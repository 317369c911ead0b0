"""A training node is as tall as what it shows, whatever came and went on it, unless someone has drawn it taller."""

import json
import re

import liveruns
import panels
import pytest

TELL = "detail => app.api.dispatchEvent(new CustomEvent('purecc.run', {detail}))"
RENDER = "async on => await app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)"
FIT = "id => { const node = app.graph.getNodeById(id); node.setSize([420, node.computeSize()[1]]) }"
FOLD = "id => app.graph.getNodeById(id).widgets.find(widget => widget.name === 'purecc_more').callback()"
# How tall a node is and how tall it has to be, in the renderer that draws it.
HEIGHTS = """
id => {
  const node = app.graph.getNodeById(id), element = document.querySelector(`[data-node-id="${id}"]`);
  if (!LiteGraph.vueNodesMode) return [node.size[1], node.computeSize()[1]];
  const own = element.style.getPropertyValue("--node-height"), height = element.offsetHeight;
  element.style.setProperty("--node-height", "0px");
  const needed = element.offsetHeight;
  element.style.setProperty("--node-height", own);
  return [height, needed];
}
"""
# Opens a subgraph that holds another node, and closes it: then the host makes the elements of the nodes anew.
VISIT = """
async id => {
  const {graph, canvas} = app, save = graph.nodes.find(node => node.comfyClass === "PureCCSaveAdapter");
  const {subgraph, node} = graph.convertToSubgraph(new Set([save]));
  canvas.openSubgraph(subgraph, node);
  await new Promise(resolve => setTimeout(resolve, 500));
  canvas.setGraph(graph);
}
"""
# How far below the panel the first setting is, and below the last one the end of the node; and its height.
GAPS = """
id => {
  const node = document.querySelector(`[data-node-id="${id}"]`), {scale} = app.canvas.ds;
  const edges = element => [element.getBoundingClientRect()].map(({top, bottom}) => [top / scale, bottom / scale])[0];
  const [, panel] = edges(node.querySelector(".purecc-panel")), [start, end] = edges(node);
  const rows = [...node.querySelectorAll('[data-testid="node-widget"]')].filter(row => row.offsetHeight).map(edges);
  const below = rows.filter(([top]) => top >= panel - 1);
  return [Math.min(...below.map(([top]) => top)) - panel, end - Math.max(...below.map(row => row[1])), end - start];
}
"""
CENTRE = """
id => {
  const node = app.graph.getNodeById(id), {ds} = app.canvas;
  ds.scale = 0.5;
  ds.offset = [400 - node.pos[0], 130 - node.pos[1]];
  app.canvas.setDirty(true, true);
}
"""


@pytest.fixture(params=[False, True], ids=["canvas", "vue"])
def vue(request, shared_page):
    shared_page.route(re.compile(r"/samples/\d+/"), lambda route: route.fulfill(status=404))
    shared_page.evaluate(RENDER, request.param)
    yield request.param
    shared_page.evaluate(RENDER, False)
    shared_page.unroute_all()


@pytest.fixture
def node(shared_page, vue) -> int:
    """A training node of the height that it needs."""
    found = panels.opened(shared_page)
    shared_page.evaluate(FOLD, found)
    shared_page.evaluate(FOLD, found)
    shared_page.evaluate(FIT, found)
    return found


def began(page, node: int):
    """A run that prepares: its panel is as low as can be."""
    from purecc_pack.purecc.host.messages import Phase

    run = liveruns.made(node=str(node))
    run.phase(Phase.FIND_MASKS, word="robot", number=2, count=5)
    page.evaluate(TELL, json.loads(json.dumps(run.state())))
    panels.wait(page, node, "head.state === 'preparing'")
    return run


def trained(page, node: int) -> None:
    """A run with curves and a sample: its panel is tall."""
    run = began(page, node)
    for number in range(1, 4):
        run.step(liveruns.step(number, drift=1e-4 * number))
    run.sample([liveruns.sample(3)])
    page.evaluate(TELL, json.loads(json.dumps(run.state())))
    panels.wait(page, node, "samples.length === 1")


def heights(page, node: int) -> tuple[float, float]:
    page.wait_for_timeout(700)
    return page.evaluate(HEIGHTS, node)


def is_tight(page, node: int) -> bool:
    height, needed = heights(page, node)
    return abs(height - needed) < 2


def test_a_panel_and_a_fold_give_back_the_room_that_they_took(shared_page, node):
    page = shared_page
    low = heights(page, node)[0]
    trained(page, node)
    tall = heights(page, node)[0]
    page.evaluate(FOLD, node)
    assert heights(page, node)[0] > tall + 400 > low + 600
    page.evaluate(FOLD, node)
    assert is_tight(page, node)
    began(page, node)
    assert is_tight(page, node) and heights(page, node)[0] < tall - 200


def test_they_do_so_after_a_subgraph_and_another_renderer(shared_page, node, vue):
    page = shared_page
    trained(page, node)
    tall = heights(page, node)[0]
    page.evaluate(VISIT, node)
    page.wait_for_timeout(500)
    began(page, node)
    assert is_tight(page, node) and heights(page, node)[0] < tall - 200
    trained(page, node)
    page.evaluate(RENDER, not vue)
    page.wait_for_timeout(1000)
    began(page, node)
    other = heights(page, node)[0]
    page.evaluate(RENDER, vue)
    page.wait_for_timeout(1000)
    trained(page, node)
    began(page, node)
    assert is_tight(page, node)
    page.evaluate(RENDER, not vue)
    assert heights(page, node)[0] == other


@pytest.mark.parametrize("vue", [True], indirect=True)
def test_a_height_drawn_by_hand_stays(shared_page, node):
    page = shared_page
    trained(page, node)
    height = heights(page, node)[0]
    page.evaluate(CENTRE, node)
    page.wait_for_timeout(500)
    page.locator(f'[data-node-id="{node}"]').hover(position={"x": 30, "y": 10})
    corner = page.locator(f'[data-node-id="{node}"] [data-corner="SE"]').bounding_box()
    x, y = corner["x"] + corner["width"] / 2, corner["y"] + corner["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for more in (50, 100):
        page.mouse.move(x, y + more)
    page.mouse.up()
    drawn = heights(page, node)[0]
    assert abs(drawn - height - 200) < 5
    began(page, node)
    page.evaluate(FOLD, node)
    assert heights(page, node)[0] > drawn
    page.evaluate(FOLD, node)
    assert heights(page, node)[0] == drawn


@pytest.mark.parametrize("vue", [True], indirect=True)
def test_the_room_of_a_height_drawn_by_hand_is_below_the_settings(shared_page, node):
    page = shared_page
    page.evaluate("id => { const node = app.graph.getNodeById(id); node.setSize([420, node.size[1] + 1200]) }", node)
    trained(page, node)
    page.wait_for_timeout(700)
    first, last, whole = page.evaluate(GAPS, node)
    assert first < 12 and last > 300, "of the panel to the first setting, and of the last one to the end"
    assert abs(whole - heights(page, node)[0]) < 2
