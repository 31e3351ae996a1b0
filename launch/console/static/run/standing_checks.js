/** The checks of the frozen policy: the last one in words, all as dots within their bounds, and the goal. */

import { h, say, mark, clear } from "../dom.js";

const percent = (share) => `${Math.round(100 * share)} %`;
const number = (value) => Math.round(value).toLocaleString("en").replaceAll(",", "\u202f");

/** "17 of 20 at step 4 000"; one that was ended early has run the first episodes only. */
function told({ successes, episodes, asked, env_steps: steps }) {
  const first = asked !== undefined && episodes < asked ? "the first " : "";
  return `${successes} of ${first}${episodes} at step ${number(steps ?? 0)}`;
}

/** The same with all that is known of it. */
function whole(check) {
  const { set, successes, episodes, asked, wilson_low: low, wilson_high: high } = check;
  const bounds = low === undefined || !episodes ? "" : `, 95 % bounds ${percent(low)} to ${percent(high)}`;
  const early = asked !== undefined && episodes < asked ? `; ended early: the goal was out of reach of its ${asked}` : "";
  return `${set === "final" ? "Final" : "Check"}: ${told(check)}, ${percent(successes / Math.max(1, episodes))}${bounds}${early}`;
}

function dot(check) {
  const { set, successes, episodes, wilson_low: low = 0, wilson_high: high = 1 } = check;
  return h("i", {
    class: set === "final" ? "final" : "",
    title: whole(check),
    style: { "--rate": successes / Math.max(1, episodes), "--low": low, "--high": high },
  });
}

/**
 * Add the row to the figures.
 * @param {HTMLElement} root a list of names and values
 * @param {object} context of the view
 * @returns {() => void} ends it
 */
export function checks(root, { live }) {
  const name = h("dt", {}, "Last check");
  const words = h("dd", { dataset: { field: "check" } }, "–");
  const dots = h("dd", { class: "dots", role: "img" });
  const node = h("div", { class: "checks" }, name, words, dots);
  root.append(node);
  let shown = "";

  const draw = () => {
    const { run, hello } = live.state;
    if (!run) return;
    const series = run.evaluations ?? [];
    const goal = hello?.goal;
    const last = series.at(-1);
    const none = run.evaluated === false ? "none beside a real arm" : "none yet";
    say(name, last?.set === "final" ? "Final check" : "Last check");
    say(words, (last ? told(last) : none) + (goal ? ` · goal ${goal.successes} of ${goal.episodes}` : ""));
    const content = JSON.stringify([series, goal]);
    if (content === shown) return;
    shown = content;
    mark(node, "title", last ? whole(last) : "The policy alone, frozen, from fixed starts.");
    dots.hidden = !series.length;
    mark(dots, "aria-label", `The last ${series.length} checks, each with its 95 % bounds; the line is the goal`);
    const line = goal && h("b", { style: { "--goal": goal.successes / Math.max(1, goal.episodes) } });
    clear(dots).append(...[line, ...series.map(dot)].filter(Boolean));
  };
  const offs = ["run", "hello"].map((kind) => live.on(kind, draw));
  draw();
  return () => offs.forEach((off) => off());
}
