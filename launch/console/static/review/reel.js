/** The last seconds of each failed episode of a selection, one after another: what goes wrong, at a glance. */

import { h, clear, say } from "../dom.js";
import { address, query } from "./filter.js";
import { fetchRecording, Player } from "./frames.js";
import { timelines } from "./timeline.js";
import { fixed, moment } from "./words.js";

const LAST_S = 3;
const BETWEEN_MS = 600;

/** Show the reel. @returns {() => void} unmounts it */
export function mountReel(root, context, words) {
  let failures = [];
  let index = 0;
  let player = null;
  let recording = null;
  let lines = null; // where there are no pictures, what happened is to be seen there
  let ahead = null; // the next recording, already asked for
  let timer = 0;
  let turn = 0;
  const title = h("h1", {}, "Failure reel");
  const caption = h("p", { class: "caption", role: "status" });
  const note = h("p", { class: "note" });
  const frames = h("div", { class: "frames large" });
  const bar = h("div", { class: "bar" }, h("i"));
  const button = (act, text, fn) => h("button", { type: "button", dataset: { act }, on: { click: fn } }, text);
  const toggle = button("play", "Pause", () => setPlaying(!playing));
  const open = h("a", { class: "open" }, "Open this episode");
  let playing = true;
  root.append(
    h(
      "article",
      { id: "reel", "aria-label": "Failure reel" },
      h("header", { class: "row wrap" }, h("a", { class: "back", href: address("", words) }, "‹ All episodes"), title, caption),
      h(
        "div",
        { class: "panel" },
        frames,
        bar,
        note,
        h(
          "div",
          { class: "row wrap" },
          button("previous", "‹ Previous", () => show(index - 1)),
          toggle,
          button("next", "Next ›", () => show(index + 1)),
          open,
        ),
      ),
    ),
  );

  function setPlaying(on) {
    playing = on;
    toggle.textContent = on ? "Pause" : "Play";
    clearTimeout(timer);
    if (!on) player?.pause();
    else if (player && !player.playing) show(index);
  }

  function ask(which) {
    const episode = failures[which]?.episode;
    if (episode === undefined) return null;
    const asked = fetchRecording(context, episode);
    asked.catch(() => {}); // whoever shows it is told
    return { which, asked };
  }

  async function show(which) {
    if (!failures.length) return;
    const mine = (turn += 1);
    clearTimeout(timer);
    player?.pause();
    index = (which + failures.length) % failures.length;
    const row = failures[index];
    say(caption, `Episode ${row.episode}: ${index + 1} of ${failures.length}`);
    const facts = [
      row.note,
      row.truncated_by && `cut by ${row.truncated_by}`,
      row.peak_force_n !== null && `peak ${fixed(row.peak_force_n, 1)} N`,
      moment(row.started_wall_ns),
    ];
    say(note, facts.filter(Boolean).join(" · "));
    open.href = address(row.episode, words);
    try {
      const fetched = await (ahead?.which === index ? ahead.asked : ask(index).asked);
      if (mine !== turn) return;
      ahead = failures.length > 1 ? ask((index + 1) % failures.length) : null;
      recording?.close();
      lines?.destroy();
      lines = null;
      recording = fetched;
      const from = Math.max(0, recording.steps - Math.round(LAST_S / recording.head.period_s));
      const canvases = recording.cameras.map(({ name, width, height }) =>
        h("canvas", { id: `frame-${name}`, width, height, role: "img", "aria-label": `Camera ${name}` }),
      );
      await recording.decode(from);
      if (mine !== turn) return;
      clear(frames).append(...canvases);
      if (!canvases.length && recording.steps) {
        lines = timelines(recording.head, () => {});
        frames.append(lines.node);
        lines.start();
        const { reward } = await context.api(`/api/episodes/${row.episode}/reward`);
        if (mine !== turn) return;
        lines.judged(reward);
      }
      let at = from;
      const go = (to) => {
        at = Math.max(from, to);
        recording.paint(canvases, at);
        lines?.at(at - 1);
        bar.firstChild.style.width = `${(100 * (at - from)) / Math.max(1, recording.steps - from)}%`;
      };
      go(from);
      player = new Player({ period: recording.head.period_s, last: recording.steps, at: () => at, go, ended: () => {
        if (playing) timer = setTimeout(() => show(index + 1), BETWEEN_MS);
      } });
      if (playing) player.play();
    } catch (error) {
      if (mine !== turn) return;
      context.toast(error.message, "bad");
      if (playing && failures.length > 1) timer = setTimeout(() => show(index + 1), BETWEEN_MS);
    }
  }

  async function load() {
    const { columns, rows } = await context.api(`/api/episodes${query({ ...words, outcome: "failure" })}`);
    failures = rows.map((row) => Object.fromEntries(columns.map((name, at) => [name, row[at]]))).reverse();
    if (failures.length) await show(0);
    else frames.append(h("p", { class: "empty" }, "No episode of this selection has failed."));
  }

  load().catch((error) => context.toast(error.message, "bad"));
  const group = { group: "Review" };
  const off = [
    context.keys.bind("ArrowRight", "next failure", () => show(index + 1), group),
    context.keys.bind("ArrowLeft", "previous failure", () => show(index - 1), group),
    context.keys.bind("Enter", "play or pause", () => setPlaying(!playing), group),
    context.keys.bind("Escape", "all episodes", () => context.navigate(address("", words)), group),
  ];
  return () => {
    turn += 1;
    clearTimeout(timer);
    player?.pause();
    recording?.close();
    lines?.destroy();
    off.forEach((each) => each());
  };
}
