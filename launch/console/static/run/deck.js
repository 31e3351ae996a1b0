/** The operator's deck: the episode's clock, the verdicts, what the run shall do, and driving. */

import { driving } from "../hand/driving.js";
import { h, say, mark } from "../dom.js";

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

/**
 * The deck.
 * @param {HTMLElement} root
 * @param {object} context
 * @returns {() => void} ends it
 */
export function deck(root, context) {
  const { commands, keys, live } = context;
  const clockRoot = h("div", { class: "clock" });
  const driveRoot = h("div");
  const drawClock = clock(clockRoot, context);
  const button = (verb, key, label, style) => commands.button(verb, { key, label, class: style });
  root.append(
    clockRoot,
    h(
      "div",
      { class: "verdicts" },
      button("success", "y", "✓ Success", "yes"),
      button("failure", "n", "✕ Failure", "no"),
      button("discard", "x", "Discard"),
    ),
    h("div", { class: "moves" }, button("pause", "p"), button("resume", "p"), button("reset", "r"), button("regrasp", "g")),
    driveRoot,
  );
  const group = "Run";
  const bind = (key, words, verb) => keys.bind(key, words, () => commands.ask(verb), { group });
  const offs = [
    bind("y", "success", "success"),
    bind("n", "failure", "failure"),
    bind("x", "discard the episode", "discard"),
    keys.bind("p", "pause, resume", () => commands.toggle(), { group }),
    bind("r", "reset: to a new start", "reset"),
    bind("Backspace", "reset: to a new start", "reset"),
    bind("g", "regrasp", "regrasp"),
    driving(driveRoot, context, { names: ["Drive", "Driving"], key: "drive from this page", group }),
    ...["now", "run", "connection"].map((kind) => live.on(kind, drawClock)),
  ];
  drawClock();
  return () => {
    for (const off of offs) off();
  };
}
