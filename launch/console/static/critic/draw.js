/** The drawings of the critic view on top of `chart.js`: stacked shares, and labels beside what they name. */

import { chart, colour } from "../chart.js";
import { SOURCES, fillSource } from "./sources.js";

const FONT_PX = 12;
const GAP_PX = 15;
const MOST_DOTS = 150;

const font = (ratio) => `600 ${FONT_PX * ratio}px ${getComputedStyle(document.body).fontFamily}`;

export const percent = (share) => `${Math.round(100 * share)} %`.replace("-", "−");
export const thousands = (count) => Math.round(count).toLocaleString("en").replaceAll(",", "\u202f");

/** Labels right of the plot, each at the height of what it names, moved apart where they would overlap. */
export function endLabels(plot, labels) {
  const ratio = devicePixelRatio;
  const { ctx, bbox } = plot;
  const gap = GAP_PX * ratio;
  const half = gap / 2;
  const low = bbox.top + half;
  const high = bbox.top + bbox.height - half;
  const placed = labels
    .filter(({ value }) => Number.isFinite(value))
    .map((label) => ({ ...label, y: plot.valToPos(label.value, "y", true) }))
    .sort((a, b) => a.y - b.y);
  let above = low - gap;
  for (const label of placed) above = label.y = Math.max(label.y, above + gap);
  let below = high + gap;
  for (const label of placed.toReversed()) below = label.y = Math.min(label.y, below - gap);
  ctx.save();
  ctx.font = font(ratio);
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  const left = bbox.left + bbox.width + 8 * ratio;
  for (const { text, color, y } of placed) {
    ctx.fillStyle = colour(color);
    ctx.fillText(text, left, y);
  }
  ctx.restore();
}

/** Labels on the plot above the points they name; one that would cover another goes higher. */
export function peakLabels(plot, labels) {
  const ratio = devicePixelRatio;
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.font = font(ratio);
  ctx.textBaseline = "bottom";
  ctx.textAlign = "left";
  const taken = [];
  for (const { text, color, x, y } of labels.toSorted((a, b) => a.y - b.y)) {
    const width = ctx.measureText(text).width;
    const height = GAP_PX * ratio;
    const centre = plot.valToPos(x, "x", true);
    const left = Math.min(Math.max(centre - width / 2, bbox.left + 2), bbox.left + bbox.width - width - 2);
    let bottom = Math.max(plot.valToPos(y, "y", true) - 3 * ratio, bbox.top + height);
    const covers = (each) =>
      left < each.right && each.left < left + width && bottom - height < each.bottom && each.top < bottom;
    for (let tries = 0; tries < 12 && taken.some(covers); tries += 1) {
      const blocking = taken.find(covers);
      // Up while there is room, else below what is in the way.
      bottom = blocking.top - height >= bbox.top ? blocking.top : blocking.bottom + height;
    }
    taken.push({ left, right: left + width, top: bottom - height, bottom });
    ctx.fillStyle = colour("--panel");
    ctx.globalAlpha = 0.75;
    ctx.fillRect(left - 2 * ratio, bottom - height, width + 4 * ratio, height);
    ctx.globalAlpha = 1;
    ctx.fillStyle = colour(color);
    ctx.fillText(text, left, bottom);
  }
  ctx.restore();
}

/**
 * Cumulated bounds of each source: what is positive stacks up from 0, what is negative down from it. A source
 * has a band in either pile, so that one whose sign changes does not jump.
 */
export function stacked(columns) {
  const rows = columns[0]?.length ?? 0;
  const pile = (sign) => {
    const sum = new Array(rows).fill(0);
    const bands = columns.map((column) =>
      column.map((value, row) => {
        const from = sum[row];
        sum[row] += sign * Math.max(0, sign * (value ?? 0));
        return [from, sum[row]];
      }),
    );
    return { sum, bands };
  };
  return { up: pile(1), down: pile(-1) };
}

/**
 * Stacked shares of the sources over x.
 * @returns {{set: (xs: number[], columns: (number|null)[][], named: (number|null)[]) => void,
 *   destroy: () => void}} `named` are the figures that the labels say
 */
export function stack(root, { label, onCursor, height }) {
  let xs = [];
  let columns = SOURCES.map(() => []);
  let named = [];
  let piles = stacked(columns);

  function under(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    const px = xs.map((x) => plot.valToPos(x, "x", true));
    for (const pile of [piles.up, piles.down]) {
      pile.bands.forEach((band, index) => {
        if (band.every(([from, to]) => from === to)) return;
        const edge = (end) => band.map((each) => plot.valToPos(each[end], "y", true));
        const [bottoms, tops] = [edge(0), edge(1)];
        ctx.beginPath();
        px.forEach((x, row) => ctx.lineTo(x, tops[row]));
        for (let row = px.length - 1; row >= 0; row -= 1) ctx.lineTo(px[row], bottoms[row]);
        ctx.closePath();
        fillSource(ctx, SOURCES[index]);
        ctx.beginPath();
        px.forEach((x, row) => ctx.lineTo(x, tops[row]));
        ctx.strokeStyle = colour(SOURCES[index].color);
        ctx.lineWidth = 1.5 * devicePixelRatio;
        ctx.stroke();
      });
    }
    ctx.restore();
  }

  function over(plot) {
    if (!xs.length) return;
    endLabels(
      plot,
      SOURCES.flatMap(({ label: name, color }, index) => {
        const share = columns[index].at(-1) ?? null;
        if (share === null) return [];
        const [from, to] = (share < 0 ? piles.down : piles.up).bands[index].at(-1);
        return [{ value: (from + to) / 2, text: `${name} ${percent(named[index] ?? share)}`, color }];
      }),
    );
  }

  const drawn = chart(root, {
    label,
    height,
    onCursor,
    gutter: 164,
    paint: { under, over },
    series: [
      { label: "up", color: "transparent", width: 0 },
      { label: "down", color: "transparent", width: 0 },
    ],
    x: { label: "updates", values: thousands },
    y: { values: percent, range: (low, high) => [Math.min(0, low), Math.max(1, high)] },
  });
  return {
    set(newXs, newColumns, newNamed) {
      named = newNamed;
      // A single look holds for all until then.
      const alone = newXs.length === 1;
      xs = alone ? [0, newXs[0]] : newXs;
      columns = alone ? newColumns.map(([value]) => [value, value]) : newColumns;
      piles = stacked(columns);
      drawn.set([xs, piles.up.sum, piles.down.sum]);
    },
    destroy: drawn.destroy,
  };
}

/**
 * Lines over updates, each named at its end.
 * @param {{label: string, short?: string, color: string, dash?: number[], width?: number}[]} lines
 * @param {{format: (v: number) => string, y?: object, x?: object, gutter?: number, points?: boolean}} options
 * @returns {{set: (xs: number[], columns: (number|null)[][], marks?: object[], named?: (number|null)[]) => void,
 *   destroy: () => void}} `named` are the figures that the labels say; without them, the last ones
 */
export function lines(
  root,
  lines,
  { format, label, onCursor, y = {}, height, gutter = 164, points = false, x = { label: "updates", values: thousands } },
) {
  let columns = lines.map(() => []);
  let named = [];
  const last = (column) => column.findLast((value) => value !== null);

  const drawn = chart(root, {
    label,
    height,
    onCursor,
    gutter,
    series: lines.map((each) => ({ ...each, spanGaps: true })),
    x,
    y,
    paint: {
      over(plot) {
        const rows = plot.data[0].length;
        if (rows < 3 || (points && rows < MOST_DOTS)) dots(plot, columns, lines);
        endLabels(
          plot,
          lines.flatMap((each, index) => {
            const value = last(columns[index]);
            if (value === undefined) return [];
            const said = named[index] ?? value;
            return [{ value: said, text: `${each.short ?? each.label} ${format(said)}`.trim(), color: each.color }];
          }),
        );
      },
    },
  });
  return {
    set(xs, newColumns, newMarks = [], newNamed = []) {
      columns = newColumns;
      named = newNamed;
      drawn.set([xs, ...columns], { lines: newMarks });
    },
    destroy: drawn.destroy,
  };
}

/** A dot at each value: what is known now and then is not a line. */
function dots(plot, columns, lines) {
  const { ctx } = plot;
  const xs = plot.data[0];
  ctx.save();
  columns.forEach((column, index) => {
    ctx.fillStyle = colour(lines[index].color);
    column.forEach((value, row) => {
      if (value === null) return;
      ctx.beginPath();
      ctx.arc(plot.valToPos(xs[row], "x", true), plot.valToPos(value, "y", true), 2.5 * devicePixelRatio, 0, 7);
      ctx.fill();
    });
  });
  ctx.restore();
}
