/** The run view: who drives is above it; here are the cameras, the deck, the traces and how the run stands. */

import { advice, figures, success } from "./standing.js";
import { cameras } from "./cameras.js";
import { deck } from "./deck.js";
import { traces } from "./traces.js";
import { h } from "../dom.js";

const PARTS = [
  ["eyes", "Cameras", "div", cameras],
  ["deck", "Operator's deck", "div", deck],
  ["traces", "Traces of the episode", "div", traces],
  ["success", "Success", "div", success],
  ["figures", "Figures", "dl", figures],
  ["advice", "Advice", "div", advice],
];

const STYLES = ["run/run.css", "run/deck.css", "hand/driving.css", "run/standing.css"];

export default {
  id: "run",
  title: "Run",

  /** @param {HTMLElement} root @param {object} context @returns {() => void} */
  mount(root, context) {
    let ends = [];
    let left = false;
    // The charts take their size from the style sheet, so it comes first.
    Promise.all(STYLES.map(context.style)).then(() => {
      if (left) return;
      const page = h("div", { id: "run" });
      root.append(page);
      for (const [name, label, tag, part] of PARTS) {
        const inner = h(tag, { class: name });
        page.append(h("section", { class: `panel at-${name}`, "aria-label": label }, inner));
        ends.push(part(inner, context));
      }
    });
    return () => {
      left = true;
      for (const end of ends) end();
      ends = [];
    };
  },
};
