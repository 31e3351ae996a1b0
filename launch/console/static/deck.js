/** The operator's deck: the episode's clock, the verdicts, what the run shall do, and driving. */

import { h, say, mark } from "./dom.js";

const SOURCES = { keyboard: "Keyboard", gamepad: "Gamepad", spacemouse: "SpaceMouse" };
const AXES = ["x", "y", "z", "rx", "ry", "rz"];
const HELD_MS = 350; // a longer press of t or its button is a hold, a shorter one a switch

/** The clock of the running episode. */
function clock(root, { live }) {
  const episode = h("b", { dataset: { field: "episode" } }, "–");
  const step = h("span", { dataset: { field: "step" } }, "–");
  const time = h("b", { class: "time", dataset: { field: "clock" } }, "–");
  const limit = h("span", { class: "muted" });
  const bar = h("i");
  const phase = h("span", { class: "phase muted", dataset: { field: "phase" } }, "–");
  root.append(
    h("div", { class: "row spread" }, h("span", {}, "Episode ", episode, h("span", { class: "muted" }, " · step "), step), phase),
    h("div", { class: "row" }, time, limit, h("div", { class: "bar", role: "presentation" }, bar)),
  );
  return () => {
    const { now, run, alive } = live.state;
    say(phase, run?.phase ?? "–");
    if (now === null || now.episode < 0) return;
    say(episode, now.episode);
    say(step, `${now.step} of ${now.most_steps}`);
    const spent = now.step * now.period_s;
    say(time, `${spent.toFixed(1)} s`);
    say(limit, `of ${(now.most_steps * now.period_s).toFixed(1)} s`);
    const share = now.most_steps ? Math.min(1, now.step / now.most_steps) : 0;
    bar.style.width = `${100 * share}%`;
    mark(root, "data-late", share > 0.85 && now.running ? "" : null);
    mark(root, "data-idle", now.running && alive ? null : "");
  };
}

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
  commands.watch(node, "takeover", "Neutral takeover: you drive, and the arm holds still");
  return { node, down, up };
}

/** Driving from the page: the device, the switch, and what the device says. */
function driving(root, context) {
  const { hand, commands, toast } = context;
  const drive = h(
    "button",
    { type: "button", dataset: { act: "drive" }, "aria-pressed": "false" },
    h("span", {}, "Drive"),
    h("kbd", { "aria-hidden": "true" }, "k"),
  );
  const flip = () => {
    const why = commands.why("drive");
    if (hand.armed) hand.disarm();
    else if (why) toast(`Driving is not possible: ${why}.`, "warn");
    else hand.arm();
  };
  drive.addEventListener("click", (event) => {
    if (event.detail > 0) drive.blur();
    flip();
  });
  commands.watch(drive, "drive", "Drive the arm from this page");
  const neutral = takeover(context);
  const source = h(
    "select",
    { "aria-label": "Device at this page", name: "source", on: { change: () => (hand.choose(source.value), source.blur()) } },
    Object.entries(SOURCES).map(([name, label]) => {
      const why = hand.obstacle(name);
      return h("option", { value: name, disabled: why !== "", title: why || null }, why ? `${label} (not here)` : label);
    }),
  );
  source.value = hand.source;
  const side = h(
    "select",
    { "aria-label": "Where you look from", name: "facing", on: { change: () => ((hand.facing = side.value === "facing"), side.blur()) } },
    h("option", { value: "behind" }, "Behind the arm"),
    h("option", { value: "facing" }, "Facing the arm"),
  );
  side.value = hand.facing ? "facing" : "behind";
  const axes = AXES.map((name) => h("span", { class: "axis", dataset: { axis: name } }, h("i"), h("small", {}, name)));
  const words = h("p", { class: "hint" });
  root.append(
    h("div", { class: "switches" }, drive, neutral.node, source),
    h("div", { class: "feel" }, words, side, h("div", { class: "axes", "aria-hidden": "true" }, axes)),
  );

  let frame = 0;
  const changed = () => {
    mark(drive, "aria-pressed", String(hand.armed));
    say(drive.firstChild, hand.armed ? "Driving" : "Drive");
    mark(neutral.node, "aria-pressed", String(hand.neutral));
    if (source.value !== hand.source) source.value = hand.source;
    mark(root, "data-armed", hand.armed ? "" : null);
    if (frame === 0) feel();
    const why = commands.why("drive");
    say(words, hand.armed ? `${hand.words}.` : why ? `Drive from this page: ${why}.` : `${SOURCES[hand.source]}: ${hand.words}.`);
  };
  hand.addEventListener("change", changed);
  const offs = ["lease", "connection", "now"].map((kind) => context.live.on(kind, changed));
  changed();
  function feel() {
    const { seen, drive: drives } = hand.last;
    axes.forEach((axis, index) => {
      axis.firstChild.style.transform = `scaleX(${seen[index]})`;
    });
    mark(root, "data-drives", drives ? "" : null);
    frame = hand.armed || hand.neutral ? requestAnimationFrame(feel) : 0;
  }
  return {
    flip,
    neutral,
    end() {
      cancelAnimationFrame(frame);
      hand.removeEventListener("change", changed);
      for (const off of offs) off();
      hand.disarm();
      hand.setNeutral(false);
    },
  };
}

/**
 * The deck.
 * @param {HTMLElement} root
 * @param {object} context
 * @returns {() => void} ends it
 */
export function deck(root, context) {
  const { commands, keys, live, hand } = context;
  const clockRoot = h("div", { class: "clock" });
  const driveRoot = h("div", { class: "driving" });
  const drawClock = clock(clockRoot, context);
  const button = (verb, key, label, style) => commands.button(verb, { key, label, class: style });
  root.append(
    clockRoot,
    h("div", { class: "verdicts" }, button("success", "y", "✓ Success", "yes"), button("failure", "n", "✕ Failure", "no"), button("discard", "x", "Discard")),
    h("div", { class: "moves" }, button("pause", "p"), button("resume", "p"), button("reset", "r"), button("regrasp", "g")),
    driveRoot,
  );
  const drive = driving(driveRoot, context);
  const free = () => !(hand.armed && hand.source === "keyboard");
  const group = "Run";
  const bind = (key, words, verb, when) => keys.bind(key, words, () => commands.ask(verb), { group, when });
  const offs = [
    bind("y", "success", "success"),
    bind("n", "failure", "failure"),
    bind("x", "discard the episode", "discard"),
    keys.bind("p", "pause, resume", () => commands.toggle(), { group }),
    bind("r", "reset: to a new start", "reset", free),
    bind("Backspace", "reset: to a new start", "reset"),
    bind("g", "regrasp", "regrasp"),
    keys.bind("t", "neutral takeover: press to switch, or hold", drive.neutral.down, { group, up: drive.neutral.up }),
    keys.bind("k", "drive from this page", drive.flip, { group, when: free }),
    ...["now", "run", "connection"].map((kind) => live.on(kind, drawClock)),
  ];
  const pressed = ({ detail }) => (detail === "pause" ? commands.toggle() : commands.ask(detail));
  hand.addEventListener("button", pressed);
  drawClock();
  return () => {
    hand.removeEventListener("button", pressed);
    drive.end();
    for (const off of offs) off();
  };
}

