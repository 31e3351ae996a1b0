/** Taking a selection away: a table at once, a film or a dataset when the console has made it. */

import { h, mark, say } from "../dom.js";
import { query } from "./filter.js";

const TABLES = { csv: ["Steps (csv)", {}], episodes: ["Episodes (csv)", { per: "episode" }] };
const MADE = { mp4: "Film (mp4)", lerobot: "Dataset (LeRobot)" };
const NAMES = { csv: "Table", mp4: "Film", lerobot: "Dataset" };
const PARTS = [["", "whole episodes"], ["3", "their last 3 s"], ["10", "their last 10 s"]];
const LOOK_MS = 700;

const path = (id, what = "") => `/api/export/${encodeURIComponent(id)}${what}`;

/** The browser's own download: nothing is held in the page. */
function download(address) {
  const link = h("a", { href: address, download: "", hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
}

/** How one export is shown: how far it is, and what can be done about it. */
function line(id, cancel) {
  const words = h("span");
  const stop = h("button", { type: "button", class: "quiet", dataset: { act: "cancel-export" } }, "Cancel");
  stop.addEventListener("click", () => cancel(id));
  const fetch = h("a", { href: path(id, "/file"), download: "", dataset: { act: "fetch-export" } }, "Fetch");
  return {
    node: h("li", { class: "row", dataset: { job: id } }, words, stop, fetch),
    show(job) {
      const far = job.of ? `${job.done} of ${job.of} steps …` : "looking at the log …";
      const left = Object.entries(job.left_out ?? {}).map(([why, episodes]) => `${episodes} ${why}`);
      const ready = left.length ? `ready, without ${left.join(", ")}` : "ready";
      const how = { running: far, done: ready, failed: job.why };
      say(words, `${NAMES[job.format]}: ${how[job.state]}`);
      mark(words, "class", job.state === "failed" ? "bad" : null);
      stop.hidden = job.state !== "running";
      fetch.hidden = job.state !== "done";
    },
  };
}

/**
 * The buttons, and every export that the console is making or keeps: whoever comes back finds what was begun.
 * @param {object} context of the view
 * @param {() => object} words what is chosen
 * @returns {{node: HTMLElement, of: (ticked: number) => void, destroy: () => void}} `of`: so many are chosen one by one
 */
export function exportButtons(context, words) {
  let gone = false;
  let timer = 0;
  let turn = 0;
  let beginning = false;
  const awaited = new Set(); // begun here: fetched as soon as they are done
  const lines = new Map(); // id → its line
  const what = h("span", { class: "small muted" }, "Export");
  const state = h("span", { class: "small", role: "status", dataset: { field: "export" } });
  const list = h("ul", { class: "jobs small", "aria-label": "Exports", hidden: true });
  const part = h("select", { name: "end_s", "aria-label": "What the film shows" });
  for (const [value, text] of PARTS) part.append(h("option", { value }, text));
  const button = (name, text, click) =>
    h("button", { type: "button", dataset: { export: name }, on: { click } }, text);
  const tables = Object.entries(TABLES).map(([name, [text, more]]) =>
    button(name, text, () => download(`/api/export/csv${query(words(), more)}`)),
  );
  const made = Object.entries(MADE).map(([format, text]) => button(format, text, () => make(format)));

  /** Why one that the console makes cannot be had, in a few words; "" when it can. */
  function refusal(format) {
    const { connected, hello } = context.live.state;
    if (!connected) return "no connection to the console";
    if (context.role !== "operator") return "you are signed in as a viewer";
    return format === "mp4" && !hello.cameras.length ? "this run has no cameras, so there is no film" : "";
  }

  function refresh() {
    Object.keys(MADE).forEach((format, index) => {
      const why = refusal(format);
      mark(made[index], "aria-disabled", why || beginning ? "true" : null);
      mark(made[index], "aria-busy", beginning ? "true" : null);
      mark(made[index], "title", why || null);
      mark(made[index], "aria-description", why || null);
    });
    part.disabled = refusal("mp4") !== "";
  }

  function busy(on) {
    beginning = on;
    refresh();
  }

  async function make(format) {
    const why = refusal(format);
    if (why) context.toast(`${NAMES[format]}: ${why}.`, "warn");
    if (why || beginning) return;
    busy(true);
    say(state, "Beginning …");
    const end = format === "mp4" && part.value ? { end_s: Number(part.value) } : {};
    try {
      const { id } = await context.api("/api/export", { method: "POST", body: { format, filters: words(), ...end } });
      awaited.add(id);
      say(state, "");
    } catch (error) {
      say(state, "");
      if (!gone) context.toast(error.message, "bad");
    } finally {
      busy(false);
    }
    if (!gone) await look();
  }

  async function cancel(id) {
    try {
      await context.api(path(id, "/cancel"), { method: "POST" });
    } catch (error) {
      if (!gone) context.toast(error.message, "bad");
    }
    if (!gone) await look();
  }

  /** Look how far they are, for as long as one is at work. */
  async function look() {
    clearTimeout(timer);
    if (context.role !== "operator") return;
    const mine = (turn += 1);
    try {
      const { exports } = await context.api("/api/export");
      if (gone || mine !== turn) return;
      exports.forEach(settle);
      draw(exports.filter((job) => job.state !== "cancelled"));
      if (exports.some((job) => job.state === "running")) timer = setTimeout(look, LOOK_MS);
    } catch (error) {
      if (!gone && mine === turn) context.toast(error.message, "bad");
    }
  }

  /** What was waited for here, and has ended. */
  function settle({ id, state: now, name, why }) {
    if (now === "running" || !awaited.delete(id)) return;
    if (now === "done") {
      download(path(id, "/file"));
      say(state, `${name} is done: your browser has it.`);
    } else if (now === "failed") context.toast(why || "the export failed", "bad");
    else say(state, "Cancelled.");
  }

  function draw(jobs) {
    const there = new Set(jobs.map((job) => job.id));
    for (const id of [...lines.keys()]) {
      if (there.has(id)) continue;
      lines.get(id).node.remove();
      lines.delete(id);
    }
    for (const job of jobs) {
      if (!lines.has(job.id)) {
        lines.set(job.id, line(job.id, cancel));
        list.append(lines.get(job.id).node);
      }
      lines.get(job.id).show(job);
    }
    list.hidden = jobs.length === 0;
  }

  const off = [
    context.live.on("hello", look), // the first, or after the connection was lost
    ...["hello", "connection"].map((kind) => context.live.on(kind, refresh)),
  ];
  refresh();
  look();
  return {
    node: h(
      "div",
      { class: "row wrap exports", role: "group", "aria-label": "Export the selection" },
      what,
      ...tables,
      made[0],
      part,
      made[1],
      state,
      list,
    ),
    of: (ticked) => say(what, ticked ? `Export the ${ticked} ticked` : "Export"),
    destroy() {
      gone = true;
      clearTimeout(timer);
      off.forEach((each) => each());
    },
  };
}
