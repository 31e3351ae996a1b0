/** Why nothing moves, where that is known. A loop that fell silent without a word is not among the reasons. */

/**
 * What became of the run, from `live.state`.
 * @returns {"ended"|"rest"|""} the session has ended; nobody drives, and nobody did without a farewell; neither
 */
export function standstill({ alive, connected, drove, end, rest }) {
  if (end !== null) return "ended";
  if (!connected || alive) return "";
  return rest === "left" || (rest === "nobody" && !drove) ? "rest" : "";
}

const ENDS = {
  reached: ({ result }) => `Goal reached: ${result}.`,
  spent: ({ result }) => `The budget is spent: ${result}.`,
  stopped: ({ result }) => `Stopped: ${result}. Nothing is lost.`,
  failed: ({ why }) => `Failed: ${why}.`.replace(/\.+$/, "."),
};

/** How a session has ended, in a sentence. */
export const endInWords = (end) => (ENDS[end.outcome] ?? ENDS.stopped)(end);
