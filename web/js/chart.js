// Loss, λ*, drift and learning rate over the steps: four plots on one canvas, each with an axis of its own.
// The canvas is our own because the host's chart widget, as of 0.30, draws on Vue nodes alone.

import { say } from "./words.js";

const GAP = 10;
const TITLE = 14;
const ROW = 74;
const MOST = 2000; // points of a line; more would fall on the same pixels

/** What there is to plot of a run: [{title, colour, lines: [{kind, points: [[step, value]]}]}]. */
export function plots(run) {
  const upper = run.points("upper");
  const band = run.points("lower").map(([step, low], i) => [step, low, upper[i][1]]);
  return [
    {
      title: say("loss"),
      colour: "--purecc-loss",
      lines: [
        { kind: "faint", points: run.points("loss") },
        { kind: "line", points: run.points("smooth") },
      ],
    },
    { title: say("drift"), colour: "--purecc-drift", lines: [{ kind: "dots", points: run.points("drift") }] },
    {
      title: say("scale"),
      colour: "--purecc-scale",
      lines: [
        { kind: "band", points: band },
        { kind: "line", points: run.points("median") },
      ],
    },
    { title: say("rate"), colour: "--purecc-rate", lines: [{ kind: "line", points: run.points("lr") }] },
  ].filter((plot) => plot.lines.some((line) => line.points.length));
}

/** A number in as few signs as tell it: 0.042, 1.3e-5. */
export function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e4) return value.toExponential(1).replace("e-0", "e-").replace("e+", "e");
  return String(Number(value.toPrecision(3)));
}

const thinned = (points) => {
  const every = Math.ceil(points.length / MOST);
  return every <= 1 ? points : points.filter((_, i) => i % every === 0 || i === points.length - 1);
};

export class Chart {
  constructor(canvas) {
    this.canvas = canvas;
    this.drawn = []; // what was drawn: the plots, each with the box and the ranges it was drawn in
  }

  /** Height in CSS pixels that so many plots take, two beside each other. */
  static height(count) {
    return count && Math.ceil(count / 2) * (ROW + GAP) - GAP;
  }

  draw(run) {
    const { canvas } = this;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (!width || !height) return; // it is not on the screen, or there is nothing to plot
    const dense = Math.min(3, window.devicePixelRatio || 1) * 1.5; // the graph is often zoomed in
    canvas.width = Math.round(width * dense);
    canvas.height = Math.round(height * dense);
    const context = canvas.getContext("2d");
    context.scale(dense, dense);
    const style = getComputedStyle(canvas);
    const shown = plots(run);
    const lines = Math.ceil(shown.length / 2);
    const tall = (height - GAP * (lines - 1)) / lines;
    this.drawn = shown.map((plot, k) => {
      const whole = shown.length % 2 && k === shown.length - 1 ? 1 : 2; // an odd last one takes the row
      const wide = (width - GAP * (whole - 1)) / whole;
      const box = { x: (k % 2) * (wide + GAP), y: Math.floor(k / 2) * (tall + GAP) + TITLE, width: wide, height: tall - TITLE };
      const values = plot.lines.flatMap((line) => line.points.flatMap((point) => point.slice(1)));
      const ranges = { steps: [1, Math.max(run.head.total, 2)], values: padded(values) };
      const made = { ...plot, box, ...ranges, place: (step, value) => place(box, ranges, step, value) };
      paint(context, style, made);
      return made;
    });
  }
}

function padded(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low >= 0 && low < 0.5 * high) low = 0;
  const more = (high - low || Math.abs(high) || 1) * 0.06;
  return [low === 0 ? 0 : low - more, high + more];
}

function place(box, { steps, values }, step, value) {
  return [
    box.x + (box.width * (step - steps[0])) / (steps[1] - steps[0]),
    box.y + box.height * (1 - (value - values[0]) / (values[1] - values[0])),
  ];
}

function paint(context, style, plot) {
  const colour = style.getPropertyValue(plot.colour).trim();
  const text = style.getPropertyValue("--descrip-text").trim() || style.color;
  const { box } = plot;
  context.font = "10px sans-serif";
  context.fillStyle = text;
  context.textBaseline = "alphabetic";
  context.textAlign = "left";
  context.fillText(plot.title, box.x, box.y - 4);
  const line = plot.lines[plot.lines.length - 1].points;
  context.textAlign = "right";
  context.fillStyle = colour;
  context.fillText(short(line[line.length - 1][1]), box.x + box.width, box.y - 4);
  context.strokeStyle = style.getPropertyValue("--border-color").trim() || text;
  context.lineWidth = 1;
  context.globalAlpha = 0.4;
  context.strokeRect(box.x + 0.5, box.y + 0.5, box.width - 1, box.height - 1);
  context.globalAlpha = 1;
  context.save();
  context.beginPath();
  context.rect(box.x, box.y, box.width, box.height);
  context.clip();
  for (const { kind, points } of plot.lines) stroke(context, colour, kind, thinned(points), plot.place);
  context.restore();
  context.fillStyle = text;
  context.globalAlpha = 0.8;
  context.textAlign = "left";
  context.font = "9px sans-serif";
  context.fillText(short(plot.values[1]), box.x + 3, box.y + 10);
  context.fillText(short(plot.values[0]), box.x + 3, box.y + box.height - 3);
  context.globalAlpha = 1;
}

function stroke(context, colour, kind, points, at) {
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = kind === "faint" ? 0.75 : 1.5;
  context.globalAlpha = kind === "faint" ? 0.45 : kind === "band" ? 0.25 : 1;
  context.beginPath();
  if (kind === "band") {
    for (const [step, low] of points) context.lineTo(...at(step, low));
    for (const [step, , high] of [...points].reverse()) context.lineTo(...at(step, high));
    context.fill();
  } else {
    for (const [step, value] of points) context.lineTo(...at(step, value));
    context.stroke();
  }
  if (kind === "dots" || points.length === 1)
    for (const [step, value] of points) {
      context.beginPath();
      context.arc(...at(step, value), 2, 0, 2 * Math.PI);
      context.fill();
    }
  context.globalAlpha = 1;
}
