/** The table of episodes: newest first, sortable, filled as one scrolls, so that thousands open at once. */

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
 * @returns {{node: HTMLElement, show: (rows: object[], anew: boolean) => void, destroy: () => void}}
 */
export function episodeTable(words) {
  let rows = [];
  let drawn = 0;
  let sorted = { column: COLUMNS[0], down: true };
  const body = h("tbody");
  const heads = new Map(
    COLUMNS.map((column) => {
      const button = h("button", { type: "button", class: "quiet", on: { click: () => sortBy(column) } }, column.heading);
      return [column, h("th", { class: column.number ? "number" : "", scope: "col", dataset: { column: column.name } }, button)];
    }),
  );
  const end = h("div", { class: "table-end", "aria-hidden": "true" });
  const nothing = h("p", { class: "empty", hidden: true }, "No episode meets these conditions.");
  const node = h(
    "div",
    { class: "table-frame", tabIndex: -1 },
    h("table", { id: "episodes" }, h("thead", {}, h("tr", {}, ...heads.values())), body),
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
    next?.querySelector("a").focus();
    event.preventDefault();
  });
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row && !event.target.closest("a") && !getSelection()?.toString()) row.querySelector("a").click();
  });

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
        const cells = COLUMNS.map((column) => cell(column, row));
        return h("tr", { dataset: { episode: row.episode, outcome: row.outcome } }, ...cells);
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
      draw(anew ? 0 : drawn);
      if (anew) node.scrollTop = 0;
      if (focused !== undefined) body.querySelector(`tr[data-episode="${focused}"] a`)?.focus({ preventScroll: true });
    },
    destroy: () => seen.disconnect(),
  };
}
