// The buttons of a run: stop and keep, sample now, save now; of one that has ended, what to do with it.

import { make } from "./dom.js";
import { refusal } from "./status.js";
import { say } from "./words.js";

const REQUESTS = ["stop", "sample", "save"];
const AFTER = ["copy", "use", "train_on"];

export class Buttons {
  height = 30; // in CSS pixels, with the gap above

  /** @param ask: called with one of REQUESTS; after: {copy, use, train_on}, each {can(run), act(run)}. */
  constructor(ask, after = {}) {
    this.after = after;
    this.element = make("div", "purecc-buttons");
    const button = (name) => make("button", `purecc-${name}`, { type: "button" });
    this.button = Object.fromEntries(REQUESTS.map((name) => [name, button(name)]));
    this.more = Object.fromEntries(AFTER.filter((name) => name in after).map((name) => [name, button(name)]));
    for (const [name, element] of Object.entries(this.button)) element.addEventListener("click", () => ask(name));
    for (const [name, element] of Object.entries(this.more)) element.addEventListener("click", () => after[name].act(this.run));
    this.element.append(...Object.values(this.button), ...Object.values(this.more));
  }

  /** Shows which requests are pending, and why a request cannot be granted. */
  draw(run) {
    const { head } = (this.run = run);
    const kept = head.state === "finished" || head.state === "stopped";
    const usable = Object.entries(this.more).filter(([name]) => kept && this.after[name].can(run));
    for (const [request, button] of Object.entries(this.button)) {
      const refused = refusal(head, request);
      button.textContent = say(request);
      button.title = refused || say(`${request}_tip`);
      button.disabled = !run.id || head.ended || head.state === "lost" || refused !== "";
      button.hidden = usable.length > 0;
      button.classList.toggle("purecc-asked", head.asked?.includes(request) ?? false);
    }
    for (const [name, button] of Object.entries(this.more)) {
      button.hidden = !usable.some(([other]) => other === name);
      button.textContent = say(name);
      button.title = say(`${name}_tip`);
    }
  }
}
