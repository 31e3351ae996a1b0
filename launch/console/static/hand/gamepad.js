/**
 * A gamepad through the Gamepad API, with the axes of `intervention/gamepad.py`: the left stick moves x and y,
 * the triggers z, the right stick turns about z and tips about x, the cross tips about y. A shoulder button is
 * the deadman, for a stick that is held still reports nothing.
 */

const DEAD_ZONE = 0.15;
const CROSS = 0.5;
const BUTTONS = { 0: "success", 1: "failure", 2: "discard", 8: "stop", 9: "pause" };
const [LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_TRIGGER, RIGHT_TRIGGER, CROSS_LEFT, CROSS_RIGHT] = [4, 5, 6, 7, 14, 15];

const beyond = (value) => (Math.sign(value) * Math.max(0, Math.abs(value) - DEAD_ZONE)) / (1 - DEAD_ZONE);

/**
 * The twist of a pad in the standard mapping, (6,) in [-1, 1].
 * @param {{axes: readonly number[], buttons: readonly {value: number, pressed: boolean}[]}} pad
 */
export function twistOf({ axes, buttons }) {
  const value = (button) => buttons[button]?.value ?? 0;
  const pressed = (button) => Number(buttons[button]?.pressed ?? false);
  const [leftX, leftY, rightX, rightY] = axes.map(beyond);
  const lift = beyond(value(RIGHT_TRIGGER)) - beyond(value(LEFT_TRIGGER));
  const tilt = CROSS * (pressed(CROSS_RIGHT) - pressed(CROSS_LEFT));
  return [leftX, -leftY, lift, rightY, tilt, -rightX].map((each) => Math.max(-1, Math.min(1, each || 0)));
}

/** A source of readings: see `Hand`. */
export class GamepadSource {
  name = "gamepad";
  words = "hold LB or RB to drive; left stick moves, triggers lift, right stick and cross turn";
  #index = -1;
  #held = new Set();
  #press;
  #lost;

  /**
   * @param {(button: string, down: boolean) => void} press told of buttons that mean something
   * @param {(why: string) => void} lost told that the pad is gone
   */
  constructor(press, lost) {
    this.#press = press;
    this.#lost = lost;
  }

  /** Whether this browser has the API. */
  static get available() {
    return typeof navigator.getGamepads === "function";
  }

  /**
   * Find the pad.
   * @throws {Error} there is none, or it is of a kind that we cannot read
   */
  async open() {
    const pads = (navigator.getGamepads?.() ?? []).filter((pad) => pad?.connected);
    if (pads.length === 0) throw new Error("no gamepad is seen; plug it in and press one of its buttons");
    const pad = pads.find((each) => each.mapping === "standard");
    if (!pad) throw new Error(`the browser does not know the buttons of “${pads[0].id}”; use another gamepad`);
    this.#index = pad.index;
    this.#held = new Set(this.#pressed(pad)); // what is held already was not pressed for us
  }

  close() {
    this.#index = -1;
    this.#tell([]);
  }

  drop() {}

  read() {
    const pad = navigator.getGamepads()[this.#index];
    if (!pad?.connected) {
      this.#lost("the gamepad is gone; plug it in and start to drive again");
      return { twist: [0, 0, 0, 0, 0, 0], drive: false };
    }
    this.#tell(this.#pressed(pad));
    const drive = [LEFT_SHOULDER, RIGHT_SHOULDER].some((button) => pad.buttons[button]?.pressed);
    return { twist: twistOf(pad), drive };
  }

  /** Tell what has changed of the buttons. Whoever is told may read again at once, so what is held comes first. */
  #tell(pressed) {
    const before = this.#held;
    this.#held = new Set(pressed);
    for (const button of before) if (!this.#held.has(button)) this.#press(BUTTONS[button], false);
    for (const button of this.#held) if (!before.has(button)) this.#press(BUTTONS[button], true);
  }

  #pressed(pad) {
    return Object.keys(BUTTONS).filter((button) => pad.buttons[button]?.pressed);
  }
}
