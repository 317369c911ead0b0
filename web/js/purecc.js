// The extension: shows each run on its node, and the latest one in the side bar.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { offerImages, renameButtons, takesImages } from "./add_images.js";
import { notice, settings } from "./ended.js";
import { arrange, fold, rename } from "./fold.js";
import { isTrainer, nodeOf, panelOf, trainers } from "./nodes.js";
import { keepFileOrder, silence } from "./order.js";
import { narrow } from "./refused.js";
import { askBeforeQueueing, keepSeed } from "./resume.js";
import { Runs } from "./runs.js";
import { get, server } from "./server.js";
import { hidePicture, isDataset, receiveSheets, restoreSheets } from "./sheets.js";
import { Tab } from "./tab.js";
import { sortTemplates } from "./templates.js";
import { isUpcoming, showUpcoming } from "./upcoming.js";
import { everyNode } from "./views.js";
import { setLanguage } from "./words.js";

const runs = new Runs((run) => {
  show(run);
  notice(run);
  reveal(run);
});
const begun = new Set(); // ids of runs that were there before, or were revealed
let restored = false; // whether earlier runs have been loaded
const SHIPPED = /^[0-9a-f]{8}-[0-9a-f]{4}-5/; // ids that were made from a name; the host makes random ones
const tab = new Tab(server, ({ head }) => `${nodeOf(head)?.title ?? head.title} · ${head.name}`);

function show(run) {
  if (run === runs.latest) tab.show(run);
  const node = nodeOf(run.head);
  if (!node) return;
  const panel = panelOf(node, server);
  if (isUpcoming(panel.run)) run.before = panel.run.head.phases;
  else if (panel.run && panel.run !== run && runs.precedes(panel.run, run)) return;
  panel.show(run);
}

/** Opens the side bar for a run that begins inside a subgraph, unless something else is open there. */
function reveal({ id, head }) {
  if (begun.has(id)) return;
  begun.add(id);
  const node = nodeOf(head);
  const { sidebarTab, command } = app.extensionManager;
  if (head.ended || !restored || !node || node.graph === app.canvas.graph || sidebarTab?.activeSidebarTabId) return;
  command.execute(`Workspace.ToggleSidebarTab.${tab.id}`);
}

/** Adds the pack's style sheet to the page, without an element of its own. */
async function style() {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(await (await fetch(new URL("./panel.css", import.meta.url))).text());
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}

/** Shows everything in the language that is chosen now. */
async function translate() {
  const served = await get("/i18n");
  if (served) setLanguage(served, app.extensionManager.setting.get("Comfy.Locale"));
  runs.all.forEach(show);
  rename(trainers());
  renameButtons(everyNode());
  restoreSheets();
  if (!runs.latest) tab.show(null);
}

app.registerExtension({
  name: "purecc.live",
  settings,
  async setup() {
    await style();
    app.extensionManager.registerSidebarTab(tab);
    api.addEventListener("purecc.run", ({ detail }) => runs.receive(detail));
    api.addEventListener("reconnected", () => runs.restore());
    app.ui.settings.addEventListener("Comfy.Locale.change", translate);
    showUpcoming(server, (run) => tab.show(run ?? runs.latest ?? null));
    receiveSheets((sheet) => tab.showSheet(sheet));
    narrow(api);
    sortTemplates(api);
    askBeforeQueueing();
    await Promise.all([runs.restore(), translate()]);
    restored = true;
  },
  /** A copy of a shipped workflow is one of its own: else it would show the run of another copy. */
  beforeConfigureGraph(graph) {
    if (SHIPPED.test(graph?.id)) graph.id = window.LiteGraph.uuidv4();
  },
  nodeCreated(node) {
    if (isTrainer(node)) {
      keepSeed(node);
      fold(node);
    }
    if (takesImages(node)) offerImages(node);
    if (isDataset(node)) {
      hidePicture(node);
      silence(node);
      keepFileOrder(node, () => arrange(node));
    }
  },
  /** After a workflow is loaded, a change undone, a tab changed: the nodes are new ones. */
  afterConfigureGraph() {
    runs.all.forEach(show);
    restoreSheets();
  },
});
