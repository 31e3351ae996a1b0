/**
 * Review: the success log as a table, one episode at a time, or its failures in a row.
 *
 * The address holds everything: `#/review/?outcome=failure`, `#/review/12?outcome=failure`, `#/review/reel`.
 */

import { h, clear } from "../dom.js";
import { chosenBar } from "./chosen.js";
import { mountEpisode } from "./episode.js";
import { exportButtons } from "./export.js";
import { address, filterBar, query, readAddress } from "./filter.js";
import { mountReel } from "./reel.js";
import { paced } from "../run/paced.js";
import { statisticsPanel, totalsLine } from "./statistics.js";
import { episodeTable } from "./table.js";

const SETTLE_MS = 800; // news of a running run come in bursts
const TABLE = "Review, the table";
const STYLES = ["review/review.css", "review/episode.css"];

let seen = null; // the episode that was looked at last: whoever comes back goes on there

/** Numbers as the filter has them: "3,7,10-20". */
function ranges(numbers) {
  const parts = [];
  for (const number of [...numbers].sort((one, other) => one - other)) {
    const part = parts.at(-1);
    if (part?.to === number - 1) part.to = number;
    else parts.push({ from: number, to: number });
  }
  return parts.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(",");
}

function mountTable(root, context, asked) {
  let words = asked;
  let turn = 0;
  let gone = false;
  let ticked = [];
  const totals = h("p", { id: "totals", role: "status" });
  const filters = filterBar(words, apply);
  const chosen = chosenBar(context, () => {
    table.untick();
    load(false);
  });
  const table = episodeTable(() => words, (episodes) => {
    ticked = episodes;
    chosen.show(episodes);
    exports.of(episodes.length);
  });
  const statistics = statisticsPanel(context, (name, value) => {
    filters.set({ ...words, [name]: value });
    apply({ ...words, [name]: value });
  });
  const exports = exportButtons(context, exported);
  const sign = (text) => h("b", { "aria-hidden": "true" }, text);
  const reel = h(
    "button",
    { type: "button", dataset: { act: "reel" }, on: { click: () => context.navigate(address("reel", words)) } },
    sign("▸"),
    "Failure reel",
  );
  const unfold = h(
    "button",
    { type: "button", dataset: { act: "statistics" }, "aria-expanded": "false", on: { click: toggle } },
    sign("▤"),
    "Statistics",
  );
  statistics.node.hidden = true;
  root.append(
    h(
      "section",
      { class: "review" },
      h(
        "div",
        { class: "panel" },
        filters.node,
        h("div", { class: "row wrap spread" }, totals, h("div", { class: "row wrap acts" }, unfold, reel, exports.node)),
      ),
      statistics.node,
      h("div", { class: "panel list" }, chosen.node, table.node),
    ),
  );

  /** Other conditions: in the address too, without a step in the browser's history for each letter. */
  function apply(changed) {
    words = changed;
    history.replaceState(null, "", address("", words));
    load(true);
  }

  /** What an export is of: the ticked rows, of what is asked for, or all of that. */
  function exported() {
    if (!ticked.length) return words;
    const { last, ...conditions } = words; // the rows have been found
    return { ...conditions, episodes: ranges(ticked) };
  }

  function toggle() {
    statistics.node.hidden = !statistics.node.hidden;
    unfold.setAttribute("aria-expanded", String(!statistics.node.hidden));
    if (!statistics.node.hidden) statistics.load(words);
  }

  async function load(anew) {
    const mine = (turn += 1);
    try {
      const answer = await context.api(`/api/episodes${query(words)}`);
      if (gone || mine !== turn) return;
      const rows = answer.rows.map((row) => Object.fromEntries(answer.columns.map((name, index) => [name, row[index]])));
      filters.offer(answer.facets);
      clear(totals).append(...totalsLine(answer.matching, rows.length, answer.totals));
      table.show(rows, anew);
      if (seen !== null) table.reveal(seen);
      seen = null;
      if (!statistics.node.hidden) statistics.load(words);
    } catch (error) {
      if (!gone && mine === turn) clear(totals).append(h("span", { class: "bad" }, error.message));
    }
  }

  const news = paced(() => load(false), SETTLE_MS);
  const bind = (key, words, fn, when) => context.keys.bind(key, words, fn, { group: TABLE, when });
  const inRow = () => Boolean(document.activeElement?.closest("#episodes tbody tr"));
  const nowhere = () => [root, document.body].includes(document.activeElement);
  const off = [
    context.live.on("labelled", news.ask),
    context.live.on("ended", news.ask),
    ...["ArrowDown", "ArrowUp"].map((key) => bind(key, "from row to row; with Shift they are ticked", table.enter, nowhere)),
    bind("c", "tick the row, or untick it", table.tick, inRow),
    bind("w", "write the reason for the ticked rows", chosen.reason, () => ticked.length > 0),
  ];
  load(true);
  return () => {
    gone = true;
    news.end();
    off.forEach((each) => each());
    chosen.destroy();
    exports.destroy();
    table.destroy();
  };
}

export default {
  id: "review",
  title: "Review",
  mount(root, context) {
    let unmount = () => {};
    let gone = false;
    const { place, words } = readAddress();
    Promise.all(STYLES.map(context.style)).then(() => {
      if (gone) return;
      if (place === "reel") unmount = mountReel(root, context, words);
      else if (/^\d{1,15}$/.test(place)) {
        seen = Number(place);
        unmount = mountEpisode(root, context, seen, words);
      } else unmount = mountTable(root, context, words);
    });
    return () => {
      gone = true;
      unmount();
    };
  },
};
