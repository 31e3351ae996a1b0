/** Saying something about an episode: labels, remarks, and what was said so far. */

import { h, clear, mark, say } from "../dom.js";
import { requestId } from "../api.js";
import { clock, leaveByEscape, moment, whyNot } from "./words.js";

export const WORDS = { success: "Success", failure: "Failure", demo: "Demonstration", exclude: "Exclude" };
export const SIGNS = { success: "✓", failure: "✕", demo: "★", exclude: "–" };
const KEYS = { success: "y", failure: "n", demo: "d", exclude: "x" }; // the first two as in the run view
const SAYS = { success: "label it success", failure: "label it failure", demo: "label it demonstration", exclude: "exclude it" };

/**
 * The panel.
 * @param {object} context of the view
 * @param {number} episode
 * @param {{step: () => number|null, told: (answer: object) => void}} options `step`: the one that is looked at, null
 *   for the last; `told`: called with what the console answers
 * @returns {{node: HTMLElement, show: (answer: {row: object, history: object[], undo: number|null}) => void,
 *   moved: () => void, destroy: () => void}} `moved`: another step is looked at; `undo`: the event that may be taken back
 */
export function verdictPanel(context, episode, { step, told }) {
  let running = true;
  let busy = ""; // what is on its way; the same once more is a double click
  let next = null; // what was asked meanwhile, the newest
  let undoable = false;
  const placeholder = "why, or a remark";
  const why = h("textarea", { id: "why", rows: 2, maxLength: 2000, placeholder, on: { keydown: leaveByEscape } });
  const said = h("p", { id: "said", role: "status", class: "said", hidden: true });
  const may = h("p", { class: "small muted", id: "may-label" });
  const history = h("ol", { id: "history" });
  const buttons = Object.entries(WORDS).map(([label, words]) =>
    h("button", { type: "button", dataset: { label }, "aria-describedby": "may-label", on: { click: () => relabel(label) } },
      h("b", { "aria-hidden": "true" }, SIGNS[label]), h("span", {}, words), h("kbd", {}, KEYS[label])),
  );
  const remark = h(
    "button",
    { type: "button", dataset: { act: "comment" }, "aria-describedby": "may-label", on: { click: comment } },
    "Remark",
  );
  const back = h(
    "button",
    { type: "button", class: "quiet", dataset: { act: "undo" }, "aria-describedby": "may-label", on: { click: () => relabel("undo") } },
    "Take back ",
    h("kbd", {}, "u"),
  );
  const node = h(
    "section",
    { class: "panel verdict", "aria-label": "Label" },
    h("h2", {}, "What is it taken for?"),
    h("div", { class: "labels" }, buttons),
    h("label", { class: "small muted", htmlFor: "why" }, "Reason of a label, or a remark"),
    why,
    h("div", { class: "row spread" }, may, remark),
    said,
    h("h2", {}, "What was said"),
    history,
  );

  /** Why nothing can be said now; "" when it can. */
  function refusal() {
    return whyNot(context) || (running && context.live.state.alive ? "it is still running" : "");
  }

  function refresh() {
    const reason = refusal();
    say(may, reason);
    for (const button of [...buttons, remark, back]) {
      mark(button, "aria-disabled", reason || busy ? "true" : null);
      mark(button, "aria-busy", busy ? "true" : null);
    }
  }

  async function post(what, body, done) {
    const reason = refusal();
    if (reason) context.toast(`Not labelled: ${reason}.`, "warn");
    if (reason) return;
    const asked = `${what} ${body.label ?? ""}`;
    if (busy) {
      next = busy === asked ? null : () => post(what, body, done);
      return;
    }
    busy = asked;
    refresh();
    try {
      const answer = await context.api(`/api/episodes/${episode}/${what}`, { method: "POST", body: { id: requestId(), ...body } });
      say(said, done(answer));
      said.hidden = false;
      why.value = "";
      told(answer);
    } catch (error) {
      said.hidden = true;
      context.toast(error.message, "bad");
    } finally {
      busy = "";
      refresh();
      const waits = next;
      next = null;
      waits?.();
    }
  }

  function takeBack() {
    if (undoable || busy.startsWith("label")) return relabel("undo");
    return context.toast("There is no label of a person’s to take back.", "warn");
  }

  function relabel(label) {
    const body = { label, why: why.value, step: label === "success" ? step() : null };
    return post("label", body, ({ said: words }) =>
      words.endsWith("already") ? `${capital(words)}; nothing was changed.`
        : `In the log since ${clock(Date.now() * 1e6)}: ${words.replace("->", "→")}. The learner and the classifier read it from there.`);
  }

  function comment() {
    if (!why.value.trim()) {
      context.toast("Write the remark first.", "warn");
      why.focus();
      return undefined;
    }
    return post("comment", { text: why.value }, () => `In the log since ${clock(Date.now() * 1e6)}: your remark.`);
  }

  const bind = (key, words, fn) => context.keys.bind(key, words, fn, { group: "Review" });
  const off = [
    ...["lease", "connection", "hello", "now"].map((kind) => context.live.on(kind, refresh)),
    ...Object.entries(KEYS).map(([label, key]) => bind(key, SAYS[label], () => relabel(label))),
    bind("u", "take the newest label back", takeBack),
    bind("w", "write the reason, or a remark", () => why.focus()),
  ];
  refresh();
  return {
    node,
    moved() {
      const at = step();
      say(buttons[0].children[1], at === null ? WORDS.success : `${WORDS.success} at step ${at}`);
    },
    show({ row, history: events, undo }) {
      running = row.status === "open"; // or left so by a control loop that was killed
      for (const button of buttons) mark(button, "aria-pressed", String(button.dataset.label === row.label));
      clear(history).append(...events.map((event) => entry(event, event.sequence === undo && back)).reverse());
      undoable = undo !== null;
      if (!events.length) history.append(h("li", { class: "muted" }, "Nothing yet."));
      refresh();
    },
    destroy: () => off.forEach((each) => each()),
  };
}

const capital = (words) => words.charAt(0).toUpperCase() + words.slice(1);

/** One thing that was said: when, who, what from what, why. */
function entry(event, back) {
  const what = {
    label: () => `${event.old ?? "no label"} → ${event.new}${event.step === null ? "" : ` at step ${event.step}`}`,
    undo: () => `${event.old} is taken back, ${event.new ?? "no label"} stands again`,
    comment: () => "remarked",
    aborted: () => "aborted",
  }[event.kind]?.() ?? event.kind;
  return h(
    "li",
    { dataset: { kind: event.kind } },
    h("span", { class: "small muted" }, moment(event.wall_ns)),
    h("span", {}, h("b", {}, event.who), `: ${what}`),
    event.why && h("q", {}, event.why),
    back,
  );
}
