// The settings of a training node: few in sight, the others behind one line, none that the method does not use.
// nodes/visibility.py says which are which.

import { isNear, isVue, neededHeight, ownHeight, setOwnHeight, slack } from "./heights.js";
import { isLoading, keepFileOrder, silence, sortWidgets } from "./order.js";
import { say } from "./words.js";

const CUSTOM = "custom";
const AFTER = 100; // where the line stands: behind the shown settings
const REST = 1000;
export const FIRST = -1; // above the settings
export const MORE = "purecc_more";

const folds = new WeakMap(); // by node

/** The hints of an input, as the server sends them. */
function hints(node, name) {
  const { required, optional } = node.constructor.nodeData.input;
  return (required?.[name] ?? optional?.[name])?.[1] ?? {};
}

/** Makes a new training node show few settings. */
export function fold(node) {
  folds.set(node, new Fold(node));
}

/** Shows the setting of a name, if it is folded away. */
export function unfold(node, name) {
  const { open, widgets } = folds.get(node) ?? {};
  if (widgets?.some((widget) => widget.name === name && widget.hidden) && !open) folds.get(node).toggle();
}

/** Draws the line of every node of these again: the language has changed. */
export const rename = (nodes) => nodes.forEach((node) => folds.get(node)?.refresh());

/** Sorts a node's widgets again: another was added. */
export function arrange(node) {
  if (folds.has(node)) folds.get(node).arrange();
  else sortWidgets(node, (widget) => widget.pureccRank ?? 0);
}

class Fold {
  constructor(node) {
    this.node = node;
    this.widgets = [...node.widgets];
    const own = new Map(this.widgets.map((widget, k) => [widget, hints(node, widget.name).purecc?.shown ?? REST + k]));
    this.rank = (widget) => own.get(widget) ?? widget.pureccRank ?? 2 * REST;
    for (const widget of this.widgets) if (widget.options) widget.options.advanced = false; // the host folds these by itself
    const steps = hints(node, "preset").purecc_steps ?? {};
    keepFileOrder(node, () => this.arrange());
    silence(node);
    this.line = node.addWidget("button", MORE, null, () => this.toggle(), { serialize: false });
    this.line.serialize = false;
    this.line.pureccRank = AFTER;
    for (const widget of this.widgets)
      this.after(widget, "callback", () => {
        if (widget.name === "preset" && widget.value in steps) this.find("steps").value = steps[widget.value];
        if (this.preset(widget.name)) this.find("preset").value = CUSTOM; // it was set by hand
        this.refresh();
      });
    this.after(node, "onConnectionsChange", () => {
      const set = ({ name }) => this.preset(name) && this.linked(name);
      if (!isLoading(node) && this.widgets.some(set)) this.find("preset").value = CUSTOM;
      this.refresh();
      requestAnimationFrame(() => this.refresh()); // a Vue node reads its wires anew in between
    });
    this.after(node, "onConfigure", (file) => this.loaded(file));
    this.after(node, "onAdded", () => queueMicrotask(() => this.refresh())); // then its wires are known
    this.find("preset").value = "balanced";
    this.find("steps").value = steps.balanced;
    this.refresh();
    this.fit();
  }

  after(owner, name, then) {
    const before = owner[name];
    owner[name] = function (...values) {
      const out = before?.apply(this, values);
      then(...values);
      return out;
    };
  }

  find(name) {
    return this.widgets.find((widget) => widget.name === name);
  }

  get open() {
    return this.node.properties.purecc_unfolded ?? false;
  }

  /** A file from before there were presets holds settings of its own, and the size for all of them. */
  loaded(file) {
    const k = this.widgets.filter(({ serialize }) => serialize !== false).indexOf(this.find("preset"));
    const old = file.widgets_values && !(k < file.widgets_values.length);
    if (old) this.find("preset").value = CUSTOM;
    this.refresh();
    if (old) this.fit();
  }

  toggle() {
    const { node } = this;
    const [own, spare] = [ownHeight(node), slack(node)];
    node.properties.purecc_unfolded = !this.open;
    this.refresh();
    if (this.open) {
      this.chosen = isNear(spare, 0) ? 0 : own; // 0: it was as tall as what it showed
      if (!isVue()) setOwnHeight(node, (this.given = Math.max(this.chosen, neededHeight(node))));
    } else if (spare <= 0 || isNear(spare, 0) || own === this.given) setOwnHeight(node, Math.max(this.chosen ?? 0, neededHeight(node)));
    this.node.graph?.setDirtyCanvas(true, true);
  }

  /** Whether the other settings give a setting a use. */
  used(name) {
    const { when } = hints(this.node, name).purecc ?? {};
    return Object.entries(when ?? {}).every(([other, values]) => {
      const widget = this.find(other);
      if (widget) return this.linked(other) || values.includes(widget.value);
      return !this.node.inputs.some((input) => input.name === other) || values.includes(this.linked(other));
    });
  }

  /** Whether a preset sets an input. */
  preset(name) {
    return "preset" in (hints(this.node, name).purecc?.when ?? {});
  }

  linked(name) {
    return this.node.inputs.some((input) => input.name === name && input.link != null);
  }

  refresh() {
    let more = 0;
    let last = true; // whether the setting before is shown: the control of a seed goes with it
    for (const widget of this.widgets) {
      const { name } = widget;
      if (!(name in this.inputs)) {
        hide(widget, !last);
        continue;
      }
      const used = this.used(name);
      const folded = hints(this.node, name).purecc?.shown == null;
      more += used && folded && !this.linked(name) ? 1 : 0;
      last = this.linked(name) || (used && (this.open || !folded));
      hide(widget, !last);
    }
    this.line.label = this.open ? say("fewer") : say("more", { count: more });
    this.arrange();
    const every = [...this.node.widgets];
    this.node.widgets = []; // what is hidden is not reactive; the array is, to a change
    this.node.widgets = every;
    this.node.graph?.setDirtyCanvas(true, true);
  }

  get inputs() {
    const { required, optional } = this.node.constructor.nodeData.input;
    return { ...required, ...optional };
  }

  arrange() {
    sortWidgets(this.node, this.rank);
  }

  /** Gives the node the height of what it shows. */
  fit() {
    setOwnHeight(this.node, neededHeight(this.node));
  }
}

function hide(widget, hidden) {
  widget.hidden = hidden;
  if (widget.options) widget.options.hidden = hidden;
}
