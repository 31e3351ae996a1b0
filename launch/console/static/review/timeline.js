/** What happened over the steps of an episode: one chart below the other, one line through all of them. */

import { chart, format } from "../chart.js";
import { h, say } from "../dom.js";
import { segments } from "./frames.js";
import { FORCE } from "../run/traces.js";

const AXES = [
  { color: "--accent", dash: [] },
  { color: "--warn", dash: [7, 4] },
  { color: "--good", dash: [2, 3] },
];
const HUMAN = 1;
const HEIGHT = 58;
const NUMBERS = 22; // more, where the steps are written below

/** The rows: heading, names of the lines, their values, and bounds of the axis. */
function rows(steps) {
  const parts = (from, column) => [0, 1, 2].map((axis) => column.map((action) => action[from + axis]));
  const reward = { lines: ["under its label", "as recorded"], values: [steps.reward] }; // the second where they differ
  return [
    { name: "force", heading: "Force, N", lines: [""], values: [steps.force], y: FORCE },
    { name: "move", heading: "Action, move", lines: ["x", "y", "z"], values: parts(0, steps.action), y: { min: -1, max: 1 } },
    { name: "turn", heading: "Action, turn", lines: ["x", "y", "z"], values: parts(3, steps.action), y: { min: -1, max: 1 } },
    { name: "reward", heading: "Reward", ...reward, y: { min: 0, max: 1 }, kind: "step" },
    { name: "value", heading: "Q", lines: [""], values: [steps.value], y: {} },
    { name: "score", heading: "Classifier’s score", lines: [""], values: [steps.score], y: { min: 0, max: 1 } },
  ].filter(({ values }) => values.some((line) => line.some((value) => value !== null)));
}

/**
 * Draw the timelines of a recording.
 * @param {object} head of the recording
 * @param {(step: number) => void} pick called with the step that was pointed at
 * @returns {{node: HTMLElement, start: () => void, at: (step: number) => void, judged: (reward: (number|null)[]) => void,
 *   destroy: () => void}} `start` once the node is in the page; `at` moves the line; `judged` shows the rewards under
 *   the label, beside those recorded where they differ
 */
export function timelines(head, pick) {
  const { steps } = head;
  const last = steps.reward.length - 1;
  const xs = steps.reward.map((_, step) => step);
  const marks = {
    shades: segments(steps.source).map(({ from, to, source }) => ({
      from: from - 0.5,
      to: to + 0.5,
      color: source === HUMAN ? "--human" : "--hold",
    })),
  };
  const line = h("div", { class: "now-line", "aria-hidden": "true" });
  const shown = rows(steps).map((row, index, all) => {
    const lowest = index === all.length - 1;
    const root = h("div", { class: "plot", style: { height: `${HEIGHT + (lowest ? NUMBERS : 0)}px` } });
    const value = h("span", { class: "value" });
    const names = row.lines.length > 1 ? row.lines.map((name, axis) => h("span", { class: `key key-${axis}` }, name)) : [];
    const caption = h("figcaption", {}, h("b", {}, row.heading), names, value);
    return { ...row, root, names, value, lowest, node: h("figure", { dataset: { timeline: row.name } }, caption, root) };
  });
  const swatch = (who) => h("i", { class: `swatch ${who}` });
  const driven =
    marks.shades.length > 0 &&
    h("p", { class: "small muted legend" }, swatch("human"), " a human drove", swatch("hold"), " the arm was held");
  const node = h("div", { class: "timelines" }, shown.map((row) => row.node), driven, line);
  let charts = [];
  let shownStep = -1;
  // The charts are laid out after they are made, and again when the window changes.
  const laidOut = new ResizeObserver(() => at(shownStep));

  function at(step) {
    shownStep = step;
    if (!charts.length) return;
    const { over } = charts[0].plot();
    const left = over.getBoundingClientRect().left - node.getBoundingClientRect().left;
    line.style.transform = `translateX(${left + (Math.max(0, step) / Math.max(1, last)) * over.clientWidth}px)`;
    for (const row of shown) {
      const now = step < 0 ? [] : row.values.map((values) => values[step]);
      say(row.value, now.map((value) => (value === null ? "–" : format(value))).join("  "));
    }
  }

  /** Draw what there is of a row: a line without values is empty, and has no name. */
  function draw(row) {
    const empty = xs.map(() => null);
    for (const name of row.names) name.hidden = row.values.length < row.names.length;
    row.plot.set([xs, ...row.lines.map((_, index) => row.values[index] ?? empty)], marks);
  }

  // Wherever the pointer goes down, and while it is dragged, that step is meant.
  const stepAt = (event) => {
    const over = charts[0].plot().over;
    const share = (event.clientX - over.getBoundingClientRect().left) / over.clientWidth;
    return Math.max(0, Math.min(last, Math.round(share * last)));
  };
  node.addEventListener("pointerdown", (event) => {
    if (!charts.length || event.button !== 0 || !event.target.closest(".plot")) return;
    node.setPointerCapture(event.pointerId);
    pick(stepAt(event));
  });
  node.addEventListener("pointermove", (event) => {
    if (charts.length && node.hasPointerCapture(event.pointerId)) pick(stepAt(event));
  });

  return {
    node,
    start() {
      charts = shown.map((row) => {
        row.plot = chart(row.root, {
          series: row.lines.map((name, index) => ({ label: name || row.heading, width: 1.6, kind: row.kind, ...AXES[index] })),
          x: { min: 0, max: Math.max(1, last), ...(row.lowest ? {} : { size: 6, values: () => "" }) },
          y: { ...row.y, size: 44, space: 22 },
          label: `${row.heading} over the steps of the episode`,
          sync: { key: "episode" },
        });
        draw(row);
        return row.plot;
      });
      laidOut.observe(charts[0].plot().over);
    },
    at,
    judged(reward) {
      const row = shown.find(({ name }) => name === "reward");
      if (!row) return;
      const same = reward.every((value, step) => value === steps.reward[step]);
      row.values = same ? [reward] : [reward, steps.reward];
      draw(row);
      at(shownStep);
    },
    destroy() {
      laidOut.disconnect();
      for (const each of charts) each.destroy();
      charts = [];
    },
  };
}
