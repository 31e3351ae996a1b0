/** What episodes come to: one line of all that are chosen, and a panel per day, weights version or operator. */

import { h, clear } from "../dom.js";
import { query } from "./filter.js";
import { count, fixed, percent, share } from "./words.js";

const GROUPINGS = [
  ["day", "day", "day"],
  ["version", "weights", "weights"],
  ["operator", "operator", "operator"],
]; // asked of the server, shown, and the filter's name

/** A share with its Wilson bounds as a bar: filled up to the share, a line from bound to bound. */
export function boundedBar(successes, episodes, [low, high], label) {
  const bar = h("span", { class: "bounds", role: "img", "aria-label": `${label}: ${share(successes, episodes, [low, high])}` });
  if (!episodes) return bar;
  const rate = successes / episodes;
  bar.append(
    h("i", { class: "fill", style: { width: `${100 * rate}%` } }),
    h("i", { class: "whisker", style: { left: `${100 * low}%`, width: `${100 * (high - low)}%` } }),
  );
  return bar;
}

/** The figures of all that are chosen, in a line. */
export function totalsLine(matching, shown, totals) {
  const facts = [
    h("b", {}, count(matching, "episode")),
    shown < matching && `the newest ${shown.toLocaleString("en")} are shown`,
    totals.counted > 0 && [
      "unaided ",
      h("b", { dataset: { total: "unaided" } }, share(totals.unaided, totals.counted, totals.unaided_bounds)),
    ],
    totals.counted > 0 && [
      "with help ",
      h("b", { dataset: { total: "assisted" } }, share(totals.assisted, totals.counted, totals.assisted_bounds)),
    ],
    totals.human_share !== null && `human ${percent(totals.human_share)} of steps`,
    totals.cycle_s !== null && `cycle ${fixed(totals.cycle_s, 1)} s`,
    totals.peak_force_n !== null && `peak ${fixed(totals.peak_force_n, 1)} N`,
  ];
  return facts.filter(Boolean).map((fact) => h("span", {}, fact));
}

/**
 * The panel.
 * @param {object} context of the view
 * @param {(name: string, value: string) => void} choose called when a group is clicked, with its filter
 * @returns {{node: HTMLElement, load: (words: object) => void}}
 */
export function statisticsPanel(context, choose) {
  let by = GROUPINGS[0];
  let words = {};
  let turn = 0;
  const body = h("tbody");
  const buttons = GROUPINGS.map((grouping) => {
    const button = h("button", { type: "button", dataset: { by: grouping[0] }, on: { click: () => pick(grouping) } }, grouping[1]);
    return button;
  });
  const first = h("th", { scope: "col" }, by[1]);
  const node = h(
    "section",
    { class: "panel statistics", "aria-label": "Statistics" },
    h(
      "div",
      { class: "row spread wrap" },
      h("h2", {}, "What they come to"),
      h("div", { class: "row", role: "group", "aria-label": "Grouped by" }, buttons),
    ),
    h(
      "table",
      { id: "statistics" },
      h(
        "thead",
        {},
        h("tr", {}, first, ...["Episodes", "Unaided", "", "With help", "Human", "Takeovers", "Cycle s", "Peak N"].map((word, index) =>
          h("th", { scope: "col", class: index === 2 ? "" : "number" }, word))),
      ),
      body,
    ),
    h(
      "p",
      { class: "small muted" },
      "Counted are episodes with a result, not excluded, and of training unless another purpose is asked for. ",
      "In brackets and as a line: 95 % bounds (Wilson).",
    ),
  );

  function pick(grouping) {
    by = grouping;
    first.textContent = by[1];
    load(words);
  }

  async function load(asked) {
    words = asked;
    const mine = (turn += 1);
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.by === by[0]));
    try {
      const { groups } = await context.api(`/api/statistics${query(words, { by: by[0] })}`);
      if (mine === turn) clear(body).append(...groups.map(line));
    } catch (error) {
      if (mine === turn) context.toast(error.message, "bad");
    }
  }

  function line(group) {
    const name = group.group === "none" ? "without a policy" : group.group || "nobody named";
    const number = (words) => h("td", { class: "number" }, words);
    const label = group.group
      ? h("button", { type: "button", class: "quiet", on: { click: () => choose(by[2], group.group) } }, name)
      : name;
    return h(
      "tr",
      { dataset: { group: group.group } },
      h("td", {}, label),
      number(String(group.episodes)),
      number(share(group.unaided, group.counted, group.unaided_bounds)),
      h("td", {}, boundedBar(group.unaided, group.counted, group.unaided_bounds, "unaided")),
      number(share(group.assisted, group.counted, group.assisted_bounds)),
      number(group.human_share === null ? "" : percent(group.human_share)),
      number(String(group.takeovers)),
      number(fixed(group.cycle_s, 1)),
      number(fixed(group.peak_force_n, 1)),
    );
  }

  return { node, load };
}
