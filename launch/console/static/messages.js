/** Short notes to the operator: what came of a command, what was lost. */

import { h } from "./dom.js";

const LASTS_MS = { info: 5000, good: 4000, warn: 9000, bad: 12000 };
const SIGNS = { info: "i", good: "✓", warn: "!", bad: "✕" };
const MOST = 4;
const RANKS = ["info", "good", "warn", "bad"]; // what matters least goes first

/** Of the notes that matter least, the oldest. */
function least(notes) {
  const rank = (note) => RANKS.indexOf(note.dataset.level);
  return notes.reduce((found, note) => (rank(note) < rank(found) ? note : found));
}

/**
 * Show a note. Where there are too many, those that matter least go, and the oldest of them first.
 * @param {string} text
 * @param {"info"|"good"|"warn"|"bad"} [level]
 * @param {string} [about] what it is about: it takes the place of an earlier note about the same
 */
export function toast(text, level = "info", about = text) {
  const messages = document.getElementById("messages");
  const same = [...messages.children].find((each) => each.dataset.about === about);
  same?.remove();
  const message = h(
    "div",
    { class: `message ${level}`, dataset: { level, about } },
    h("b", { "aria-hidden": "true" }, SIGNS[level] ?? "i"),
    h("span", {}, text),
    h("button", { class: "quiet", type: "button", "aria-label": "Dismiss", on: { click: () => message.remove() } }, "×"),
  );
  messages.append(message);
  while (messages.children.length > MOST) least([...messages.children]).remove();
  setTimeout(() => message.remove(), LASTS_MS[level] ?? LASTS_MS.info);
}
