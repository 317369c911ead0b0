// The lines below the curves.

import { make } from "./dom.js";
import { remarks } from "./status.js";

export class Remarks {
  height = 0; // in CSS pixels, when it was last on the screen

  constructor() {
    this.element = make("div", "purecc-remark");
    this.drawn = ""; // its lines
  }

  draw(head) {
    const lines = remarks(head);
    if (this.drawn === String(lines)) return; // else a tooltip would vanish from under the pointer
    this.drawn = String(lines);
    this.element.replaceChildren(...lines.map(([textContent, title]) => make("div", "", { textContent, title })));
  }

  measure() {
    if (this.element.checkVisibility()) this.height = this.element.offsetHeight;
    return this.height;
  }
}
