/** The coach's line: what to do in this episode. It stands under who drives, in every view. */

import { mark, say } from "./dom.js";

/** Keep the line. @param {HTMLElement} root @param {object} context */
export function coach(root, { live }) {
  const draw = () => {
    const { advice, alive } = live.state;
    const { sentence = "", state = null } = (alive && advice?.coach) || {}; // of a run that is over there is nothing to say
    say(root, sentence);
    mark(root, "data-state", state);
  };
  for (const kind of ["advice", "now", "connection"]) live.on(kind, draw);
  draw();
}
