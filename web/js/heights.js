// Heights of nodes. A node's own height is the one that it has without views of the pack. The classic renderer needs
// room for them beside it; a Vue node grows with its content, and its own height is only the least that it has.

import { app } from "../../../scripts/app.js";

export const MARGIN = 10; // that the classic renderer leaves around a widget
const SPACING = 4; // and both leave between two
const NEAR = 2; // heights that differ by less are the same

const views = new WeakMap(); // by node: {view, before, room, mounted, own}

export const isVue = () => Boolean(window.LiteGraph?.vueNodesMode);
const title = () => window.LiteGraph.NODE_TITLE_HEIGHT;
const around = (view) => view.height && view.height + 2 * MARGIN + SPACING; // an empty one takes no room

/** The element of a node that the Vue renderer shows now; null if there is none. */
function elementOf(node) {
  if (!isVue() || app.canvas?.graph !== node.graph) return null;
  return document.querySelector(`[data-node-id="${node.id}"]`);
}

/** The least height that a Vue node's element has, whatever is in it. */
function least(node, element) {
  const { style } = element;
  const set = style.getPropertyValue("--node-height") || style.getPropertyValue("--node-height-x"); // of a collapsed one
  return set ? Number.parseFloat(set) - title() : node.size[1];
}

/** A node's height without views of the pack. */
export function ownHeight(node) {
  const { own, mounted, room, before } = views.get(node) ?? {};
  const element = mounted ?? (before === undefined && elementOf(node));
  if (own !== undefined) return own;
  if (element) return least(node, element);
  return room ? node.size[1] - room : (before ?? node.size[1]);
}

/** Gives a node another height without views of the pack. */
export function setOwnHeight(node, height) {
  const at = views.get(node);
  if (at) at.before = height;
  resize(node, height + (isVue() ? 0 : (at?.room ?? 0)));
}

/** The height that the settings of a node need, as far as the classic renderer knows. */
export function neededHeight(node) {
  const { view } = views.get(node) ?? {};
  return node.computeSize()[1] - (view ? around(view) : 0);
}

/** By how much a node is taller than what is in it; negative where a Vue node's content has made it grow. */
export function slack(node) {
  const element = elementOf(node);
  if (!element) return node.size[1] - node.computeSize()[1];
  const set = element.style.getPropertyValue("--node-height");
  element.style.setProperty("--node-height", "0px");
  const needed = element.offsetHeight;
  element.style.setProperty("--node-height", set);
  return Number.parseFloat(set) - needed;
}

export const isNear = (one, other) => Math.abs(one - other) < NEAR;

/** Follows a view that was put on a node: call `settle` whenever it has another height or another place.
 *  @param before: the node's height before. */
export function follow(node, view, before) {
  views.set(node, { view, before, room: 0, mounted: null });
  const observer = new ResizeObserver(() => requestAnimationFrame(() => settle(node)));
  observer.observe(view.element);
  return observer;
}

export function settle(node) {
  const at = views.get(node);
  if (!at || at.own !== undefined || !(at.view.height || at.room)) return;
  if (!isVue()) {
    const own = ownHeight(node);
    Object.assign(at, { before: own, mounted: null, room: around(at.view) });
    resize(node, own + at.room);
    return;
  }
  const element = at.view.element.closest("[data-node-id]");
  if (!element || element === at.mounted) return;
  const own = at.room ? least(node, element) - at.room : ownHeight(node); // the host has added what the content needs
  Object.assign(at, { mounted: element, room: 0 });
  if (least(node, element) - own < NEAR) return;
  // A new element begins with all that the node had. The host measures it again only when its height has changed.
  at.own = own;
  resize(node, element.offsetHeight - title() + 1);
  requestAnimationFrame(() => {
    at.own = undefined;
    resize(node, own);
  });
}

/** The height of a node that belongs into its file, of the one that the host would write. */
export function savedHeight(node, height) {
  if (!isVue()) return ownHeight(node);
  const { view } = views.get(node);
  const element = view.element.closest("[data-node-id]");
  const [all, part] = element ? [element.offsetHeight - title(), view.element.offsetHeight] : [height, view.height];
  return Math.max(ownHeight(node), Math.min(height, all - part - SPACING));
}

function resize(node, height) {
  if (height !== node.size[1]) node.setSize([node.size[0], height]);
  node.setDirtyCanvas(true, true);
}
