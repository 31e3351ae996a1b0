/**
 * A 3Dconnexion SpaceMouse through WebHID, with the axes of `intervention/spacemouse.py`: x to the right, y
 * away, z up, and right-handed turns about them. Its deflection is the deadman.
 *
 * Older models report the three shifts (report 1) and the three turns (report 2) apart, newer ones all six in
 * report 1. A deflected mouse reports all the time; one that is silent while deflected counts as let go.
 */

const VENDORS = [0x256f, 0x046d]; // 3Dconnexion; Logitech, under whose name the older ones were sold
const USAGE = { usagePage: 1, usage: 8 }; // generic desktop, multi-axis controller
const FULL = 350;
const DEADMAN = 0.1;
const SILENT_MS = 150;
const SIGNS = [1, -1, -1, 1, -1, -1]; // the device's z points down and its y towards the operator

/**
 * The axes that a report tells of, over those known before.
 * @param {number} id of the report
 * @param {DataView} data of the report, without its id
 * @param {readonly number[]} before (6,)
 * @returns {number[] | null} (6,) in [-1, 1]; null where the report says nothing of axes
 */
export function twistOf(id, data, before) {
  const count = Math.min(6, Math.floor(data.byteLength / 2));
  if (!(id === 1 && count >= 3) && !(id === 2 && count >= 3)) return null;
  const first = id === 2 ? 3 : 0;
  const twist = [...before];
  for (let index = 0; index < count && first + index < 6; index += 1) {
    const value = (SIGNS[first + index] * data.getInt16(2 * index, true)) / FULL;
    twist[first + index] = Math.max(-1, Math.min(1, value));
  }
  return twist;
}

/** A source of readings: see `Hand`. */
export class SpaceMouseSource {
  name = "spacemouse";
  words = "push or turn the cap to drive, let go to hand back; left button success, right button failure";
  #device = null;
  #twist = [0, 0, 0, 0, 0, 0];
  #heardMs = 0;
  #buttons = 0;
  #press;
  #lost;

  /** As of `GamepadSource`. */
  constructor(press, lost) {
    this.#press = press;
    this.#lost = lost;
    navigator.hid?.addEventListener("disconnect", ({ device }) => {
      if (device === this.#device) this.#lost("the SpaceMouse is gone; plug it in and start to drive again");
    });
  }

  /** Why this page cannot use one, "" when it can. */
  static get obstacle() {
    if (!window.isSecureContext) {
      return "a SpaceMouse needs https or localhost: run `handrail console cert`, or plug it into the robot's computer";
    }
    if (!navigator.hid) return "this browser has no WebHID; use Chromium, or plug the SpaceMouse into the robot's computer";
    return "";
  }

  /**
   * Open the mouse; the browser asks the operator the first time. Call it from a click or a key.
   * @throws {Error} there is none, or it may not be used
   */
  async open() {
    if (SpaceMouseSource.obstacle) throw new Error(SpaceMouseSource.obstacle);
    const moves = (device) => device.collections.some((each) => each.usagePage === 1 && each.usage === 8);
    const known = (await navigator.hid.getDevices()).filter((each) => VENDORS.includes(each.vendorId) && moves(each));
    const filters = VENDORS.map((vendorId) => ({ vendorId, ...USAGE }));
    const device = known[0] ?? (await navigator.hid.requestDevice({ filters })).find(moves);
    if (!device) throw new Error("no SpaceMouse was chosen");
    if (!device.opened) await device.open();
    this.#device = device;
    this.#twist = [0, 0, 0, 0, 0, 0];
    device.oninputreport = (event) => this.#take(event);
  }

  close() {
    if (this.#device === null) return;
    this.#tell(0);
    this.#device.oninputreport = null;
    this.#device.close();
    this.#device = null;
  }

  drop() {
    this.#twist = [0, 0, 0, 0, 0, 0];
  }

  read() {
    const silent = performance.now() - this.#heardMs > SILENT_MS;
    const twist = silent ? [0, 0, 0, 0, 0, 0] : this.#twist;
    return { twist, drive: Math.hypot(...twist) > DEADMAN };
  }

  #tell(buttons) {
    const changed = buttons ^ this.#buttons;
    this.#buttons = buttons;
    if (changed & 1) this.#press("success", (buttons & 1) !== 0);
    if (changed & 2) this.#press("failure", (buttons & 2) !== 0);
  }

  #take({ reportId, data }) {
    if (reportId === 3) {
      this.#tell(data.getUint8(0));
      return;
    }
    const twist = twistOf(reportId, data, this.#twist);
    if (twist === null) return;
    this.#twist = twist;
    this.#heardMs = performance.now();
  }
}
