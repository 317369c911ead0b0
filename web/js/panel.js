// The panel of a run on its node: status, samples and masks, curves, remarks and buttons.

import { after } from "./after.js";
import { Buttons } from "./buttons.js";
import { Chart } from "./chart.js";
import { make } from "./dom.js";
import { Masks } from "./masks.js";
import { short } from "./numbers.js";
import { Phases } from "./phases.js";
import { plots } from "./plots.js";
import { Remarks } from "./remarks.js";
import { Samples } from "./samples.js";
import { status } from "./status.js";
import { keepFromGraph } from "./views.js";
import { say } from "./words.js";

const PADDING = 14;
const SIDES = 16;
const LINE = 18;

export class Panel {
  /** @param server: {ask(run, request), prompts(run, prompts), picture(run, number, which)}; grew: called when the panel's height changes. */
  constructor(server, grew = () => {}) {
    this.grew = grew;
    this.run = null;
    this.height = 0;
    this.element = make("section", "purecc-panel");
    this.line = make("div", "purecc-line");
    this.line.setAttribute("role", "status");
    this.line.setAttribute("aria-live", "polite");
    this.chart = new Chart(make("canvas", "purecc-chart"));
    this.chart.canvas.setAttribute("role", "img");
    this.phases = new Phases();
    this.remarks = new Remarks();
    this.samples = new Samples(server, () => this.refresh());
    this.masks = new Masks(server.picture, () => this.refresh());
    this.buttons = new Buttons((request) => server.ask(this.run, request), after(this.element));
    const { strip, history } = this.samples;
    const { tabs, image } = this.masks;
    keepFromGraph([this.buttons.element, tabs, history, strip]);
    this.element.append(this.line, this.phases.element, tabs, image, strip, history, this.chart.canvas, this.remarks.element, this.buttons.element);
    this.observers = this.observe();
  }

  /** Shows a run, which may be another than before; null: none, and no room is taken. */
  show(run) {
    this.run = run;
    this.element.hidden = !run;
    if (run) this.refresh();
    else this.resize(0);
  }

  /** Draws in the next frame, however often it is called. */
  refresh() {
    if (this.asked || !this.run) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      if (this.run) this.draw();
    });
  }

  draw() {
    const { head } = this.run;
    this.element.dataset.state = head.state;
    this.element.setAttribute("aria-label", say("training"));
    this.line.textContent = this.line.title = status(head);
    this.chart.canvas.title = say("curves");
    this.chart.canvas.setAttribute("aria-label", described(this.run));
    this.phases.draw(this.run);
    this.remarks.draw(head);
    this.buttons.draw(this.run);
    this.masks.draw(this.run);
    this.samples.draw(this.run, this.masks.shown(this.run) === "samples");
    this.measure();
    this.chart.draw(this.run);
  }

  measure() {
    const chart = Chart.height(plots(this.run).length);
    const inside = Math.max(0, this.element.clientWidth - SIDES);
    if (inside) this.pictures = this.samples.height(inside) + this.masks.height(inside);
    const height = PADDING + LINE + this.phases.height + chart + this.remarks.measure() + (this.pictures ?? 0) + this.buttons.height;
    this.chart.canvas.style.height = `${chart}px`;
    this.element.style.minHeight = this.element.style.maxHeight = `${height}px`;
    this.resize(height);
  }

  resize(height) {
    if (height === this.height) return;
    const before = this.height;
    this.height = height;
    this.grew(height - before);
  }

  /** Draws again when a part changes its size, or the host its colours. */
  observe() {
    const size = new ResizeObserver(() => this.refresh());
    size.observe(this.chart.canvas);
    size.observe(this.remarks.element);
    const theme = new MutationObserver(() => this.refresh());
    for (const part of [document.documentElement, document.body]) theme.observe(part, { attributeFilter: ["class", "style"] });
    return [size, theme];
  }

  remove() {
    for (const observer of this.observers) observer.disconnect();
    this.element.remove();
  }
}

/** The latest value of each curve, for those who do not see them. */
function described(run) {
  const latest = ({ title, lines }) => `${title}: ${short(lines.at(-1).points.at(-1)[1])}`;
  return [say("curves_label"), ...plots(run).map(latest)].join(". ");
}
