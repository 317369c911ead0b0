// A run's end is noticed: a toast, the page's title until it is looked at, and a sound where the user wants one.

import { app } from "../../../scripts/app.js";
import { status } from "./status.js";
import { say } from "./words.js";

const SOUND = "PureCC.Sound";
const MARKS = { finished: "✓", stopped: "✓", failed: "✗", cancelled: "✗" };
const SEVERITY = { finished: "success", stopped: "success", failed: "error", cancelled: "info" };

/** The host's setting for the sound. */
export const settings = [
  {
    id: SOUND,
    name: "Sound when a training ends",
    category: ["PureCC", "Training", "Sound"],
    type: "boolean",
    defaultValue: false,
  },
];

const seen = new Map(); // the state in which each run was last seen, by id

/** Notices whether a run has just ended. */
export function notice({ id, head }) {
  const before = seen.get(id);
  seen.set(id, head.state);
  if (before === undefined || before === head.state || !(head.state in MARKS)) return;
  const detail = `${head.name}: ${status(head)}`;
  app.extensionManager.toast.add({ severity: SEVERITY[head.state], summary: say("training"), detail, life: 12000 });
  mark(`${MARKS[head.state]} ${head.name}`);
  if (app.extensionManager.setting.get(SOUND)) beep();
}

/** Writes before the page's title until the page is looked at. */
function mark(text) {
  if (document.hasFocus()) return;
  const lead = `${text} · `;
  const write = () => {
    if (!document.title.startsWith(lead)) document.title = lead + document.title;
  };
  write();
  const watch = new MutationObserver(write); // the host writes titles, too
  watch.observe(document.querySelector("title"), { childList: true });
  const looked = () => {
    watch.disconnect();
    if (document.title.startsWith(lead)) document.title = document.title.slice(lead.length);
  };
  window.addEventListener("focus", looked, { once: true });
}

function beep() {
  const context = new AudioContext();
  const tone = context.createOscillator();
  const volume = context.createGain();
  volume.gain.setValueAtTime(0.15, context.currentTime);
  volume.gain.exponentialRampToValueAtTime(0.001, context.currentTime + 0.6);
  tone.frequency.value = 660;
  tone.connect(volume).connect(context.destination);
  tone.start();
  tone.stop(context.currentTime + 0.6);
  tone.onended = () => context.close();
}
