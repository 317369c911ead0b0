// The samples of one step, each as wide as the panel with the base model's behind it, and a slider over the steps.

import { askPrompts, enlarge } from "./dialog.js";
import { make } from "./dom.js";
import { say } from "./words.js";

const CAPTION = 20;
const SLIDER = 22;
const TALLEST = 640;

export class Samples {
  /** @param server: {picture(run, number, which), prompts(run, prompts)}; changed: called when another step is chosen,
   *  or the size of the images is known. */
  constructor(server, changed) {
    this.server = server;
    this.changed = changed;
    this.run = null;
    this.step = null; // null follows the latest
    this.shown = null; // what the strip holds
    this.shape = 1; // height over width
    this.strip = make("div", "purecc-strip");
    this.slider = make("input", "purecc-slider", { type: "range", min: 0, step: 1 });
    this.label = make("span", "purecc-label");
    this.history = make("div", "purecc-history");
    this.edit = make("button", "purecc-edit", { type: "button", textContent: "✎" });
    this.edit.addEventListener("click", () => this.ask());
    this.history.append(this.slider, this.label, this.edit);
    this.slider.addEventListener("input", () => this.choose(Number(this.slider.value)));
  }

  /** Height in CSS pixels in a panel whose inside has that width. */
  height(width) {
    if (this.strip.hidden) return 0;
    const tall = Math.min(TALLEST, Math.round(width * this.shape));
    this.strip.style.height = `${tall + CAPTION}px`;
    return tall + CAPTION + SLIDER;
  }

  /** Shows the samples of the chosen step of a run, or of the nearest step that still has some. */
  draw(run, on = true) {
    if (run !== this.run) {
      this.step = this.shown = null;
      this.strip.replaceChildren();
    }
    this.run = run;
    const steps = run.drawn;
    this.strip.hidden = this.history.hidden = !steps.length || !on;
    if (!steps.length) return;
    const far = (step) => Math.abs(step - this.step); // the server may have dropped the chosen step
    const nearest = (one, other) => (far(other) < far(one) ? other : one);
    const chosen = this.step === null ? steps.at(-1) : steps.reduce(nearest);
    this.slider.max = steps.length - 1;
    this.slider.value = steps.indexOf(chosen);
    this.slider.disabled = steps.length < 2;
    this.slider.title = say("earlier");
    this.slider.setAttribute("aria-label", say("earlier"));
    this.label.textContent = say("at", { step: chosen });
    this.edit.hidden = run.ended || run.head.state === "lost";
    this.edit.title = say("prompts");
    this.edit.setAttribute("aria-label", say("prompts"));
    const samples = run.at(chosen);
    const shown = `${samples.map((sample) => sample.number)} ${say("now")}`;
    if (this.shown === shown) return;
    this.shown = shown;
    const [at, split] = [this.strip.scrollLeft, this.split];
    this.strip.replaceChildren(...samples.map((sample) => this.pair(sample, split)));
    this.strip.scrollLeft = at;
  }

  /** How much of the images is the base model's, in percent. */
  get split() {
    return this.strip.querySelector(".purecc-split")?.value ?? 50;
  }

  /** Chooses the k-th step that has samples; the last one follows the run. */
  choose(k) {
    const steps = this.run.drawn;
    this.step = k >= steps.length - 1 ? null : steps[k];
    this.changed();
  }

  /** Asks for the prompts of the next samples, from those of the latest. */
  ask() {
    const { run } = this;
    const prompts = run.at(run.drawn.at(-1)).map((sample) => sample.prompt);
    askPrompts(prompts, (edited) => this.server.prompts(run, edited), this.strip.parentElement);
  }

  pair(sample, split) {
    const { run } = this;
    const title = `${sample.prompt}\n${say("seed", sample)}`;
    const pair = make("figure", "purecc-pair", { title });
    const both = make("div", "purecc-compare");
    for (const [which, alt] of [["base", say("base")], ["current", say("now")]]) {
      const image = make("img", `purecc-${which}`, { src: this.server.picture(run, sample.number, which), alt, draggable: false });
      image.addEventListener("load", () => this.measured(image));
      both.append(image);
    }
    const cut = make("input", "purecc-split", { type: "range", min: 0, max: 100, step: 1, value: split, title: say("compare") });
    cut.setAttribute("aria-label", say("compare"));
    const move = () => both.style.setProperty("--purecc-cut", `${cut.value}%`);
    cut.addEventListener("input", move);
    move();
    const names = make("figcaption", "");
    const larger = make("button", "purecc-enlarge", { type: "button", textContent: "⤢", title: say("enlarge") });
    larger.setAttribute("aria-label", say("enlarge"));
    larger.addEventListener("click", () => enlarge(run, sample, this.server.picture, this.strip.parentElement));
    names.append(make("span", "", { textContent: say("base") }), larger, make("span", "", { textContent: say("now") }));
    both.append(cut);
    pair.append(both, names);
    return pair;
  }

  measured({ naturalWidth: width, naturalHeight: height }) {
    if (!width || height / width === this.shape) return;
    this.shape = height / width;
    this.changed();
  }
}
