/**
 * Charts on the vendored uPlot (a global, loaded by the page), in the page's colours.
 *
 * A chart fills the width of its root, and its height too where no height is given. It is drawn anew when the
 * theme changes. Series differ by dash and by mark as well as by colour.
 */

/** The page's font at a size, for canvases. */
const font = (size) => `${size}px ${getComputedStyle(document.body).fontFamily}`;

/**
 * The colour of a token ("--policy") in the present theme, for canvases; anything else is returned as it is.
 * @param {string} name
 */
export function colour(name) {
  if (!name?.startsWith("--")) return name;
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim() || "#888";
}

const TILES = new Map(); // colour and size of a pattern → its tile, drawn once

/** A pattern of diagonal strokes, so that a shaded area is known without its colour. */
export function hatch(context, stroke, ratio = 1) {
  const key = `${stroke} ${ratio}`;
  if (!TILES.has(key)) TILES.set(key, strokes(stroke, ratio));
  return context.createPattern(TILES.get(key), "repeat");
}

function strokes(stroke, ratio) {
  const size = Math.round(7 * ratio);
  const tile = document.createElement("canvas");
  tile.width = tile.height = size;
  const pen = tile.getContext("2d");
  pen.strokeStyle = stroke;
  pen.lineWidth = 1.4 * ratio;
  pen.beginPath();
  for (const shift of [-size, 0, size]) {
    pen.moveTo(shift, size);
    pen.lineTo(shift + size, 0);
  }
  pen.stroke();
  return tile;
}

/** A colour of the tokens, which are #rrggbb, seen through. */
const pale = (stroke) => (/^#[0-9a-f]{6}$/i.test(stroke) ? `${stroke}44` : stroke);

function paths(kind) {
  if (kind === "step") return uPlot.paths.stepped({ align: 1 });
  return undefined;
}

function seriesOf(each) {
  const stroke = colour(each.color);
  return {
    label: each.label,
    stroke,
    width: each.width ?? 2,
    dash: each.dash,
    fill: each.fill && (each.fill === true ? pale(stroke) : colour(each.fill)),
    paths: paths(each.kind),
    points: { show: false },
    spanGaps: each.spanGaps ?? false,
    scale: "y",
  };
}

/** A number in few characters. */
export function format(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && size < 0.01) return value.toExponential(1);
  if (size >= 10000) return `${(value / 1000).toFixed(size >= 100000 ? 0 : 1)}k`;
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

function axis(options, side) {
  return {
    show: options.show ?? true,
    side,
    label: options.label,
    labelSize: 18,
    labelFont: font(12),
    labelGap: 0,
    font: font(12),
    stroke: colour("--muted"),
    size: options.size ?? (side === 2 ? 26 : 44),
    gap: 3,
    space: options.space ?? (side === 2 ? 60 : 28),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    values: options.values ? (_, ticks) => ticks.map(options.values) : side === 2 ? undefined : (_, ticks) => ticks.map(tick),
  };
}

const tick = (value) => (Math.abs(value) >= 10000 ? `${value / 1000}k` : String(+value.toPrecision(6)));

function range(options) {
  const { min, max } = options;
  if (options.range) return (_, low, high) => options.range(low ?? 0, high ?? 1);
  if (min !== undefined && max !== undefined) return () => [min, max];
  return (_, low, high) => {
    const bottom = min ?? low ?? 0;
    const top = max ?? high ?? 1;
    if (!(top > bottom)) return [bottom - (min === undefined ? 0.5 : 0), bottom + 0.5];
    const room = 0.08 * (top - bottom);
    return [min ?? bottom - room, max ?? top + room];
  };
}

/** Along x a chart ends where its data end. */
function spread(x) {
  return (_, low, high) => {
    const left = x.min ?? low ?? 0;
    const right = x.max ?? high ?? 1;
    return right > left ? [left, right] : [left, left + 1];
  };
}

function drawShades(plot, shades) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const { from, to, color = "--human" } of shades) {
    const left = plot.valToPos(from, "x", true);
    const width = Math.max(2, plot.valToPos(to, "x", true) - left);
    ctx.globalAlpha = 0.16;
    ctx.fillStyle = colour(color);
    ctx.fillRect(left, bbox.top, width, bbox.height);
    ctx.globalAlpha = 0.55;
    ctx.fillStyle = hatch(ctx, colour(color), devicePixelRatio);
    ctx.fillRect(left, bbox.top, width, bbox.height);
    ctx.globalAlpha = 1;
  }
  ctx.restore();
}

function drawLines(plot, lines) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.textAlign = "left";
  ctx.textBaseline = "alphabetic";
  ctx.font = font(11 * devicePixelRatio);
  for (const { value, at, label = "", color = "--muted", dash = [6, 4] } of lines) {
    ctx.strokeStyle = ctx.fillStyle = colour(color);
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.setLineDash(dash.map((each) => each * devicePixelRatio));
    ctx.beginPath();
    if (at !== undefined) {
      const x = plot.valToPos(at, "x", true);
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.fillText(label, x + 4 * devicePixelRatio, bbox.top + 12 * devicePixelRatio);
    } else {
      const y = plot.valToPos(value, "y", true);
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.fillText(label, bbox.left + 4 * devicePixelRatio, y - 4 * devicePixelRatio);
    }
    ctx.stroke();
  }
  ctx.restore();
}

/**
 * Draw a chart.
 *
 * @param {HTMLElement} root gets the chart as its only child
 * @param {object} options
 * @param {{label: string, color: string, dash?: number[], width?: number, fill?: boolean|string,
 *   kind?: "line"|"step", spanGaps?: boolean}[]} options.series
 *   `color` is a token ("--policy") or a colour
 * @param {{label?: string, min?: number, max?: number, values?: (v: number) => string, show?: boolean,
 *   size?: number}} [options.x] the horizontal axis: a number, not a time
 * @param {object} [options.y] the vertical axis, the same; a bound that is not given follows the data, or
 *   `range`, (low, high) → [bottom, top], says what is shown of data between these
 * @param {number} [options.height] in pixels; without it the root's own height, which CSS must give
 * @param {string} [options.label] what the chart shows, for those who do not see it
 * @param {{key: string}} [options.sync] charts of one key share their cursor
 * @param {(row: number|null) => void} [options.onCursor] called with the row of the data under the pointer
 * @param {number} [options.gutter] room right of the plot, for labels that `paint` puts there [px]
 * @param {{under?: (plot: uPlot) => void, over?: (plot: uPlot) => void}} [options.paint] draws more on the
 *   canvas, below and above the series
 * @returns {{set: (data: (number|null)[][], marks?: {shades?: {from, to, color?}[],
 *   lines?: {value?: number, at?: number, label?: string, color?: string, dash?: number[]}[]}) => void,
 *   setX: (min: number, max: number) => void, destroy: () => void, plot: () => uPlot}}
 *   `set` takes columns, [xs, ys of the first series, …]; `marks` stay until others are given. Shades are
 *   hatched spans of x; lines are drawn across at `value`, or upright `at` an x. `setX` fixes the bounds of
 *   the x axis, for the next `set`.
 */
export function chart(root, options) {
  const { series, y = {}, height, label, sync } = options;
  const { onCursor, gutter = 0, paint = {} } = options;
  const x = { ...options.x };
  let data = [[], ...series.map(() => [])];
  let marks = { shades: [], lines: [] };
  let plot = null;

  const size = () => ({
    width: Math.max(60, Math.floor(root.clientWidth)),
    height: Math.max(40, Math.floor(height ?? root.clientHeight)),
  });

  function build() {
    plot?.destroy();
    plot = new uPlot(
      {
        ...size(),
        series: [{ label: x.label ?? "" }, ...series.map(seriesOf)],
        scales: { x: { time: false, range: spread(x) }, y: { range: range(y) } },
        axes: [axis(x, 2), axis(y, 3)],
        legend: { show: false },
        cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false }, sync: sync && { key: sync.key } },
        padding: [8, 8 + gutter, 0, 0],
        hooks: {
          drawClear: [(each) => (drawShades(each, marks.shades), paint.under?.(each))],
          draw: [(each) => (drawLines(each, marks.lines), paint.over?.(each))],
          setCursor: onCursor ? [(each) => onCursor(each.cursor.idx ?? null)] : [],
        },
      },
      data,
      root,
    );
  }

  root.classList.add("chart");
  if (label) {
    root.setAttribute("role", "img");
    root.setAttribute("aria-label", label);
  }
  root.replaceChildren();
  build();
  const resized = new ResizeObserver(() => {
    const { width, height: tall } = size();
    if (plot.width !== width || plot.height !== tall) plot.setSize({ width, height: tall });
  });
  resized.observe(root);
  document.addEventListener("themechange", build);

  return {
    set(columns, newMarks) {
      data = columns;
      if (newMarks) marks = { shades: [], lines: [], ...newMarks };
      plot.setData(data);
    },
    destroy() {
      resized.disconnect();
      document.removeEventListener("themechange", build);
      plot.destroy();
    },
    setX(min, max) {
      x.min = min;
      x.max = max;
    },
    plot: () => plot,
  };
}
