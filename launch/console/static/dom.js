/** Building elements. Text becomes text nodes, never markup: a name with tags in it shows as it is. */

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null) continue;
    if (name === "class") node.setAttribute("class", value);
    else if (name === "dataset") Object.assign(node.dataset, value);
    else if (name === "on") for (const [type, fn] of Object.entries(value)) node.addEventListener(type, fn);
    // One by one: the content policy forbids style attributes, not the style object.
    else if (name === "style") for (const [key, each] of Object.entries(value)) node.style.setProperty(key, each);
    else if (name in node && !(node instanceof SVGElement) && name !== "list" && name !== "form") node[name] = value;
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false) node.setAttribute(name, String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/**
 * Make an element.
 * @param {string} tag
 * @param {object} [attributes] `class`, `dataset: {}`, `on: {click: fn}`, `style: {name: value}` (custom
 *   properties too), and any property (`disabled: true`, `htmlFor`) or attribute (`"aria-label"`, `role`).
 *   null and undefined are left out.
 * @param {...(Node|string|number|null|false|Array)} children
 * @returns {HTMLElement}
 */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG elements: `svg("path", {d: "…"})`. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Remove all children. @param {Node} node @returns {Node} the node */
export function clear(node) {
  node.replaceChildren();
  return node;
}

/** Set a node's text if it differs: what has not changed is neither drawn nor read out again. */
export function say(node, text) {
  const words = String(text);
  if (node.textContent !== words) node.textContent = words;
}

/** Set an attribute if it differs; null removes it. */
export function mark(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
}

/** Call `fn` once in the next drawn frame, however often it is asked for until then. */
export function soon(fn) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      fn();
    });
  };
}
