// The latest run and the latest contact sheet in the host's side bar, wherever their nodes are.

import { make } from "./dom.js";
import { Panel } from "./panel.js";
import { Sheet } from "./sheet.js";
import { say } from "./words.js";

/** The tab, as `app.extensionManager.registerSidebarTab` takes it; the host translates title and tooltip. */
export class Tab {
  id = "purecc.run";
  type = "custom";
  icon = "pi pi-chart-line";
  title = "purecc.tab";
  tooltip = "purecc.tab_tip";
  run = null;
  sheet = null;

  /** @param server: as the panel takes it; titled: names a run. */
  constructor(server, titled) {
    Object.assign(this, { server, titled });
    this.render = (place) => this.open(place); // the host calls both without `this`
    this.destroy = () => this.close();
  }

  /** Shows a run, at once or when the tab is opened. */
  show(run) {
    this.run = run;
    if (!this.panel) return;
    this.name.textContent = run ? this.titled(run) : say("none");
    this.panel.element.hidden = !run;
    if (run) this.panel.show(run);
  }

  /** Shows a contact sheet, at once or when the tab is opened. */
  showSheet(sheet) {
    this.sheet = sheet;
    if (!this.cards) return;
    this.cards.element.hidden = !sheet;
    if (sheet) this.cards.show(sheet);
  }

  open(place) {
    if (this.panel && this.place.parentElement === place) return;
    this.close();
    this.panel = new Panel(this.server);
    this.name = make("h3", "purecc-name");
    this.place = make("div", "purecc-tab");
    this.cards = new Sheet();
    this.place.append(this.name, this.panel.element, this.cards.element);
    place.replaceChildren(this.place);
    this.show(this.run);
    this.showSheet(this.sheet);
  }

  close() {
    this.panel?.remove();
    this.cards?.remove();
    this.place?.remove();
    this.panel = this.cards = null;
  }
}
