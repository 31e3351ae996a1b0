/** One episode: its pictures by step, what happened beside them, and what it is taken for. */

import { h, clear, say } from "../dom.js";
import { address, query } from "./filter.js";
import { fetchRecording, Player } from "./frames.js";
import { timelines } from "./timeline.js";
import { verdictPanel } from "./verdict.js";
import { fixed, moment, outcome } from "./words.js";

/** Show an episode. @returns {() => void} unmounts it */
export function mountEpisode(root, context, episode, words) {
  let recording = null;
  let lines = null;
  let player = null;
  let at = 0; // the moment that is shown: before step `at`
  let asked = 0; // how often, for its rewards
  let gone = false;
  let neighbours = { previous: null, next: null };
  const canvases = [];

  const title = h("h1", {}, `Episode ${episode}`);
  const facts = h("dl", { class: "facts" });
  const frames = h("div", { class: "frames" });
  const scrub = h("input", {
    id: "scrub",
    type: "range",
    min: 0,
    max: 0,
    value: 0,
    disabled: true,
    "aria-label": "Step",
    on: { input: () => go(Number(scrub.value)) },
  });
  const place = h("output", { class: "place", htmlFor: "scrub" });
  const play = h("button", { type: "button", disabled: true, dataset: { act: "play" }, on: { click: toggle } });
  const speed = h("select", { "aria-label": "Speed", on: { change: () => setSpeed() } },
    ...[["1", "1 ×"], ["4", "4 ×"], ["0.25", "¼ ×"]].map(([value, text]) => h("option", { value }, text)));
  const story = h("div", { class: "story" });
  const previous = step("previous", -1);
  const next = step("next", 1);
  const verdict = verdictPanel(context, episode, { step: shownStep, told: show });
  const view = h(
    "article",
    { id: "episode", dataset: { episode }, "aria-label": `Episode ${episode}` },
    h("header", { class: "row wrap" }, h("a", { class: "back", href: address("", words) }, "‹ All episodes"), previous, title, next, facts),
    h("div", { class: "panel row player" }, play, scrub, place, speed),
    h("div", { class: "panel seen" }, frames),
    h("div", { class: "panel told" }, story),
    verdict.node,
  );
  root.append(view);

  function step(act, sign) {
    const [word, key, arrow] = sign < 0 ? ["Previous", "Page up", "‹"] : ["Next", "Page down", "›"];
    const button = h("button", { type: "button", class: "turn", dataset: { act }, disabled: true }, arrow);
    button.addEventListener("click", () => turn(sign));
    button.title = `${word} (${key})`;
    button.setAttribute("aria-label", `${word} episode`);
    return button;
  }

  function turn(sign) {
    const other = sign < 0 ? neighbours.previous : neighbours.next;
    if (other !== null) context.navigate(address(other, words));
  }

  /** The step that led to what is shown; null for the last, which is where a success is taken to be anyway. */
  function shownStep() {
    return recording === null || at >= recording.steps || at === 0 ? null : at - 1;
  }

  function go(to) {
    if (recording === null) return;
    at = Math.max(0, Math.min(recording.steps, to));
    recording.paint(canvases, at);
    scrub.value = at;
    const words = at === 0 ? "the start" : `step ${at - 1} of 0–${recording.steps - 1}`;
    say(place, words);
    scrub.setAttribute("aria-valuetext", words);
    lines?.at(at - 1);
    verdict.moved();
  }

  function move(by) {
    player?.pause();
    go(at + by);
  }

  function toggle() {
    if (player?.playing) player.pause();
    else player?.play();
  }

  function setSpeed() {
    const playing = player?.playing;
    player?.pause();
    if (player) player.speed = Number(speed.value);
    if (playing) player.play();
  }

  function drawPlay(playing) {
    clear(play).append(playing ? "Pause " : "Play ", h("kbd", {}, "Enter"));
  }

  function show(answer) {
    const { row } = answer;
    const fact = (name, value, column) => value !== "" && [h("dt", {}, name), h("dd", { dataset: { column } }, value)];
    clear(facts).append(
      ...[
        fact("Outcome", outcome(row.outcome), "outcome"),
        fact("Label", row.label ? `${row.label} by ${row.labeller}` : "none", "label"),
        fact("Began", moment(row.started_wall_ns), "began"),
        fact("Steps", `${row.steps}${row.human_steps ? `, ${row.human_steps} by hand` : ""}`, "steps"),
        fact("Peak", row.peak_force_n === null ? "" : `${fixed(row.peak_force_n, 1)} N`, "force"),
        fact("Weights", row.weights_version < 0 ? "" : String(row.weights_version), "weights"),
        fact("Operator", row.operator, "operator"),
        fact("Cut by", row.truncated_by ?? "", "truncated_by"),
      ].flat().filter(Boolean),
    );
    verdict.show(answer);
    loadReward();
  }

  /** What the steps are worth now: a label changes that, and the learner is given it. */
  async function loadReward() {
    if (lines === null) return; // asked for once there is something to draw it in
    const mine = (asked += 1);
    try {
      const { reward } = await context.api(`/api/episodes/${episode}/reward`);
      if (!gone && mine === asked) lines.judged(reward);
    } catch (error) {
      if (mine === asked) complain(error);
    }
  }

  async function loadRow() {
    const answer = await context.api(`/api/episodes/${episode}${query(words)}`);
    if (gone) return;
    neighbours = answer;
    previous.disabled = answer.previous === null;
    next.disabled = answer.next === null;
    show(answer);
  }

  async function loadRecording() {
    const fetched = await fetchRecording(context, episode);
    if (gone) {
      fetched.close();
      return;
    }
    recording = fetched;
    scrub.max = recording.steps;
    scrub.disabled = play.disabled = false;
    clear(frames);
    frames.style.setProperty("--cameras", recording.cameras.length);
    for (const { name, width, height } of recording.cameras) {
      const canvas = h("canvas", { id: `frame-${name}`, width, height, role: "img", "aria-label": `Camera ${name}` });
      canvases.push(canvas);
      frames.append(h("figure", {}, canvas, h("figcaption", { class: "small muted" }, name)));
    }
    if (!canvases.length) {
      view.classList.add("blind");
      story.append(h("p", { class: "small muted" }, "This run has no cameras: its log holds no pictures."));
    }
    player = new Player({ period: recording.head.period_s, last: recording.steps, at: () => at, go, changed: drawPlay });
    setSpeed();
    // How it ended is what a reviewer looks for first: that picture comes before all else.
    go(recording.steps);
    const painted = (ready) => ready === at && !gone && recording.paint(canvases, at);
    await recording.decode(recording.steps, recording.steps, painted);
    if (gone) return;
    if (!recording.steps) story.append(h("p", { class: "empty" }, "No step was stored."));
    else {
      lines = timelines(recording.head, (picked) => {
        player.pause();
        go(picked + 1);
      });
      story.append(lines.node);
      lines.start();
      loadReward();
    }
    lines?.at(at - 1);
    await recording.decode(0, recording.steps, painted);
  }

  const complain = (error) => gone || context.toast(error.message, "bad");
  drawPlay(false);
  loadRow().catch((error) => {
    if (gone) return;
    gone = true; // nothing else of it need be said
    clear(view).append(h("p", { class: "empty" }, `${error.message} `, h("a", { href: address("", words) }, "All episodes")));
  });
  loadRecording().catch(complain);

  const group = { group: "Review", repeat: true };
  const off = [
    context.keys.bind("ArrowRight", "one step on", () => move(1), group),
    context.keys.bind("ArrowLeft", "one step back", () => move(-1), group),
    context.keys.bind(".", "ten steps on", () => move(10), group),
    context.keys.bind(",", "ten steps back", () => move(-10), group),
    context.keys.bind("Home", "", () => move(-Infinity), group),
    context.keys.bind("End", "", () => move(Infinity), group),
    context.keys.bind("Enter", "play or pause", toggle, { group: "Review" }),
    context.keys.bind("PageDown", "next episode", () => turn(1), { group: "Review" }),
    context.keys.bind("PageUp", "previous episode", () => turn(-1), { group: "Review" }),
    context.keys.bind("Escape", "all episodes", () => context.navigate(address("", words)), { group: "Review" }),
    context.live.on("labelled", ({ episodes }) => episodes.includes(episode) && loadRow().catch(complain)),
  ];
  return () => {
    gone = true;
    off.forEach((each) => each());
    player?.pause();
    lines?.destroy();
    verdict.destroy();
    recording?.close();
  };
}
