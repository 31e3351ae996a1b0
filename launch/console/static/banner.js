/**
 * Who drives, to be read from 3 m: a word, a shape, a pattern and a colour, the reason under it, and a tone on
 * every change. Beside it the software stop, at the same place in every view.
 */

import { wayOn } from "./commands.js";
import { h, svg, say, mark, clear } from "./dom.js";
import { endInWords, standstill } from "./standstill.js";

const WORDS = {
  policy: "POLICY", human: "HUMAN", hold: "HOLD", held: "HELD", reset: "RESET", countdown: "COUNTDOWN",
  regrasp: "REGRASP", waiting: "WAITING", gone: "NO CONTROL LOOP",
}; // prettier-ignore

const REASONS = {
  policy: "The policy drives the arm.",
  human: "A human drives the arm.",
  hold: "An episode runs, and nobody drives.",
  held: "Between episodes: it goes on when somebody resumes.",
  reset: "The arm moves to a new start.",
  countdown: "The arm is about to move. Keep clear.",
  regrasp: "A part is taken anew.",
  waiting: "Waiting for weights from the learner.",
};

// Each a different outline, on 48 × 48.
const SHAPES = {
  policy: ["M24 4a20 20 0 1 0 0 40a20 20 0 1 0 0-40Zm0 11a9 9 0 1 1 0 18a9 9 0 1 1 0-18Z"],
  human: ["M24 4a8 8 0 1 0 0 16a8 8 0 1 0 0-16Z", "M6 44c0-12 7-20 18-20s18 8 18 20Z"],
  hold: ["M9 6h11v36H9Z", "M28 6h11v36H28Z"],
  held: ["M6 6h36v36H6Zm9 9v18h6V15Zm12 0v18h6V15Z"],
  fault: ["M16 3h16l13 13v16L32 45H16L3 32V16Zm5 8v16h6V11Zm0 20v6h6v-6Z"],
  reset: ["M24 7a17 17 0 1 1-16.4 12.5l5.8 1.6A11 11 0 1 0 24 13v8L12 10.5L24 0Z"],
  countdown: ["M8 4h32v6L28 24l12 14v6H8v-6l12-14L8 10Z"],
  regrasp: ["M21 3h6v10h12v30h-9V33h3V19H15v14h3v10H9V13h12Z"],
  rest: ["M30 4A20 20 0 1 0 44 30A17 17 0 0 1 30 4Z"],
  ended: ["M8 3h5v42H8Z", "M13 6h28l-7 9l7 9H13Z"],
  waiting: ["M3 19h10v10H3Z", "M19 19h10v10H19Z", "M35 19h10v10H35Z"],
  gone: ["M24 3a21 21 0 1 1 0 42a21 21 0 0 1 0-42Zm-14 14a15.5 15.5 0 0 0 21 21Zm4.5-3.5l20 20a15.5 15.5 0 0 0-20-20Z"],
}; // prettier-ignore

const NOBODY = new Set(["gone", "rest", "starting", "ended"]);
const LOUD = new Set(["fault", "held", "hold", "gone", "ended"]); // heard however fast a simulation runs

const sentence = (words) => `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;

/** What the banner shows of a state: {driver, fault, word, reason}, and `next`: commands for a terminal. */
export function reading(state) {
  const { connected, alive, now, hello, end } = state;
  const still = standstill(state);
  const again = hello?.again ?? "";
  if (still === "ended") {
    if (!end.final) return { driver: still, fault: false, word: "ENDING", reason: endInWords(end) };
    const review = connected ? ["Review (3) is open here,"] : [`handrail console ${again}`, "opens the review,"];
    const next = [...review, `handrail train ${again}`, "goes on."];
    return { driver: still, fault: false, word: "ENDED", reason: endInWords(end), next };
  }
  if (still === "starting") {
    return { driver: still, fault: false, word: "STARTING", reason: "Somebody has this run; no control loop is heard yet." };
  }
  if (still === "rest") {
    const next = [`handrail train ${again}`, "goes on."];
    return { driver: still, fault: false, word: "AT REST", reason: "Nobody drives this run.", next };
  }
  if (!connected) {
    const reason = "The console does not answer; trying again. The arm goes on: use the emergency stop.";
    return { driver: "gone", fault: false, word: "NO CONNECTION", reason };
  }
  if (!alive || now === null) {
    return { driver: "gone", fault: false, word: WORDS.gone, reason: "No control loop is heard: what the arm does is not known here." };
  }
  const { driver, fault, reason, hand, device, paused, stopped, halted_by: by, can } = now;
  if (state.doubt && driver === "human") {
    const why = "Nothing is heard: a hand at this page may not arrive, and the arm holds then.";
    return { driver: "gone", fault: false, word: "NO NEWS", reason: why };
  }
  const { lease } = state;
  const holds = driver === "hold" || driver === "held";
  let words = reason || REASONS[driver] || "";
  if (driver === "human") {
    words = hand ? `${hand} drives from the console.` : `A human drives${device ? ` with the ${device}` : ""}.`;
    if (paused) words += ` The policy is ${reason}.`;
  } else if (holds && paused) {
    words = by ? `by ${by}.` : sentence(reason);
    if (hello?.role === "operator") words += ` ${wayOn(lease)}`;
  }
  let word = WORDS[driver] ?? driver.toUpperCase();
  if (fault) word = "FAULT";
  else if (driver === "held" && can.includes("acknowledge")) word = "YOUR TURN";
  else if (holds && paused) word = stopped ? "STOPPED" : "PAUSED";
  return { driver, fault: Boolean(fault), word, reason: words };
}

/**
 * The banner and the stop.
 * @param {HTMLElement} root
 * @param {object} context
 */
export function banner(root, context) {
  const { live, sounds, commands } = context;
  const shape = svg("svg", { viewBox: "0 0 48 48", class: "shape", "aria-hidden": "true" });
  const word = h("strong", { class: "word" });
  const reason = h("span", { class: "reason" });
  const next = h("span", { class: "next" });
  const count = h("span", { class: "count", dataset: { field: "countdown" } });
  const before = h("div", { class: "before", "aria-hidden": "true", hidden: true }, count, h("small", {}, "s to motion"));
  const driver = h(
    "div",
    { id: "driver", role: "status", "aria-live": "assertive", "aria-atomic": "true", dataset: { driver: "gone", fault: "false" } },
    shape,
    h("div", { class: "words" }, word, reason, next),
  );
  const go = commands.button("acknowledge", { label: "Continue", key: "Enter", class: "primary" });
  go.hidden = true;
  const stop = h(
    "button",
    { type: "button", class: "danger", dataset: { verb: "stop" }, "aria-keyshortcuts": "Space" },
    h("span", { class: "stop-word" }, "STOP ", h("kbd", { "aria-hidden": "true" }, "Space")),
    h("small", {}, "Software stop: does not replace the emergency stop"),
  );
  // On the way down: a stop does not wait for the finger to come up again.
  stop.addEventListener("pointerdown", (event) => event.button === 0 && commands.ask("stop"));
  stop.addEventListener("click", (event) => event.detail === 0 && commands.ask("stop"));
  commands.watch(stop, "stop", "Software stop: holds whoever drives; does not replace the emergency stop");
  root.append(h("div", { class: "board" }, driver, before, go), stop);

  let heard = "";
  let drawn = "";
  function draw() {
    const { state } = live;
    const { driver: who, fault, word: text, reason: why, next: steps = [] } = reading(state);
    const look = fault ? "fault" : who;
    // A simulation that runs ahead changes hands several times a second: to be seen, not to be listened to.
    const quiet = state.alive && state.now?.real_time === false && !LOUD.has(look);
    mark(driver, "aria-live", quiet ? "off" : "assertive");
    say(word, text);
    say(reason, why);
    if (next.textContent !== steps.join(" ")) {
      mark(next, "title", steps.length ? steps.join(" ") : null);
      clear(next).append(...steps.flatMap((each) => [each.startsWith("handrail ") ? h("code", {}, each) : each, " "]).slice(0, -1));
    }
    mark(driver, "data-driver", who);
    mark(driver, "data-fault", String(fault));
    mark(root, "data-look", look);
    if (drawn !== look) {
      drawn = look;
      clear(shape).append(...(SHAPES[look] ?? SHAPES.waiting).map((d) => svg("path", { d, fill: "currentColor", "fill-rule": "evenodd" })));
    }
    const left = NOBODY.has(who) ? 0 : (state.now?.countdown_s ?? 0);
    before.hidden = !(left > 0);
    say(count, left > 0 ? left.toFixed(1) : "");
    go.hidden = !(state.alive && state.now?.can.includes("acknowledge"));
    const tone = `${look}/${who}`;
    if (heard && heard !== tone && !quiet) sounds.play(look);
    heard = tone;
  }
  live.on("now", draw);
  live.on("connection", draw);
  live.on("lease", draw);
  live.on("doubt", draw);
  draw();
}
