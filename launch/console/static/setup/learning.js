/** Learning from the examples: training a classifier, how it did on what it has not seen, and putting it in use. */

import { h, say, mark, clear } from "../dom.js";
import { contents } from "./report.js";
import { guarded, hindrance, onPress } from "./rig.js";

const LINES = 6; // of a job, the last ones

/** A share as a number in 100, rounded up as the training says it. */
function percent(share) {
  const hundred = 100 * share - 1e-6;
  return hundred > 10 ? Math.ceil(hundred) : Math.ceil(10 * hundred) / 10;
}

/** What held-out episodes say, as [whether it is as promised, words]. */
function figures(known) {
  const { episodes, false_positives: wrong, successes, missed, bound, wanted, needed, supported } = known;
  const shown = `At most ${percent(bound)} in 100 episodes would have a false success, by these data; ${percent(wanted)} were asked for`;
  return [
    [wrong === 0, `${wrong} of ${episodes} held-out episodes had a false success.`],
    [missed === 0, `${missed} of ${successes} held-out successes were missed.`],
    [supported, supported ? `${shown}.` : `${shown}: that takes ${needed} held-out episodes without one.`],
  ];
}

/**
 * @param {HTMLElement} root @param {import("./station.js").Station} station @param {object} context
 * @returns {{draw: (blind: string) => void, look: () => void}} `blind`: why there is nothing to train
 */
export function learning(root, station, context) {
  const { api, toast } = context;
  const { train: training, accept: accepting } = station.jobs;
  const name = h("input", { type: "text", name: "classifier", value: "ram", maxLength: 40, spellcheck: false });
  const train = h("button", { type: "button", dataset: { job: "train" } }, "Train");
  const accept = h("button", { type: "button", dataset: { job: "accept" } }, "Put in use");
  const said = h("pre", { class: "job-lines small", "aria-label": "What the training says" });
  const verdict = h("p", { role: "status" });
  const list = h("ul", { class: "figures", "aria-label": "How it did on episodes that it has not learned from" });
  const read = h("button", { type: "button", dataset: { act: "report" }, "aria-expanded": "false", hidden: true });
  const report = h("div", { class: "report", role: "region", "aria-label": "Report of the training", hidden: true });
  const all = h("button", { type: "button", dataset: { act: "accept-all-the-same" } }, "Put it in use all the same");
  const no = h("button", { type: "button", dataset: { act: "accept-not" } }, "Not this one");
  const question = h(
    "div",
    { class: "row wrap question", role: "group", "aria-label": "Put it in use?", hidden: true },
    h("b", {}, "▲ Whatever it calls success is what the policy learns to do. It has not kept all it promises:"),
    no,
    all,
  );
  root.append(
    h("div", { class: "row wrap train" }, h("h2", {}, "Learn from them"), h("label", { class: "row small" }, "name", name), train, accept),
    question,
    verdict,
    list,
    h("div", { class: "row" }, read),
    said,
    report,
  );

  let known = { newest: null, in_use: "" };
  let asked = "";
  let looked = "";

  const named = () => name.value.trim();

  /** Ask what is known of the classifier of this name. */
  async function look() {
    const wanted = (asked = named());
    let told = { newest: null, in_use: "" };
    if (wanted) {
      try {
        told = await api(`/api/setup/classifiers/${encodeURIComponent(wanted)}`);
      } catch (error) {
        told.trouble = error.message;
      }
    }
    if (wanted !== asked) return;
    if (wanted !== looked || told.newest?.version !== known.newest?.version) {
      question.hidden = true;
      fold();
    }
    looked = wanted;
    known = told;
    show();
  }

  function show() {
    const { newest, in_use: used, trouble } = known;
    const words = !newest ? "No classifier of this name yet." : `${named()} ${newest.version}`;
    const other = used ? `not in use (in use: ${used})` : "not in use";
    say(verdict, trouble ? `✖ ${trouble}` : newest ? `${words}: ${used === newest.version ? "✓ in use" : other}.` : words);
    const rows = newest ? figures(newest) : [];
    drawFold();
    clear(list).append(...rows.map(([good, text]) => h("li", { class: good ? "good" : "warn" }, `${good ? "✓" : "▲"} ${text}`)));
  }

  /** Put the report away: the next one is another's. */
  function fold() {
    clear(report);
    report.hidden = true;
    drawFold();
  }

  function drawFold() {
    read.hidden = !known.newest;
    mark(read, "aria-expanded", String(!report.hidden));
    say(read, report.hidden ? "Show the report" : "Hide the report");
  }

  onPress(read, toast, async () => {
    if (!report.hidden) return fold();
    const of = known.newest.version;
    const { parts } = await api(`/api/setup/classifiers/${encodeURIComponent(looked)}/${of}/report`);
    if (of !== known.newest?.version) return;
    clear(report).append(...contents(parts));
    report.hidden = false;
    drawFold();
  });

  const put = () => accepting.start({ name: named(), version: known.newest.version });
  onPress(train, toast, () => training.start({ name: named() }));
  onPress(accept, toast, async () => {
    if (figures(known.newest).every(([good]) => good)) return put();
    question.hidden = false;
    no.focus();
  });
  onPress(all, toast, async () => {
    question.hidden = true;
    await put();
  });
  onPress(no, toast, async () => {
    question.hidden = true;
  });
  name.addEventListener("change", look);
  for (const job of [training, accepting]) job.listeners.add(({ state }) => state !== "running" && look());

  function draw(blind) {
    const why = hindrance(context);
    const using = known.newest && known.newest.version === known.in_use && "it is in use";
    const obstacles = [
      blind,
      training.running && "it is being trained",
      accepting.running && "it is being put in use",
      !known.newest && "no classifier of this name has been trained",
      using,
    ];
    guarded(train, why || blind || (training.running ? "it is being trained" : ""));
    const unfit = why || obstacles.find(Boolean) || "";
    guarded(accept, unfit);
    guarded(all, unfit);
    const later = accepting.state.lines.length && !training.running ? accepting : training;
    const lines = later.state.lines.slice(-LINES).join("\n");
    say(said, lines || (training.running ? "Training …" : ""));
    said.hidden = said.textContent === "";
  }
  return { draw, look };
}
