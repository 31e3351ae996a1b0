/** Preflight: every check as it is made, what was found and what to do about it. */

import { h, say, clear } from "../dom.js";
import { guarded, hindrance, onPress } from "./rig.js";

const VERDICTS = {
  ok: ["✓", "ok", "good"],
  note: ["▲", "note", "warn"],
  skip: ["–", "not looked at", "muted"],
  fail: ["✖", "fails", "bad"],
};

function parse(line) {
  if (!line.startsWith("{")) return null;
  try {
    const check = JSON.parse(line);
    return typeof check.name === "string" && check.verdict in VERDICTS ? check : null;
  } catch {
    return null;
  }
}

export function preflight(root, station, context, note) {
  const job = station.jobs.preflight;
  const run = h("button", { type: "button", class: "primary", dataset: { job: "preflight" } }, "Check everything");
  const hand = h("input", { type: "checkbox", id: "preflight-hand" });
  const asks = h("label", { class: "row", htmlFor: "preflight-hand" }, hand, "I am at the device and move it when asked");
  const summary = h("p", { role: "status", class: "summary" });
  const said = h("p", { class: "small" });
  const list = h("ul", { class: "checks", "aria-label": "Checks" });
  root.append(
    h("div", { class: "row spread wrap" }, h("h1", {}, "Preflight"), h("div", { class: "row wrap" }, asks, run)),
    h(
      "p",
      { class: "muted" },
      "Machine, station and runs, as `handrail doctor` sees them. It disturbs nothing: what a running control loop has ",
      "for itself is left to it.",
    ),
    summary,
    said,
    list,
  );
  onPress(run, context.toast, () => job.start({ hand: hand.checked }));

  let counts = { ok: 0, note: 0, skip: 0, fail: 0 };
  let shown = 0;
  let drawn;
  function draw({ id, state, lines }) {
    if (id !== drawn) {
      drawn = id;
      shown = 0;
      counts = { ok: 0, note: 0, skip: 0, fail: 0 };
      clear(list);
      say(said, "");
    }
    for (const line of lines.slice(shown)) {
      const check = parse(line);
      if (check === null) {
        say(said, line);
        continue;
      }
      const [shape, word, kind] = VERDICTS[check.verdict];
      counts[check.verdict] += 1;
      list.append(
        h(
          "li",
          { dataset: { check: check.name, verdict: check.verdict }, class: kind },
          h("span", { class: "shape", "aria-hidden": "true" }, shape),
          h("span", { class: "word" }, word),
          h("b", {}, check.name),
          h("span", { class: "text" }, check.text),
        ),
      );
    }
    shown = lines.length;
    const made = Object.values(counts).reduce((sum, each) => sum + each, 0);
    const failed = counts.fail ? `${counts.fail} fail${counts.fail === 1 ? "s" : ""}` : "";
    const parts = [
      failed,
      counts.note && `${counts.note} to know`,
      counts.skip && `${counts.skip} not looked at`,
      `${counts.ok} ok`,
    ].filter(Boolean);
    const words = {
      none: "Not checked yet.",
      running: `Checking … ${made} so far.`,
      stopped: `Stopped after ${made} checks.`,
    };
    const ended = made ? `${counts.fail ? "Not ready" : "Ready"}: ${parts.join(", ")}.` : "The checks could not be made:";
    say(summary, words[state] ?? ended);
    summary.className = `summary ${state === "running" || state === "none" ? "" : counts.fail || !made ? "bad" : "good"}`;
    note(state === "running" ? "…" : counts.fail ? `✖ ${counts.fail}` : state === "done" && made ? "✓" : "");
  }
  job.listeners.add(draw);
  draw(job.state);
  station.on(() => {
    guarded(run, hindrance(context) || (job.running ? "the checks are being made" : ""));
    asks.hidden = station.facts.driven || !["spacemouse", "gamepad"].includes(station.facts.device);
  });
  return {};
}
