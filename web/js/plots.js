// The plots of a run and their data.

import { say } from "./words.js";

/** [{key, title, colour, lines: [{kind, points: [[step, value]]}]}]; a band's points are [step, low, high]. */
export function plots(run) {
  const upper = run.points("upper");
  const band = run.points("lower").map(([step, low], i) => [step, low, upper[i][1]]);
  const line = (column, kind = "line") => ({ kind, points: run.points(column) });
  return [
    { key: "loss", title: say("loss"), colour: "--purecc-loss", lines: [line("loss", "faint"), line("smooth")] },
    { key: "drift", title: say("drift"), colour: "--purecc-drift", lines: [line("drift", "dots")] },
    { key: "scale", title: say("scale"), colour: "--purecc-scale", lines: [{ kind: "band", points: band }, line("median")] },
    { key: "rate", title: say("rate"), colour: "--purecc-rate", lines: [line("lr")] },
  ].filter((plot) => plot.lines.some(({ points }) => points.length));
}
