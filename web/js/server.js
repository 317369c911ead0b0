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

/** The server as panels use it. */
export const server = {
  /** The address of a sample's image, "base" or "current". */
  picture: (run, number, which) => api.apiURL(`/purecc/runs/${run.id}/samples/${number}/${which}`),

  /** Asks a run to "stop", "sample" or "save", and shows the reason if it refuses. */
  async ask(run, request) {
    const warn = (detail) => app.extensionManager.toast.add({ severity: "warn", summary: "PureCC", detail, life: 5000 });
    try {
      const answer = await api.fetchApi(`/purecc/runs/${run.id}/${request}`, { method: "POST" });
      if (!answer.ok) warn(translated(await answer.json().catch(() => ({ text: answer.statusText }))));
    } catch {
      warn(say("unheard"));
    }
  },
};
