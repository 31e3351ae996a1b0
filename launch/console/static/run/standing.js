/** How the run stands: success with its bounds, how much help it takes, and whether training is healthy. */

import { h, say, mark, clear } from "../dom.js";
import { checks } from "./standing_checks.js";

const WINDOWS = [20, 50, 100];
const KINDS = { unaided: "Success unaided, of the last", assisted: "Success with help" };

const percent = (share) => `${Math.round(100 * share)} %`;
const whole = (value) => (Number.isFinite(value) ? Math.round(value).toLocaleString("en").replaceAll(",", "\u202f") : "–");
const fixed = (value, digits, unit = "") => (Number.isFinite(value) ? `${value.toFixed(digits)}${unit}` : "–");

/** One line: a window of one kind, its rate as a mark within its interval. */
function line(kind, window) {
  const words = h("span", { class: "words", ...(window === 20 ? { dataset: { field: kind } } : {}) }, "–");
  const bounds = h("span", { class: "words muted", dataset: { bounds: kind } });
  const span = h("i", { class: "span" });
  const point = h("i", { class: "point" });
  const track = h("div", { class: "track", "aria-hidden": "true" }, span, point);
  const node = h("div", { class: `interval ${kind}` }, h("span", { class: "muted" }, window), track, words, bounds);
  return {
    node,
    set(rate) {
      const empty = !rate || rate.episodes === 0;
      mark(node, "data-empty", empty ? "" : null);
      if (empty) {
        say(bounds, "");
        return say(words, "–");
      }
      const { successes, episodes, low, high } = rate;
      say(words, `${successes}/${episodes} ${percent(successes / episodes)}`);
      say(bounds, `${Math.round(100 * low)}–${percent(high)}`);
      span.style.left = `${100 * low}%`;
      span.style.width = `${100 * (high - low)}%`;
      point.style.left = `${(100 * successes) / episodes}%`;
    },
  };
}

/** Success, unaided and with help. */
export function success(root, { live }) {
  const lines = [];
  for (const kind of Object.keys(KINDS)) {
    root.append(h("h2", {}, KINDS[kind], h("span", { class: "muted" }, "95 % bounds")));
    for (const window of WINDOWS) {
      const each = line(kind, window);
      lines.push({ kind, window, each });
      root.append(each.node);
    }
  }
  root.append(
    h(
      "div",
      { class: "scale muted" },
      h("span", { class: "marks", "aria-hidden": "true" }, ["0", "50", "100 %"].map((each) => h("span", {}, each))),
      h("span", {}, "bar: Wilson's bounds"),
    ),
  );
  const draw = () => {
    const { success: rates } = live.state.run ?? {};
    for (const { kind, window, each } of lines) each.set(rates?.[kind]?.[String(window)]);
  };
  draw();
  return live.on("run", draw);
}

const rate = (value) => (Number.isFinite(value) ? percent(value) : "–");

/** Names and numbers, and what they mean: words, or words made of the numbers. */
const FIGURES = [
  ["interventions", "Interventions", (run) => rate(run.human_share), ({ actor }) =>
    `share of the last 20 episodes' steps that a human drove; of the whole run ${rate(actor.intervention_rate)}`],
  ["cycle", "Cycle", (run) => fixed(run.cycle_s, 1, " s"),
    "in robot time, from start to start with the reset: mean of the last 20 episodes"],
  ["env_steps", "Steps", (run) => whole(run.env_steps), "environment steps of training so far"],
  ["updates_per_s", "Updates", ({ learner }) => fixed(learner.updates_per_s, 0, "/s"), "of the learner, a second"],
  ["utd", "UTD", ({ learner }) => fixed(learner.utd, 2), "updates to each new step"],
  ["weight_age", "Weight age", ({ actor }) => fixed(actor.weight_age_s, 0, " s"), "since the arm got new weights"],
  ["replay", "Replay", ({ learner }) => whole(learner.replay_size), "transitions in the replay buffer"],
  ["demo", "Demo", ({ learner }) => whole(learner.demo_size), "transitions in the demonstrations' buffer"],
  ["overruns", "Overruns", ({ actor }) => whole(actor.overruns), "steps that came late in the control loop"],
];

/** The figures of the run, and its checks. */
export function figures(root, { live }) {
  const values = FIGURES.map(([field, label]) => {
    const value = h("dd", { dataset: { field } }, "–");
    root.append(h("div", {}, h("dt", {}, label), value));
    return value;
  });
  const draw = () => {
    const { run } = live.state;
    if (run === null) return;
    const known = { ...run, actor: run.actor ?? {}, learner: run.learner ?? {} };
    FIGURES.forEach(([, , read, about], index) => {
      say(values[index], read(known));
      mark(values[index].parentElement, "title", typeof about === "function" ? about(known) : about);
    });
  };
  draw();
  const ends = [live.on("run", draw), checks(root, { live })];
  return () => ends.forEach((end) => end());
}

const LEVELS = { info: ["i", "Note"], warn: ["!", "Warning"], alarm: ["✕", "Alarm"] };
const ORDER = ["alarm", "warn", "info"];

/** The rules that speak, and the run's last notices. */
export function advice(root, { live }) {
  const list = h("ul", { id: "advice", "aria-label": "Advice" });
  root.append(list);
  let shown = "";
  const draw = () => {
    const { advice: given, run } = live.state;
    const rules = [...(given?.rules ?? [])].sort((a, b) => ORDER.indexOf(a.level) - ORDER.indexOf(b.level));
    const notices = [...(run?.notices ?? [])].reverse();
    const content = JSON.stringify([rules, notices]);
    if (content === shown) return; // what is read must not jump
    shown = content;
    const none = rules.length + notices.length === 0 && h("li", { class: "muted" }, "No advice yet.");
    clear(list).append(
      ...[none].filter(Boolean),
      ...rules.map(({ name, level, sentence, evidence }) => {
        const [sign, word] = LEVELS[level] ?? LEVELS.info;
        return h(
          "li",
          { dataset: { rule: name, level } },
          h("b", { class: "sign", title: word, "aria-label": word }, sign),
          h("span", {}, sentence, evidence && h("small", { class: "muted" }, ` ${evidence}`)),
        );
      }),
      ...notices.map((text) => {
        const sign = h("b", { class: "sign", "aria-label": "Notice" }, "•");
        return h("li", { dataset: { level: "notice" } }, sign, h("span", { class: "muted" }, text));
      }),
    );
  };
  const offs = ["advice", "run"].map((kind) => live.on(kind, draw));
  draw();
  return () => offs.forEach((off) => off());
}
