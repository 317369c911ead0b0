// Draws the plots of a run on one canvas, each with its own axis.
// The host's chart widget, as of 0.30, works on Vue nodes only.

import { short } from "./numbers.js";
import { plots } from "./plots.js";

const GAP = 10;
const TITLE = 14;
const ROW = 74;
const EDGE = 3; // within a plot, so that the first and the last dot are whole
const MOST = 2000; // points per line; more would fall on the same pixels

const thinned = (points) => {
  const every = Math.ceil(points.length / MOST);
  return every <= 1 ? points : points.filter((_, i) => i % every === 0 || i === points.length - 1);
};

export class Chart {
  constructor(canvas) {
    this.canvas = canvas;
    this.drawn = []; // the plots, each with its box and ranges
  }

  /** Height in CSS pixels of so many plots, two in a row. */
  static height(count) {
    return count && Math.ceil(count / 2) * (ROW + GAP) - GAP;
  }

  draw(run) {
    const { canvas } = this;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (!width || !height) return; // not on the screen, or nothing to plot
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
      const whole = shown.length % 2 && k === shown.length - 1 ? 1 : 2; // an odd last plot takes the row
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
  const flat = high - low <= 1e-3 * Math.abs(high); // rounding is not drawn as a zigzag
  const more = (flat ? Math.abs(high) || 1 : high - low) * 0.06;
  return [low === 0 ? 0 : low - more, high + more];
}

function place(box, { steps, values }, step, value) {
  return [
    box.x + EDGE + ((box.width - 2 * EDGE) * (step - steps[0])) / (steps[1] - steps[0]),
    box.y + EDGE + (box.height - 2 * EDGE) * (1 - (value - values[0]) / (values[1] - values[0])),
  ];
}

function paint(context, style, plot) {
  const colour = style.getPropertyValue(plot.colour).trim();
  const text = style.getPropertyValue("--purecc-text").trim() || style.color;
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
  context.textAlign = "left";
  context.font = "9px sans-serif";
  context.strokeStyle = style.getPropertyValue("--comfy-input-bg").trim(); // over curves, too, they can be read
  context.lineWidth = 3;
  context.lineJoin = "round";
  for (const [value, y] of [[plot.values[1], box.y + 10], [plot.values[0], box.y + box.height - 3]]) {
    context.strokeText(short(value), box.x + 3, y);
    context.fillText(short(value), box.x + 3, y);
  }
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
