/**
 * Driving from the page, as every view has it that drives: the device, the switch, the neutral takeover, and what
 * the device says.
 */

import { h, say, mark } from "../dom.js";

const SOURCES = { keyboard: "Keyboard", gamepad: "Gamepad", spacemouse: "SpaceMouse" };
const AXES = ["x", "y", "z", "rx", "ry", "rz"];
const HELD_MS = 350; // a longer press of t or its button is a hold, a shorter one a switch
const LOST_MS = 300; // a hand that is waited for so long is not one that has only just begun
const LOST = "▲ Your hand was not heard for a moment, and the arm holds: let go of everything, then press again.";

/** The neutral takeover: pressed shortly it stays, held it ends when it is let go. */
function takeover({ hand, commands, toast }) {
  const node = h(
    "button",
    { type: "button", dataset: { verb: "takeover" }, "aria-pressed": "false" },
    h("span", {}, "Hold still"),
    h("kbd", { "aria-hidden": "true" }, "t"),
  );
  let began = null;
  const down = () => {
    const why = commands.why("takeover");
    if (why) return toast(`Neutral takeover is not possible: ${why}.`, "warn");
    if (hand.neutral) {
      began = null;
      hand.setNeutral(false);
    } else {
      began = performance.now();
      hand.setNeutral(true);
    }
  };
  const up = () => {
    if (began !== null && performance.now() - began > HELD_MS) hand.setNeutral(false);
    began = null;
  };
  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    node.setPointerCapture(event.pointerId);
    down();
  });
  node.addEventListener("pointerup", up);
  node.addEventListener("pointercancel", up);
  node.addEventListener("click", (event) => event.detail === 0 && (down(), (began = null)));
  const unwatch = commands.watch(node, "takeover", "Neutral takeover: you drive, and the arm holds still");
  return { node, down, up, unwatch };
}

/** The switch that arms the device. */
function drivingSwitch({ hand, commands, toast }, [idle, armed]) {
  const node = h(
    "button",
    { type: "button", dataset: { act: "drive" }, "aria-pressed": "false" },
    h("span", {}, idle),
    h("kbd", { "aria-hidden": "true" }, "k"),
  );
  const flip = () => {
    const why = commands.why("drive");
    if (hand.armed) hand.disarm();
    else if (why) toast(`Driving is not possible: ${why}.`, "warn");
    else hand.arm();
  };
  node.addEventListener("click", (event) => {
    if (event.detail > 0) node.blur();
    flip();
  });
  const draw = () => {
    mark(node, "aria-pressed", String(hand.armed));
    say(node.firstChild, hand.armed ? armed : idle);
  };
  const unwatch = commands.watch(node, "drive", `${idle} from this page`);
  return { node, flip, draw, unwatch };
}

/** The choice of the device. */
function devices(hand) {
  const node = h(
    "select",
    { "aria-label": "Device at this page", name: "source", on: { change: () => (hand.choose(node.value), node.blur()) } },
    Object.entries(SOURCES).map(([name, label]) => {
      const why = hand.obstacle(name);
      const words = why ? `${label} (not here)` : label;
      return h("option", { value: name, disabled: why !== "", title: why || null }, words);
    }),
  );
  node.value = hand.source;
  return node;
}

/** The choice of where the operator stands. */
function sides(hand) {
  const choose = () => {
    hand.facing = node.value === "facing";
    node.blur();
  };
  const node = h(
    "select",
    { "aria-label": "Where you look from", name: "facing", on: { change: choose } },
    h("option", { value: "behind" }, "Behind the arm"),
    h("option", { value: "facing" }, "Facing the arm"),
  );
  node.value = hand.facing ? "facing" : "behind";
  return node;
}

/**
 * Put the controls of driving into a node, and bind their keys. Whoever leaves the view lets the arm go
 * (`Hand.letGo`), so that this has nothing of it to do.
 *
 * @param {HTMLElement} root
 * @param {object} context
 * @param {{names: [string, string], key: string, group: string, when?: () => boolean}} options `names` of the
 *   switch, at rest and armed; `key`: what k does, for the help; `when`: whether the keys mean this now
 * @returns {() => void} ends it
 */
export function driving(root, context, { names, key, group, when }) {
  const { commands, hand, keys, live } = context;
  const drive = drivingSwitch(context, names);
  const neutral = takeover(context);
  const source = devices(hand);
  const axes = AXES.map((name) => h("span", { class: "axis", dataset: { axis: name } }, h("i"), h("small", {}, name)));
  const words = h("p", { class: "hint" });
  root.classList.add("driving");
  root.append(
    h("div", { class: "switches" }, drive.node, neutral.node, source),
    h("div", { class: "feel" }, words, sides(hand), h("div", { class: "axes", "aria-hidden": "true" }, axes)),
  );

  let frame = 0;
  let waited = null; // since when the arm holds although this page drives
  /** Whether the control loop waits for this hand to let go, as it does once it has lost it. */
  function lost() {
    const { now, alive } = live.state;
    const holds = alive && hand.last.drive && now?.driver === "hold" && now.hand !== "" && !now.paused;
    waited = holds ? (waited ?? performance.now()) : null;
    return holds && performance.now() - waited > LOST_MS;
  }
  function feel() {
    const { seen, drive: drives } = hand.last;
    if (lost() !== root.hasAttribute("data-lost")) changed();
    axes.forEach((axis, index) => {
      axis.firstChild.style.transform = `scaleX(${seen[index]})`;
    });
    mark(root, "data-drives", drives ? "" : null);
    frame = hand.armed || hand.neutral ? requestAnimationFrame(feel) : 0;
  }
  const changed = () => {
    const silent = lost();
    drive.draw();
    mark(root, "data-lost", silent ? "" : null);
    mark(neutral.node, "aria-pressed", String(hand.neutral));
    if (source.value !== hand.source) source.value = hand.source;
    mark(root, "data-armed", hand.armed ? "" : null);
    if (frame === 0) feel();
    const why = hand.armed ? "" : commands.why("drive");
    const idle = why ? `${names[0]} from this page: ${why}.` : `${SOURCES[hand.source]}: ${hand.words}.`;
    say(words, silent ? LOST : hand.armed ? `${hand.words}.` : idle);
  };
  hand.addEventListener("change", changed);
  const still = "neutral takeover: press to switch, or hold";
  const offs = [
    ...["lease", "connection", "now"].map((kind) => live.on(kind, changed)),
    keys.bind("t", still, neutral.down, { group, when, up: neutral.up }),
    keys.bind("k", key, drive.flip, { group, when }),
    drive.unwatch,
    neutral.unwatch,
    () => hand.removeEventListener("change", changed),
  ];
  changed();
  return () => {
    cancelAnimationFrame(frame);
    for (const off of offs) off();
  };
}
