/** Inbox: where a person and the classifier disagreed. Confirming is a remark, correcting a label of its own. */

import { requestId } from "../api.js";
import { h, say, clear } from "../dom.js";
import { guarded, hindrance, onPress } from "./rig.js";

const CONFIRMED = "inbox: confirmed";
const SETTLE_MS = 600;

export function inbox(root, station, context, note) {
  const { api, blob, toast, live } = context;
  const total = h("p", { role: "status", class: "muted" });
  const again = h("button", { type: "button", dataset: { act: "load-inbox" } }, "Look again");
  const list = h("ul", { class: "inbox", "aria-label": "Disagreements" });
  root.append(
    h("div", { class: "row spread wrap" }, h("h1", {}, "Inbox"), again),
    h(
      "p",
      { class: "muted" },
      "Frames that the classifier got wrong, by a person's word. The next training learns from every one of them; ",
      "look twice at those that surprise you.",
    ),
    total,
    list,
  );
  let entered = false;
  let timer = 0;
  let buttons = [];
  let urls = [];

  async function picture(entry, camera, node) {
    try {
      const bytes = await blob(`/api/setup/inbox/${entry.episode}/${entry.step}/${encodeURIComponent(camera)}`);
      const url = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
      urls.push(url);
      node.src = url;
    } catch (error) {
      node.replaceWith(h("p", { class: "small bad" }, error.message));
    }
  }

  function act(label, key, fn) {
    const node = h("button", { type: "button", dataset: { answer: key } }, label);
    onPress(node, toast, async () => {
      await fn();
      await load();
    });
    buttons.push(node);
    return node;
  }

  function item(entry) {
    const saw = entry.kind === "vetoed" ? "success" : "no success";
    const right = entry.kind === "vetoed" ? "failure" : "success";
    const wrong = entry.kind === "vetoed" ? "success" : "failure";
    const post = (what, body) => api(`/api/episodes/${entry.episode}/${what}`, { method: "POST", body: { id: requestId(), ...body } });
    const images = station.facts.images.map((image) => {
      const node = h("img", { alt: `Camera ${image.name}, episode ${entry.episode}, step ${entry.step}`, width: 128, height: 128 });
      picture(entry, image.name, node);
      return h("figure", {}, node, h("figcaption", { class: "small muted" }, image.name));
    });
    return h(
      "li",
      { dataset: { episode: entry.episode, kind: entry.kind } },
      h("div", { class: "row" }, images),
      h(
        "div",
        { class: "grid" },
        h("p", {}, h("b", {}, entry.kind === "vetoed" ? "▲ Called a success, and was none" : "▼ A success that was missed")),
        h(
          "p",
          { class: "small" },
          `The classifier (${entry.classifier}) saw ${saw}${entry.score === null ? "" : `, score ${entry.score.toFixed(2)}`}; `,
          `${entry.who} said ${entry.label}${entry.why ? `: ${entry.why}` : ""}.`,
        ),
        entry.confirmed ? h("p", { class: "small good" }, `✓ Confirmed by ${entry.confirmed}`) : null,
        h(
          "div",
          { class: "row wrap" },
          act(`${entry.who} is right (${right})`, "confirm", () =>
            post("comment", { text: `${CONFIRMED}: ${right} at step ${entry.step}` }),
          ),
          act(`The classifier is right (${wrong})`, "correct", () => {
            const step = wrong === "success" ? entry.step : null;
            return post("label", { label: wrong, why: "inbox: the classifier was right", step });
          }),
          act("Exclude it", "exclude", () => post("label", { label: "exclude", why: "inbox: nobody can tell" })),
          h("a", { href: `#/review/${entry.episode}` }, `Episode ${entry.episode}, step ${entry.step}`),
        ),
      ),
    );
  }

  async function load() {
    if (!station.facts) return;
    try {
      const { entries, total: all } = await api("/api/setup/inbox");
      for (const url of urls) URL.revokeObjectURL(url);
      urls = [];
      buttons = [];
      clear(list).append(...entries.map(item));
      const open = entries.filter((each) => !each.confirmed).length;
      const newest = entries.length < all ? `; the newest ${entries.length} are shown` : "";
      const some = `${all} disagreement${all === 1 ? "" : "s"}, ${open} not looked at again yet${newest}.`;
      say(total, all === 0 ? "No disagreement: nothing for a classifier to learn from them." : some);
      note(open ? String(open) : "");
      guard();
    } catch (error) {
      say(total, error.message);
    }
  }

  const guard = () => buttons.forEach((node) => guarded(node, hindrance(context)));
  const news = () => {
    clearTimeout(timer);
    if (entered) timer = setTimeout(load, SETTLE_MS);
  };
  onPress(again, toast, load);
  station.on(guard);
  const offs = [live.on("labelled", news)];
  let first = true;
  station.on(() => {
    if (first && entered) {
      first = false;
      load();
    }
  });
  return {
    enter() {
      entered = true;
      if (station.facts) load();
    },
    leave() {
      entered = false;
    },
    close() {
      clearTimeout(timer);
      for (const off of offs) off();
      for (const url of urls) URL.revokeObjectURL(url);
    },
  };
}
