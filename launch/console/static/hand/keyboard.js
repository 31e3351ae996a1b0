/**
 * The keyboard as a teleoperation device, with the keys of `intervention/keyboard.py`.
 *
 * A browser reports releases, so the keys themselves are the deadman: the human drives while a motion key or
 * Shift is down. Shift alone drives without moving.
 */

import { keyOf } from "../keys.js";

const DEFLECTION = 0.5;

/** Key → [axis, sign], in the axes of a device on the desk: x to the right, y away, z up. */
export const MOTION = {
  w: [1, 1], s: [1, -1], a: [0, -1], d: [0, 1], r: [2, 1], f: [2, -1],
  i: [4, 1], k: [4, -1], j: [3, -1], l: [3, 1], u: [5, 1], o: [5, -1],
}; // prettier-ignore

/** A source of readings: see `Hand`. */
export class KeyboardSource {
  name = "keyboard";
  words = "w s away, back · a d left, right · r f up, down · i k j l u o turn · Shift drives and holds still · Esc ends";
  #down = new Map(); // KeyboardEvent.code → what it drives; by code, for Shift changes a key's name while it is down
  #keys;

  /** @param {{intercept: Function}} keys */
  constructor(keys) {
    this.#keys = keys;
  }

  /** Start listening. */
  async open() {
    this.#down.clear();
    this.#keys.intercept((event, down) => this.#take(event, down));
  }

  /** Stop listening. */
  close() {
    this.#keys.intercept(null);
    this.#down.clear();
  }

  /** Forget what is down: the window has lost the keyboard and will not hear of releases. */
  drop() {
    this.#down.clear();
  }

  /** @returns {{twist: number[], drive: boolean}} */
  read() {
    const twist = [0, 0, 0, 0, 0, 0];
    for (const motion of this.#down.values()) {
      if (motion !== "shift") twist[motion[0]] += motion[1] * DEFLECTION;
    }
    // The other key of a pair, or a second key of the same name, must not add up beyond the deflection.
    return { twist: twist.map((each) => Math.max(-DEFLECTION, Math.min(DEFLECTION, each))), drive: this.#down.size > 0 };
  }

  #take(event, down) {
    if (!down) return this.#down.delete(event.code);
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const what = event.key === "Shift" ? "shift" : MOTION[keyOf(event)];
    if (what === undefined) return false;
    this.#down.set(event.code, what);
    return true;
  }
}
