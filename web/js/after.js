// What can be done with a run that has ended: copy its prompt, use its adapter, train on.

import { app } from "../../../scripts/app.js";
import { nodeOf } from "./nodes.js";
import { beside } from "./place.js";
import { say } from "./words.js";

const APPLY = "PureCCApplyAdapter";

const told = (severity, detail) => app.extensionManager.toast.add({ severity, summary: "PureCC", detail, life: 4000 });
const from = (node, name) => {
  const link = node.graph.getLink(node.inputs.find((input) => input.name === name)?.link);
  return link ? [node.graph.getNodeById(link.origin_id), link.origin_slot] : null;
};
const output = (node) => node?.outputs?.findIndex(({ name }) => name === "adapter") ?? -1;

/** The actions, as Buttons takes them. @param place: an element of the panel. */
export const after = (place) => ({
  copy: { can: ({ head }) => Boolean(head.prompt), act: ({ head }) => copy(head.prompt, place) },
  use: { can: ({ head }) => output(nodeOf(head)) >= 0, act: ({ head }) => use(nodeOf(head)) },
  train_on: { can: ({ head }) => nodeOf(head)?.findInputSlot("train_on") >= 0, act: ({ head }) => trainOn(nodeOf(head), head) },
});

async function copy(text, place) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Browsers lend the clipboard to secure pages only.
    const field = Object.assign(document.createElement("textarea"), { value: text, className: "purecc-unseen" });
    place.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  told("success", say("copied", { prompt: text }));
}

/** Adds Apply Adapter beside a training node, wired up, or shows the one that is there. */
function use(node) {
  const slot = output(node);
  const { graph } = node;
  const there = (node.outputs[slot].links ?? []).map((id) => graph.getNodeById(graph.getLink(id)?.target_id));
  let apply = there.find((one) => one?.comfyClass === APPLY);
  if (!apply) {
    apply = window.LiteGraph.createNode(APPLY);
    graph.add(apply);
    beside(node, apply);
    node.connect(slot, apply, apply.findInputSlot("adapter"));
    for (const name of ["model", "clip"]) {
      const origin = from(node, name);
      if (origin?.[0]) origin[0].connect(origin[1], apply, apply.findInputSlot(name));
    }
  }
  if (app.canvas.graph !== graph) app.canvas.setGraph(graph);
  app.canvas.selectItems([apply]);
  app.canvas.centerOnNode(apply);
  told("success", say("used"));
}

/** Adds a copy of a training node that goes on from what the first has learned. */
function trainOn(node) {
  const { graph } = node;
  const more = node.clone();
  graph.add(more);
  beside(node, more);
  for (const { name, link } of node.inputs) {
    const origin = link == null ? null : from(node, name);
    if (origin?.[0]) origin[0].connect(origin[1], more, more.findInputSlot(name));
  }
  node.connect(output(node), more, more.findInputSlot("train_on"));
  const name = more.widgets.find((widget) => widget.name === "name");
  if (name) name.value = `${name.value}_more`;
  app.canvas.selectItems([more]);
  app.canvas.centerOnNode(more);
  told("success", say("trains_on"));
}
