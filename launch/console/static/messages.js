/**
 * Short notes to the operator: what came of a command, what was lost. They have a place of their own under the
 * banner, so that they never cover what somebody is about to press; what matters most stands first there.
 */

import { h } from "./dom.js";

const LASTS_MS = { info: 5000, good: 4000, warn: 9000, bad: 12000 };
const SIGNS = { info: "i", good: "✓", warn: "!", bad: "✕" };
const MOST = 4; // so many wait for their turn; the style sheet shows as many as there is room for
const LONG = 90; // characters, from which the letters are smaller
const RANKS = ["info", "good", "warn", "bad"];

const rank = (note) => RANKS.indexOf(note.dataset.level);

/**
 * Show a note before those that matter no more than it does. Where there are too many, the last ones go: of what
 * matters least, the oldest.
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
    { class: `message ${level}`, title: text, dataset: { level, about, ...(text.length > LONG ? { long: "" } : {}) } },
    h("b", { "aria-hidden": "true" }, SIGNS[level] ?? "i"),
    h("span", {}, text),
    h("button", { class: "quiet", type: "button", "aria-label": "Dismiss", on: { click: () => message.remove() } }, "×"),
  );
  messages.insertBefore(message, [...messages.children].find((each) => rank(each) <= rank(message)) ?? null);
  while (messages.children.length > MOST) messages.lastElementChild.remove();
  setTimeout(() => message.remove(), LASTS_MS[level] ?? LASTS_MS.info);
}

/** Take away the note about something that is so no more. @param {string} about */
export function untoast(about) {
  for (const each of [...document.getElementById("messages").children]) if (each.dataset.about === about) each.remove();
}
