// What was done before the first step of a run, each with a tick and the time that it took.

import { make } from "./dom.js";
import { clock } from "./numbers.js";
import { say, translated } from "./words.js";

const LINE = 18;

export class Phases {
  height = 0; // in CSS pixels

  constructor() {
    this.element = make("ol", "purecc-phases");
  }

  /** Shows the phases of a run that prepares, those of its dataset first. */
  draw({ head, before = [] }) {
    const done = head.state === "preparing" ? [...before, ...(head.phases ?? [])].filter(({ seconds }) => seconds != null) : [];
    this.element.setAttribute("aria-label", say("preparing"));
    this.element.hidden = !done.length;
    const lines = done.map((phase) => `✓ ${translated(phase)} · ${clock(phase.seconds)}`);
    this.element.replaceChildren(...lines.map((textContent) => make("li", "", { textContent, title: textContent })));
    this.height = lines.length * LINE;
  }
}
