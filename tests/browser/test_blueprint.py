"""The blueprint "Learn a concept" in the real front end: found, put on the canvas, wired and run as a user would."""

import io
import json
from pathlib import Path

import frontend
import gestures
import numpy as np
import panels
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent.parent
NAME = "Learn a concept"
BLUEPRINT = ROOT / "subgraphs" / f"{NAME}.json"

# Around the one node of the canvas: a base model, pictures, and a sampler for the model that comes out.
WIRE = """
values => {
  const learn = app.graph.nodes[0];
  const add = (type, given = {}) => {
    const node = LiteGraph.createNode(type);
    app.graph.add(node);
    node.pos = [learn.pos[0] + (type.startsWith("PureCC") ? -300 : 500), 150 * app.graph.nodes.length - 300];
    for (const widget of node.widgets ?? []) if (widget.name in given) widget.value = given[widget.name];
    return node;
  };
  const link = (from, output, to, input) => {
    const slots = [from.findOutputSlot(output), to.findInputSlot(input)];
    if (slots.includes(-1) || !from.connect(slots[0], to, slots[1])) throw new Error(`${output} to ${input}`);
  };
  const base = add("PureCCTinyCheckpoint"), concept = add("PureCCExampleConcept");
  const text = add("CLIPTextEncode", { text: "a embedding:blueprint_robot robot on grass" });
  const nothing = add("CLIPTextEncode", { text: "" });
  const latent = add("EmptySD3LatentImage", { width: 96, height: 96, batch_size: 1 });
  for (const name of ["model", "clip", "vae"]) link(base, name.toUpperCase(), learn, name);
  link(concept, "images", learn, "images");
  link(concept, "captions", learn, "captions");
  for (const widget of learn.widgets) if (widget.name in values) widget.value = values[widget.name];
  const picture = (model, prefix) => {
    const sampler = add("KSampler", { seed: 42, steps: 4, cfg: 4, sampler_name: "euler", scheduler: "simple" });
    const decode = add("VAEDecode"), save = add("SaveImage", { filename_prefix: prefix });
    link(model, "MODEL", sampler, "model");
    link(text, "CONDITIONING", sampler, "positive");
    link(nothing, "CONDITIONING", sampler, "negative");
    link(latent, "LATENT", sampler, "latent_image");
    link(sampler, "LATENT", decode, "samples");
    link(base, "VAE", decode, "vae");
    link(decode, "IMAGE", save, "images");
  };
  link(learn, "CLIP", text, "clip");
  link(learn, "CLIP", nothing, "clip");
  picture(base, "blueprint/base");
  picture(learn, "blueprint/customised");
  for (const name of ["masks", "curves"])
    link(learn, name, add("SaveImage", { filename_prefix: `blueprint/${name}` }), "images");
}
"""
VALUES = {"class_word": "robot", "resolution": 96, "name": "blueprint_robot", "steps": 3, "preset": "quick look"}
OPEN_TAB = "() => app.extensionManager.command.execute('Workspace.ToggleSidebarTab.purecc.run')"
# The node that trains, inside the subgraph: what its panel shows there, and what is then on the screen.
INSIDE = """
async () => {
  const outer = app.rootGraph.nodes.find(node => node.isSubgraphNode?.());
  const inner = outer.subgraph.nodes.find(node => node.comfyClass === "PureCCPureLearning");
  const {panel} = inner.widgets.find(widget => widget.name === "purecc_live");
  const hidden = !panel.element.checkVisibility();
  app.canvas.openSubgraph(outer.subgraph, outer);
  app.canvas.ds.scale = 1;
  app.canvas.ds.offset = [500 - inner.pos[0], 100 - inner.pos[1]];
  app.canvas.setDirty(true, true);
  await new Promise(resolve => setTimeout(resolve, 1000));
  const visible = panel.element.checkVisibility(), {head, rows} = panel.run;
  return {path: `${outer.id}:${inner.id}`, head, rows, hidden, visible, text: panel.element.innerText};
}
"""
DROPPED = "() => app.graph.nodes.length === 1 && app.graph.nodes[0].isSubgraphNode() && app.graph.nodes[0].title"


def drop(page) -> None:
    """Finds the blueprint by the search box and puts it on an empty canvas."""
    page.evaluate("() => app.graph.clear()")
    page.evaluate("() => app.extensionManager.command.execute('Workspace.SearchBox.Toggle')")
    gestures.search_box(page).wait_for()
    gestures.choose(page, NAME)
    gestures.place(page, lambda: page.mouse.click(800, 200))
    page.wait_for_function(DROPPED)


def test_the_blueprint_is_as_the_front_end_saves_it(shared_page):
    """Nothing was added, dropped or mended when it was put on the canvas."""
    saved = json.loads(BLUEPRINT.read_text(encoding="utf-8"))
    drop(shared_page)
    again = shared_page.evaluate("async () => JSON.parse(JSON.stringify((await app.graphToPrompt()).workflow))")
    (was,), (now,) = saved["definitions"]["subgraphs"], again["definitions"]["subgraphs"]
    assert now["name"] == NAME and [node["type"] for node in again["nodes"]] == [now["id"]]
    for kind in ("inputs", "outputs"):
        assert [(slot["name"], slot["type"]) for slot in now[kind]] == [(s["name"], s["type"]) for s in was[kind]]
    for made, node in zip(now["nodes"], was["nodes"], strict=True):
        assert (made["type"], made.get("title") or None) == (node["type"], node.get("title"))
        values = node.get("widgets_values") or []
        assert (made.get("widgets_values") or [])[: len(values)] == values, "those of newer inputs come after"
    assert len(now["links"]) == len(was["links"])
    shown = shared_page.evaluate("() => app.graph.nodes[0].widgets.map(widget => widget.name)")
    assert set(VALUES) <= set(shown)
    assert again["nodes"][0]["widgets_values"] == saved["nodes"][0]["widgets_values"]
    assert again["nodes"][0]["properties"] == saved["nodes"][0]["properties"]


def test_the_nodes_library_lists_the_blueprint(shared_page):
    shared_page.evaluate("() => app.extensionManager.command.execute('Workspace.ToggleSidebarTab.node-library')")
    shared_page.get_by_placeholder("Search").first.fill(NAME)
    shared_page.get_by_text(NAME, exact=True).first.wait_for()


def test_the_blueprint_learns_saves_and_gives_the_model_that_knows(page, server):
    drop(page)
    page.evaluate(WIRE, VALUES)
    page.evaluate(OPEN_TAB)
    ended = frontend.run(page)
    assert ended["name"] == "execution_success", json.dumps(ended)[:3000]
    server.client.wait(ended["prompt_id"])  # the event of the end comes before the history
    past = server.client.get_json(f"/history/{ended['prompt_id']}")[ended["prompt_id"]]
    prompt, made = past["prompt"][2], {}
    (trainer,) = (node for node in prompt.values() if node["class_type"] == "PureCCPureLearning")
    assert trainer["inputs"]["method"] == "anchored"
    assert all(trainer["inputs"][key] == VALUES[key] for key in ("name", "steps", "preset"))
    for node, output in past["outputs"].items():
        if prompt[node]["class_type"] == "SaveImage":
            files = [Image.open(io.BytesIO(server.client.image(image))).convert("RGB") for image in output["images"]]
            made[prompt[node]["inputs"]["filename_prefix"].split("/")[1]] = [np.asarray(file) for file in files]
    assert {prefix: len(images) for prefix, images in made.items()} == {
        "base": 1, "customised": 1, "masks": 5, "curves": 1,
    }  # fmt: skip
    assert all(image.reshape(-1, 3).std(0).max() > 1 for images in made.values() for image in images)
    assert not np.array_equal(made["base"][0], made["customised"][0])
    for kind in ("loras", "embeddings"):
        assert (server.base / "models" / kind / "blueprint_robot.safetensors").is_file()
    inside, beside = page.evaluate(INSIDE), page.locator(".purecc-tab").inner_text()
    assert inside["head"]["node"] == inside["path"] and inside["head"]["state"] == "finished"
    assert [row[0] for row in inside["rows"]] == [1, 2, 3]
    assert inside["hidden"] and inside["visible"], "the panel is where the node is, inside"
    assert inside["text"].startswith(panels.text("finished", total=3))
    assert beside.startswith("Pure Learning · blueprint_robot") and inside["text"].splitlines()[0] in beside
    assert page.locator(".purecc-tab .purecc-chart").evaluate("canvas => canvas.width") > 100
