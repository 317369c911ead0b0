"""scripts/workflow.py against the front end's own conversion: stock nodes, subgraphs and every shipped workflow."""

import json
from pathlib import Path

import pytest
import workflow

ROOT = Path(__file__).resolve().parent.parent.parent
SHIPPED = sorted((ROOT / "workflows").glob("*.json"))

# Seeds with a control widget, a dynamic combo, an upload widget, a converted widget fed by a primitive, a reroute, a
# note, a muted and a bypassed node.
STOCK = """
() => {
  app.graph.clear();
  const add = (type, values = {}) => {
    const node = LiteGraph.createNode(type);
    app.graph.add(node);
    for (const [name, value] of Object.entries(values)) node.widgets.find(w => w.name === name).value = value;
    return node;
  };
  const loader = add("CheckpointLoaderSimple");
  const texts = ["a cat, sat", "a dog"].map(text => add("CLIPTextEncode", {text}));
  const latent = add("EmptySD3LatentImage", {width: 192, height: 128, batch_size: 3});
  const sampler = add("KSampler", {seed: 1234567, control_after_generate: "fixed", steps: 7, cfg: 3.5, denoise: 0.5});
  const decode = add("VAEDecode"), scale = add("ImageScale", {width: 99}), reroute = add("Reroute");
  const save = add("SaveImage", {filename_prefix: "a/b"}), muted = add("PreviewImage");
  const resize = add("ResizeAndPadImage"), load = add("LoadImage"), number = add("PrimitiveInt", {value: 33});
  const primitive = LiteGraph.createNode("PrimitiveNode"), note = add("Note");
  app.graph.add(primitive);
  texts.forEach(text => loader.connect(1, text, 0));
  loader.connect(0, sampler, 0); texts[0].connect(0, sampler, 1); texts[1].connect(0, sampler, 2);
  latent.connect(0, sampler, 3); sampler.connect(0, decode, 0); loader.connect(2, decode, 1);
  decode.connect(0, scale, 0); scale.connect(0, reroute, 0); reroute.connect(0, save, 0);
  decode.connect(0, muted, 0); load.connect(0, resize, 0); muted.mode = 2; scale.mode = 4;
  number.connect(0, sampler, sampler.inputs.findIndex(input => input.name === "steps"));
  primitive.connect(0, sampler, sampler.inputs.findIndex(input => input.name === "cfg"));
  return app.graph.serialize();
}
"""
TO_PROMPT = """
async () => {
  const prompt = (await app.graphToPrompt()).output;
  const strip = ({class_type, inputs}) => ({class_type, inputs});
  return Object.fromEntries(Object.entries(prompt).map(([id, node]) => [id, strip(node)]));
}
"""


def convert_in_browser(page, saved: dict) -> dict:
    page.evaluate("async saved => { await app.loadGraphData(saved, true, true) }", saved)
    return page.evaluate(TO_PROMPT)


def test_a_stock_graph_converts_as_in_the_front_end(shared_page, server):
    saved = shared_page.evaluate(STOCK)
    theirs = shared_page.evaluate(TO_PROMPT)
    assert {node["type"] for node in saved["nodes"]} >= {"Note", "Reroute", "PrimitiveNode", "ImageScale"}
    assert len(theirs) == len(saved["nodes"]) - 5  # note, reroute, primitive, muted, bypassed
    assert workflow.to_api(saved, server.client.object_info()) == theirs


@pytest.mark.parametrize("name", ["Text to Image (Qwen-Image)", "Image Depth Estimation (Lotus Depth)"])
def test_a_subgraph_of_the_host_converts_as_in_the_front_end(name, shared_page, server, comfyui):
    blueprint = json.loads((comfyui / "blueprints" / f"{name}.json").read_text(encoding="utf-8"))
    theirs = convert_in_browser(shared_page, blueprint)
    assert any(":" in node for node in theirs)
    assert workflow.to_api(blueprint, server.client.object_info()) == theirs


@pytest.mark.parametrize("file", SHIPPED, ids=[file.stem for file in SHIPPED])
def test_every_shipped_workflow_converts_as_in_the_front_end(file, shared_page, server):
    shipped = json.loads(file.read_text(encoding="utf-8"))
    assert workflow.to_api(shipped, server.client.object_info()) == convert_in_browser(shared_page, shipped)
