/** Taking a selection away: a table at once, a film or a dataset when the console has made it. */

import { h, say, mark } from "./dom.js";
import { query } from "./review_filter.js";

const FORMATS = { csv: "Table (csv)", mp4: "Film (mp4)", lerobot: "Dataset (LeRobot)" };
const LOOK_MS = 700;

/**
 * The buttons.
 * @param {object} context of the view
 * @param {() => object} words what is chosen
 * @returns {{node: HTMLElement, destroy: () => void}}
 */
export function exportButtons(context, words) {
  let gone = false;
  const state = h("span", { class: "small", role: "status", dataset: { field: "export" } });
  const buttons = Object.entries(FORMATS).map(([format, text]) =>
    h("button", { type: "button", dataset: { export: format }, on: { click: () => (format === "csv" ? download(`/api/export/csv${query(words())}`) : make(format)) } }, text),
  );

  let job = "";
  const cancel = () => context.api(`/api/export/${encodeURIComponent(job)}/cancel`, { method: "POST" }).catch((error) => context.toast(error.message, "bad"));
  const stop = h("button", { type: "button", class: "quiet", hidden: true, dataset: { act: "cancel-export" }, on: { click: cancel } }, "Cancel");

  /** The browser's own download: nothing is held in the page. */
  function download(path) {
    const link = h("a", { href: path, download: "", hidden: true });
    document.body.append(link);
    link.click();
    link.remove();
  }

  function busy(on) {
    for (const button of buttons.slice(1)) {
      button.disabled = on;
      mark(button, "aria-busy", on ? "true" : null);
    }
  }

  async function make(format) {
    busy(true);
    say(state, "Beginning …");
    try {
      ({ id: job } = await context.api("/api/export", { method: "POST", body: { format, filters: words() } }));
      stop.hidden = false;
      const path = `/api/export/${encodeURIComponent(job)}`;
      for (;;) {
        const told = await context.api(path);
        if (gone) return;
        if (told.state === "done") {
          download(`${path}/file`);
          say(state, `${told.name} is done: your browser has it.`);
          return;
        }
        if (told.state !== "running") throw new Error(told.why || `the export was ${told.state}`);
        say(state, told.of ? `${told.done} of ${told.of} steps …` : "Looking at the log …");
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      }
    } catch (error) {
      say(state, "");
      if (!gone) context.toast(error.message, "bad");
    } finally {
      busy(false);
      stop.hidden = true;
    }
  }

  return {
    node: h("div", { class: "row wrap exports", role: "group", "aria-label": "Export the selection" }, h("span", { class: "small muted" }, "Export"), buttons, state, stop),
    destroy() {
      gone = true;
    },
  };
}
