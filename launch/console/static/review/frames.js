/** An episode's pictures and numbers, out of one packed answer; decoded once, then painted from memory. */

const WIDEST = 480; // of a picture that is kept decoded, so that a long episode of large ones fits

/**
 * Fetch and unpack an episode.
 * @param {object} context of the view
 * @param {number} episode
 * @returns {Promise<Recording>}
 */
export async function fetchRecording(context, episode) {
  return new Recording(await context.blob(`/api/episodes/${episode}/blob`));
}

/** Steps (`head.steps`, columns) and pictures of one episode. Moment m is before step m; the last is after all. */
class Recording {
  #bytes;
  #start;
  #bitmaps;
  #closed = false;

  constructor(buffer) {
    const length = new DataView(buffer).getUint32(0, true);
    this.head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    this.steps = this.head.steps.reward.length;
    this.cameras = this.head.cameras;
    this.#bytes = buffer;
    this.#start = 4 + length;
    this.#bitmaps = this.cameras.map(() => new Array(this.steps + 1).fill(null));
  }

  /** Decode the pictures of moments `from` to `to`; `ready` is called as they come. */
  async decode(from = 0, to = this.steps, ready = () => {}) {
    const one = async (camera, index, moment) => {
      const place = camera.frames[moment];
      if (!place || this.#bitmaps[index][moment]) return;
      const jpeg = new Blob([new Uint8Array(this.#bytes, this.#start + place[0], place[1])], { type: "image/jpeg" });
      const wide = camera.width > WIDEST ? { resizeWidth: WIDEST, resizeQuality: "medium" } : {};
      const bitmap = await createImageBitmap(jpeg, wide);
      if (this.#closed) bitmap.close();
      else this.#bitmaps[index][moment] = bitmap;
    };
    const at = (moment) => Promise.all(this.cameras.map((camera, index) => one(camera, index, moment)));
    await at(from);
    ready(from);
    const rest = [];
    for (let moment = from + 1; moment <= to; moment += 1) rest.push(at(moment).then(() => ready(moment)));
    await Promise.all(rest);
  }

  /** Paint a moment on the cameras' canvases; one that is not decoded yet is left as it is. */
  paint(canvases, moment) {
    canvases.forEach((canvas, index) => {
      const bitmap = this.#bitmaps[index][moment];
      if (!bitmap) return;
      if (canvas.width !== bitmap.width) {
        canvas.width = bitmap.width;
        canvas.height = bitmap.height;
      }
      canvas.getContext("2d").drawImage(bitmap, 0, 0);
      canvas.dataset.sequence = moment;
    });
  }

  /** Give the memory back. */
  close() {
    this.#closed = true;
    for (const bitmap of this.#bitmaps.flat()) bitmap?.close();
    this.#bitmaps = this.#bitmaps.map((each) => each.fill(null));
  }
}

/** Who drove, as spans of steps: [{from, to, source}], sources that are not the policy only. */
export function segments(sources) {
  const found = [];
  sources.forEach((source, step) => {
    const last = found.at(-1);
    if (last?.source === source && last.to === step - 1) last.to = step;
    else found.push({ from: step, to: step, source });
  });
  return found.filter(({ source }) => source !== 0);
}

/**
 * Goes from moment to moment as time passes.
 * @param {{period: number, last: number, at: () => number, go: (moment: number) => void, ended?: () => void,
 *   changed?: (playing: boolean) => void}} options `period` of a step in seconds
 */
export class Player {
  #options;
  #began = 0;
  #from = 0;
  #asked = 0;
  speed = 1;

  constructor(options) {
    this.#options = options;
  }

  get playing() {
    return this.#asked !== 0;
  }

  /** Go on from where it is; from the start when it is at the end. */
  play() {
    if (this.playing) return;
    const { at, last, go, changed = () => {} } = this.#options;
    if (at() >= last) go(0);
    this.#from = at();
    this.#began = performance.now();
    this.#asked = requestAnimationFrame(() => this.#tick());
    changed(true);
  }

  /** Stay where it is. */
  pause() {
    if (!this.playing) return;
    cancelAnimationFrame(this.#asked);
    this.#asked = 0;
    this.#options.changed?.(false);
  }

  #tick() {
    const { period, last, at, go, ended = () => {} } = this.#options;
    const passed = ((performance.now() - this.#began) / 1000 / period) * this.speed;
    const moment = Math.min(last, this.#from + Math.floor(passed));
    if (moment !== at()) go(moment);
    if (moment >= last) {
      this.pause();
      ended();
    } else this.#asked = requestAnimationFrame(() => this.#tick());
  }
}
