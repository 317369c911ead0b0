// The contact sheets of the open workflow, each on its Concept Dataset node, and the latest in the side bar.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { Sheet } from "./sheet.js";
import { attach, everyNode, nodeAt } from "./views.js";

const DATASET = "PureCCConceptDataset";
const WIDGET = "purecc_sheet";

const sheets = new WeakMap(); // by node
const known = new Map(); // what was shown, by workflow and execution id

export const isDataset = (node) => node?.comfyClass === DATASET;

/** The host would show the sheet as one picture, too small to be read. */
export function hidePicture(node) {
  node.hideOutputImages = true;
  node.onDrawBackground = () => {};
}

/** Listens for sheets. @param latest: called with each, {title, cards}. */
export function receiveSheets(latest) {
  api.addEventListener("executed", ({ detail: { node, display_node: shown, output } }) => {
    if (!output?.purecc_cards) return;
    const sheet = { title: output.purecc_title?.[0] ?? "", cards: output.purecc_cards };
    known.set(`${app.rootGraph?.id} ${shown ?? node}`, sheet);
    place(shown ?? node, sheet);
    latest(sheet);
  });
}

/** Shows every sheet again: the nodes are new ones, or the language is another. */
export function restoreSheets() {
  for (const [key, sheet] of known) {
    const [workflow, path] = key.split(" ");
    if (workflow === String(app.rootGraph?.id)) place(path, sheet);
  }
  for (const node of everyNode()) sheets.get(node)?.draw();
}

function place(path, sheet) {
  const node = nodeAt(path);
  if (!isDataset(node)) return;
  if (!sheets.has(node)) sheets.set(node, attach(node, WIDGET, (grew) => new Sheet(grew)));
  sheets.get(node).show(sheet);
}
