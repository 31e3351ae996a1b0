/** The operator's deck: the episode's clock and the last results, the verdicts, what the run shall do, and driving. */

import { driving } from "../hand/driving.js";
import { h, say, mark, clear } from "../dom.js";

const RESULTS = {
  unaided: ["✓", "succeeded unaided"],
  assisted: ["+", "with help"],
  none: ["✕", "without success"],
};

/** The last episodes, one by one. */
function recent(root, { live }) {
  let shown = "";
  const draw = () => {
    const ended = live.state.run?.recent ?? [];
    const kinds = ended.map(([unaided, assisted]) => (unaided ? "unaided" : assisted ? "assisted" : "none"));
    if (kinds.join() === shown) return;
    shown = kinds.join();
    const counts = Object.entries(RESULTS).map(([kind, [, words]]) => `${kinds.filter((each) => each === kind).length} ${words}`);
    const words = `The last ${kinds.length} episodes: ${counts.join(", ")}`;
    mark(root, "title", words);
    mark(root, "aria-label", words);
    clear(root).append(...kinds.map((kind) => h("i", { class: kind }, RESULTS[kind][0])));
  };
  draw();
  return live.on("run", draw);
}

/** The clock of the running episode. */
function clock(root, { live }) {
  const episode = h("b", { dataset: { field: "episode" } }, "–");
  const step = h("span", { dataset: { field: "step" } }, "–");
  const time = h("b", { class: "time", dataset: { field: "clock" } }, "–");
  const limit = h("span", { class: "limit muted" });
  const bar = h("i");
  const results = h("span", { class: "results", role: "img", dataset: { field: "recent" } });
  const phase = h("span", { class: "phase muted", dataset: { field: "phase" } }, "–");
  root.append(
    h("div", { class: "row spread" }, h("span", {}, "Episode ", episode, h("span", { class: "muted" }, " · step "), step), phase),
    h("div", { class: "row" }, time, limit, h("div", { class: "bar", role: "presentation" }, bar), results),
  );
  const off = recent(results, { live });
  const draw = () => {
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
  draw();
  const offs = [off, ...["now", "run", "connection"].map((kind) => live.on(kind, draw))];
  return () => offs.forEach((each) => each());
}

/**
 * The deck.
 * @param {HTMLElement} root
 * @param {object} context
 * @returns {() => void} ends it
 */
export function deck(root, context) {
  const { commands, keys } = context;
  const clockRoot = h("div", { class: "clock" });
  const driveRoot = h("div");
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
    clock(clockRoot, context),
  ];
  return () => {
    for (const off of offs) off();
  };
}
