// Dialogs of the samples: one in full beside the base model's, and the prompts of the next ones.

import { make } from "./dom.js";
import { say } from "./words.js";

/** Shows a sample with all others of the same prompt. @param picture: (run, number, which) to an image's address; place: an element to put it in. */
export function enlarge(run, sample, picture, place) {
  const line = run.samples.filter((other) => other.prompt === sample.prompt);
  const dialog = make("dialog", "purecc-dialog");
  dialog.setAttribute("aria-label", sample.prompt);
  const both = make("div", "purecc-both");
  const images = { base: make("img", "", { alt: say("base") }), current: make("img", "", { alt: say("now") }) };
  for (const image of Object.values(images)) {
    const figure = make("figure", "");
    figure.append(image, make("figcaption", "", { textContent: image.alt }));
    both.append(figure);
  }
  const words = make("p", "");
  const slider = make("input", "", { type: "range", min: 0, max: line.length - 1, step: 1, title: say("earlier") });
  slider.setAttribute("aria-label", say("earlier"));
  const show = (k) => {
    for (const [which, image] of Object.entries(images)) image.src = picture(run, line[k].number, which);
    words.textContent = [say("at", line[k]), line[k].prompt, say("seed", line[k])].join(" · ");
  };
  slider.value = line.indexOf(sample);
  slider.hidden = line.length < 2;
  slider.addEventListener("input", () => show(Number(slider.value)));
  dialog.append(both, words, slider, button("close", () => dialog.close()));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  show(Number(slider.value));
  open(dialog, place);
}

/** Asks for the prompts of the next samples. @param prompts: those of now; send: from an array of prompts, a promise
 *  of whether they are taken; place: an element to put the dialog in. */
export function askPrompts(prompts, send, place) {
  const dialog = make("dialog", "purecc-dialog");
  const about = make("label", "", { textContent: say("prompts_about") });
  const field = make("textarea", "", { value: prompts.join("\n"), rows: Math.max(4, prompts.length + 1), spellcheck: true });
  dialog.setAttribute("aria-label", say("prompts"));
  about.append(field);
  const sent = async () => (await send(field.value.split("\n").filter((line) => line.trim()))) && dialog.close();
  const row = make("div", "purecc-both");
  row.append(button("prompts_use", sent), button("close", () => dialog.close()));
  dialog.append(about, row);
  open(dialog, place);
  field.focus();
}

function button(text, pressed) {
  const element = make("button", "", { textContent: say(text), type: "button" });
  element.addEventListener("click", pressed);
  return element;
}

/** Shows a dialog above all, wherever its place is. */
function open(dialog, place) {
  dialog.addEventListener("keydown", (event) => event.stopPropagation()); // the graph behind must not react
  dialog.addEventListener("pointerdown", (event) => event.stopPropagation());
  dialog.addEventListener("close", () => dialog.remove());
  place.append(dialog);
  dialog.showModal();
}
