// The latest run in the host's side bar: in sight wherever its node is, inside a subgraph or scrolled away.

import { Panel } from "./panel.js";
import { say } from "./words.js";

/** The tab, as `app.extensionManager.registerSidebarTab` takes it; the host looks its names up in locales/. */
export class Tab {
  id = "purecc.run";
  type = "custom";
  icon = "pi pi-chart-line";
  title = "purecc.tab";
  tooltip = "purecc.tab_tip";
  run = null;

  /** @param server: as the panel takes it; titled: what to call a run. */
  constructor(server, titled) {
    Object.assign(this, { server, titled });
    this.render = (place) => this.open(place); // the host calls both without this object
    this.destroy = () => this.close();
  }

  /** Shows a run, now if the tab is open, else when it is opened. */
  show(run) {
    this.run = run;
    if (!this.panel) return;
    this.name.textContent = run ? this.titled(run) : say("none");
    this.panel.element.hidden = !run;
    if (run) this.panel.show(run);
  }

  open(place) {
    if (this.panel && this.place.parentElement === place) return;
    this.close();
    this.panel = new Panel(this.server);
    this.name = Object.assign(document.createElement("h3"), { className: "purecc-name" });
    this.place = Object.assign(document.createElement("div"), { className: "purecc-tab" });
    this.place.append(this.name, this.panel.element);
    place.replaceChildren(this.place);
    this.show(this.run);
  }

  close() {
    this.panel?.remove();
    this.place?.remove();
    this.panel = null;
  }
}
