/** Notes of how episodes end, at the speed of a real arm. */

/** One episode in words. */
function inWords({ success, unaided, truncated_by: cut }) {
  if (success) return unaided ? "success, unaided" : "success, with help";
  return cut ? `no success (${cut})` : "no success";
}

/** Tell of episodes' ends from now on. @param {object} context */
export function endings({ live, sounds, toast }) {
  live.on("ended", (ended) => {
    // A simulation that runs ahead ends several in a second, which nobody can follow one by one: the deck counts them.
    if (!live.state.now?.real_time) return;
    const { episode, success } = ended;
    if (success) sounds.play("success");
    toast(`Episode ${episode} ended: ${inWords(ended)}.`, success ? "good" : "info", `episode ${episode}`);
  });
}
