// Asks, before a prompt is queued, whether a run that was broken off goes on.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { make } from "./dom.js";
import { say } from "./words.js";

const AGAIN = 2000; // milliseconds in which an answer holds for the same run, so that a batch asks once

const answers = new Map(); // by prompt: [answer, time]

/** Lets the page ask from now on. Prompts that other programs queue do not come by here. */
export function askBeforeQueueing() {
  const queue = api.queuePrompt;
  api.queuePrompt = async function (number, prompt, ...more) {
    for (const offer of await offers(prompt?.output)) {
      const answer = await answered(offer);
      if (answer === null) return {}; // as the host answers when there is nothing to run
      await post(`/purecc/states/${offer.prompt}/${answer}`);
    }
    return queue.call(this, number, prompt, ...more);
  };
}

/** A new training node keeps its seed, so that the same graph is the same run; a saved one has its own setting. */
export function keepSeed(node) {
  const control = node.widgets?.find(({ name }) => name === "control_after_generate");
  if (control) control.value = "fixed";
}

/** Returns the runs of a prompt that can go on; none if the server does not answer. */
async function offers(output) {
  const asks = ({ class_type: type, inputs }) => type?.startsWith("PureCC") && inputs?.resume === "ask";
  if (!Object.values(output ?? {}).some(asks)) return [];
  return (await post("/purecc/states", output))?.offers ?? [];
}

async function answered(offer) {
  const [known, then] = answers.get(offer.prompt) ?? [];
  if (known && Date.now() - then < AGAIN) return known;
  const answer = await ask(offer);
  answers.set(offer.prompt, [answer, Date.now()]);
  return answer;
}

/** Returns "resume", "anew", or null when the dialog is closed. */
function ask(offer) {
  return new Promise((resolve) => {
    const dialog = make("dialog", "purecc-dialog purecc-offer");
    let answer = null;
    const buttons = make("div", "purecc-answers");
    for (const [key, value] of [["resume", "resume"], ["anew", "anew"], ["close", null]]) {
      const button = make("button", `purecc-${key}`, { type: "button", textContent: say(`offer_${key}`) });
      button.addEventListener("click", () => {
        answer = value;
        dialog.close();
      });
      buttons.append(button);
    }
    dialog.append(make("p", "", { textContent: say("offer", offer) }), buttons);
    dialog.addEventListener("keydown", (event) => event.stopPropagation()); // the graph behind must not react
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    app.canvas.canvas.parentElement.append(dialog);
    dialog.showModal();
  });
}

async function post(path, body) {
  try {
    const answer = await api.fetchApi(path, { method: "POST", body: body && JSON.stringify(body) });
    return answer.ok ? await answer.json() : null;
  } catch (error) {
    console.warn(`PureCC: no answer to ${path}`, error);
    return null;
  }
}
