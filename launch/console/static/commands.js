/**
 * The operator's verbs: whether one can be asked for now, why not, and asking. Every press is a request of its
 * own; a verb waits for its answer before it is asked for again. STOP waits for nothing.
 */

import { h, mark } from "./dom.js";
import { untoast } from "./messages.js";
import { STILL, standstill } from "./standstill.js";

const NAMES = {
  success: "Success", failure: "Failure", discard: "Discard", pause: "Pause", resume: "Resume", reset: "Reset",
  regrasp: "Regrasp", acknowledge: "Continue", stop: "STOP",
}; // prettier-ignore
const OF_EPISODE = new Set(["success", "failure", "discard", "reset"]);
const PAUSING = new Set(["pause", "stop"]);
const DONE = {
  success: (n) => `Episode ${n}: success.`,
  failure: (n) => `Episode ${n}: failure.`,
  discard: (n) => `Episode ${n} is discarded.`,
  pause: () => "Paused.",
  resume: () => "The policy may drive again.",
  reset: () => "Going to a new start.",
  regrasp: () => "A part will be taken anew.",
  acknowledge: () => "Going on.",
  stop: (_, lease) => `Stopped. ${wayOn(lease)}`,
};

/** How what is paused goes on, to an operator: only whoever has the controls can resume. @returns {string} */
export const wayOn = ({ mine, holder }) =>
  mine ? "Resume (p) goes on." : holder ? `${holder} resumes.` : "Take the controls to resume.";

/** What a note is about; the end of an episode says more than that its verdict was taken. */
const about = (verb, episode) => (OF_EPISODE.has(verb) ? `episode ${episode}` : PAUSING.has(verb) ? "pause" : verb);

/** What the operator may ask for. */
export class Commands {
  #context;
  #pending = new Set();
  #watchers = new Set();
  #paused = false;

  constructor(context) {
    this.#context = context;
    const { live } = context;
    for (const kind of ["now", "lease", "connection", "hello"]) live.on(kind, () => this.#refresh());
    live.on("now", () => this.#settle());
  }

  /** Why a verb cannot be asked for now, in a few words; "" when it can. */
  why(verb) {
    const { live, role } = this.#context;
    const { now, alive, lease, connected } = live.state;
    const still = STILL[standstill(live.state)];
    if (!connected) return still || "no connection to the console";
    if (role !== "operator") return "you are signed in as a viewer";
    if (verb === "stop") return "";
    if (!lease.mine) return lease.holder ? `${lease.holder} has the controls` : "take the controls first";
    if (!alive || now === null) return still || "no control loop answers";
    if (verb === "drive" || verb === "takeover") return "";
    if (now.can.includes(verb)) return "";
    if (verb === "pause" && now.paused) return "it is paused";
    if (verb === "resume") return "nothing is paused";
    if (verb === "acknowledge") return "nothing asks for an answer";
    if (OF_EPISODE.has(verb) && !now.running) return "no episode runs";
    if (verb === "regrasp") return "this task has no regrasp, or not now";
    return "not now";
  }

  /** Whether an answer is awaited. */
  pending(verb) {
    return this.#pending.has(verb);
  }

  /** Ask for a verb; what comes of it is shown. */
  async ask(verb) {
    const { live, toast, sounds } = this.#context;
    if (this.#pending.has(verb) && verb !== "stop") return;
    const why = this.why(verb);
    if (why) {
      toast(`${NAMES[verb]} is not possible: ${why}.`, "warn");
      return;
    }
    const episode = live.state.now?.episode;
    this.#pending.add(verb);
    this.#refresh();
    const answer = await live.command(verb, OF_EPISODE.has(verb) ? { episode } : {});
    this.#pending.delete(verb);
    this.#refresh();
    if (answer.status === "done") {
      toast(answer.why || DONE[verb](episode, live.state.lease), verb === "stop" ? "warn" : "good", about(verb, episode));
      return;
    }
    const what = { refused: "refused", expired: "came too late", silent: "got no answer" }[answer.status];
    toast(`${NAMES[verb]} ${what}${answer.why ? `: ${answer.why}` : ""}.`.replace(/\.+$/, "."), "bad");
    sounds.play("refused");
  }

  /** Pause or resume, whichever is meant. */
  toggle() {
    const can = this.#context.live.state.now?.can ?? [];
    return this.ask(can.includes("resume") && (this.#context.live.state.now.paused || !can.includes("pause")) ? "resume" : "pause");
  }

  /**
   * A button of a verb. It says why it cannot be pressed, and stays in the focus order then.
   * @param {string} verb
   * @param {{label?: string, key?: string, class?: string, note?: string}} [options]
   */
  button(verb, options = {}) {
    const { label = NAMES[verb], key = "", note = "" } = options;
    const node = h(
      "button",
      { type: "button", class: options.class ?? "", dataset: { verb } },
      h("span", {}, label, note && h("small", {}, note)),
      key && h("kbd", { "aria-hidden": "true" }, key),
    );
    node.addEventListener("click", (event) => {
      if (event.detail > 0) node.blur(); // a click must not leave Enter pointing at it
      this.ask(verb);
    });
    this.watch(node, verb);
    return node;
  }

  /**
   * Keep a button's state in step with whether its verb can be asked for.
   * @param {HTMLElement} node
   * @param {string} verb
   * @param {string} [label] what the button does, for its tooltip
   * @returns {() => void} ends it
   */
  watch(node, verb, label = NAMES[verb] ?? verb) {
    const update = () => {
      if (!node.isConnected && update.seen) return this.#watchers.delete(update);
      update.seen = node.isConnected;
      const why = this.why(verb);
      mark(node, "aria-disabled", why ? "true" : null);
      mark(node, "aria-busy", this.#pending.has(verb) && verb !== "stop" ? "true" : null);
      mark(node, "title", why ? `${label}: ${why}` : label);
      mark(node, "aria-description", why || null);
    };
    this.#watchers.add(update);
    update();
    return () => this.#watchers.delete(update);
  }

  /** A note of a pause does not outlive it, nor one of going on that. */
  #settle() {
    const paused = this.#context.live.state.now?.paused ?? false;
    if (paused !== this.#paused) untoast(paused ? "resume" : "pause");
    this.#paused = paused;
  }

  #refresh() {
    for (const update of [...this.#watchers]) update();
  }
}
