// Panels of training nodes that wait for their dataset: they say how far it is, from the moment it is begun.

import { api } from "../../../scripts/api.js";
import { isTrainer, panelOf } from "./nodes.js";
import { Run } from "./run.js";
import { everyNode, nodeAt } from "./views.js";

const ENDS = ["execution_success", "execution_error", "execution_interrupted"];
const SKIPPED = [2, 4]; // modes of muted and bypassed nodes

const waiting = new Map(); // by training node: what its panel showed before

/** The training nodes that a node leads to, into and out of subgraphs. */
function below(node, seen = new Set()) {
  if (!node || seen.has(node) || SKIPPED.includes(node.mode)) return [];
  seen.add(node);
  if (isTrainer(node)) return [node];
  const links = (node.outputs ?? []).flatMap((output) => output.links ?? []).map((id) => node.graph.getLink?.(id) ?? node.graph.links[id]);
  return links.flatMap((link) => {
    const next = node.graph.getNodeById(link.target_id);
    if (next?.subgraph) return everyNode(next.subgraph).filter(isTrainer);
    if (next) return below(next, seen);
    return everyNode().filter(({ subgraph }) => subgraph === node.graph).flatMap((outer) => below(outer, seen)); // the way out
  });
}

/** Shows how far datasets are. @param server: as panels take it; shown: called with what a panel shows, or null for none. */
export function showUpcoming(server, shown) {
  api.addEventListener("purecc.preparing", ({ detail: { node, workflow, phases } }) => {
    for (const trainer of below(nodeAt(node, workflow))) {
      const panel = panelOf(trainer, server);
      if (!waiting.has(trainer)) waiting.set(trainer, panel.run);
      const run = new Run("");
      const now = phases.findLast(({ seconds }) => seconds == null);
      const name = trainer.widgets?.find((widget) => widget.name === "name")?.value ?? "";
      run.head = { state: "preparing", ended: false, phases, message: now, columns: [], title: trainer.title, name, can_stop: false };
      panel.show(run);
      shown(run);
    }
  });
  for (const end of ENDS)
    api.addEventListener(end, () => {
      for (const [trainer, before] of waiting) {
        const panel = panelOf(trainer, server);
        if (isUpcoming(panel.run)) panel.show(before);
      }
      if (waiting.size) shown(null);
      waiting.clear();
    });
}

/** Whether a panel shows what comes before a run, and no run. */
export const isUpcoming = (run) => run?.id === "";
