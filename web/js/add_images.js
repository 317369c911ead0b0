// "Add images..." on Image Folder, and on subgraphs that hold one: a file dialog, or files dropped on the node.
// They go where the server has its input, which may be another machine.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { say } from "./words.js";

const FOLDER = "PureCCImageFolder";
const TAKEN = /\.(txt|captions?|text|tags)$/i; // beside images
const OWN = "purecc_folder"; // property: the folder that was made for this node
const BUTTON = "purecc_add_images";

/** The Image Folder that a node is or holds. */
export function folderIn(node) {
  if (node.comfyClass === FOLDER) return node;
  for (const inner of node.subgraph?.nodes ?? []) {
    const found = folderIn(inner);
    if (found) return found;
  }
  return null;
}

/** Lets a node take images: by a button, or on a subgraph, which has no widgets of its own, in its menu; and dropped. */
export function offerImages(node) {
  if (node.isSubgraphNode?.()) offerInMenu(node);
  else {
    const button = node.addWidget("button", BUTTON, null, () => choose(node), { serialize: false });
    button.serialize = false;
    button.label = say("add_images");
  }
  const { onDragOver, onDragDrop } = node;
  node.onDragOver = function (event) {
    return [...(event?.dataTransfer?.items ?? [])].some(({ kind }) => kind === "file") || (onDragOver?.call(this, event) ?? false);
  };
  node.onDragDrop = async function (event) {
    const files = wanted(event.dataTransfer?.files ?? []);
    if (!files.length) return onDragDrop?.call(this, event) ?? false;
    await add(this, files);
    return true;
  };
}

function offerInMenu(node) {
  const { getExtraMenuOptions } = node;
  node.getExtraMenuOptions = function (canvas, options) {
    options.push({ content: say("add_images"), callback: () => choose(this) });
    return getExtraMenuOptions?.call(this, canvas, options);
  };
}

/** Writes the buttons in the language of today. */
export function renameButtons(nodes) {
  for (const node of nodes)
    for (const widget of node.widgets ?? []) if (widget.name === BUTTON) widget.label = say("add_images");
}

const wanted = (files) => [...files].filter(({ name, type }) => type.startsWith("image/") || TAKEN.test(name));

function choose(node) {
  const input = Object.assign(document.createElement("input"), { type: "file", multiple: true, accept: "image/*,.txt,.caption" });
  input.addEventListener("change", () => add(node, wanted(input.files)));
  input.click();
}

/** The folders that the server lists now. */
async function folders() {
  const answer = await api.fetchApi(`/object_info/${FOLDER}`, { cache: "no-store" });
  const [kind, options] = (await answer.json())[FOLDER].input.required.folder;
  return Array.isArray(kind) ? kind : (options?.options ?? []);
}

/** A folder for a node: that which was made for it, or a new one. */
async function folderFor(node) {
  const there = await folders();
  const made = node.properties[OWN];
  if (made && chosen(node) === made && there.includes(made)) return made;
  const base = say("new_folder");
  let [name, number] = [base, 1];
  while (there.includes(name)) name = `${base}_${++number}`;
  return name;
}

const control = (node) => node.widgets?.find(({ name }) => name === "folder") ?? folderIn(node)?.widgets.find(({ name }) => name === "folder");
const chosen = (node) => control(node)?.value;

/** Uploads files into a folder of the server's input, and chooses it on the node. Says what could not be sent. */
export async function add(node, files) {
  if (!files.length) return;
  const { toast } = app.extensionManager;
  try {
    const folder = await folderFor(node);
    const lost = [];
    for (const [k, file] of files.entries()) {
      showProgress(node, say("uploading", { number: k + 1, count: files.length }));
      if (!(await send(file, folder))) lost.push(file.name);
    }
    if (lost.length) toast.add({ severity: "warn", summary: "PureCC", detail: say("not_uploaded", { names: lost.join(", ") }), life: 8000 });
    if (lost.length < files.length) {
      node.properties[OWN] = folder;
      await app.refreshComboInNodes();
      for (const owner of new Set([node, folderIn(node)])) pick(owner, folder);
    }
  } catch {
    toast.add({ severity: "warn", summary: "PureCC", detail: say("unheard"), life: 5000 });
  } finally {
    showProgress(node, say("add_images"));
  }
}

async function send(file, folder) {
  const body = new FormData();
  body.append("image", file, file.name);
  body.append("subfolder", folder);
  body.append("type", "input");
  return (await api.fetchApi("/upload/image", { method: "POST", body })).ok;
}

function showProgress(node, text) {
  const button = node.widgets?.find(({ name }) => name === BUTTON);
  if (button) button.label = text;
  node.setDirtyCanvas?.(true, true);
}

function pick(node, folder) {
  const widget = node?.widgets?.find(({ name }) => name === "folder");
  if (!widget) return;
  const values = widget.options?.values;
  if (Array.isArray(values) && !values.includes(folder)) values.push(folder);
  widget.value = folder;
  widget.callback?.(folder);
}
