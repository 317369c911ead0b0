// The contact sheet: every reference as it will be cropped, with its mask and texts; captions can be edited.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { make } from "./dom.js";
import { keepFromGraph } from "./views.js";
import { say, translated } from "./words.js";

const TALLEST = 560;
const PADDING = 14;
const TEXTS = ["complete", "base", "target"];

const address = (file) => api.apiURL(`/view?${new URLSearchParams(file)}`);

export class Sheet {
  height = 0; // in CSS pixels

  /** @param grew: called with every change of the height. */
  constructor(grew = () => {}) {
    this.grew = grew;
    this.masked = false;
    this.element = make("section", "purecc-sheet");
    this.title = make("div", "purecc-line");
    this.title.setAttribute("role", "status");
    this.toggle = make("input", "", { type: "checkbox" });
    this.toggle.addEventListener("change", () => {
      this.masked = this.toggle.checked;
      this.draw();
    });
    this.label = make("label", "purecc-toggle");
    this.words = make("span", "");
    this.label.append(this.toggle, this.words);
    this.grid = make("div", "purecc-cards");
    const head = make("div", "purecc-sheet-head");
    head.append(this.title, this.label);
    this.element.append(head, this.grid);
    keepFromGraph([this.label, this.grid]);
    this.grid.addEventListener("wheel", (event) => this.grid.scrollHeight > this.grid.clientHeight && event.stopPropagation());
    this.observer = new ResizeObserver(() => this.measure());
  }

  /** Shows the cards that the server sent, see purecc/host/ui/cards.py. */
  show({ title, cards }) {
    this.data = { title, cards };
    this.draw();
  }

  draw() {
    if (!this.data) return;
    const { title, cards } = this.data;
    this.element.setAttribute("aria-label", say("sheet"));
    this.title.textContent = this.title.title = title;
    this.label.hidden = !cards.some(({ mask }) => mask);
    this.words.textContent = say("tab_masks");
    this.observer.disconnect();
    this.grid.replaceChildren(...cards.map((card, k) => this.card(card, k + 1)));
    for (const part of [this.element, ...this.grid.children]) this.observer.observe(part);
    this.measure();
  }

  card(card, number) {
    const { image, mask, texts, caption, problem, remark, place } = card;
    const figure = make("figure", problem ? "purecc-card purecc-wrong" : "purecc-card");
    const file = (this.masked && mask) || image;
    const name = place || say("image", { number });
    if (file) figure.append(make("img", "", { src: address(file), alt: name, title: name, loading: "lazy", draggable: false }));
    else figure.append(make("div", "purecc-none", { textContent: "✗", title: name }));
    const said = make("figcaption", "");
    said.append(place ? this.editable(card) : make("p", "", { textContent: texts?.complete ?? caption }));
    for (const key of texts ? TEXTS.slice(1) : []) {
      const line = make("p", "purecc-text");
      line.append(make("b", "", { textContent: `${say(`text_${key}`)} ` }), texts[key]);
      said.append(line);
    }
    for (const text of [problem, remark]) if (text) said.append(make("p", "purecc-problem", { textContent: text }));
    figure.append(said);
    return figure;
  }

  /** The caption of an image in the input folder; it is saved when the field is left. */
  editable(card) {
    const field = make("textarea", "", { value: card.caption, rows: 3, spellcheck: true, title: say("edit_tip") });
    field.setAttribute("aria-label", `${say("caption")}, ${card.place}`);
    field.addEventListener("change", async () => {
      const saved = await save(card.place, field.value);
      if (!saved) return;
      card.caption = field.value;
      field.classList.add("purecc-edited");
      this.title.textContent = say("edited");
    });
    return field;
  }

  measure() {
    if (!this.element.checkVisibility()) return;
    const cards = [...this.grid.children].map((card) => card.offsetTop + card.offsetHeight);
    const inside = Math.max(0, ...cards) - (this.grid.firstElementChild?.offsetTop ?? 0);
    const height = Math.min(TALLEST, inside) + this.title.parentElement.offsetHeight + PADDING;
    this.element.style.height = this.element.style.maxHeight = `${height}px`; // Vue nodes heed the second alone
    if (height === this.height) return;
    const before = this.height;
    this.height = height;
    this.grew(height - before);
  }

  remove() {
    this.observer.disconnect();
    this.element.remove();
  }
}

/** Saves the caption of an image beside it; returns whether it was. */
async function save(image, text) {
  const tell = (severity, detail) => app.extensionManager.toast.add({ severity, summary: "PureCC", detail, life: 5000 });
  try {
    const headers = { "Content-Type": "application/json" };
    const answer = await api.fetchApi("/purecc/caption", { method: "POST", headers, body: JSON.stringify({ image, text }) });
    const told = await answer.json().catch(() => ({ text: answer.statusText }));
    if (answer.ok) tell("success", say("caption_saved", told));
    else tell("warn", translated(told));
    return answer.ok;
  } catch {
    tell("warn", say("unheard"));
    return false;
  }
}
