/** Traces of the running episode: force, the critics' opinion, a classifier's if there is one. Human steps are hatched. */

import { chart, format } from "../chart.js";
import { h, say, soon } from "../dom.js";

const STEP = { number: 0, source: 1, force: 2, value: 3, score: 4 };
const HUMAN = 1;

/** The axis of a force [N]: the noise of free air must not fill the plot as contact does. */
export const FORCE = { range: (_, high) => [0, Math.max(5, 1.08 * high)] };

const TRACES = [
  {
    field: "force",
    column: STEP.force,
    title: "Force",
    unit: "N",
    digits: 1,
    color: "--bad",
    y: FORCE,
    without: "no force is measured",
  },
  { field: "q", column: STEP.value, title: "Q (critics)", unit: "", digits: 2, color: "--accent", y: {}, without: "no critic speaks yet" },
  {
    field: "score",
    column: STEP.score,
    title: "Classifier",
    unit: "",
    digits: 2,
    color: "--good",
    y: { min: 0, max: 1 },
    without: "it has not looked yet",
  },
];

/** Spans of steps that a human drove: [{from, to}], to reaching to the next step. */
export function interventions(steps) {
  const spans = [];
  for (const step of steps) {
    if (step[STEP.source] !== HUMAN) continue;
    const last = spans.at(-1);
    if (last && step[STEP.number] <= last.to) last.to = step[STEP.number] + 1;
    else spans.push({ from: step[STEP.number], to: step[STEP.number] + 1 });
  }
  return spans;
}

/**
 * @param {HTMLElement} root
 * @param {object} context
 * @returns {() => void} ends it
 */
export function traces(root, { live }) {
  const plots = TRACES.map((trace) => {
    const value = h("b", { dataset: { field: trace.field } }, "–");
    const area = h("div", { class: "area" });
    const missing = h("p", { class: "missing muted small" }, trace.without);
    const bar = h("span", { class: "muted", dataset: { bar: trace.field } });
    const reading = h("span", {}, value, trace.unit && ` ${trace.unit}`, bar);
    const section = h("section", { class: "trace" }, h("h2", {}, trace.title, reading), area, missing);
    root.append(section);
    const plot = chart(area, {
      series: [{ label: trace.title, color: trace.color }],
      x: { min: 0, max: 100 },
      y: { size: 38, ...trace.y },
      gutter: 8,
      sync: { key: "episode" },
      label: `${trace.title} over the steps of the running episode; human steps are hatched`,
    });
    return { ...trace, section, value, bar, missing, plot };
  });

  const draw = soon(() => {
    const { steps } = live.state.steps;
    const { now } = live.state;
    const shades = interventions(steps);
    const xs = steps.map((step) => step[STEP.number]);
    const most = Math.max(now?.most_steps ?? 0, xs.at(-1) ?? 0, 10);
    for (const { field, column, digits, section, value, bar, missing, plot } of plots) {
      const ys = steps.map((step) => step[column] ?? null);
      const last = ys.at(-1);
      const threshold = field === "score" ? (now?.threshold ?? null) : null;
      say(value, last === undefined || last === null ? "–" : last.toFixed(digits));
      say(bar, threshold === null ? "" : ` / threshold ${format(threshold)}`);
      section.hidden = field === "score" && threshold === null && ys.every((each) => each === null); // a run without one
      missing.hidden = steps.length === 0 || ys.some((each) => each !== null);
      const line = { value: threshold, label: `threshold ${format(threshold)}`, color: "--text" };
      plot.setX(0, most);
      plot.set([xs, ys], { shades, lines: threshold === null ? [] : [line] });
    }
  });

  // The bounds of the axes are all that the loop's state changes here; it comes 20 times a second.
  let bounds = "";
  const settle = () => {
    const { now } = live.state;
    const facts = [now?.most_steps, now?.threshold].join();
    if (facts !== bounds) draw();
    bounds = facts;
  };
  const offs = [live.on("steps", draw), live.on("now", settle)];
  draw();
  return () => {
    for (const off of offs) off();
    for (const { plot } of plots) plot.destroy();
  };
}
