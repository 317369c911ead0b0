// What the panel says of a run in words: its state, what is to be remarked, why a wish cannot be granted.

import { short } from "./chart.js";
import { say } from "./words.js";

const clock = (seconds) => {
  const [hours, minutes, rest] = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map(Math.floor);
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
};

const gigabytes = (bytes) => (bytes / 2 ** 30).toFixed(1);

/** The line above the curves. */
export function status(head) {
  const { state, step, total } = head;
  if (state === "preparing") return head.text || say("preparing");
  if (state === "failed" && !step) return say("early");
  const pace = head.pace == null ? [] : [say("pace", { seconds: short(head.pace) })];
  if (["finished", "stopped", "cancelled", "failed", "lost"].includes(state)) {
    const took = head.seconds == null ? [] : [clock(head.seconds)];
    return [say(state, { step, total }), ...(state === "lost" ? [] : [...took, ...pace])].join(" · ");
  }
  const left = head.left == null ? [] : [say("left", { time: clock(head.left) })];
  const [used, all] = (head.memory ?? []).map(gigabytes);
  return [say("step", { step, total }), ...pace, ...left, ...(all ? [say("memory", { used, all })] : [])].join(" · ");
}

/** The lines below the curves, with what explains them: why it failed, the best so far, what was saved, what went wrong. */
export function remarks(head) {
  const { state, text, best, saved, note } = head;
  const lines = [];
  if (state === "failed" && text) lines.push([text, text]);
  if (best) lines.push([say("best", { step: best.step, loss: short(best.loss), drift: short(best.drift) }), say("best_tip", { bound: short(best.bound) })]);
  if (saved?.length) lines.push([say("saved", { names: saved.slice(-3).join(", ") }), saved.join("\n")]);
  if (note) lines.push([note, note]);
  return lines;
}

/** Why a wish cannot be granted now; empty if it can. */
export function refusal(head, wish) {
  if (wish === "sample" && head.can_sample === false) return say("no_vae");
  if (wish === "stop" && head.can_stop === false && !head.ended) return say("no_step");
  return "";
}
