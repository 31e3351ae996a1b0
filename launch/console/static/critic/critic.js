/** The critic view: what the operator's interventions do to the critic, measured, with a sentence for each panel. */

import { h, clear, mark, say } from "../dom.js";
import { CriticData } from "./data.js";
import { thousands } from "./draw.js";
import { LARGE, SMALL } from "./panels.js";
import { SOURCES, drawSign } from "./sources.js";

const EVERY_MS = 4000;
const AGAIN_MS = 10000;

/** The key of the sources, drawn as they are in the panels. */
function key() {
  const signs = SOURCES.map((source) => [source, h("canvas", { "aria-hidden": "true" })]);
  const draw = () => signs.forEach(([source, canvas]) => drawSign(canvas, source));
  document.addEventListener("themechange", draw);
  return {
    draw,
    node: h(
      "ul",
      { class: "key", "aria-label": "Where samples come from" },
      signs.map(([source, canvas]) => h("li", {}, canvas, source.label)),
    ),
    destroy: () => document.removeEventListener("themechange", draw),
  };
}

/** One panel: title, sentence, drawing, and behind an "i" the formula and what to do about it. */
function panel(spec, size) {
  const now = h("p", { hidden: true });
  const todo = h("p", {}, h("strong", {}, "What to do. "), spec.todo);
  const about = { class: "about", id: `about-${spec.id}`, hidden: true };
  const formula = h("div", about, h("p", {}, spec.formula), now, todo);
  const info = h(
    "button",
    {
      type: "button",
      class: "quiet info",
      "aria-expanded": "false",
      "aria-controls": formula.id,
      "aria-label": `How “${spec.title}” is computed, and what to do`,
      on: {
        click() {
          formula.hidden = !formula.hidden;
          mark(info, "aria-expanded", String(!formula.hidden));
        },
      },
    },
    "i",
  );
  const sentence = h("p", { class: "sentence", dataset: { about: spec.id } });
  const readout = h("p", { class: "readout", "aria-hidden": "true" });
  const body = h("div", { class: "body" });
  const empty = h("p", { class: "empty" }, spec.empty);
  const node = h(
    "section",
    { class: `panel ${size}`, id: spec.id, "aria-label": spec.title },
    h("div", { class: "row spread" }, h("h2", {}, spec.title), info),
    sentence,
    formula,
    empty,
    body,
    readout,
  );
  let drawn = null;

  return {
    node,
    update(data) {
      say(sentence, data.answer?.sentences?.[spec.id] ?? "");
      say(now, spec.now?.(data) ?? "");
      now.hidden = !now.textContent;
      node.hidden = false; // a drawing needs a width to begin with
      node.classList.remove("blank");
      drawn ??= spec.draw(body, {
        label: spec.title,
        bare: size === "small",
        onCursor: (row) => say(readout, row === null || row < 0 ? "" : drawn?.tell(row) ?? ""),
      });
      const there = drawn.set(data);
      node.classList.toggle("blank", !there);
      node.hidden = !there && spec.optional === true;
    },
    destroy: () => drawn?.destroy(),
  };
}

export default {
  id: "critic",
  title: "Critic",

  mount(root, context) {
    const data = new CriticData();
    const when = h("p", { class: "when muted" }, "reading…");
    const sources = key();
    const calm = h("p", { class: "empty panel", hidden: true });
    const large = LARGE.map((spec) => panel(spec, "large"));
    const small = SMALL.map((spec) => panel(spec, "small"));
    const panels = [...large, ...small];
    const grid = h(
      "div",
      { class: "panels", hidden: true },
      large.map(({ node }) => node),
      h("h2", { class: "rest" }, "The policy, and what it is taught with, over updates"),
      h("div", { class: "smalls" }, small.map(({ node }) => node)),
    );
    const view = h(
      "div",
      { id: "critic", class: "critic" },
      h("header", {}, h("h1", {}, "What your interventions do to the critic"), when, sources.node),
      calm,
      grid,
    );
    let timer = 0;
    let turn = 0; // of reading; an answer to an earlier one comes too late
    let gone = false;

    function show(fresh) {
      const { answer } = data;
      calm.hidden = answer.ready;
      grid.hidden = !answer.ready;
      if (!answer.ready) {
        say(calm, answer.why);
        say(when, "");
        return;
      }
      say(when, `after ${thousands(answer.updates)} updates, at step ${thousands(answer.env_steps)}`);
      if (fresh) panels.forEach((each) => each.update(data));
    }

    async function read() {
      clearTimeout(timer);
      if (document.hidden) return;
      const mine = (turn += 1);
      const late = () => gone || mine !== turn;
      let wait = EVERY_MS;
      try {
        const answer = await context.api(`/api/critic?since=${data.since}`);
        if (late()) return;
        show(data.take(answer));
      } catch (error) {
        if (late()) return;
        say(when, `not read: ${error.message}`);
        wait = AGAIN_MS;
      }
      timer = setTimeout(read, wait);
    }

    Promise.resolve(context.style("critic/critic.css")).then(() => {
      if (gone) return;
      clear(root).append(view);
      sources.draw();
      read();
    });
    document.addEventListener("visibilitychange", read);
    return () => {
      gone = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", read);
      panels.forEach((each) => each.destroy());
      sources.destroy();
    };
  },
};
