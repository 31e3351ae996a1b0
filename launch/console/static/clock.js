/**
 * The server's clock, known from pings. A page's own clock stands still while its machine sleeps, so what was known
 * before may be wrong by that long: it is thrown away as soon as anything contradicts it.
 */

const KEPT = 30;
const DRIFT_MS = 50; // two clocks may go apart by that much while pings are kept
const SLEPT_MS = 250; // a step of the wall clock against the page's own, from which on the machine may have slept

/** The time of the server, on the page. */
export class Clock {
  #samples = [];
  #offset = 0;
  #wall = Clock.#wallOffset();

  static #wallOffset() {
    return Date.now() - performance.now();
  }

  /** A first guess, from a message without a question. */
  guess(serverMs) {
    if (this.#samples.length === 0) this.#offset = serverMs - performance.now();
  }

  /** A ping was answered. @param {number} sentMs on this page's clock @param {number} serverMs of the answer */
  take(sentMs, serverMs) {
    const now = performance.now();
    const sample = { trip: now - sentMs, offset: serverMs - (sentMs + now) / 2 };
    // The true offset is within half a trip of each: where two exclude each other, the newer one is right.
    const agrees = (each) => Math.abs(each.offset - sample.offset) <= (each.trip + sample.trip) / 2 + DRIFT_MS;
    if (!this.#samples.every(agrees)) this.forget();
    this.#samples.push(sample);
    if (this.#samples.length > KEPT) this.#samples.shift();
    this.#offset = this.#samples.reduce((best, each) => (each.trip < best.trip ? each : best)).offset;
  }

  /** Another server has another clock, and a page that has slept has, too. */
  forget() {
    this.#samples = [];
  }

  /** Whether this machine may have slept since the last call; what is known is forgotten then: ping at once. */
  slept() {
    const wall = Clock.#wallOffset();
    const stepped = Math.abs(wall - this.#wall) > SLEPT_MS;
    this.#wall = wall;
    if (stepped) this.forget();
    return stepped;
  }

  get now() {
    return performance.now() + this.#offset;
  }

  /** Shortest round trip of late [ms]; null before the first. */
  get trip() {
    return this.#samples.length ? Math.min(...this.#samples.map((each) => each.trip)) : null;
  }
}
