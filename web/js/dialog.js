// A sample in full beside the base model's, with all other samples of the same prompt.

import { make } from "./dom.js";
import { say } from "./words.js";

/** Opens the dialog. @param picture: (run, number, which) to an image's address; place: an element to put it in. */
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
  const close = make("button", "", { textContent: say("close"), type: "button" });
  close.addEventListener("click", () => dialog.close());
  dialog.append(both, words, slider, close);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => event.stopPropagation()); // the graph behind must not react
  dialog.addEventListener("pointerdown", (event) => event.stopPropagation());
  dialog.addEventListener("close", () => dialog.remove());
  place.append(dialog); // shown above all, wherever it is
  show(Number(slider.value));
  dialog.showModal();
}
