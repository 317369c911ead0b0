"""What a training node shows of its settings, in both renderers, and what is refused when it is queued."""

import json

import frontend
import panels
import pytest

ADD = """
async type => {
  app.graph.clear();
  app.graph.state.lastNodeId = window.lastNode = (window.lastNode ?? 100) + 10; // the host keeps values by id
  const node = LiteGraph.createNode(type);
  node.pos = [200, 100];
  app.graph.add(node);
  await new Promise(requestAnimationFrame);
}
"""
# The names of the settings that are on the screen, from the top, with the height of the node as it is drawn.
SEEN = """
vue => {
  const [node] = app.graph.nodes;
  const shown = node.widgets.filter(widget => node.isWidgetVisible(widget));
  const drawn = document.querySelector(`[data-node-id="${node.id}"]`); // only the classic renderer draws size
  if (vue) {
    const rows = drawn?.querySelectorAll('[data-testid="node-widget"]') ?? [];
    if (rows.length !== shown.filter(widget => !widget.options?.canvasOnly).length) return null;
  } else if (shown.some((widget, k) => k && widget.y <= shown[k - 1].y)) return null;
  return {names: shown.map(widget => widget.name), line: shown.find(widget => widget.name === "purecc_more")?.label,
          height: vue ? drawn.offsetHeight : node.size[1], needs: node.computeSize()[1]};
}
"""
SET = """
([name, value]) => {
  const [node] = app.graph.nodes, widget = node.widgets.find(widget => widget.name === name);
  widget.value = value;
  widget.callback?.(value);
}
"""
MORE = "() => app.graph.nodes[0].widgets.find(widget => widget.name === 'purecc_more').callback()"
FILE = "() => JSON.parse(JSON.stringify(app.graph.serialize().nodes[0]))"
PURE, STAGE_1 = "PureCCPureLearning", "PureCCTrainExtractor"


@pytest.fixture(params=[False, True], ids=["canvas", "vue"])
def vue(request, shared_page):
    setting = "async on => await app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)"
    shared_page.evaluate(setting, request.param)
    yield request.param
    shared_page.evaluate(setting, False)


def seen(page, vue):
    return page.wait_for_function(SEEN, arg=vue).json_value()


def settings(found):
    return [name for name in found["names"] if name != "purecc_more"]


def test_a_new_node_shows_few_settings_and_unfolds(shared_page, vue):
    page = shared_page
    for kind, first in ((STAGE_1, ["preset", "name", "steps"]), (PURE, ["preset", "name", "steps", "method"])):
        page.evaluate(ADD, kind)
        few = seen(page, vue)
        assert settings(few)[: len(first)] == first and len(few["names"]) <= 10
        assert few["height"] == few["needs"] or vue
        assert few["line"].split()[1:] == ["more", "settings"] and int(few["line"].split()[0]) > 20
        page.evaluate(MORE)
        every = seen(page, vue)
        assert settings(every)[: len(first)] == first and {"timesteps", "precision", "seed"} <= set(every["names"])
        assert len(settings(every)) >= len(settings(few)) + 20 and every["height"] > few["height"]
        page.evaluate(MORE)
        again = seen(page, vue)
        assert again["names"] == few["names"] and (again["height"] == few["height"] or vue)


def test_the_method_and_the_preset_choose_what_is_shown(shared_page, vue):
    page = shared_page
    page.evaluate(ADD, PURE)
    page.evaluate(MORE)
    shown = {}
    for method in ("anchored", "PureCC (paper)", "LoRA", "prior preservation", "DOP"):
        page.evaluate(SET, ["method", method])
        shown[method] = set(seen(page, vue)["names"])
    anchored = {"anchor_weight", "mask", "pool_prompts"}
    paper = {"scale", "v_original"}
    assert anchored <= shown["anchored"] and not (paper | {"eta"}) & shown["anchored"]
    assert paper | {"eta"} <= shown["PureCC (paper)"] and not (anchored | {"pool_images"}) & shown["PureCC (paper)"]
    assert not (anchored | paper | {"eta", "pool_images"}) & shown["LoRA"]
    assert {"eta", "pool_images"} <= shown["prior preservation"] and "pool_images" not in shown["DOP"]
    page.evaluate(SET, ["method", "PureCC (paper)"])
    page.evaluate(SET, ["scale", "fixed"])
    assert "fixed_scale" in seen(page, vue)["names"]
    page.evaluate(MORE)
    page.evaluate(SET, ["preset", "strong"])
    found = seen(page, vue)
    assert "learning_rate" not in found["names"] and len(found["names"]) <= 10
    assert next(v for v in page.evaluate(FILE)["widgets_values"] if v in (400, 800)) == 800, "the preset's steps"
    page.evaluate(SET, ["preset", "custom"])
    found = seen(page, vue)
    assert {"learning_rate", "rank"} <= set(found["names"]) and len(found["names"]) <= 10


def test_files_keep_the_order_of_the_schema_and_their_size(shared_page, vue, server):
    page = shared_page
    page.evaluate(ADD, PURE)
    page.evaluate(SET, ["name", "kept"])
    page.evaluate(MORE)
    page.evaluate(SET, ["best_drift", 0.25])
    page.evaluate(MORE)
    seen(page, vue)
    saved = page.evaluate(FILE)
    info = server.client.object_info()[PURE]["input"]
    kinds = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
    names = [n for part in ("required", "optional") for n, spec in info[part].items() if spec[0] in kinds]
    names.insert(names.index("seed") + 1, "control")
    values = dict(zip(names, saved["widgets_values"], strict=True))
    assert (values["name"], values["best_drift"], values["preset"]) == ("kept", 0.25, "balanced")
    assert (values["control"], values["batch_size"], values["method"]) == ("fixed", 2, "anchored")
    load = "saved => { app.graph.getNodeById(saved.id).configure(structuredClone(saved)) }"
    page.evaluate(load, saved)
    assert page.evaluate(FILE) == saved
    old = saved | {"widgets_values": saved["widgets_values"][: names.index("preset")], "size": [420, 1440]}
    page.evaluate(load, old)
    found = seen(page, vue)
    now = dict(zip(names, page.evaluate(FILE)["widgets_values"], strict=True))
    assert now == values | {"preset": "custom"}, "an older file has settings of its own"
    assert "learning_rate" in found["names"] and found["height"] < 600


def test_a_settings_node_replaces_what_it_holds(shared_page, vue):
    page = shared_page
    page.evaluate(ADD, PURE)
    page.evaluate(MORE)
    assert {"timesteps", "precision", "trace_steps"} <= set(seen(page, vue)["names"])
    page.evaluate("""
() => {
  const [node] = app.graph.nodes, settings = LiteGraph.createNode("PureCCTrainingSettings");
  app.graph.add(settings);
  settings.connect(0, node, node.findInputSlot("settings"));
}
""")
    held = {"alpha", "accumulation", "timesteps", "precision", "deterministic", "drift_every", "trace_steps"}
    found = set(seen(page, vue)["names"])
    assert not held & found and {"seed", "sample_every", "autosave_every"} <= found


def refused(page, node, **values):
    """The inputs that are marked on a node when it is queued, with their messages."""
    page.evaluate(panels.WIDGETS, [node, values])
    found = page.evaluate("async () => { await app.queuePrompt(0, 1); return app.lastNodeErrors }")
    (errors,) = (e["errors"] for key, e in found.items() if key == str(node))
    return {e["extra_info"]["input_name"]: e["details"] for e in errors}


def test_what_cannot_train_is_refused_at_its_field_when_queued(shared_page):
    page = shared_page
    node = panels.opened(page, name="fine", steps=1, sample_every=0)
    fine = {"name": "fine", "trace_steps": "", "best_drift": 0.0}
    for values, field in (
        ({"name": "no/slash"}, "name"),
        ({"trace_steps": "soon"}, "trace_steps"),
        ({"best_drift": 0.1}, "best_drift"),
    ):
        marked = refused(page, node, **{**fine, **values})
        assert list(marked) == [field], json.dumps(marked)
    hidden = "id => app.graph.getNodeById(id).widgets.find(widget => widget.name === 'best_drift').hidden"
    assert not page.evaluate(hidden, node), "it is unfolded"
    page.evaluate(panels.WIDGETS, [node, fine])
    learning = panels.opened(page, trainer="PureCCPureLearning", name="fine", steps=1)
    loose = "id => { const n = app.graph.getNodeById(id); n.disconnectInput(n.findInputSlot('extractor')) }"
    page.evaluate(loose, learning)
    assert list(refused(page, learning, name="fine")) == ["extractor"]
    dataset = page.evaluate("() => app.graph.nodes.find(node => node.comfyClass === 'PureCCConceptDataset').id")
    marked = refused(page, dataset, class_word=" ")
    assert list(marked) == ["class_word"] and "in a word" in marked["class_word"]


def test_a_second_run_with_nothing_changed_trains_nothing(shared_page, server):
    page = shared_page
    node = panels.opened(page, name="twice", steps=1, sample_every=0)
    panels.queue(page, node)
    panels.wait(page, node, "head.state === 'finished'")
    before = [run["id"] for run in server.client.get_json("/purecc/runs")["runs"]]
    ended = frontend.run(page)
    assert ended["name"] == "execution_success"
    assert [run["id"] for run in server.client.get_json("/purecc/runs")["runs"]] == before
