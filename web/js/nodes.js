// The training nodes of the open workflow, and the panel on each.

import { Panel } from "./panel.js";
import { attach, everyNode, nodeAt } from "./views.js";

const TRAINERS = ["PureCCTrainExtractor", "PureCCPureLearning"];
const WIDGET = "purecc_live";

const panels = new WeakMap(); // by node

export const isTrainer = (node) => TRAINERS.includes(node?.comfyClass);

/** The training nodes of the open workflow, those in subgraphs too. */
export const trainers = () => everyNode().filter(isTrainer);

/** The training node of a run; null if it is in another workflow. */
export function nodeOf({ node, workflow }) {
  const found = nodeAt(node, workflow);
  return isTrainer(found) ? found : null;
}

/** The panel of a node, added to it the first time. @param server: as the panel takes it. */
export function panelOf(node, server) {
  if (!panels.has(node)) panels.set(node, attach(node, WIDGET, (grew) => new Panel(server, grew)));
  return panels.get(node);
}
