/** Notes of how episodes end: of each at the speed of a real arm, now and then of many where they end faster. */

const EVERY_MS = 3000;

/** One episode in words. */
function inWords({ success, unaided, truncated_by: cut }) {
  if (success) return unaided ? "success, unaided" : "success, with help";
  return cut ? `no success (${cut})` : "no success";
}

/** Tell of episodes' ends from now on. @param {object} context */
export function endings({ live, sounds, toast }) {
  let episodes = 0;
  let successes = 0;
  const sum = () => {
    toast(`${episodes} episode${episodes === 1 ? "" : "s"} ended: ${successes} with success.`, "info", "episode-end");
    episodes = successes = 0;
  };
  live.on("ended", (ended) => {
    const { episode, success } = ended;
    if (live.state.now?.real_time) {
      if (success) sounds.play("success");
      toast(`Episode ${episode} ended: ${inWords(ended)}.`, success ? "good" : "info", `episode ${episode}`);
      return;
    }
    // A simulation that runs ahead ends several in a second, which nobody can follow one by one.
    if (episodes === 0) setTimeout(sum, EVERY_MS);
    episodes += 1;
    successes += Number(success);
  });
}
