// A training run, put together from the server's answers and events.

export class Run {
  constructor(id) {
    this.id = id;
    this.head = {};
    this.rows = [];
    this.samples = [];
    this.next = 0; // number of the next sample
  }

  get ended() {
    return this.head.ended ?? false;
  }

  /** Adds an answer or event; returns false if steps were missed, so that the whole state must be loaded again. */
  absorb(state) {
    const { from, rows, samples_from: samplesFrom, samples, ...head } = state;
    const older = this.ended || head.step < (this.head.step ?? 0); // an event was faster than this answer
    if (!older) this.head = head;
    if (from > this.rows.length || samplesFrom > this.next) return false;
    for (const row of rows.slice(this.rows.length - from)) this.rows.push(row); // one by one: there may be 100000
    for (const sample of samples)
      if (sample.number >= this.next) {
        this.samples.push(sample);
        this.next = sample.number + 1;
      }
    const { kept } = this.head; // an answer that an event overtook does not know the latest
    this.samples = this.samples.filter(({ number }) => kept.includes(number) || number > (kept.at(-1) ?? -1));
    return true;
  }

  /** Returns [step, value] of a column of `head.columns`, where it has a value. */
  points(column) {
    const k = this.head.columns.indexOf(column);
    return this.rows.filter((row) => row[k] !== null).map((row) => [row[0], row[k]]);
  }

  /** Steps that have samples, in order. */
  get drawn() {
    return [...new Set(this.samples.map((sample) => sample.step))];
  }

  at(step) {
    return this.samples.filter((sample) => sample.step === step);
  }
}
