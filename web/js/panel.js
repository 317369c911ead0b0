// What a run shows on its node: curves, samples beside the base's own, the clock, and what may be asked of it.

import { Chart, plots } from "./chart.js";
import { refusal, remarks, status } from "./status.js";
import { say } from "./words.js";

const PADDING = 14;
const LINE = 18;
const STRIP = 112;
const SLIDER = 22;
const BUTTONS = 30;

const WISHES = ["stop", "sample", "save"];

const make = (tag, className, more = {}) => Object.assign(document.createElement(tag), { className, ...more });

export class Panel {
  /** @param server: {ask(run, wish), picture(run, number, which)}; grew: called when the panel's height changes. */
  constructor(server, grew = () => {}) {
    this.server = server;
    this.grew = grew;
    this.run = null;
    this.step = null; // whose samples are shown; null: the latest
    this.height = 0;
    this.element = make("div", "purecc-panel");
    this.line = make("div", "purecc-line");
    this.canvas = make("canvas", "purecc-chart");
    this.strip = make("div", "purecc-strip");
    this.slider = make("input", "purecc-slider", { type: "range", min: 0, step: 1 });
    this.label = make("span", "purecc-label");
    this.history = make("div", "purecc-history");
    this.history.append(this.slider, this.label);
    this.remark = make("div", "purecc-remark");
    this.tall = 0; // its height when it was last on the screen
    this.buttons = make("div", "purecc-buttons");
    this.button = {};
    for (const wish of WISHES) {
      this.button[wish] = make("button", `purecc-${wish}`, { type: "button" });
      this.button[wish].addEventListener("click", () => this.server.ask(this.run, wish));
      this.buttons.append(this.button[wish]);
    }
    this.slider.addEventListener("input", () => this.choose(Number(this.slider.value)));
    // A press on these is no drag of the node, no zoom of the graph and no shortcut of the host.
    for (const part of [this.buttons, this.history, this.strip])
      for (const event of ["pointerdown", "mousedown", "dblclick", "keydown"])
        part.addEventListener(event, (pressed) => pressed.ctrlKey || pressed.metaKey || pressed.stopPropagation());
    this.element.append(this.line, this.canvas, this.remark, this.strip, this.history, this.buttons);
    this.chart = new Chart(this.canvas);
    this.watch = new ResizeObserver(() => this.refresh());
    this.watch.observe(this.canvas);
    this.watch.observe(this.remark);
    this.theme = new MutationObserver(() => this.refresh()); // the host changes its colours there
    for (const part of [document.documentElement, document.body])
      this.theme.observe(part, { attributeFilter: ["class", "style"] });
  }

  /** Shows a run, which may be another than before. */
  show(run) {
    if (run !== this.run) {
      this.step = this.shown = null;
      this.strip.replaceChildren();
    }
    this.run = run;
    this.refresh();
  }

  /** Draws at the next frame, however often it is asked. */
  refresh() {
    if (this.asked || !this.run) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.draw();
    });
  }

  draw() {
    const { head } = this.run;
    this.element.dataset.state = head.state;
    this.line.textContent = status(head);
    this.line.title = this.line.textContent;
    this.drawRemarks(remarks(head));
    this.canvas.title = say("curves");
    this.slider.title = say("earlier");
    for (const [wish, button] of Object.entries(this.button)) {
      const not = refusal(head, wish);
      Object.assign(button, { textContent: say(wish), title: not || say(`${wish}_tip`) });
      button.disabled = this.run.ended || head.state === "lost" || not !== "";
      button.classList.toggle("purecc-asked", head.asked?.includes(wish) ?? false);
    }
    this.drawStrip();
    this.measure();
    this.chart.draw(this.run);
  }

  drawRemarks(lines) {
    if (this.remarked === String(lines)) return; // else what explains one would vanish from under the pointer
    this.remarked = String(lines);
    this.remark.replaceChildren(...lines.map(([textContent, title]) => make("div", "", { textContent, title })));
  }

  drawStrip() {
    const steps = this.run.drawn;
    this.strip.hidden = this.history.hidden = !steps.length;
    if (!steps.length) return;
    const far = (step) => Math.abs(step - this.step); // the server may have dropped the one that was chosen
    const nearest = (one, other) => (far(other) < far(one) ? other : one);
    const chosen = this.step === null ? steps.at(-1) : steps.reduce(nearest);
    this.slider.max = steps.length - 1;
    this.slider.value = steps.indexOf(chosen);
    this.slider.disabled = steps.length < 2;
    this.label.textContent = say("at", { step: chosen });
    const samples = this.run.at(chosen);
    const key = `${this.run.id} ${samples.map((sample) => sample.number)} ${say("now")}`;
    if (this.shown === key) return;
    this.shown = key;
    this.strip.replaceChildren(...samples.map((sample) => this.pair(sample)));
  }

  pair(sample) {
    const pair = make("button", "purecc-pair", { type: "button", title: `${sample.prompt}\n${say("seed", sample)}` });
    for (const which of ["base", "current"]) {
      const image = make("img", `purecc-${which}`, { src: this.server.picture(this.run, sample.number, which), alt: which });
      image.draggable = false;
      pair.append(image);
    }
    pair.append(make("span", "", { textContent: `${say("base")} · ${say("now")}` }));
    pair.addEventListener("click", () => this.enlarge(sample));
    return pair;
  }

  /** Shows the samples of the k-th step at which there are some; of the last: follows. */
  choose(k) {
    const steps = this.run.drawn;
    this.step = k >= steps.length - 1 ? null : steps[k];
    this.refresh();
  }

  /** A dialog with a sample in full, the base's beside it, and all earlier ones of the same prompt. */
  enlarge(sample) {
    const { run } = this;
    const line = run.samples.filter((other) => other.prompt === sample.prompt);
    const dialog = make("dialog", "purecc-dialog");
    const images = Object.fromEntries(["base", "current"].map((which) => [which, make("img", "", { alt: which })]));
    const pairs = Object.entries(images).map(([which, image]) => {
      const figure = make("figure", "");
      figure.append(image, make("figcaption", "", { textContent: say(which === "base" ? "base" : "now") }));
      return figure;
    });
    const words = make("p", "");
    const slider = make("input", "", { type: "range", min: 0, max: line.length - 1, step: 1 });
    const show = (k) => {
      for (const [which, image] of Object.entries(images)) image.src = this.server.picture(run, line[k].number, which);
      words.textContent = [say("at", line[k]), line[k].prompt, say("seed", line[k])].join(" · ");
    };
    slider.value = line.indexOf(sample);
    slider.hidden = line.length < 2;
    slider.addEventListener("input", () => show(Number(slider.value)));
    const both = make("div", "purecc-both");
    both.append(...pairs);
    const close = make("button", "", { textContent: say("close"), type: "button" });
    close.addEventListener("click", () => dialog.close());
    dialog.append(both, words, slider, close);
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("keydown", (event) => event.stopPropagation()); // the graph behind it hears nothing
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    show(Number(slider.value));
    dialog.showModal();
  }

  measure() {
    const chart = Chart.height(plots(this.run).length);
    const strip = this.strip.hidden ? 0 : STRIP + SLIDER;
    if (this.element.checkVisibility()) this.tall = this.remark.offsetHeight;
    const height = PADDING + LINE + chart + this.tall + strip + BUTTONS;
    this.canvas.style.height = `${chart}px`;
    this.element.style.minHeight = this.element.style.maxHeight = `${height}px`;
    if (height !== this.height) {
      const before = this.height;
      this.height = height;
      this.grew(height - before);
    }
  }

  remove() {
    this.watch.disconnect();
    this.theme.disconnect();
    this.element.remove();
  }
}
