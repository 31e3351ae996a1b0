/** The episodes that are ticked: one label for all of them, for one reason, and its way back. */

import { h, mark, say } from "../dom.js";
import { requestId } from "../api.js";
import { SIGNS, WORDS } from "./verdict.js";
import { count, leaveByEscape, whyNot } from "./words.js";

/**
 * The bar.
 * @param {object} context of the view
 * @param {() => void} done called once the labels are others
 * @returns {{node: HTMLElement, show: (episodes: number[]) => void, reason: () => void, destroy: () => void}} `reason` puts
 *   the cursor where the reason is written
 */
export function chosenBar(context, done) {
  let episodes = [];
  let busy = false;
  let changed = []; // by the last label from here: these may be taken back
  const number = h("b");
  const may = h("span", { class: "small muted", id: "may-label-many" });
  const why = h("input", {
    id: "why-many",
    maxLength: 2000,
    placeholder: "why: one reason for all of them",
    autocomplete: "off",
    "aria-label": "Reason",
    on: { keydown: leaveByEscape },
  });
  const button = (label, sign, words) =>
    h("button", { type: "button", dataset: { label }, "aria-describedby": "may-label-many", on: { click: () => relabel(label) } },
      h("b", { "aria-hidden": "true" }, sign), words);
  const buttons = [
    ...Object.entries(WORDS).map(([label, words]) => button(label, SIGNS[label], words)),
    button("undo", "↶", "Take back"),
  ];
  const bar = h("div", { class: "row wrap" }, number, why, buttons, may);
  const said = h("span", { role: "status" });
  const back = h("button", { type: "button", dataset: { act: "undo-many" } }, "Take back");
  back.addEventListener("click", () => post("undo", changed, ""));
  const answer = h("p", { class: "said row wrap", hidden: true }, said, back);
  const node = h("section", { class: "chosen", "aria-label": "The ticked episodes", hidden: true }, bar, answer);

  function refresh() {
    const reason = whyNot(context);
    say(may, reason);
    for (const each of [...buttons, back]) {
      mark(each, "aria-disabled", reason || busy ? "true" : null);
      mark(each, "aria-busy", busy ? "true" : null);
    }
    say(number, `${count(episodes.length, "episode")} ticked`);
    bar.hidden = episodes.length === 0;
    node.hidden = bar.hidden && answer.hidden;
  }

  function relabel(label) {
    if (label === "undo" || why.value.trim() || whyNot(context)) return post(label, episodes, why.value);
    context.toast("Say why first: many get no label without a reason.", "warn");
    return why.focus();
  }

  async function post(label, numbers, reason) {
    const refusal = whyNot(context);
    if (refusal) context.toast(`Not labelled: ${refusal}.`, "warn");
    if (refusal || busy) return;
    busy = true;
    refresh();
    try {
      const body = { id: requestId(), label, why: reason, episodes: numbers };
      const told = await context.api("/api/labels", { method: "POST", body });
      changed = label === "undo" ? [] : told.changed;
      say(said, `${told.said}.`);
      back.hidden = changed.length === 0;
      answer.hidden = false;
      mark(answer, "data-refused", Object.keys(told.refused).length > 0 ? "some" : null);
      why.value = "";
      done();
    } catch (error) {
      context.toast(error.message, "bad");
    } finally {
      busy = false;
      refresh();
    }
  }

  const off = ["lease", "connection", "hello"].map((kind) => context.live.on(kind, refresh));
  refresh();
  return {
    node,
    show(numbers) {
      episodes = numbers;
      refresh();
    },
    reason: () => why.focus(),
    destroy: () => off.forEach((each) => each()),
  };
}
