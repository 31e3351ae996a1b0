/** Why no loop is heard, where that is known. One that fell silent without a word is not among the reasons. */

const RESTS = { nobody: "rest", starting: "starting" };

/** The same for those who wait, in a few words. */
export const STILL = {
  ended: "the session has ended",
  rest: "nobody drives this run",
  starting: "the control loop is starting",
};

/**
 * What became of the run, from `live.state`. An end counts without a connection once it is final: until then a loop
 * may move the arm.
 * @returns {"ended"|"rest"|"starting"|""} the session ends or has ended; nobody drives; somebody is about to; or
 *   none of it, also where a loop was there and went without a farewell
 */
export function standstill({ alive, connected, drove, end, rest }) {
  if (end?.final) return "ended";
  if (!connected) return "";
  if (end !== null && (alive || rest !== "")) return "ended";
  if (alive) return "";
  if (rest === "left") return "rest";
  return drove ? "" : (RESTS[rest] ?? "");
}

const ENDS = {
  reached: ({ result }) => `Goal reached: ${result}.`,
  spent: ({ result }) => `The budget is spent: ${result}.`,
  stopped: ({ result }) => `Stopped: ${result}. Nothing is lost.`,
  failed: ({ why }) => `Failed: ${why}.`.replace(/\.+$/, "."),
};

/** How a session has ended, in a sentence. */
export const endInWords = (end) => (ENDS[end.outcome] ?? ENDS.stopped)(end);
