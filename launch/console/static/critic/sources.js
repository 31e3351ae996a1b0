/**
 * Where the critic's samples come from: one name, colour, dash and pattern each, the same in every panel.
 * Warm colours are people's, blue and grey the policy's own.
 */

import { colour } from "../chart.js";

export const SOURCES = [
  { name: "demo", label: "demonstrations", color: "--source-demo", dash: [], pattern: "diagonal" },
  { name: "intervention", label: "interventions", color: "--source-intervention", dash: [9, 4], pattern: "dots" },
  { name: "online_success", label: "own successes", color: "--source-success", dash: [3, 3], pattern: "level" },
  { name: "online_failure", label: "own other steps", color: "--source-failure", dash: [11, 3, 2, 3], pattern: "crossed" },
];

/** A canvas pattern in a colour, drawn for the screen's resolution. */
export function pattern(context, kind, stroke, ratio = devicePixelRatio) {
  const size = Math.round(8 * ratio);
  const tile = document.createElement("canvas");
  tile.width = tile.height = size;
  const pen = tile.getContext("2d");
  pen.strokeStyle = pen.fillStyle = stroke;
  pen.lineWidth = 1.2 * ratio;
  const line = (x1, y1, x2, y2) => {
    pen.beginPath();
    pen.moveTo(x1, y1);
    pen.lineTo(x2, y2);
    pen.stroke();
  };
  if (kind === "dots") {
    pen.beginPath();
    pen.arc(size / 2, size / 2, 1.5 * ratio, 0, 2 * Math.PI);
    pen.fill();
  }
  if (kind === "level") line(0, size / 2, size, size / 2);
  if (kind === "diagonal" || kind === "crossed") {
    for (const shift of [-size, 0, size]) line(shift, size, shift + size, 0);
  }
  if (kind === "crossed") for (const shift of [-size, 0, size]) line(shift, 0, shift + size, size);
  return context.createPattern(tile, "repeat");
}

/** Fill the present path as the area of a source. */
export function fillSource(context, source) {
  const ink = colour(source.color);
  context.save();
  context.globalAlpha = 0.3;
  context.fillStyle = ink;
  context.fill();
  context.globalAlpha = 0.6;
  context.fillStyle = pattern(context, source.pattern, ink);
  context.fill();
  context.restore();
}

/** Draw the sign of a source, its area under its line, on a canvas of 34×16 CSS pixels. */
export function drawSign(canvas, source) {
  const ratio = devicePixelRatio;
  canvas.width = 34 * ratio;
  canvas.height = 16 * ratio;
  const context = canvas.getContext("2d");
  context.beginPath();
  context.rect(0, 5 * ratio, canvas.width, canvas.height);
  fillSource(context, source);
  context.strokeStyle = colour(source.color);
  context.lineWidth = 2.5 * ratio;
  context.setLineDash(source.dash.map((each) => each * ratio));
  context.beginPath();
  context.moveTo(0, 3 * ratio);
  context.lineTo(canvas.width, 3 * ratio);
  context.stroke();
}
