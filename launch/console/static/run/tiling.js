/**
 * Where pictures go in a box: the first one large, the others beside it, as large as they can be. Two share the
 * box. Nothing is cropped or stretched.
 */

const GAP = 3;
const LARGE = 0.6; // share of the width that the large one of three or more may have

/** Rows of pictures of one height, in a box; null where they have no room. */
function rows(aspects, count, width, height) {
  const perRow = Math.ceil(aspects.length / count);
  const lines = [];
  for (let from = 0; from < aspects.length; from += perRow) lines.push(aspects.slice(from, from + perRow));
  const sum = (line) => line.reduce((total, each) => total + each, 0);
  const tall = Math.min(
    (height - GAP * (lines.length - 1)) / lines.length,
    ...lines.map((line) => (width - GAP * (line.length - 1)) / sum(line)),
  );
  if (!(tall > 0)) return null;
  const rects = [];
  lines.forEach((line, row) => {
    let left = 0;
    for (const aspect of line) {
      rects.push({ left, top: row * (tall + GAP), width: aspect * tall, height: tall });
      left += aspect * tall + GAP;
    }
  });
  return { tall, rects };
}

/** The arrangement in rows whose pictures are largest. */
function best(aspects, width, height) {
  const all = aspects.map((_, index) => rows(aspects, index + 1, width, height)).filter(Boolean);
  const none = { tall: 0, rects: aspects.map(() => ({ left: 0, top: 0, width: 0, height: 0 })) };
  return all.reduce((found, each) => (each.tall > found.tall + 1 ? each : found), all[0]) ?? none;
}

const extent = (rects, start, size) => Math.max(0, ...rects.map((each) => each[start] + each[size]));

/**
 * @param {number[]} aspects width over height of each picture; the first is the large one
 * @param {number} width of the box [px]
 * @param {number} height of the box [px]
 * @returns {{left: number, top: number, width: number, height: number}[]} in the order of `aspects`, centred
 */
export function tile(aspects, width, height) {
  let rects;
  if (aspects.length < 3) rects = best(aspects, width, height).rects;
  else {
    const large = Math.min(LARGE * width, aspects[0] * height);
    const tall = large / aspects[0];
    const others = best(aspects.slice(1), width - large - GAP, tall).rects;
    const down = (tall - extent(others, "top", "height")) / 2;
    rects = [
      { left: 0, top: 0, width: large, height: tall },
      ...others.map((each) => ({ ...each, left: each.left + large + GAP, top: each.top + down })),
    ];
  }
  const right = (width - extent(rects, "left", "width")) / 2;
  const down = (height - extent(rects, "top", "height")) / 2;
  return rects.map((each) => ({ ...each, left: each.left + right, top: each.top + down }));
}

/**
 * The height that pictures can make use of in a box of this width.
 * @param {number[]} aspects as of `tile`
 * @param {number} width of the box [px]
 * @returns {number} [px]
 */
export function useful(aspects, width) {
  if (aspects.length === 0) return 0;
  if (aspects.length > 2) return (LARGE * width) / aspects[0];
  return rows(aspects, 1, width, Infinity)?.tall ?? 0;
}
