/** Saving: what was set up as a station's file, shown before it is written, and the command that uses it. */

import { h, say, mark, clear } from "../dom.js";
import { guarded, hindrance, onPress } from "./rig.js";

const SETTLE_MS = 300;

export function saving(root, station, context, note) {
  const { api, toast } = context;
  const name = h("input", { type: "text", name: "station", maxLength: 40, spellcheck: false, autocomplete: "off" });
  const save = h("button", { type: "button", class: "primary", dataset: { act: "save-station" } }, "Save");
  const what = h("p", { class: "muted" });
  const trouble = h("p", { class: "verdict", role: "status" });
  const path = h("code");
  const text = h("pre", { class: "file", tabIndex: 0, "aria-label": "The file" });
  const difference = h("pre", { class: "file difference", tabIndex: 0, "aria-label": "What would change" });
  const changes = h("div", {}, h("h3", {}, "A file of this name is there. Saving changes:"), difference);
  const command = h("code", { class: "command", tabIndex: 0 });
  const copy = h("button", { type: "button", dataset: { act: "copy-command" } }, "Copy");
  const file = h("div", { class: "grid" }, h("p", {}, "File: ", path), changes, h("h3", {}, "What it holds"), text);
  const then = h("div", { class: "panel next" }, h("h3", {}, "Then begin a run with it"), h("div", { class: "row" }, command, copy));
  root.append(
    h(
      "div",
      { class: "row spread wrap" },
      h("h1", {}, "Save"),
      h("div", { class: "row wrap" }, h("label", { class: "row" }, "Station", name), save),
    ),
    what,
    trouble,
    file,
    then,
  );

  let draft = null;
  let asked = "";
  let wanted = "";
  let timer = 0;
  let written = "";

  const changed = () => Object.keys(station.drafts.crops).length > 0 || Boolean(station.box);
  const body = () => ({ name: station.drafts.name, crops: station.drafts.crops, box: station.box ?? null });

  async function look() {
    const question = JSON.stringify(body());
    if (question === asked || !changed()) return;
    asked = question;
    let told = null;
    let why = "";
    try {
      told = await api("/api/setup/draft", { method: "POST", body: JSON.parse(question) });
    } catch (error) {
      why = error.message;
    }
    if (question !== asked) return;
    draft = told;
    say(trouble, why ? `✖ ${why}` : "");
    mark(trouble, "data-state", why ? "bad" : null);
    show();
  }

  function show() {
    const shown = draft ?? null;
    file.hidden = shown === null;
    then.hidden = shown === null || !(written && !changed());
    if (shown) {
      say(path, shown.path);
      say(text, shown.text);
      changes.hidden = !shown.difference;
      if (difference.dataset.text !== shown.difference) {
        difference.dataset.text = shown.difference;
        clear(difference).append(
          ...shown.difference.split("\n").slice(2).map((line) => {
            const kind = { "+": "added", "-": "removed" }[line[0]] ?? "";
            return h("span", { class: kind }, `${line}\n`);
          }),
        );
      }
      say(command, shown.command);
    }
  }

  onPress(save, toast, async () => {
    const made = await api("/api/setup/save", { method: "POST", body: { ...body(), seen: draft.seen } });
    written = made.path;
    draft = { ...made, difference: "" };
    asked = "";
    station.saved();
    show();
    const { kept, unkept } = made.pictures;
    toast(`Saved: ${made.path}${kept.length ? `, with pictures of ${kept.join(", ")} to know exchanged cameras by` : ""}`, "good");
    if (unkept) toast(`Saved without pictures to know exchanged cameras by: ${unkept}`, "warn");
  });
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(command.textContent);
      toast("Copied.", "good");
    } catch {
      getSelection().selectAllChildren(command); // not a secure page: it is marked, to be copied by hand
    }
  });
  name.addEventListener("input", () => {
    station.drafts.name = name.value.trim();
    draft = null;
    station.changed();
  });

  station.on(() => {
    if (document.activeElement !== name) name.value = station.drafts.name;
    const crops = Object.keys(station.drafts.crops);
    const parts = [crops.length && `crops of ${crops.join(", ")}`, station.box && "the workspace box"].filter(Boolean);
    if (parts.length) written = "";
    if (!changed() && !written) draft = null;
    const none = written ? `✓ Saved to ${written}.` : "Nothing to save yet: drag a crop, or take the corners of the workspace.";
    say(what, parts.length ? `To be saved: ${parts.join(" and ")}.` : none);
    if (station.drafts.corners.length && !station.box) say(what, `${what.textContent} The workspace box is not complete, and is left out.`);
    const unready = draft === null ? "the file is not ready: see what is said here" : "";
    guarded(save, hindrance(context) || (changed() ? unready : "nothing was set up"));
    note(changed() ? "●" : written ? "✓" : "");
    const now = JSON.stringify(body());
    if (changed() && now !== wanted) {
      clearTimeout(timer);
      timer = setTimeout(look, SETTLE_MS);
    }
    wanted = changed() ? now : "";
    show();
  });
  return { close: () => clearTimeout(timer) };
}
