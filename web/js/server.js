// Requests to the server: data, images, and the buttons of a run.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { say, translated } from "./words.js";

/** Returns the server's answer as JSON, or null if it does not answer; the next event or connection asks again. */
export async function get(path) {
  try {
    const answer = await api.fetchApi(path, { cache: "no-store" });
    return answer.ok ? await answer.json() : null;
  } catch (error) {
    console.warn(`PureCC: no answer to ${path}`, error);
    return null;
  }
}

/** Posts a request, and shows the reason if it is refused; returns whether it is granted. */
async function post(path, body) {
  const warn = (detail) => app.extensionManager.toast.add({ severity: "warn", summary: "PureCC", detail, life: 5000 });
  const sent = body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  try {
    const answer = await api.fetchApi(path, { method: "POST", ...sent });
    if (!answer.ok) warn(translated(await answer.json().catch(() => ({ text: answer.statusText }))));
    return answer.ok;
  } catch {
    warn(say("unheard"));
    return false;
  }
}

/** The server as panels use it. */
export const server = {
  /** The address of a sample's image, "base" or "current". */
  picture: (run, number, which) => api.apiURL(`/purecc/runs/${run.id}/samples/${number}/${which}`),

  /** Asks a run to "stop", "sample" or "save", and shows the reason if it refuses. */
  ask: (run, request) => post(`/purecc/runs/${run.id}/${request}`),

  /** Asks a run for samples of these prompts from now on, and shows the reason if it refuses; returns whether it does. */
  prompts: (run, prompts) => post(`/purecc/runs/${run.id}/prompts`, { prompts }),
};
