/** The table of episodes: newest first, sortable, filled as one scrolls, so that thousands open at once; rows can be ticked. */

import { h, clear, mark } from "../dom.js";
import { byMachine, fixed, moment, outcome } from "./words.js";
import { address } from "./filter.js";

const CHUNK = 80;

const text = (value) => h("span", { class: "cut", title: value }, value);
const some = (value) => (value ? String(value) : "");
const label = (row) => (row.label ?? "") + (row.label_step === null ? "" : ` at ${row.label_step}`);
const note = (row) => text(row.note || (row.truncated_by ? `cut by ${row.truncated_by}` : ""));
const weights = (row) => (row.weights_version < 0 ? "" : String(row.weights_version));

/** Columns: name, heading, what it sorts by, what it shows, whether it is a number. */
const COLUMNS = [
  { name: "episode", heading: "Episode", number: true, by: (row) => row.episode },
  { name: "outcome", heading: "Outcome", by: (row) => row.outcome, show: (row) => outcome(row.outcome) },
  { name: "label", heading: "Label", by: (row) => row.label ?? "", show: label },
  { name: "labeller", heading: "Said by", by: (row) => row.labeller ?? "", show: (row) => labeller(row.labeller) },
  { name: "note", heading: "Note", by: (row) => row.note, show: note },
  { name: "steps", heading: "Steps", number: true, by: (row) => row.steps },
  { name: "human", heading: "Human", number: true, by: (row) => row.human_steps, show: (row) => some(row.human_steps) },
  { name: "takeovers", heading: "Takeovers", number: true, by: (row) => row.takeovers, show: (row) => some(row.takeovers) },
  { name: "force", heading: "Peak N", number: true, by: (row) => row.peak_force_n, show: (row) => fixed(row.peak_force_n, 1) },
  { name: "cycle", heading: "Cycle s", number: true, by: (row) => row.cycle_s, show: (row) => fixed(row.cycle_s, 1) },
  { name: "weights", heading: "Weights", number: true, by: (row) => row.weights_version, show: weights },
  { name: "score", heading: "Score", number: true, by: (row) => row.score, show: (row) => fixed(row.score, 2) },
  { name: "purpose", heading: "Purpose", by: (row) => row.purpose },
  { name: "operator", heading: "Operator", by: (row) => row.operator, show: (row) => text(row.operator) },
  { name: "began", heading: "Began", by: (row) => row.started_wall_ns, show: (row) => moment(row.started_wall_ns) },
];

function labeller(who) {
  if (!who) return "";
  return h("span", { class: byMachine(who) ? "cut muted" : "cut", title: who }, who);
}

/**
 * The table.
 * @param {() => object} words the filter, which an episode's address keeps
 * @param {(episodes: number[]) => void} ticked told which rows are ticked, whenever that changes
 * @returns {{node: HTMLElement, show: (rows: object[], anew: boolean) => void, reveal: (episode: number) => void,
 *   enter: () => void, tick: () => void, untick: () => void, destroy: () => void}} `reveal` goes to a row; `enter` to the
 *   first one; `tick` changes the row that has the focus; `untick` all of them
 */
export function episodeTable(words, ticked) {
  let rows = [];
  let drawn = 0;
  let last = null; // the row that was ticked last: Shift ticks all from there
  const chosen = new Set();
  let sorted = { column: COLUMNS[0], down: true };
  const body = h("tbody");
  const heads = new Map(
    COLUMNS.map((column) => {
      const button = h("button", { type: "button", class: "quiet", on: { click: () => sortBy(column) } }, column.heading);
      return [column, h("th", { class: column.number ? "number" : "", scope: "col", dataset: { column: column.name } }, button)];
    }),
  );
  const every = h("button", { type: "button", class: "quiet", dataset: { act: "tick-all" }, on: { click: tickAll } }, "All");
  const end = h("div", { class: "table-end", "aria-hidden": "true" });
  const nothing = h("p", { class: "empty", hidden: true }, "No episode meets these conditions.");
  const node = h(
    "div",
    { class: "table-frame", tabIndex: -1 },
    h("table", { id: "episodes" }, h("thead", {}, h("tr", {}, h("th", { class: "tick", scope: "col" }, every), ...heads.values())), body),
    nothing,
    end,
  );
  const seen = new IntersectionObserver((entries) => entries.some((each) => each.isIntersecting) && more(), {
    root: node,
    rootMargin: "600px",
  });
  seen.observe(end);

  // Up and down go from row to row, and draw more on the way.
  body.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const row = event.target.closest("tr");
    if (!step || !row) return;
    const next = step > 0 ? row.nextElementSibling : row.previousElementSibling;
    if (next && event.shiftKey) set([numberOf(row), numberOf(next)], true);
    next?.querySelector("a").focus();
    event.preventDefault();
  });
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row && event.target.closest(".tick")) tickAt(numberOf(row), event);
    else if (row && !event.target.closest("a") && !getSelection()?.toString()) row.querySelector("a").click();
  });

  const numberOf = (row) => Number(row.dataset.episode);

  /** Tick rows, or take their ticks away. */
  function set(episodes, on) {
    for (const episode of episodes) {
      if (on) chosen.add(episode);
      else chosen.delete(episode);
    }
    for (const row of body.rows) {
      const there = chosen.has(numberOf(row));
      row.querySelector(".tick input").checked = there;
      mark(row, "aria-selected", there ? "true" : null);
    }
    tell();
  }

  function tell() {
    mark(every, "aria-pressed", String(rows.length > 0 && chosen.size === rows.length));
    ticked(rows.map((row) => row.episode).filter((episode) => chosen.has(episode)));
  }

  /** A click on a tick, or beside it in its cell: with Shift for all rows from the last one. */
  function tickAt(episode, event) {
    const on = !chosen.has(episode);
    const order = rows.map((row) => row.episode);
    const [from, to] = [order.indexOf(event.shiftKey && last !== null ? last : episode), order.indexOf(episode)];
    set(from < 0 ? [episode] : order.slice(Math.min(from, to), Math.max(from, to) + 1), on);
    last = episode;
  }

  function tickAll() {
    set(rows.map((row) => row.episode), chosen.size < rows.length);
  }

  function cell(column, row) {
    const shown = column.show ? column.show(row) : String(row[column.name] ?? "");
    const td = h("td", { dataset: { column: column.name } });
    if (column.number) td.className = "number";
    if (column.name === "episode") td.append(h("a", { href: address(row.episode, words()) }, shown));
    else td.append(shown);
    return td;
  }

  function more() {
    const part = rows.slice(drawn, drawn + CHUNK);
    drawn += part.length;
    body.append(
      ...part.map((row) => {
        const on = chosen.has(row.episode);
        // By hand alone: the keyboard goes from row to row, and has a key for it.
        const box = h("input", { type: "checkbox", checked: on, tabIndex: -1, "aria-label": `Choose episode ${row.episode}` });
        const cells = [h("td", { class: "tick" }, box), ...COLUMNS.map((column) => cell(column, row))];
        const data = { episode: row.episode, outcome: row.outcome };
        return h("tr", { dataset: data, "aria-selected": on ? "true" : null }, ...cells);
      }),
    );
    end.hidden = drawn >= rows.length;
  }

  function draw(keep = 0) {
    const { column, down } = sorted;
    for (const [each, head] of heads) mark(head, "aria-sort", each === column ? (down ? "descending" : "ascending") : null);
    const sign = down ? -1 : 1;
    const missing = (value) => value === null || value === undefined;
    rows.sort((one, other) => {
      const [a, b] = [column.by(one), column.by(other)];
      if (missing(a) || missing(b)) return missing(a) - missing(b); // last, whichever way
      return (a < b ? -sign : a > b ? sign : 0) || other.episode - one.episode;
    });
    clear(body);
    drawn = 0;
    do more();
    while (drawn < Math.min(keep, rows.length));
    nothing.hidden = rows.length > 0;
  }

  function sortBy(column) {
    sorted = { column, down: sorted.column === column ? !sorted.down : Boolean(column.number) };
    draw();
  }

  return {
    node,
    /**
     * Show other rows.
     * @param {object[]} newRows
     * @param {boolean} anew whether they are others; else what is read stays where it is
     */
    show(newRows, anew) {
      const focused = document.activeElement?.closest?.("tr[data-episode]")?.dataset.episode;
      rows = [...newRows];
      const there = new Set(rows.map((row) => row.episode));
      for (const episode of chosen) if (anew || !there.has(episode)) chosen.delete(episode);
      draw(anew ? 0 : drawn);
      tell();
      if (anew) node.scrollTop = 0;
      if (focused !== undefined) body.querySelector(`tr[data-episode="${focused}"] a`)?.focus({ preventScroll: true });
    },
    reveal(episode) {
      const at = rows.findIndex((row) => row.episode === episode);
      if (at < 0) return;
      while (drawn <= at) more();
      const link = body.querySelector(`tr[data-episode="${episode}"] a`);
      link.focus({ preventScroll: true });
      link.scrollIntoView({ block: "center" });
    },
    enter: () => body.querySelector("a")?.focus(),
    tick() {
      const row = document.activeElement?.closest?.("tr[data-episode]");
      if (row) tickAt(numberOf(row), { shiftKey: false });
    },
    untick: () => set([...chosen], false),
    destroy: () => seen.disconnect(),
  };
}
