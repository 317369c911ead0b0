// "Add images..." on Image Folder and on what learns from images, subgraphs too: a file dialog, or files dropped on the
// node. They go where the server has its input, which may be another machine.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { beside } from "./place.js";
import { say } from "./words.js";

const FOLDER = "PureCCImageFolder";
const DATASET = "PureCCConceptDataset";
const TAKEN = /\.(txt|captions?|text|tags)$/i; // beside images
const OWN = "purecc_folder"; // property: the folder that was made for this node
const BUTTON = "purecc_add_images";

/** The node of a class that a node is or holds. */
function find(node, type) {
  if (node.comfyClass === type) return node;
  for (const inner of node.subgraph?.nodes ?? []) {
    const found = find(inner, type);
    if (found) return found;
  }
  return null;
}

const folderIn = (node) => find(node, FOLDER);

/** Whether a node has use for images: it holds an Image Folder, or learns from images that come over a wire. */
export const takesImages = (node) => Boolean(folderIn(node) || find(node, DATASET));

/** Where the images of a node come from: {link: its wire, if any, source: a node that is or holds an Image Folder}. */
function origin(node) {
  if (folderIn(node)) return { source: node };
  const link = node.inputs?.find(({ name }) => name === "images")?.link ?? null;
  const source = link === null ? null : node.graph.getNodeById(node.graph.getLink(link)?.origin_id);
  return { link, source: source && folderIn(source) ? source : null };
}

/** Whether a node can take images now: they are not wired to something else. */
function free(node) {
  const { link, source } = origin(node);
  return Boolean(source) || (link === null && node.inputs?.some(({ name }) => name === "images"));
}

/** Adds an Image Folder beside a node, wired to its inputs that are free. */
function wired(node) {
  const { graph } = node;
  const folder = window.LiteGraph.createNode(FOLDER);
  graph.add(folder);
  beside(node, folder, true);
  for (const [slot, { name }] of folder.outputs.entries()) {
    const input = node.findInputSlot(name);
    if (input >= 0 && node.inputs[input].link == null) folder.connect(slot, node, input);
  }
  return folder;
}

/** Lets a node take images: Image Folder by a button, others in their menu; and dropped. */
export function offerImages(node) {
  if (node.comfyClass !== FOLDER) offerInMenu(node);
  else {
    const button = node.addWidget("button", BUTTON, null, () => choose(node), { serialize: false });
    button.serialize = false;
    button.label = say("add_images");
  }
  const { onDragOver, onDragDrop } = node;
  node.onDragOver = function (event) {
    return (free(this) && [...(event?.dataTransfer?.items ?? [])].some(({ kind }) => kind === "file")) || (onDragOver?.call(this, event) ?? false);
  };
  node.onDragDrop = async function (event) {
    const files = free(this) ? wanted(event.dataTransfer?.files ?? []) : [];
    if (!files.length) return onDragDrop?.call(this, event) ?? false;
    await add(this, files);
    return true;
  };
}

function offerInMenu(node) {
  const { getExtraMenuOptions } = node;
  node.getExtraMenuOptions = function (canvas, options) {
    if (free(this)) options.push({ content: say("add_images"), callback: () => choose(this) });
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

/** A folder for a node: that which was made for it, or a new one. @param node: null where there is none yet. */
async function folderFor(node) {
  const there = await folders();
  const made = node?.properties[OWN];
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
    const { source } = origin(node);
    const folder = await folderFor(source);
    const lost = [];
    for (const [k, file] of files.entries()) {
      showProgress(node, say("uploading", { number: k + 1, count: files.length }));
      if (!(await send(file, folder))) lost.push(file.name);
    }
    if (lost.length) toast.add({ severity: "warn", summary: "PureCC", detail: say("not_uploaded", { names: lost.join(", ") }), life: 8000 });
    if (lost.length < files.length) {
      await app.refreshComboInNodes();
      const holder = source ?? wired(node);
      holder.properties[OWN] = folder;
      for (const owner of new Set([holder, folderIn(holder)])) pick(owner, folder);
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
