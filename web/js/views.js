// Views of the pack on nodes: elements that come and go with what there is to show, and leave no trace in files.

import { app } from "../../../scripts/app.js";
import { arrange, FIRST } from "./fold.js";
import { follow, MARGIN, savedHeight, settle } from "./heights.js";

/** The node of a host's execution id such as "7" or, inside subgraphs, "12:7"; null if it is in another workflow. */
export function nodeAt(path, workflow) {
  let graph = app.rootGraph ?? app.graph;
  if (!path || !graph || (workflow && workflow !== graph.id)) return null;
  const parts = String(path).split(":");
  const last = parts.pop();
  for (const id of parts) graph = graph?.getNodeById(Number(id))?.subgraph;
  return graph?.getNodeById(Number(last)) ?? null;
}

/** All nodes of the open workflow, those in subgraphs too. */
export function everyNode(graph = app.rootGraph ?? app.graph) {
  return (graph?.nodes ?? []).flatMap((node) => [node, ...(node.subgraph ? everyNode(node.subgraph) : [])]);
}

/** Puts a view on a node, above its settings. @param make: (grew) to a view {element, height, remove}, its height in CSS
 *  pixels; grew is to be called when it changes. Returns the view. */
export function attach(node, name, make) {
  const before = node.size[1]; // the host may make room for the empty view
  const view = make(() => settle(node));
  const height = () => view.height && view.height + 2 * MARGIN;
  const widget = node.addDOMWidget(name, name, view.element, {
    serialize: false,
    hideOnZoom: false, // curves are read from afar
    margin: MARGIN,
    getMinHeight: height,
    getMaxHeight: height,
  });
  widget.panel = view;
  widget.serialize = false; // neither in the prompt nor in the file
  widget.pureccRank = FIRST;
  arrange(node);
  const observer = follow(node, view, before);
  // The file has the node's size without the view, which comes and goes.
  const { onSerialize, onRemoved } = node;
  node.onSerialize = function (saved) {
    onSerialize?.call(this, saved);
    saved.size = [saved.size[0], savedHeight(node, saved.size[1])];
  };
  node.onRemoved = function () {
    onRemoved?.call(this);
    observer.disconnect();
    view.remove();
  };
  return view;
}

/** A press on these parts neither drags the node, nor zooms the graph, nor triggers a shortcut of the host. */
export function keepFromGraph(parts) {
  for (const part of parts)
    for (const event of ["pointerdown", "mousedown", "dblclick", "keydown"])
      part.addEventListener(event, (pressed) => pressed.ctrlKey || pressed.metaKey || pressed.stopPropagation());
}
