/** The workspace in two drawings, from above and from the side: what is, what was taken, where the tool is. */

import { h, svg, clear } from "../dom.js";

const PANES = [
  { title: "from above", axes: [0, 1], labels: ["x", "y"] },
  { title: "from the side", axes: [0, 2], labels: ["x", "z"] },
];
const SIZE = 200; // of a pane, in units of the drawing
const EDGE = 14;

function range(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return { middle: (low + high) / 2, size: high - low };
}

/** @returns {{node: HTMLElement, draw: (what: object) => void}} lengths in metres */
export function plan() {
  const panes = PANES.map(({ title, labels }) => {
    const layer = svg("g");
    const node = svg(
      "svg",
      { viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img", "aria-label": `The workspace ${title}` },
      layer,
      svg("text", { x: SIZE - 6, y: SIZE - 4, class: "axis" }, labels[0]),
      svg("text", { x: 6, y: 10, class: "axis" }, labels[1]),
    );
    return { node: h("figure", {}, node, h("figcaption", { class: "small muted" }, title)), layer };
  });
  const key = [
    ["now", "now"],
    ["new", "new"],
    ["starts", "starts"],
    ["tool", "tool ✛"],
  ];
  const node = h(
    "div",
    { class: "plan" },
    panes.map((pane) => pane.node),
    h("ul", { class: "plan-key small" }, key.map(([kind, word]) => h("li", { dataset: { kind } }, word))),
  );

  function draw({ present, starts, box, corners, tool, bad }) {
    const points = [
      ...[present.low_m, present.high_m, [0, 0, starts.home_m], ...corners],
      ...(box ? [box.low_m, box.high_m] : []),
      ...(tool ? [tool] : []),
    ];
    const spans = [0, 1, 2].map((axis) => range(points.map((point) => point[axis])));
    const scale = (SIZE - 2 * EDGE) / Math.max(...spans.map((each) => each.size), 0.02);
    PANES.forEach(({ axes: [across, up] }, index) => {
      const place = (point) => [
        SIZE / 2 + scale * (point[across] - spans[across].middle),
        SIZE / 2 - scale * (point[up] - spans[up].middle),
      ];
      const rect = (low, high, kind) => {
        const [[x0, y1], [x1, y0]] = [place(low), place(high)];
        return svg("rect", { x: x0, y: y0, width: Math.max(0.5, x1 - x0), height: Math.max(0.5, y1 - y0), class: kind });
      };
      const { layer } = panes[index];
      clear(layer).append(rect(present.low_m, present.high_m, "now"), rect(starts.low_m, starts.high_m, "starts"));
      if (box) layer.append(rect(box.low_m, box.high_m, bad ? "new bad" : "new"));
      const [sx, sy] = place([0, 0, 0]);
      layer.append(svg("path", { d: `M${sx - 4} ${sy - 4} l4 4 l4 -4`, class: "socket" }));
      corners.forEach((corner, number) => {
        const [x, y] = place(corner);
        layer.append(
          svg("circle", { cx: x, cy: y, r: 3, class: "corner" }),
          svg("text", { x: x + 5, y: y - 4, class: "corner" }, number + 1),
        );
      });
      if (tool) {
        const [x, y] = place(tool);
        layer.append(svg("path", { d: `M${x - 7} ${y} h14 M${x} ${y - 7} v14`, class: "tool" }));
      }
    });
  }
  return { node, draw };
}
