/**
 * Set-up: whether everything is there, what the policy sees, where the arm may go, and a classifier's examples.
 *
 * One part is shown at a time, and the address names it (`#/setup/crop`). What was set up and is not saved yet
 * is kept by the browser's tab, so that a page that is loaded again still has it.
 */

import { h, say, mark } from "../dom.js";
import { Station } from "./station.js";
import { stationPanel } from "./rig.js";
import { preflight } from "./preflight.js";
import { crop } from "./crop.js";
import { workspace } from "./workspace.js";
import { saving } from "./save.js";
import { capture } from "./capture.js";
import { inbox } from "./inbox.js";

const PARTS = [
  ["preflight", "Preflight", preflight],
  ["crop", "Crop", crop],
  ["workspace", "Workspace", workspace],
  ["save", "Save", saving],
  ["capture", "Classifier", capture],
  ["inbox", "Inbox", inbox],
];

function mount(root, context) {
  context.style("hand/driving.css");
  context.style("setup/setup.css");
  context.style("setup/places.css");
  context.style("setup/report.css");
  const station = new Station(context);
  const side = h("aside", { class: "setup-side" });
  const tabs = h("nav", { class: "setup-tabs", "aria-label": "Parts of the set-up" });
  const body = h("div", { class: "setup-body" });
  root.append(h("div", { id: "setup" }, tabs, side, body));
  const panel = stationPanel(station, context);
  side.append(panel.node);

  const parts = new Map();
  let shown = "";
  PARTS.forEach(([id, title, make]) => {
    const note = h("span", { class: "note" });
    const tab = h(
      "button",
      { type: "button", dataset: { part: id }, on: { click: () => show(id) } },
      h("span", {}, title),
      note,
    );
    const section = h("section", { id, class: "panel", "aria-label": title, hidden: true });
    const part = make(section, station, context, (words) => say(note, words));
    tabs.append(tab);
    body.append(section);
    parts.set(id, { section, tab, part });
  });

  function show(id) {
    if (shown === id) return;
    parts.get(shown)?.part.leave?.();
    shown = id;
    for (const [name, { section, tab }] of parts) {
      section.hidden = name !== id;
      mark(tab, "aria-current", name === id ? "true" : null);
    }
    history.replaceState(null, "", `#/setup/${id}`);
    parts.get(id).part.enter?.();
  }

  const asked = location.hash.split("/")[2] ?? "";
  show(parts.has(asked) ? asked : "preflight");
  station.open();
  return () => {
    parts.get(shown)?.part.leave?.();
    for (const { part } of parts.values()) part.close?.();
    panel.close();
    station.close();
  };
}

export default { id: "setup", title: "Set-up", mount };
