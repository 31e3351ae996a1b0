/**
 * The operator's hand: from a device at this page to the control loop, 50 times a second.
 *
 * Driving is armed first (a button, or k); then the device's own deadman says when the human drives. Whatever
 * takes the operator's attention off the page (another window, a hidden tab, a lost lease, a lost device) ends
 * it at once: one packet says so, and then there is silence, which the control loop takes as letting go, too.
 *
 * A source has `name`, `words`, `open()`, `close()`, `drop()` and `read() → {twist, drive}`.
 */

import { backoff, socketAddress } from "../live.js";
import { KeyboardSource } from "./keyboard.js";
import { GamepadSource } from "./gamepad.js";
import { SpaceMouseSource } from "./spacemouse.js";

const PERIOD_MS = 20;
const BACKLOG = 4096; // bytes not yet sent: beyond, a packet would arrive too late to mean anything
const NO_LEASE = 4403;
const REPLACED = 4409;
const REST = [0, 0, 0, 0, 0, 0];
const FACING = "handrail-facing";

/**
 * A twist in the axes of a device on the desk (x right, y away, z up) as directions of the arm's base.
 * @param {readonly number[]} twist (6,)
 * @param {boolean} facing whether the operator faces the arm; otherwise they stand behind its base and look
 *   where it looks, along its x axis
 * @returns {number[]} (6,)
 */
export function inBase([x, y, z, rx, ry, rz], facing) {
  const sign = facing ? -1 : 1;
  return [sign * y, -sign * x, z, sign * ry, -sign * rx, rz].map((each) => each || 0); // no minus zeros
}

/**
 * The hand of this page. Fires "change" (armed, source, neutral) and "button", of a device
 * that drives (detail: {name, down}).
 */
export class Hand extends EventTarget {
  #live;
  #may;
  #toast;
  #sources;
  #socket = null;
  #attempt = 0;
  #timer = null;
  #sequence = 0;
  #held = new Set();
  #armed = false;
  #neutral = false;
  #source;
  #opening = false;
  #facing = false;

  /**
   * @param {{live: object, keys: object, toast: Function, may: () => boolean}} parts `may`: whether this page
   *   may drive
   */
  constructor({ live, keys, toast, may }) {
    super();
    this.#live = live;
    this.#may = may;
    this.#toast = toast;
    const press = (name, down) => this.dispatchEvent(new CustomEvent("button", { detail: { name, down } }));
    const lost = (why) => this.disarm(why);
    this.#sources = {
      keyboard: new KeyboardSource(keys),
      gamepad: new GamepadSource(press, lost),
      spacemouse: new SpaceMouseSource(press, lost),
    };
    this.#source = this.#sources.keyboard;
    /** What was last read: {twist, drive, seen}; `seen` is the device's, in its own axes. */
    this.last = { twist: REST, drive: false, seen: REST };
    try {
      this.#facing = localStorage.getItem(FACING) === "true";
    } catch {
      // Without storage it is chosen again.
    }
    window.addEventListener("blur", () => this.letGo("the window lost the focus"));
    window.addEventListener("pagehide", () => this.letGo(""));
    document.addEventListener("visibilitychange", () => document.hidden && this.letGo("the tab was hidden"));
    document.addEventListener("contextmenu", () => this.#source.drop());
    live.on("connection", ({ connected }) => !connected && this.letGo("the connection to the console was lost"));
    live.on("lease", () => !this.#may() && this.letGo("this page does not operate any more"));
  }

  /** Whether the device's deadman counts. */
  get armed() {
    return this.#armed;
  }

  /** Whether the human drives without moving, whatever the device says. */
  get neutral() {
    return this.#neutral;
  }

  /** The chosen source: "keyboard", "gamepad" or "spacemouse"; and how it is used. */
  get source() {
    return this.#source.name;
  }

  get words() {
    return this.#source.words;
  }

  /** Whether the operator faces the arm, rather than standing behind its base. */
  get facing() {
    return this.#facing;
  }

  set facing(value) {
    this.#facing = value;
    try {
      localStorage.setItem(FACING, String(value));
    } catch {
      // As above.
    }
    this.#changed();
  }

  /** Why a source cannot be used here, "" when it can. */
  obstacle(name) {
    if (name === "spacemouse") return SpaceMouseSource.obstacle;
    if (name === "gamepad" && !GamepadSource.available) return "this browser reads no gamepads";
    return "";
  }

  /** Choose the device; one that was armed is let go of first. */
  choose(name) {
    if (name === this.source) return;
    this.disarm();
    this.#source = this.#sources[name];
    this.#changed();
  }

  /** Begin to drive. Call it from a click or a key: browsers ask for that. */
  async arm() {
    if (this.#armed || this.#opening) return;
    if (!this.#may()) {
      this.#toast("Take the controls first, then drive.", "warn");
      return;
    }
    const source = this.#source;
    this.#opening = true;
    try {
      await source.open();
    } catch (error) {
      this.#toast(`Cannot drive: ${error.message}.`, "warn");
      return;
    } finally {
      this.#opening = false;
    }
    if (source !== this.#source || !this.#may()) {
      source.close();
      return;
    }
    this.#armed = true;
    this.#live.watch({ real_time: true }, "hand");
    this.#settle();
  }

  /** End driving. @param {string} [why] shown, where it is given */
  disarm(why = "") {
    if (!this.#armed) return;
    this.#armed = false;
    this.#source.close();
    this.#live.watch({}, "hand");
    this.#settle();
    if (why) this.#toast(`Driving ended: ${why}.`, "warn");
  }

  /** Neutral takeover: the human drives and does not move, until it is set back. */
  setNeutral(on) {
    if (on === this.#neutral || (on && !this.#may())) return;
    this.#neutral = on;
    this.#settle();
  }

  /** Hold a named button down, such as "success" while examples are collected. */
  hold(button) {
    if (!this.#may()) return;
    this.#held.add(button);
    this.#settle();
  }

  /** Let a named button go. */
  drop(button) {
    if (this.#held.delete(button)) this.#settle();
  }

  /**
   * The operator's attention is elsewhere: nothing is driven nor held any more.
   * @param {string} [why] shown, where something has ended
   */
  letGo(why = "") {
    const neutral = this.#neutral;
    this.#held.clear();
    this.#neutral = false;
    this.#source.drop();
    if (this.#armed) return this.disarm(why);
    this.#settle();
    if (neutral && why) this.#toast(`Holding still ended: ${why}.`, "warn");
  }

  get #active() {
    return this.#armed || this.#neutral || this.#held.size > 0;
  }

  /** Stream while there is something to say; say so when there is nothing more. */
  #settle() {
    if (this.#active) {
      if (this.#socket === null) this.#connect();
      this.#timer ??= setInterval(() => this.#send(), PERIOD_MS);
      this.#send();
    } else if (this.#timer !== null) {
      clearInterval(this.#timer);
      this.#timer = null;
      this.#send();
      // Closed after it has sent what it holds.
      this.#socket?.close();
      this.#socket = null;
    }
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  #read() {
    const reading = this.#armed ? this.#source.read() : { twist: REST, drive: false };
    // A twist without the deadman is not the arm's business.
    const twist = reading.drive ? inBase(reading.twist, this.#facing) : REST;
    return { twist, drive: reading.drive || this.#neutral, seen: reading.twist };
  }

  #send() {
    this.last = this.#read();
    const { twist, drive } = this.last;
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN || socket.bufferedAmount > BACKLOG) return;
    this.#sequence += 1;
    socket.send(JSON.stringify({ sequence: this.#sequence, t_ms: this.#live.serverNow(), twist, drive, held: [...this.#held] }));
  }

  #connect() {
    const socket = new WebSocket(socketAddress("/ws/hand"));
    this.#socket = socket;
    socket.onopen = () => {
      this.#attempt = 0;
      // Grows faster than packets are sent, so that a page that was loaded anew begins above its old numbers.
      this.#sequence = Math.max(this.#sequence, Math.floor(this.#live.serverNow() / 10));
      this.#send();
    };
    socket.onclose = ({ code }) => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      if (code === NO_LEASE) return this.letGo("this page does not operate any more");
      if (code === REPLACED) return this.letGo("you drive from another page now");
      if (!this.#active) return;
      setTimeout(() => this.#active && this.#socket === null && this.#connect(), backoff(this.#attempt));
      this.#attempt += 1;
    };
  }
}
