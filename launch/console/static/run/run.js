/** The run view: who drives is above it; here are the cameras, the deck, the traces and how the run stands. */

import { advice, figures, success } from "./standing.js";
import { cameras } from "./cameras.js";
import { deck } from "./deck.js";
import { traces } from "./traces.js";
import { h } from "../dom.js";

/** What is watched, and what is acted on and by: two columns, each with a height of its own for every part. */
const COLUMNS = {
  watched: [
    ["eyes", "Cameras", "div", cameras],
    ["traces", "Traces of the episode", "div", traces],
    ["success", "Success", "div", success],
  ],
  acted: [
    ["deck", "Operator's deck", "div", deck],
    ["figures", "Figures", "dl", figures],
    ["advice", "Advice", "div", advice],
  ],
};

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
      for (const [column, parts] of Object.entries(COLUMNS)) {
        const place = h("div", { class: column });
        page.append(place);
        for (const [name, label, tag, part] of parts) {
          const inner = h(tag, { class: name });
          place.append(h("section", { class: `panel at-${name}`, "aria-label": label }, inner));
          ends.push(part(inner, context));
        }
      }
    });
    return () => {
      left = true;
      for (const end of ends) end();
      ends = [];
    };
  },
};
