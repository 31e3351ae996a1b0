/**
 * The cameras, side by side; the chosen one large where there are more than two. A picture that has stopped is
 * covered and says so: a frozen picture of an arm that moves is worse than none.
 */

import { tile, useful } from "./tiling.js";
import { STILL, standstill } from "../standstill.js";
import { h, say, mark, clear } from "../dom.js";

const STALE_MS = 1000;
const KEPT = "handrail-camera";

/**
 * @param {HTMLElement} root
 * @param {object} context
 * @returns {() => void} ends it
 */
export function cameras(root, { live, video }) {
  const none = h("p", { class: "dark empty" });
  let tiles = new Map(); // camera → {figure, canvas, cover, stop}
  let names = null;
  let large = "";
  let laid = "";

  const first = () => {
    try {
      return localStorage.getItem(KEPT);
    } catch {
      return null;
    }
  };

  function choose(name) {
    try {
      localStorage.setItem(KEPT, name);
    } catch {
      // Without storage the choice lasts as long as the page.
    }
    large = name;
    lay();
  }

  /** Put the pictures where they go, if anything has changed. */
  function lay() {
    const order = [...names].sort((a, b) => Number(b === large) - Number(a === large));
    const aspects = order.map((name) => tiles.get(name).canvas).map(({ width, height }) => width / height);
    const facts = [order, aspects, root.clientWidth, root.clientHeight].join();
    if (facts === laid) return;
    laid = facts;
    // No taller than the pictures can use: what is left over belongs to the traces.
    root.closest(".watched").style.setProperty("--useful", `${Math.ceil(useful(aspects, root.clientWidth))}px`);
    tile(aspects, root.clientWidth, root.clientHeight).forEach((rect, index) => {
      const { style } = tiles.get(order[index]).figure;
      for (const [side, value] of Object.entries(rect)) style[side] = `${value}px`;
    });
  }

  function build() {
    for (const { stop } of tiles.values()) stop();
    tiles = new Map();
    clear(root);
    laid = "";
    for (const name of names) {
      const canvas = h("canvas", { width: 320, height: 240, role: "img", "aria-label": `Camera ${name}` });
      const cover = h("div", { class: "cover" }, h("strong", {}), h("span", {}));
      const figure = h(
        "figure",
        { class: "camera" },
        canvas,
        cover,
        h("button", { type: "button", class: "caption", title: "Show it large", on: { click: () => choose(name) } }, name),
      );
      root.append(figure);
      tiles.set(name, { figure, canvas, cover, stop: video.show(name, canvas) });
    }
    large = names.includes(first()) ? first() : names[0];
  }

  function draw() {
    const { now, alive, connected, hello } = live.state;
    const wanted = now?.cameras ?? hello?.cameras ?? [];
    const blind = now?.blind ?? "";
    const still = STILL[standstill(live.state)];
    const reason = blind || still || (!connected ? "no connection" : !alive ? "no control loop" : "");
    if (names === null || wanted.join("\n") !== names.join("\n")) {
      names = [...wanted];
      build();
    }
    if (names.length === 0) {
      say(none, `No picture: ${reason || "this run has no camera"}`);
      if (!none.isConnected) root.append(none);
    }
    lay();
    for (const [name, { cover }] of tiles) {
      const age = video.age(name);
      const [word, why] = cover.children;
      cover.hidden = age < STALE_MS && !blind;
      if (cover.hidden) continue;
      mark(cover, "data-empty", Number.isFinite(age) ? null : "");
      say(word, Number.isFinite(age) && !blind ? (still ? "Last picture" : "Frozen") : "No picture");
      say(why, reason || (Number.isFinite(age) ? `the last picture is ${Math.floor(age / 1000)} s old` : "waiting for the first"));
    }
  }

  const offs = ["now", "hello", "connection"].map((kind) => live.on(kind, draw));
  const timer = setInterval(draw, 250);
  const resized = new ResizeObserver(lay);
  resized.observe(root);
  draw();
  return () => {
    clearInterval(timer);
    resized.disconnect();
    for (const off of offs) off();
    for (const { stop } of tiles.values()) stop();
  };
}
