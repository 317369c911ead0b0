// All runs that the page knows, kept complete across reloads and lost connections.

import { Run } from "./run.js";
import { get } from "./server.js";

export class Runs {
  /** @param changed: called with a run that has changed. */
  constructor(changed) {
    this.changed = changed;
    this.known = new Map(); // by id, the oldest first
  }

  get all() {
    return [...this.known.values()];
  }

  get latest() {
    return this.all.filter((run) => run.head.id).pop();
  }

  /** Whether a node shows a run rather than another: the later one, but one without a workflow may be of any node. */
  precedes(run, other) {
    const [own, others] = [run, other].map(({ head }) => Boolean(head.workflow));
    const order = ({ id }) => [...this.known.keys()].indexOf(id);
    return own === others ? order(run) > order(other) : own;
  }

  /** Adds an event that the server sends while a run goes on. */
  receive(state) {
    const run = this.get(state.id);
    if (run.absorb(state)) this.changed(run);
    else this.ask(run);
  }

  /** Loads all runs: when the page has loaded, and when the connection is back. */
  async restore() {
    const before = this.all;
    const listed = await get("/purecc/runs");
    if (!listed) return;
    const there = listed.runs.map((head) => head.id);
    for (const run of before)
      if (!there.includes(run.id) && !run.ended) {
        run.head = { ...run.head, state: "lost" };
        this.changed(run);
      }
    const since = this.all.filter((run) => !before.includes(run) && !there.includes(run.id));
    for (const id of [...there, ...since.map((run) => run.id)]) {
      const run = this.get(id);
      this.known.delete(id); // so that they stand in the order in which they began
      this.known.set(id, run);
    }
    await Promise.all(there.map((id) => this.ask(this.get(id))));
  }

  get(id) {
    if (!this.known.has(id)) this.known.set(id, new Run(id));
    return this.known.get(id);
  }

  async ask(run) {
    run.again = true; // news that arrives during an answer is not in it
    if (run.asking) return;
    run.asking = true;
    while (run.again) {
      run.again = false;
      const state = await get(`/purecc/runs/${run.id}`);
      if (state) run.absorb(state);
    }
    run.asking = false;
    this.changed(run);
  }
}
