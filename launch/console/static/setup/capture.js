/**
 * Classifier: showing what success looks like, and what only resembles it; training on it is `learning`.
 *
 * Space is the software stop on every page, so that success is held with Enter or the large button.
 */

import { h, say, mark, clear } from "../dom.js";
import { learning } from "./learning.js";
import { guarded, hindrance, onPress } from "./rig.js";

const COUNT_MS = 1000;
const IDLE = "nothing is being collected";
const HOW =
  "Hold Enter, or the button, exactly while the module is seated. Next one (n) goes on, Discard (x) throws this one " +
  "away. Space stops the arm, as everywhere.";

export function capture(root, station, context, note) {
  const { api, commands, hand, keys, live, toast, video } = context;
  const positives = h("input", { type: "number", name: "positives", min: 1, max: 100000, value: 200 });
  const negatives = h("input", { type: "number", name: "negatives", min: 1, max: 100000, value: 600 });
  const start = h("button", { type: "button", class: "primary", dataset: { job: "collect" } }, "Start collecting");
  const stop = h("button", { type: "button", dataset: { act: "stop-collect" } }, "End collecting");
  const prompt = h("p", { class: "prompt", role: "status" });
  const how = h("p", { class: "small muted" });
  const hold = h(
    "button",
    { type: "button", class: "hold", dataset: { act: "hold-success" }, "aria-pressed": "false" },
    h("span", {}, "Hold while it is seated"),
    h("kbd", { "aria-hidden": "true" }, "Enter"),
  );
  const score = h("b", { dataset: { field: "score" } }, "–");
  const pictures = h("div", { class: "workspace-eyes" });
  const bars = ["positives", "negatives", "episodes"].map((name) => {
    const words = h("span", {}, { positives: "Success", negatives: "No success", episodes: "Episodes" }[name]);
    const count = h("b", { dataset: { count: name } }, "–");
    const fill = h("i");
    const bar = h("div", { class: "bar", role: "presentation" }, fill);
    return { name, count, fill, node: h("div", { class: "tally" }, h("div", { class: "row spread" }, words, count), bar) };
  });
  const said = h("pre", { class: "job-lines small", "aria-label": "What the collection says" });
  // Of an example alone: the same verbs would end an episode of whatever else drives.
  const ending = (verb, label, key) =>
    h("button", { type: "button", dataset: { example: verb } }, h("span", {}, label), h("kbd", { "aria-hidden": "true" }, key));
  const next = ending("failure", "Next one", "n");
  const discard = ending("discard", "Discard", "x");
  root.append(
    h(
      "div",
      { class: "row spread wrap" },
      h("h1", {}, "Classifier"),
      h(
        "div",
        { class: "row wrap" },
        h("label", { class: "row small" }, "success", positives),
        h("label", { class: "row small" }, "others", negatives),
        start,
        stop,
      ),
    ),
    h(
      "div",
      { class: "capture-work" },
      h("div", { class: "grid" }, pictures, bars.map(({ node }) => node), h("p", { class: "small" }, "Classifier's score now: ", score)),
      h(
        "div",
        { class: "grid" },
        prompt,
        how,
        hold,
        h("div", { class: "row wrap" }, next, discard),
      ),
    ),
    said,
  );
  const learn = learning(root, station, context);

  let entered = false;
  let timer = 0;
  let facts = null;
  let stops = [];
  let watched = "";

  const collecting = () => live.state.alive && live.state.now?.purpose === "classify";
  /** Why nothing can be shown now. */
  const unready = () => {
    if (!collecting()) return IDLE;
    return hindrance(context) || (live.state.now.running ? "" : "the next example has not begun");
  };
  const press = () => {
    const why = unready();
    if (why) return toast(`Not possible: ${why}.`, "warn");
    hand.hold("success");
    mark(hold, "aria-pressed", "true");
  };
  const release = () => {
    hand.drop("success");
    mark(hold, "aria-pressed", "false");
  };
  hold.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    hold.setPointerCapture(event.pointerId);
    press();
  });
  for (const kind of ["pointerup", "pointercancel", "blur"]) hold.addEventListener(kind, release);
  hold.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (!event.repeat) press();
  });
  hold.addEventListener("keyup", (event) => event.key === "Enter" && release());
  hold.addEventListener("contextmenu", (event) => event.preventDefault());
  onPress(next, toast, () => collecting() && commands.ask("failure"));
  onPress(discard, toast, () => collecting() && commands.ask("discard"));
  const group = { group: "Set-up", when: () => entered };
  const unbind = [
    keys.bind("Enter", "held: the module is seated (classifier)", press, { ...group, up: release }),
    keys.bind("n", "next example (classifier)", () => next.click(), group),
    keys.bind("x", "discard this example", () => discard.click(), group),
  ];

  onPress(start, toast, () => station.jobs.collect.start({ positives: Number(positives.value), negatives: Number(negatives.value) }));
  onPress(stop, toast, () => station.jobs.collect.stop());

  async function count() {
    try {
      facts = await api(`/api/setup/examples?positives=${Number(positives.value) || 1}&negatives=${Number(negatives.value) || 1}`);
    } catch {
      return; // the connection says so itself
    }
    if (station.facts) draw();
  }

  function watch() {
    const { now, alive, hello } = live.state;
    const wanted = entered && alive ? (hello?.cameras ?? []).filter((name) => now?.cameras.includes(name)) : [];
    const names = wanted.length || !entered || !alive ? wanted : (now?.cameras ?? []).slice(0, 2);
    if (names.join() === watched) return;
    for (const end of stops) end();
    watched = names.join();
    clear(pictures);
    stops = names.map((name) => {
      const canvas = h("canvas", { width: 128, height: 128, role: "img", "aria-label": `Camera ${name}` });
      pictures.append(h("figure", {}, canvas, h("figcaption", { class: "small muted" }, name)));
      return video.show(name, canvas);
    });
  }

  function draw() {
    const { collect } = station.jobs;
    const on = collecting();
    if (facts) {
      const words = on ? `${facts.number}. ${facts.posture.toUpperCase()}: ${facts.prompt}` : `Next, ${facts.posture}: ${facts.prompt}`;
      say(prompt, facts.enough ? "✓ Enough examples: train a classifier on them." : words);
      say(how, facts.enough ? "" : HOW);
      for (const { name, count: node, fill } of bars) {
        say(node, `${facts[name] >= facts.wanted[name] ? "✓ " : ""}${facts[name]} of ${facts.wanted[name]}`);
        fill.style.setProperty("width", `${Math.min(100, (100 * facts[name]) / facts.wanted[name])}%`);
      }
    }
    const newest = live.state.steps.steps.at(-1)?.[4];
    say(score, newest === null || newest === undefined ? "– (none runs)" : newest.toFixed(2));
    const idle = station.facts.driven ? (station.setUp ? "end the set-up first" : "a control loop drives this run: let it end first") : "";
    const blind = station.facts.images.length ? "" : "this task has no cameras, and a classifier looks at images";
    start.hidden = collect.running;
    stop.hidden = !collect.running;
    guarded(start, hindrance(context) || blind || idle);
    guarded(stop, hindrance(context));
    const why = unready();
    for (const node of [hold, next, discard]) guarded(node, why);
    if (why) release(); // a button that is down from before says nothing of the next example
    say(said, collect.state.lines.slice(-6).join("\n"));
    said.hidden = collect.state.lines.length === 0;
    learn.draw(blind);
    note(on ? "●" : "");
    watch();
  }

  station.on(draw);
  return {
    enter() {
      entered = true;
      count();
      learn.look();
      timer = setInterval(count, COUNT_MS);
      if (station.facts) draw();
    },
    leave() {
      entered = false;
      release();
      clearInterval(timer);
      watch();
    },
    close() {
      clearInterval(timer);
      for (const end of unbind) end();
      for (const end of stops) end();
    },
  };
}
