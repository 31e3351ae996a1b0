/** The report of a classifier's training, within the page, from the parts of it that the console knows. */

import { h, svg } from "../dom.js";

const DRAWN = new Set(["svg", "path", "rect", "circle", "text"]);

/** A text, or an element of [name, attributes, what is in it]. */
function made(part) {
  if (typeof part === "string") return part;
  const [name, attributes, inside] = part;
  // The classes of the views are not its own; and its headings stand below those of the page.
  const known = "class" in attributes ? { ...attributes, class: attributes.class.replace(/\S+/g, "report-$&") } : attributes;
  return (DRAWN.has(name) ? svg : h)(name === "h2" ? "h3" : name, known, inside.map(made));
}

/** What a report shows. @param {Array} parts as the console tells them @returns {Array<Node|string>} */
export const contents = (parts) => parts.map(made);
