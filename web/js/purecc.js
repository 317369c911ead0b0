// Puts the panel of a run on the node that runs it, and keeps it complete whatever happens to the page.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { Panel } from "./panel.js";
import { Run } from "./run.js";
import { Tab } from "./tab.js";
import { say, speak } from "./words.js";

const TRAINERS = ["PureCCTrainExtractor", "PureCCPureLearning"];
const WIDGET = "purecc_live";
const MARGIN = 10; // that the classic renderer leaves around a widget

const runs = new Map(); // by id, the oldest first
const panels = new WeakMap(); // by node

/** The node of a host's execution id such as "7" or, inside subgraphs, "12:7"; none if it is in another workflow. */
function nodeOf({ node, workflow }) {
  let graph = app.rootGraph ?? app.graph;
  if (!node || !graph || (workflow && workflow !== graph.id)) return null;
  const path = String(node).split(":");
  const last = path.pop();
  for (const id of path) graph = graph?.getNodeById(Number(id))?.subgraph;
  const found = graph?.getNodeById(Number(last)) ?? null;
  return TRAINERS.includes(found?.comfyClass) ? found : null;
}

const server = {
  picture: (run, number, which) => api.apiURL(`/purecc/runs/${run.id}/samples/${number}/${which}`),
  async ask(run, wish) {
    const warn = (detail) => app.extensionManager.toast.add({ severity: "warn", summary: "PureCC", detail, life: 5000 });
    try {
      const answer = await api.fetchApi(`/purecc/runs/${run.id}/${wish}`, { method: "POST" });
      if (!answer.ok) warn(await answer.text());
    } catch {
      warn(say("unheard"));
    }
  },
};

const tab = new Tab(server, ({ head }) => `${nodeOf(head)?.title ?? head.title} · ${head.name}`);

function attach(node) {
  let added = 0;
  const panel = new Panel(server, (more) => {
    if (window.LiteGraph?.vueNodesMode) return; // there a node grows with what it holds
    const grown = added ? more : more + 2 * MARGIN;
    added += grown;
    node.setSize([node.size[0], node.size[1] + grown]);
    node.setDirtyCanvas(true, true);
  });
  const height = () => panel.height + 2 * MARGIN;
  const widget = node.addDOMWidget(WIDGET, WIDGET, panel.element, {
    serialize: false,
    hideOnZoom: false, // the curves are read from afar
    margin: MARGIN,
    getMinHeight: height,
    getMaxHeight: height,
  });
  widget.panel = panel;
  widget.serialize = false; // neither in the prompt nor in the file
  // The file has the node's size without the panel, which comes and goes with the run.
  const { onSerialize, onRemoved } = node;
  node.onSerialize = function (saved) {
    onSerialize?.call(this, saved);
    saved.size = [saved.size[0], saved.size[1] - added];
  };
  node.onRemoved = function () {
    onRemoved?.call(this);
    panel.remove();
  };
  panels.set(node, panel);
  return panel;
}

function show(run) {
  if (run === latest()) tab.show(run);
  const node = nodeOf(run.head);
  if (!node) return;
  const panel = panels.get(node) ?? attach(node);
  const { run: before } = panel;
  if (before && before !== run && precedes(before, run)) return;
  panel.show(run);
}

/** Whether a node shows a run rather than another: its workflow's before one queued over the API, which may be of any. */
function precedes(run, other) {
  const [own, others] = [run, other].map(({ head }) => Boolean(head.workflow));
  return own === others ? order(run) > order(other) : own; // the later of two alike
}

const order = (run) => [...runs.keys()].indexOf(run.id);
const latest = () => [...runs.values()].filter((run) => run.head.id).pop();

function known(id) {
  if (!runs.has(id)) runs.set(id, new Run(id));
  return runs.get(id);
}

/** What the server answers; null where it does not, and the next event or connection will ask again. */
async function get(path) {
  try {
    const answer = await api.fetchApi(path, { cache: "no-store" });
    return answer.ok ? await answer.json() : null;
  } catch (error) {
    console.warn(`PureCC: no answer to ${path}`, error);
    return null;
  }
}

async function ask(run) {
  run.again = true; // what is missed while an answer is under way is not in it
  if (run.asking) return;
  run.asking = true;
  while (run.again) {
    run.again = false;
    const state = await get(`/purecc/runs/${run.id}`);
    if (state) run.absorb(state);
  }
  run.asking = false;
  show(run);
}

/** What the server sends while a run goes on. */
function hear(state) {
  const run = known(state.id);
  if (run.absorb(state)) show(run);
  else ask(run);
}

/** Everything anew: when the page has loaded, and when the connection is back. */
async function restore() {
  const before = [...runs.values()];
  const listed = await get("/purecc/runs");
  if (!listed) return;
  const there = listed.runs.map((head) => head.id);
  for (const run of before)
    if (!there.includes(run.id) && !run.ended) {
      run.head = { ...run.head, state: "lost" };
      show(run);
    }
  const since = [...runs.values()].filter((run) => !before.includes(run) && !there.includes(run.id));
  for (const id of [...there, ...since.map((run) => run.id)]) {
    const run = known(id);
    runs.delete(id); // so that they stand in the order in which they began
    runs.set(id, run);
  }
  await Promise.all(there.map((id) => ask(known(id))));
}

/** Everything shown, in the language that is chosen now. */
async function translate() {
  const served = await get("/i18n");
  if (served) speak(served, app.extensionManager.setting.get("Comfy.Locale"));
  for (const run of runs.values()) show(run);
  if (!latest()) tab.show(null);
}

app.registerExtension({
  name: "purecc.live",
  async setup() {
    const href = new URL("./panel.css", import.meta.url).href;
    document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href }));
    app.extensionManager.registerSidebarTab(tab);
    api.addEventListener("purecc.run", ({ detail }) => hear(detail));
    api.addEventListener("reconnected", restore);
    app.ui.settings.addEventListener("Comfy.Locale.change", translate);
    await Promise.all([restore(), translate()]);
  },
  /** After a workflow is loaded, a change undone, a tab changed: the nodes are new ones. */
  afterConfigureGraph() {
    for (const run of runs.values()) show(run);
  },
});
