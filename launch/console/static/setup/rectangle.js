/** Rectangles within a picture: [left, top, width, height] in whole pixels. */

export const LEAST = 16;

const clamp = (value, low, high) => Math.min(Math.max(value, low), Math.max(low, high));

/**
 * The nearest rectangle that lies within a picture.
 * @param {number[]} rect @param {[number, number]} picture width and height
 * @param {number|null} shape width over height to keep, or null
 */
export function box([left, top, width, height], [wide, high], shape = null) {
  let w = clamp(Math.round(width), LEAST, wide);
  let h = clamp(Math.round(height), LEAST, high);
  if (shape !== null) {
    if (w / h > shape * 1.001) w = Math.round(h * shape);
    else if (w / h < shape * 0.999) h = Math.round(w / shape);
    if (w > wide) [w, h] = [wide, Math.round(wide / shape)];
    if (h > high) [w, h] = [Math.round(high * shape), high];
  }
  return [clamp(Math.round(left), 0, wide - w), clamp(Math.round(top), 0, high - h), w, h];
}

/** Move it, as far as the picture goes. */
export function move([left, top, width, height], x, y, [wide, high]) {
  return [clamp(Math.round(left + x), 0, wide - width), clamp(Math.round(top + y), 0, high - height), width, height];
}

/** Make it larger or smaller at its right and lower side; a shape that is kept follows the side that changes. */
export function grow([left, top, width, height], x, y, [wide, high], shape = null) {
  let w = clamp(width + x, LEAST, wide - left);
  let h = clamp(height + y, LEAST, high - top);
  if (shape !== null) {
    if (x !== 0) h = w / shape;
    else w = h * shape;
    const fits = Math.min(1, (wide - left) / w, (high - top) / h);
    [w, h] = [w * fits, h * fits];
    const least = Math.max(1, LEAST / w, LEAST / h);
    [w, h] = [w * least, h * least];
  }
  return [left, top, Math.round(w), Math.round(h)];
}

/** Give it a shape again: by its height where that was changed, else by its width. */
export function reshape([left, top, width, height], shape, byHeight) {
  if (shape === null) return [left, top, width, height];
  return byHeight ? [left, top, Math.round(height * shape), height] : [left, top, width, Math.round(width / shape)];
}

/** The rectangle between a point that stays and one that is dragged. */
export function spanned([x0, y0], [x1, y1], [wide, high], shape = null) {
  const [right, down] = [x1 >= x0, y1 >= y0];
  let w = Math.max(LEAST, right ? Math.min(x1, wide) - x0 : x0 - Math.max(x1, 0));
  let h = Math.max(LEAST, down ? Math.min(y1, high) - y0 : y0 - Math.max(y1, 0));
  if (shape !== null) {
    [w, h] = w / h > shape ? [w, w / shape] : [h * shape, h];
    const fits = Math.min(1, (right ? wide - x0 : x0) / w, (down ? high - y0 : y0) / h);
    [w, h] = [w * fits, h * fits];
  }
  return [right ? x0 : x0 - w, down ? y0 : y0 - h, w, h];
}
