/** How the review says things: outcomes, shares, times. A colour is never the only sign. */

import { h } from "../dom.js";

export const SIGNS = { success: "✓", failure: "✕", shown: "○", aborted: "–", open: "…" };
const TONES = { success: "good", failure: "bad", aborted: "warn" };

/** An outcome as a sign and its word. */
export function outcome(word) {
  const sign = h("b", { "aria-hidden": "true" }, SIGNS[word] ?? "?");
  return h("span", { class: `outcome ${TONES[word] ?? ""}` }, sign, ` ${word}`);
}

/** Whether a label is the task's or a classifier's. */
export const byMachine = (who) => who === "task" || who.startsWith("classifier ");

/** "67 %". */
export const percent = (share) => `${Math.round(100 * share)} %`;

/** "33 of 50: 66 % (52–78 %)"; "–" of none. */
export function share(successes, episodes, [low, high]) {
  if (!episodes) return "–";
  const bounds = `${Math.round(100 * low)}–${percent(high)}`;
  return `${successes} of ${episodes}: ${percent(successes / episodes)} (${bounds})`;
}

/** A number with so many places; "" for none. */
export const fixed = (value, places) => (value === null || value === undefined ? "" : value.toFixed(places));

/** Why this page may say nothing of episodes now; "" when it may. */
export function whyNot(context) {
  const { live, role } = context;
  if (!live.state.connected) return "no connection to the console";
  if (role !== "operator") return "you are signed in as a viewer";
  if (context.may()) return "";
  return live.state.lease?.holder ? `${live.state.lease.holder} has the controls` : "take the controls to label";
}

/** Lets Escape leave a text field: the keys are keys again. */
export const leaveByEscape = (event) => event.key === "Escape" && event.target.blur();

const pad = (number) => String(number).padStart(2, "0");

/** Nanoseconds since 1970 as "2026-03-01 14:03:22", here. */
export function moment(wallNs) {
  const at = new Date(wallNs / 1e6);
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${clock(wallNs)}`;
}

/** Nanoseconds since 1970 as "14:03:22", here. */
export function clock(wallNs) {
  const at = new Date(wallNs / 1e6);
  return `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
}

/** "1 episode", "2 episodes". */
export const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
