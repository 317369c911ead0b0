// The masks that a run learns inside, on a tab beside its samples.

import { make } from "./dom.js";
import { say } from "./words.js";

const TABS = 26;
const TALLEST = 640;

export class Masks {
  /** @param picture: (run, number, which) to an image's address; changed: called when the other tab is chosen. */
  constructor(picture, changed) {
    this.picture = picture;
    this.changed = changed;
    this.chosen = null; // a tab; null: samples once there are some
    this.shape = 1;
    this.tabs = make("div", "purecc-tabs");
    this.tabs.setAttribute("role", "tablist");
    this.tab = Object.fromEntries(["samples", "masks"].map((name) => [name, make("button", "", { type: "button" })]));
    for (const [name, tab] of Object.entries(this.tab)) {
      tab.setAttribute("role", "tab");
      tab.addEventListener("click", () => {
        this.chosen = name;
        this.changed();
      });
      this.tabs.append(tab);
    }
    this.image = make("img", "purecc-masks");
    this.image.addEventListener("load", () => {
      const shape = this.image.naturalHeight / this.image.naturalWidth;
      if (shape === this.shape) return;
      this.shape = shape;
      this.changed();
    });
  }

  /** Which of the tabs is shown for a run: "samples" or "masks". */
  shown(run) {
    if (!run.head.masks) return "samples";
    if (!run.drawn.length) return "masks";
    return this.chosen ?? "samples";
  }

  draw(run) {
    const shown = this.shown(run);
    this.tabs.hidden = !(run.head.masks && run.drawn.length);
    this.image.hidden = shown !== "masks";
    for (const [name, tab] of Object.entries(this.tab)) {
      tab.textContent = say(`tab_${name}`);
      tab.setAttribute("aria-selected", String(name === shown));
    }
    this.image.alt = this.image.title = say("masks_tip");
    if (this.image.hidden) return;
    const src = this.picture(run, 0, "masks");
    if (this.src !== src) this.image.src = this.src = src;
  }

  /** Height in CSS pixels in a panel whose inside has that width. */
  height(width) {
    const tall = this.image.hidden ? 0 : Math.min(TALLEST, Math.round(width * this.shape)) + 4;
    this.image.style.height = `${Math.max(0, tall - 4)}px`;
    return tall + (this.tabs.hidden ? 0 : TABS);
  }
}
