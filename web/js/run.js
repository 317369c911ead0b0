// A training run as the server tells it: the whole state when asked, and what is new as it happens.

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

  /** Takes in what the server says; returns false where something between was missed, and all must be asked for. */
  absorb(state) {
    const { from, rows, samples_from: samplesFrom, samples, ...head } = state;
    const older = this.ended || head.step < (this.head.step ?? 0); // an answer that an event has overtaken
    if (!older) this.head = head;
    if (from > this.rows.length || samplesFrom > this.next) return false;
    for (const row of rows.slice(this.rows.length - from)) this.rows.push(row); // there may be 100000
    for (const sample of samples)
      if (sample.number >= this.next) {
        this.samples.push(sample);
        this.next = sample.number + 1;
      }
    const { kept } = this.head; // an answer that an event has overtaken does not know the latest
    this.samples = this.samples.filter(({ number }) => kept.includes(number) || number > (kept.at(-1) ?? -1));
    return true;
  }

  /** [step, value] of a column of the history, one of `head.columns`, where it has a value. */
  points(column) {
    const k = this.head.columns.indexOf(column);
    return this.rows.filter((row) => row[k] !== null).map((row) => [row[0], row[k]]);
  }

  /** Steps at which samples were drawn, in order. */
  get drawn() {
    return [...new Set(this.samples.map((sample) => sample.step))];
  }

  at(step) {
    return this.samples.filter((sample) => sample.step === step);
  }
}
