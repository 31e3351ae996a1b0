/**
 * Workspace: a box around corners that the arm is guided to. Numbers are metres from the seated pose, along the
 * socket's axes: the same in which `env.limits.workspace_low_m` and `_high_m` are written.
 */

import { h, say, mark, clear } from "../dom.js";
import { guarded, hindrance, onPress } from "./rig.js";
import { inFrame } from "./frame.js";
import { plan } from "./plan.js";

const AXES = ["x", "y", "z"];
const VIEWS = ["overview", "side"];
const HEADINGS = ["", "tool", "new low", "new high", "now low", "now high"];
const MOST = 50; // corners
const mm = (value) => (value === null || value === undefined ? "–" : (Math.round(1e4 * value) / 10 || 0).toFixed(1));

export function workspace(root, station, context, note) {
  const { api, live, toast, video } = context;
  const drawing = plan();
  const take = h(
    "button",
    { type: "button", class: "primary", dataset: { act: "corner" } },
    h("span", {}, "Take corner"),
    h("kbd", { "aria-hidden": "true" }, "c"),
  );
  const clearAll = h("button", { type: "button", dataset: { act: "no-corners" } }, "Begin again");
  const below = h("input", { type: "number", name: "below", min: 0, max: 100, step: 1, inputMode: "numeric" });
  const corners = h("ol", { class: "corners", "aria-label": "Corners" });
  const verdict = h("p", { class: "verdict", role: "status" });
  const cells = AXES.map((axis) => {
    const row = ["tool", "low", "high", "was-low", "was-high"].map((name) => h("td", { class: "number", dataset: { column: name } }, "–"));
    return { row: h("tr", { dataset: { axis } }, h("th", { scope: "row" }, axis), row), cells: row };
  });
  const pictures = h("div", { class: "workspace-eyes" });
  root.append(
    h("div", { class: "row spread wrap" }, h("h1", {}, "Workspace"), h("div", { class: "row wrap" }, take, clearAll)),
    h(
      "p",
      { class: "muted" },
      "Guide the tool to at least two opposite corners of the room it needs: the socket, the starts and the holder of ",
      "parts lie inside. Positions in millimetres from the seated pose, along the socket's axes.",
    ),
    h(
      "div",
      { class: "workspace-work" },
      h("div", { class: "workspace-left" }, pictures, drawing.node),
      h(
        "div",
        {},
        h(
          "table",
          { class: "workspace-numbers" },
          h("thead", {}, h("tr", {}, HEADINGS.map((word) => h("th", { scope: "col", class: "number" }, word)))),
          h("tbody", {}, cells.map(({ row }) => row)),
        ),
        h("label", { class: "row small" }, "Room beneath the seated pose, for what gives way", below, "mm"),
        corners,
        verdict,
      ),
    ),
  );

  let stops = [];
  let entered = false;
  let watched = "";
  let asked = "";
  let answer = null;

  onPress(take, toast, () => {
    station.drafts.corners.push(live.state.now.pose);
    station.changed();
  });
  onPress(clearAll, toast, () => {
    station.drafts.corners = [];
    station.changed();
  });
  below.addEventListener("change", () => {
    station.drafts.belowMm = Math.min(100, Math.max(0, Number(below.value) || 0));
    station.changed();
  });
  const unbind = context.keys.bind("c", "take this corner", () => take.click(), { group: "Set-up", when: () => entered });

  /** Have the console put the box together, whenever corners or room have changed. */
  async function ask() {
    const { corners: poses, belowMm } = station.drafts;
    const question = JSON.stringify([poses, belowMm, station.facts.rig?.seated_pose ?? null]);
    if (question === asked) return;
    asked = question;
    if (poses.length === 0) {
      answer = null;
      station.box = null;
      return;
    }
    try {
      const told = await api("/api/setup/box", { method: "POST", body: { corners: poses, below_m: (belowMm ?? 0) / 1000 } });
      if (question !== asked) return;
      answer = told;
    } catch (error) {
      if (question !== asked) return;
      answer = { corners: [], low_m: null, high_m: null, trouble: error.message };
    }
    station.box = answer.low_m && !answer.trouble ? { low_m: answer.low_m, high_m: answer.high_m } : null;
    station.changed();
  }

  function watch() {
    const { now, alive } = live.state;
    const names = entered && alive ? VIEWS.filter((name) => now?.cameras.includes(name)) : [];
    const wanted = names.length || !entered || !alive ? names : (now?.cameras ?? []).slice(0, 2);
    if (wanted.join() === watched) return;
    for (const stop of stops) stop();
    watched = wanted.join();
    clear(pictures);
    stops = wanted.map((name) => {
      const canvas = h("canvas", { width: 320, height: 240, role: "img", "aria-label": `Camera ${name}` });
      pictures.append(h("figure", {}, canvas, h("figcaption", { class: "small muted" }, name)));
      return video.show(name, canvas);
    });
  }

  function draw() {
    const { facts, drafts } = station;
    const { now } = live.state;
    const seated = facts.rig?.seated_pose ?? [];
    const tool = station.setUp && now.pose.length === 7 && seated.length === 7 ? inFrame(now.pose, seated) : null;
    cells.forEach(({ cells: row }, index) => {
      const values = [tool?.[index], answer?.low_m?.[index], answer?.high_m?.[index], facts.box.low_m[index], facts.box.high_m[index]];
      row.forEach((cell, column) => say(cell, mm(values[column])));
    });
    if (document.activeElement !== below) below.value = drafts.belowMm ?? 0;
    const known = `${drafts.corners.length}:${JSON.stringify(answer?.corners ?? [])}`;
    if (corners.dataset.known !== known) {
      corners.dataset.known = known;
      clear(corners).append(
        ...drafts.corners.map((_, index) => {
          const at = answer?.corners?.[index];
          const drop = h("button", { type: "button", class: "quiet", "aria-label": `Drop corner ${index + 1}` }, "✕");
          drop.addEventListener("click", () => {
            station.drafts.corners.splice(index, 1);
            station.changed();
          });
          return h("li", {}, h("span", {}, at ? at.map((each) => mm(each)).join("  ") : "…"), drop);
        }),
      );
    }
    const count = drafts.corners.length;
    const where = !facts.taught ? "✖ Nobody has taught the seated pose yet (env.task.seated_pose): the workspace counts from there." : "";
    if (where) say(verdict, where);
    else if (count === 0) say(verdict, "No corner taken yet.");
    else if (answer?.trouble) say(verdict, `✖ ${answer.trouble}`);
    else if (answer?.low_m) {
      const size = AXES.map((_, index) => (100 * (answer.high_m[index] - answer.low_m[index])).toFixed(1)).join(" × ");
      say(verdict, `✓ A box of ${size} cm: seated pose, starts and home lie inside. Save it in the next step.`);
    } else say(verdict, "…");
    mark(verdict, "data-state", where || answer?.trouble ? "bad" : answer?.low_m ? "good" : null);
    const obstacles = [
      !facts.taught && "the seated pose is not taught",
      !station.setUp && "start the set-up first",
      tool === null && "the arm's pose is not known yet",
      count >= MOST && `${MOST} corners are enough`,
    ];
    guarded(take, hindrance(context) || obstacles.find(Boolean) || "");
    guarded(clearAll, count === 0 ? "no corner is taken" : "");
    drawing.draw({
      present: facts.box,
      starts: facts.starts,
      box: answer?.low_m ? answer : null,
      corners: answer?.corners ?? [],
      tool,
      bad: Boolean(answer?.trouble),
    });
    note(count ? (answer?.trouble ? "✖" : station.box ? "●" : `${count}`) : "");
    watch();
    ask();
  }

  station.on(draw);
  return {
    enter() {
      entered = true;
      if (station.facts) draw();
    },
    leave() {
      entered = false;
      watch();
    },
    close() {
      unbind();
      for (const stop of stops) stop();
    },
  };
}
