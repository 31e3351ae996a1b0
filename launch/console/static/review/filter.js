/** Which episodes are shown: a row of controls whose words are the server's filter, kept in the address. */

import { h, clear } from "../dom.js";

const CHOICES = {
  outcome: ["success", "failure", "shown", "aborted", "open"],
  label: ["success", "failure", "demo", "exclude", "none"],
  purpose: ["train", "demo", "classify", "evaluate"],
};
const NAMES = ["outcome", "label", "labeller", "human", "purpose", "operator", "day", "weights", "text", "episodes", "last"];
const TYPING_MS = 300;

/** What the address asks for: {place: "" | "12" | "reel", words: {outcome: "failure", …}}. */
export function readAddress(hash = location.hash) {
  const [path, query = ""] = hash.split("?");
  const place = path.split("/")[2] ?? "";
  const asked = new URLSearchParams(query);
  const words = Object.fromEntries(NAMES.filter((name) => asked.get(name)).map((name) => [name, asked.get(name)]));
  return { place, words };
}

/** The same as an address: "#/review/12?outcome=failure". */
export function address(place, words) {
  const query = new URLSearchParams(words).toString();
  return `#/review/${place}${query && `?${query}`}`;
}

/** The words as the end of a request's path: "?outcome=failure", or "" for none. */
export function query(words, more = {}) {
  const text = new URLSearchParams({ ...words, ...more }).toString();
  return text && `?${text}`;
}

function field(label, control) {
  return h("label", { class: "field" }, h("span", {}, label), control);
}

/**
 * The controls.
 * @param {object} words what is asked for at first
 * @param {(words: object) => void} changed told what is asked for from now on
 * @returns {{node: HTMLElement, offer: (facets: object) => void, set: (words: object) => void}} `offer` says which
 *   names, days and operators there are
 */
export function filterBar(words, changed) {
  let timer = 0;
  const controls = {};
  const current = () => {
    const asked = {};
    for (const name of NAMES) if (controls[name].value.trim()) asked[name] = controls[name].value.trim();
    return asked;
  };
  const tell = (wait) => {
    clearTimeout(timer);
    timer = setTimeout(() => changed(current()), wait);
  };
  const select = (name, any) => {
    const node = h("select", { name, on: { change: () => tell(0) } }, h("option", { value: "" }, any));
    for (const value of CHOICES[name] ?? []) node.append(h("option", { value }, value));
    controls[name] = node;
    return node;
  };
  const input = (name, placeholder, attributes = {}) => {
    controls[name] = h("input", {
      name,
      placeholder,
      autocomplete: "off",
      spellcheck: false,
      maxLength: 200,
      on: { input: () => tell(TYPING_MS), change: () => tell(0) },
      ...attributes,
    });
    return controls[name];
  };
  const human = select("human", "any");
  human.append(h("option", { value: "true" }, "helped"), h("option", { value: "false" }, "unaided"));

  const reset = h("button", { type: "button", class: "quiet", dataset: { act: "clear-filter" }, on: { click: () => {
    set({});
    tell(0);
  } } }, "Clear");
  const node = h(
    "form",
    { class: "filters", role: "search", "aria-label": "Which episodes", on: { submit: (event) => event.preventDefault() } },
    field("Outcome", select("outcome", "any")),
    field("Label", select("label", "any")),
    field("Labelled by", select("labeller", "anyone")),
    field("Human", human),
    field("Purpose", select("purpose", "any")),
    field("Operator", select("operator", "anyone")),
    field("Day", select("day", "any")),
    field("Weights", input("weights", "40-80")),
    field("Episodes", input("episodes", "3,7,10-20")),
    field("Last", input("last", "all", { inputMode: "numeric" })),
    field("In the notes", input("text", "words", { type: "search" })),
    reset,
  );

  /** Put options into a select, and keep what is chosen, known or not. */
  function offerIn(name, options) {
    const node = controls[name];
    const chosen = node.value;
    const any = node.firstChild;
    clear(node).append(any);
    if (chosen && !options.some(([value]) => value === chosen)) options = [...options, [chosen, chosen]];
    for (const [value, words] of options) node.append(h("option", { value }, words));
    node.value = chosen;
  }

  function set(asked) {
    for (const name of NAMES) {
      const node = controls[name];
      const value = asked[name] ?? "";
      if (node.tagName === "SELECT" && ![...node.options].some((option) => option.value === value)) {
        node.append(h("option", { value }, value)); // before the facets have come, or gone by now
      }
      node.value = value;
    }
  }

  set(words);
  return {
    node,
    set,
    offer(facets) {
      const named = (pairs) => pairs.map(([value, number]) => [value, `${value} (${number})`]);
      const kinds = [["person", "a person"], ["machine", "a machine"]];
      offerIn("labeller", [...kinds, ...named(facets.labeller)]);
      offerIn("operator", named(facets.operator));
      offerIn("day", named(facets.day).reverse());
    },
  };
}
