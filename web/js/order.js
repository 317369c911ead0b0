// The order in which a node shows its widgets, beside that in which a file holds their values.

const plain = (value) => (value !== null && typeof value === "object" ? JSON.parse(JSON.stringify(value)) : (value ?? null));
const saved = (widget) => widget.serialize !== false;

const loading = new WeakSet(); // nodes whose values are being read, in the order of the file

/** Whether the values of a node are being read; its wires are not in their places then. */
export const isLoading = (node) => loading.has(node);

/** Sorts the widgets of a node by a rank, in a way that the Vue renderer sees. */
export function sortWidgets(node, rank) {
  if (loading.has(node)) return;
  const sorted = [...node.widgets].sort((one, other) => rank(one) - rank(other));
  if (sorted.some((widget, k) => widget !== node.widgets[k])) node.widgets = sorted;
}

/** Lets a node show its widgets in any order: files keep them in the order in which they are now.
 *  @param shown: sorts the widgets for display. */
export function keepFileOrder(node, shown) {
  const order = new Map(node.widgets.map((widget, k) => [widget, k]));
  const rank = (widget) => order.get(widget) ?? Infinity;
  const { configure, onSerialize } = node;
  node.configure = function (info) {
    sortWidgets(this, rank);
    loading.add(this);
    try {
      configure.call(this, info);
    } finally {
      loading.delete(this);
    }
    shown();
  };
  node.onSerialize = function (file) {
    onSerialize?.call(this, file);
    const widgets = this.widgets.filter(saved).sort((one, other) => rank(one) - rank(other));
    file.widgets_values = widgets.map(({ value }) => plain(value));
  };
}

/** Keeps the host from leaving a line of progress on a node, and room for it: views of the pack say more. */
export function silence(node) {
  node.addCustomWidget({
    name: "$$node-text-preview", // where the host looks before it adds its own
    type: "purecc_silent",
    value: "",
    serialize: false,
    hidden: true,
    options: { serialize: false, hidden: true },
    draw() {},
  });
}
