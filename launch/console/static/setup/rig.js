/** The station at hand: who has it, starting and stopping its set-up, and guiding its arm. */

import { driving } from "../hand/driving.js";
import { h, say, mark } from "../dom.js";

/** A button that says why it cannot be pressed, and stays in the focus order then. */
export function guarded(node, why) {
  mark(node, "aria-disabled", why ? "true" : null);
  mark(node, "title", why || null);
  mark(node, "aria-description", why || null);
  node.refusal = why;
}

/** Do something at a click, unless it is refused; what goes wrong is shown. */
export function onPress(node, toast, fn) {
  node.addEventListener("click", async (event) => {
    if (event.detail > 0) node.blur();
    if (node.refusal) return toast(`Not possible: ${node.refusal}.`, "warn");
    if (node.getAttribute("aria-busy")) return;
    mark(node, "aria-busy", "true");
    try {
      await fn(event);
    } catch (error) {
      toast(error.message, "bad");
    } finally {
      mark(node, "aria-busy", null);
    }
  });
}

/** Why this page may not act; "" when it may. */
export function hindrance(context) {
  const { connected, lease } = context.live.state;
  if (context.role === "viewer") return "you are signed in as a viewer";
  if (!connected) return "no connection to the console";
  return context.may() ? "" : lease.holder ? `${lease.holder} has the controls` : "take the controls first";
}

/** @param {import("./station.js").Station} station */
export function stationPanel(station, context) {
  const { commands, hand, live, toast } = context;
  const name = h("b");
  const chip = h("span", { class: "chip" });
  const line = h("p", { class: "small muted", role: "status" });
  const trouble = h("p", { class: "small bad" });
  const start = h("button", { type: "button", class: "primary", dataset: { job: "rig" } }, "Start set-up");
  const stop = h("button", { type: "button", dataset: { act: "stop-rig" } }, "End set-up");
  const drive = h("div");
  const home = commands.button("reset", { label: "Go home" });
  const pause = commands.button("pause", { key: "p" });
  const resume = commands.button("resume", { key: "p", class: "primary" });
  const guide = h(
    "div",
    { class: "setup-guide", hidden: true },
    drive,
    h("div", { class: "row" }, home, pause, resume),
  );
  const node = h(
    "div",
    { class: "panel setup-station" },
    h("div", { class: "row spread setup-who" }, name, chip),
    line,
    h("div", { class: "row" }, start, stop),
    trouble,
    guide,
  );
  const group = "Set-up";
  const unbind = context.keys.bind("p", "pause or resume", () => commands.toggle(), { group });
  // An arm that is not to be guided from here is not driven by a key either.
  const names = ["Guide", "Guiding"];
  const end = driving(drive, context, { names, key: "guide the arm", group, when: () => !guide.hidden });
  onPress(start, toast, () => station.jobs.rig.start());
  onPress(stop, toast, () => station.jobs.rig.stop());

  station.on(() => {
    const { facts } = station;
    const { now, alive } = live.state;
    const rig = station.jobs.rig;
    say(name, facts.station || "Station");
    const idle = rig.running ? ["… starting", ""] : ["○ at rest", ""];
    const [word, kind] = station.setUp ? ["◆ set-up", "good"] : alive ? [`● ${now?.purpose || "run"}`, "warn"] : idle;
    say(chip, word);
    chip.className = `chip ${kind}`;
    const arm = facts.real ? `${facts.kind} arm` : "simulated arm";
    const held = "stays in HOLD; guide it by its own hand-guiding";
    if (station.setUp) say(line, `The ${arm} ${facts.rig.guided ? "follows your hand" : held}. Nothing is recorded.`);
    else if (alive && now?.purpose === "classify")
      say(line, "Examples for a classifier are being collected. The set-up waits until that has ended.");
    else if (alive)
      say(
        line,
        `A control loop drives this run (${now?.purpose || "starting"}). ` +
          "Preflight, saving and the inbox work beside it; the set-up waits until it has ended.",
      );
    else if (rig.running) say(line, "Opening the cameras …");
    else say(line, `Whole pictures and the pose of the ${arm} come with the set-up.`);
    const said = rig.state.state === "failed" ? (rig.state.lines.at(-1) ?? "the set-up ended by itself") : station.trouble;
    say(trouble, said);
    trouble.hidden = said === "";
    start.hidden = rig.running || station.setUp;
    stop.hidden = !rig.running;
    guarded(start, hindrance(context) || (alive || facts.driven ? "a control loop drives this run: let it end first" : ""));
    guarded(stop, hindrance(context));
    home.hidden = !station.setUp;
    pause.hidden = Boolean(now?.paused);
    resume.hidden = !now?.paused;
    guide.hidden = !(station.setUp ? facts.rig.guided : alive && now?.purpose === "classify");
    if (guide.hidden) hand.disarm("there is no arm to guide any more");
  });
  return {
    node,
    close() {
      end();
      unbind();
    },
  };
}
