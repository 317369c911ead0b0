// The panel's texts on a run: its state, remarks, and why a request cannot be granted.

import { clock, gigabytes, short } from "./numbers.js";
import { say, translated } from "./words.js";

/** Returns the line above the curves. */
export function status(head) {
  const { state, step, total, message, text, phases } = head;
  if (state === "preparing") {
    const { left } = phases?.at(-1) ?? {};
    return [message ? translated(message) : text || say("preparing"), ...remaining(left)].join(" · ");
  }
  if (state === "failed" && !step) return say("early");
  const pace = head.pace == null ? [] : [say("pace", { seconds: short(head.pace) })];
  if (state === "lost") return say("lost", { step, total });
  if (state !== "running") {
    const took = head.seconds == null ? [] : [clock(head.seconds)];
    return [say(state, { step, total }), ...took, ...pace].join(" · ");
  }
  const memory = head.memory == null ? [] : [say("memory", { used: gigabytes(head.memory[0]), all: gigabytes(head.memory[1]) })];
  return [say("step", { step, total }), ...pace, ...remaining(head.left), ...memory].join(" · ");
}

const remaining = (seconds) => (seconds == null ? [] : [say("left", { time: clock(seconds) })]);

/** Returns the lines below the curves, each with its tooltip: the error, the best so far, saved adapters, notes. */
export function remarks(head) {
  const { state, text, best, saved, notes } = head;
  const lines = [];
  if (state === "failed" && text) lines.push([text, text]);
  if (best) {
    const { step, loss, drift, bound } = best;
    lines.push([say("best", { step, loss: short(loss), drift: short(drift) }), say("best_tip", { bound: short(bound) })]);
  }
  if (saved?.length) lines.push([say("saved", { names: saved.slice(-3).join(", ") }), saved.join("\n")]);
  for (const note of notes ?? []) lines.push([translated(note), translated(note)]);
  return lines;
}

/** Returns why a request cannot be granted now; empty if it can. */
export function refusal(head, request) {
  if (request === "sample" && head.can_sample === false) return say("no_vae");
  if (request === "stop" && head.can_stop === false && !head.ended) return say("no_step");
  return "";
}
