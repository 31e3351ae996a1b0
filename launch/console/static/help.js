/** The keys, in a dialog over the page. */

import { h } from "./dom.js";

const SHOWN = { " ": "Space", Escape: "Esc", Backspace: "⌫", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" };

const DRIVING = [
  ["w s", "away, back"],
  ["a d", "left, right"],
  ["r f", "up, down"],
  ["i k", "tip to the right, to the left"],
  ["j l", "tip away from you, towards you"],
  ["u o", "turn left, right (seen from above)"],
  ["Shift", "held alone: drive and hold still"],
  ["Esc", "end driving"],
];

const DEVICES = [
  ["Gamepad", "hold LB or RB to drive. Left stick x and y, triggers z, right stick and cross turn. " +
    "A success, B failure, X discard, Start pause, Back STOP: while Drive is on."],
  ["SpaceMouse", "push or turn the cap to drive; let go and the policy drives again. " +
    "Left button success, right button failure: while Drive is on."],
];

const row = (key, words) => [
  h("dt", {}, key.split(/(?<=.) /).map((each) => h("kbd", {}, SHOWN[each] ?? each))),
  h("dd", {}, words),
];

/** Show the keys; once more closes them. Nobody drives by letters that they are looking up. */
export function help({ keys, hand }) {
  const open = document.querySelector("dialog#keys");
  if (open) return open.close();
  hand.disarm("the keys are shown");
  const groups = new Map();
  for (const { key, words, group } of keys.list()) {
    const title = group || "This view";
    if (!groups.has(title)) groups.set(title, new Map());
    const byWords = groups.get(title);
    byWords.set(words, byWords.has(words) ? `${byWords.get(words)} ${key}` : key);
  }
  const sections = [...groups].reverse().map(([title, rows]) =>
    h("section", {}, h("h2", {}, title), h("dl", {}, [...rows].map(([words, key]) => row(key, words)))),
  );
  const close = h("button", { type: "button", class: "primary", autofocus: true }, "Close");
  const dialog = h(
    "dialog",
    { id: "keys", "aria-label": "Keys", on: { close: () => dialog.remove() } },
    h("div", { class: "row spread" }, h("h1", {}, "Keys"), close),
    h(
      "div",
      { class: "sheets" },
      sections,
      h("section", {}, h("h2", {}, "While driving by keyboard"), h("dl", {}, DRIVING.map(([key, words]) => row(key, words)))),
      h("section", {}, h("h2", {}, "Other devices"), h("dl", {}, DEVICES.map(([name, words]) => [h("dt", {}, name), h("dd", {}, words)]))),
    ),
  );
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.key !== "?") return;
    event.preventDefault();
    dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
}
