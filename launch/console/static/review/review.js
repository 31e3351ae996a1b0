/**
 * Review: the success log as a table, one episode at a time, or its failures in a row.
 *
 * The address holds everything: `#/review/?outcome=failure`, `#/review/12?outcome=failure`, `#/review/reel`.
 */

import { h, clear } from "../dom.js";
import { mountEpisode } from "./episode.js";
import { exportButtons } from "./export.js";
import { address, filterBar, query, readAddress } from "./filter.js";
import { mountReel } from "./reel.js";
import { paced } from "../run/paced.js";
import { statisticsPanel, totalsLine } from "./statistics.js";
import { episodeTable } from "./table.js";

const SETTLE_MS = 800; // news of a running run come in bursts
const STYLES = ["review/review.css", "review/episode.css"];

function mountTable(root, context, asked) {
  let words = asked;
  let turn = 0;
  let gone = false;
  const totals = h("p", { id: "totals", role: "status" });
  const filters = filterBar(words, apply);
  const table = episodeTable(() => words);
  const statistics = statisticsPanel(context, (name, value) => {
    filters.set({ ...words, [name]: value });
    apply({ ...words, [name]: value });
  });
  const exports = exportButtons(context, () => words);
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
      h("div", { class: "panel list" }, table.node),
    ),
  );

  /** Other conditions: in the address too, without a step in the browser's history for each letter. */
  function apply(changed) {
    words = changed;
    history.replaceState(null, "", address("", words));
    load(true);
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
      if (!statistics.node.hidden) statistics.load(words);
    } catch (error) {
      if (!gone && mine === turn) clear(totals).append(h("span", { class: "bad" }, error.message));
    }
  }

  const news = paced(() => load(false), SETTLE_MS);
  const off = [context.live.on("labelled", news.ask), context.live.on("ended", news.ask)];
  load(true);
  return () => {
    gone = true;
    news.end();
    off.forEach((each) => each());
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
      else if (/^\d{1,15}$/.test(place)) unmount = mountEpisode(root, context, Number(place), words);
      else unmount = mountTable(root, context, words);
    });
    return () => {
      gone = true;
      unmount();
    };
  },
};
