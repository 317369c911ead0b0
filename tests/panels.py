"""Build a workflow that trains on the embedded base in a page, drive it, and read what its panel shows."""

import time
import uuid

import frontend
import translations

BUILD = """
([learns, above]) => {
  app.graph.clear();
  app.graph.state.lastNodeId = above;
  const add = (type, x, y) => {
    const node = LiteGraph.createNode(type);
    node.pos = [x, y];
    app.graph.add(node);
    return node;
  };
  const base = add("PureCCTinyCheckpoint", 0, 0), concept = add("PureCCExampleConcept", 0, 200);
  const dataset = add("PureCCConceptDataset", 0, 400), trainer = add("PureCCTrainExtractor", 500, 0);
  const save = add("PureCCSaveAdapter", 1000, 0);
  trainer.setSize([420, 1100]); // as in the bundled graphs: the host puts a line of progress there, too
  dataset.widgets.find(widget => widget.name === "class_word").value = "robot";
  dataset.widgets.find(widget => widget.name === "resolution").value = 0;
  for (const [output, input] of [["IMAGE", "images"], ["STRING", "captions"]])
    concept.connect(concept.outputs.findIndex(slot => slot.type === output), dataset,
      dataset.inputs.findIndex(slot => slot.name === input));
  for (const [type, input, to] of [["VAE", "vae", dataset], ["MODEL", "model", trainer], ["CLIP", "clip", trainer],
                                   ["VAE", "vae", trainer]])
    base.connect(base.outputs.findIndex(slot => slot.type === type), to,
      to.inputs.findIndex(slot => slot.name === input));
  dataset.connect(0, trainer, trainer.inputs.findIndex(slot => slot.name === "dataset"));
  let last = trainer;
  if (learns) { // stage 2 of the paper behind it
    last = add("PureCCPureLearning", 1000, 0);
    last.setSize([420, 1400]);
    const values = {name: "before", steps: 2, sample_every: 0, preset: "custom"};
    for (const widget of trainer.widgets) if (widget.name in values) widget.value = values[widget.name];
    last.widgets.find(widget => widget.name === "method").value = "PureCC (paper)";
    for (const [from, output, name] of [[base, "MODEL", "model"], [base, "CLIP", "clip"], [base, "VAE", "vae"]])
      from.connect(from.outputs.findIndex(slot => slot.type === output), last, last.findInputSlot(name));
    dataset.connect(0, last, last.findInputSlot("dataset"));
    trainer.connect(0, last, last.findInputSlot("extractor"));
    save.pos = [1500, 0];
  }
  last.connect(0, save, save.inputs.findIndex(slot => slot.name === "adapter"));
  return JSON.parse(JSON.stringify(app.graph.serialize()));
}
"""
WIDGETS = """
([id, values]) => {
  const node = app.graph.getNodeById(id);
  for (const [name, value] of Object.entries(values)) node.widgets.find(widget => widget.name === name).value = value;
}
"""
QUEUE = """
async id => {
  const run = () => app.graph.getNodeById(id).widgets.find(widget => widget.name === "purecc_live")?.panel.run;
  const before = run()?.id;
  if (!await app.queuePrompt(0, 1)) throw Error(JSON.stringify(app.lastNodeErrors));
  while (!run() || run().id === before) await new Promise(resolve => setTimeout(resolve, 50));
}
"""
# What the panel of a node shows, and its run.
SHOWN = """
id => {
  const widget = app.graph.getNodeById(id)?.widgets?.find(widget => widget.name === "purecc_live");
  if (!widget) return null;
  const panel = widget.panel, {run} = panel, buttons = Object.entries(panel.buttons.button);
  return {
    id: run.id, head: run.head, rows: run.rows, samples: run.samples,
    text: panel.element.innerText,
    plots: panel.chart.drawn.map(({key, lines, box}) => ({key, lines, box})),
    line: panel.line.textContent,
    images: [...panel.samples.strip.querySelectorAll("img")].map(image => [image.alt, image.naturalWidth, image.src]),
    disabled: Object.fromEntries(buttons.map(([request, button]) => [request, button.disabled])),
    titles: Object.fromEntries(buttons.map(([request, button]) => [request, button.title])),
    visible: panel.element.checkVisibility() && panel.element.getBoundingClientRect().height,
    height: panel.height,
  };
}
"""
# What was done before the run that a node's panel shows, with its seconds.
BEFORE = """
id => {
  const {panel} = app.graph.getNodeById(id).widgets.find(widget => widget.name === "purecc_live");
  return panel.run.before.map(({key, seconds}) => [key, seconds]);
}
"""
# How many pixels of each plot have its own colour (within a little, for edges are smoothed).
INKED = """
id => {
  const {panel} = app.graph.getNodeById(id).widgets.find(widget => widget.name === "purecc_live");
  const {canvas} = panel.chart, dense = canvas.width / canvas.clientWidth, context = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  return Object.fromEntries(panel.chart.drawn.map(plot => {
    const hex = style.getPropertyValue(plot.colour).trim();
    const own = [1, 3, 5].map(k => parseInt(hex.slice(k, k + 2), 16));
    const {x, y, width, height} = plot.box;
    const {data} = context.getImageData(x * dense, y * dense, width * dense, height * dense);
    let count = 0;
    for (let k = 0; k < data.length; k += 4)
      count += data[k + 3] > 200 && own.every((value, c) => Math.abs(value - data[k + c]) < 24);
    return [plot.key, count];
  }));
}
"""
# Writes down what the panel of a node shows in each frame that follows news of a run that prepares.
PREPARING = """
id => {
  window.prepared = [];
  app.api.addEventListener("purecc.run", () => requestAnimationFrame(() => {
    const panel = app.graph.getNodeById(id).widgets.find(widget => widget.name === "purecc_live")?.panel;
    const {state, text} = panel?.run.head ?? {};
    if (state !== "preparing" || !text || !panel.line.textContent) return; // not yet drawn at all
    const buttons = Object.entries(panel.buttons.button);
    const off = buttons.filter(([, button]) => button.disabled).map(([request]) => request);
    prepared.push([text, panel.line.textContent, off, panel.chart.drawn.length]);
  }));
}
"""
# How opaque the band of a plot is half-way between its lower edge and the line, where these are apart, its ends aside.
BAND = """
([id, key]) => {
  const {panel} = app.graph.getNodeById(id).widgets.find(widget => widget.name === "purecc_live");
  const {canvas} = panel.chart, dense = canvas.width / canvas.clientWidth, context = canvas.getContext("2d");
  const {lines: [band, median], place} = panel.chart.drawn.find(plot => plot.key === key);
  return band.points.map(([step, low], k) => [place(step, low), place(step, median.points[k][1])])
    .slice(1, -1).filter(([[, bottom], [, middle]]) => bottom - middle > 4)
    .map(([[x, bottom], [, middle]]) => context.getImageData(x * dense, (bottom + middle) / 2 * dense, 1, 1).data[3]);
}
"""


def opened(page, workflow: str = "", trainer: str = "PureCCTrainExtractor", above: int = 0, **values) -> int:
    """Load the workflow into a page, under that id or a new one, and return the training node's id.

    Ids of its nodes begin above `above`. With the trainer "PureCCPureLearning" it has both stages of the paper.
    """
    saved = {**page.evaluate(BUILD, [trainer == "PureCCPureLearning", above]), "id": workflow or str(uuid.uuid4())}
    node = next(node["id"] for node in saved["nodes"] if node["type"] == trainer)
    frontend.load(page, saved)
    page.evaluate(WIDGETS, [node, {"preset": "custom", **values}])
    return node


def queue(page, node: int) -> None:
    """Queue the loaded workflow, and return once a new run of the node is on its panel."""
    page.evaluate(QUEUE, node)


def text(key: str, language: str = "en", **values) -> str:
    """Return a text of the panel."""
    return translations.panel(language)[key].format(**values)


def shown(page, node: int) -> dict | None:
    """Return what the panel of a node shows; None where it has none."""
    return page.evaluate(SHOWN, node)


def wait(page, node: int, condition: str, seconds: float = 300) -> dict:
    """Wait until a condition on the latest run holds, such as "head.step >= 3", and return what is shown then."""
    test = f"""id => {{
      const widget = app.graph.getNodeById(id)?.widgets?.find(widget => widget.name === "purecc_live");
      if (!widget?.panel.run) return false;
      const {{head, rows, samples}} = widget.panel.run;
      return {condition};
    }}"""
    page.wait_for_function(test, arg=node, timeout=seconds * 1000)
    page.wait_for_timeout(300)
    return shown(page, node)


def wait_for_ink(page, node: int, seconds: float = 60) -> None:
    """Wait until every plot has a curve to see: the first steps of a long run are a few pixels wide."""
    seen = f"id => Object.values(({INKED.strip()})(id)).every(count => count > 20)"
    page.wait_for_function(seen, arg=node, timeout=seconds * 1000)


def idle(server, seconds: float = 300) -> None:
    """Wait until a server has nothing more to run: a run ends before the nodes behind the one that trains."""
    end = time.monotonic() + seconds
    while server.client.get_json("/prompt")["exec_info"]["queue_remaining"]:
        assert time.monotonic() < end, "something is still queued"
        time.sleep(0.1)
