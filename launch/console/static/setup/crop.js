/**
 * Crop: the part of a camera's whole picture that the policy is shown, dragged on the live picture.
 *
 * All numbers are pixels of the camera's picture, whatever size it travels in.
 */

import { h, say, mark, clear } from "../dom.js";
import { guarded, hindrance, onPress } from "./rig.js";
import { box as limited, grow, move, reshape, spanned } from "./rectangle.js";

const HANDLES = ["nw", "ne", "sw", "se"];
const PREVIEW_MS = 100;

export function crop(root, station, context, note) {
  const { video } = context;
  const chooser = h("div", { class: "row wrap", role: "group", "aria-label": "Images" });
  const canvas = h("canvas", { width: 640, height: 480, role: "img" });
  const frame = h(
    "div",
    {
      class: "crop-rect",
      tabIndex: 0,
      role: "group",
      "aria-label": "The crop: arrows move it, with Shift they resize it",
      "aria-describedby": "crop-numbers",
    },
    HANDLES.map((name) => h("i", { class: "handle", dataset: { handle: name } })),
  );
  const stage = h("div", { class: "crop-stage" }, canvas, frame);
  const cover = h("p", { class: "crop-cover" });
  const preview = h("canvas", { class: "crop-preview", role: "img", "aria-label": "What the policy is shown" });
  const keep = h("input", { type: "checkbox", id: "crop-keep", checked: true });
  const fields = ["left", "top", "width", "height"].map((name) =>
    h("label", { class: "small" }, name, h("input", { type: "number", name: `crop-${name}`, step: 1, min: 0, inputMode: "numeric" })),
  );
  const numbers = h("p", { class: "small muted", id: "crop-numbers", role: "status" });
  const reset = h("button", { type: "button", dataset: { act: "crop-middle" } }, "All of the middle");
  const undo = h("button", { type: "button", dataset: { act: "crop-undo" } }, "As configured");
  const right = h("button", { type: "button", dataset: { act: "pictures-right" } }, "These pictures are right");
  const places = h(
    "p",
    { class: "small muted" },
    "“These pictures are right” says that every camera is where it belongs: exchanged ones are known by what they show now. ",
    "Saving a crop says so too.",
  );
  const none = h("p", { class: "empty" }, "This task has no cameras: the policy sees the state alone.");
  const work = h(
    "div",
    { class: "crop-work" },
    h("div", { class: "crop-left" }, stage, cover),
    h(
      "div",
      { class: "crop-right" },
      h("h3", {}, "The policy is shown"),
      preview,
      numbers,
      h("label", { class: "row", htmlFor: "crop-keep" }, keep, "Keep the image's shape"),
      h("div", { class: "crop-fields" }, fields),
      h("div", { class: "row wrap" }, reset, undo),
      h(
        "p",
        { class: "small muted" },
        "Drag a rectangle on the picture; then drag it, or its corners, and a new one outside it or with Shift. ",
        "With the frame in focus arrows move it, Shift and arrows resize it, by 10 pixels with Alt.",
      ),
      places,
    ),
  );
  root.append(h("div", { class: "row spread wrap" }, h("h1", {}, "Crop"), h("div", { class: "row wrap" }, right, chooser)), work, none);

  let image = null;
  let stop = () => {};
  let timer = 0;
  let entered = false;
  let watching = "";

  const value = () => station.crop(image) ?? image.whole;
  const shape = () => (keep.checked ? image.width / image.height : null);
  const set = (rect) => station.setCrop(image, limited(rect, image.picture, shape()));

  function choose(name) {
    image = station.facts.images.find((each) => each.name === name) ?? station.facts.images[0] ?? null;
    draw();
  }

  /** Show the picture that the image is a part of, while somebody looks. */
  function watch() {
    const wanted = entered && image && station.sees(image.source) ? image.source : "";
    if (wanted === watching) return;
    stop();
    watching = wanted;
    stop = wanted ? video.show(wanted, canvas) : () => {};
    clearInterval(timer);
    if (wanted) timer = setInterval(paint, PREVIEW_MS);
  }

  function paint() {
    const [left, top, width, height] = value();
    const scale = canvas.width / image.picture[0];
    if (preview.width !== image.width || preview.height !== image.height) {
      preview.width = image.width;
      preview.height = image.height;
    }
    const pen = preview.getContext("2d", { alpha: false });
    pen.imageSmoothingQuality = "high";
    pen.drawImage(canvas, left * scale, top * scale, width * scale, height * scale, 0, 0, preview.width, preview.height);
  }

  function draw() {
    const { facts } = station;
    none.hidden = facts.images.length > 0;
    work.hidden = chooser.hidden = right.hidden = facts.images.length === 0;
    if (!facts.images.length) return;
    image = facts.images.find((each) => each.name === image?.name) ?? facts.images[0];
    const names = facts.images.map((each) => each.name).join("\n");
    if (chooser.dataset.names !== names) {
      chooser.dataset.names = names;
      clear(chooser).append(
        ...facts.images.map(({ name }) =>
          h("button", { type: "button", dataset: { image: name }, on: { click: () => choose(name) } }, name),
        ),
      );
    }
    for (const each of chooser.children) mark(each, "aria-pressed", String(each.dataset.image === image.name));
    const [left, top, width, height] = value();
    const [wide, high] = image.picture;
    stage.style.setProperty("--shape", wide / high);
    const place = { left: left / wide, top: top / high, width: width / wide, height: height / high };
    for (const [side, share] of Object.entries(place)) frame.style.setProperty(side, `${100 * share}%`);
    mark(canvas, "aria-label", `Camera ${image.source}, its whole picture`);
    const seen = station.sees(image.source);
    cover.hidden = seen;
    const drawn = "A run in simulation draws the policy's images alone: start the set-up to see the whole picture.";
    say(cover, facts.real ? `No picture of camera ${image.source} yet: start the set-up.` : drawn);
    places.hidden = right.hidden = !facts.real;
    guarded(right, hindrance(context) || (seen ? "" : "no picture of this camera yet: start the set-up"));
    const mine = station.drafts.crops[image.name] !== undefined;
    const from = station.crop(image) === null ? "the largest part in the middle" : `${width} × ${height} pixels at ${left}, ${top}`;
    const enlarged = width < image.width || height < image.height ? " That is fewer pixels than the image has: it is enlarged." : "";
    const shown = `${from} of ${wide} × ${high}, shown as ${image.width} × ${image.height}`;
    say(numbers, `${image.name}: ${shown}.${enlarged}${mine ? " Not saved yet." : ""}`);
    fields.forEach((label, index) => {
      const input = label.lastChild;
      if (document.activeElement !== input) input.value = value()[index];
    });
    undo.disabled = !mine;
    preview.style.setProperty("aspect-ratio", `${image.width} / ${image.height}`);
    const changed = Object.keys(station.drafts.crops).length;
    note(changed ? `● ${changed}` : "");
    watch();
    if (watching) paint();
  }

  fields.forEach((label, index) =>
    label.lastChild.addEventListener("change", () => {
      const rect = [...value()];
      rect[index] = Number(label.lastChild.value) || 0;
      set(reshape(rect, shape(), index === 3));
    }),
  );
  keep.addEventListener("change", () => keep.checked && set(reshape(value(), shape(), false)));
  reset.addEventListener("click", () => station.setCrop(image, null));
  onPress(right, context.toast, async () => {
    const { kept } = await context.api("/api/setup/pictures", { method: "POST", body: {} });
    context.toast(`Kept, to know exchanged cameras by: what ${kept.join(", ")} ${kept.length > 1 ? "show" : "shows"} now.`, "good");
  });
  undo.addEventListener("click", () => station.setCrop(image, image.crop));

  /** Where the pointer is, in pixels of the picture. */
  function at(event) {
    const { left, top, width, height } = stage.getBoundingClientRect();
    return [((event.clientX - left) / width) * image.picture[0], ((event.clientY - top) / height) * image.picture[1]];
  }

  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !image) return;
    event.preventDefault();
    frame.focus({ preventScroll: true });
    const begun = at(event);
    const before = [...value()];
    const handle = event.target.dataset?.handle;
    // Until something has been chosen, and with Shift, a drag anywhere spans a new one.
    const inside = event.target === frame && !event.shiftKey && station.crop(image) !== null;
    const [left, top, width, height] = before;
    const anchor = handle && [handle.includes("w") ? left + width : left, handle.includes("n") ? top + height : top];
    stage.setPointerCapture(event.pointerId);
    const drag = (now) => {
      const [x, y] = at(now);
      if (handle) set(spanned(anchor, [x, y], image.picture, shape()));
      else if (inside) set(move(before, x - begun[0], y - begun[1], image.picture));
      else if (Math.hypot(x - begun[0], y - begun[1]) > 8) set(spanned(begun, [x, y], image.picture, shape()));
    };
    const end = () => {
      stage.removeEventListener("pointermove", drag);
      stage.removeEventListener("pointerup", end);
      stage.removeEventListener("pointercancel", end);
    };
    stage.addEventListener("pointermove", drag);
    stage.addEventListener("pointerup", end);
    stage.addEventListener("pointercancel", end);
  });

  frame.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way || !image) return;
    event.preventDefault();
    const by = event.altKey ? 10 : 1;
    const [x, y] = way.map((each) => each * by);
    set(event.shiftKey ? grow(value(), x, y, image.picture, shape()) : move(value(), x, y, image.picture));
  });

  station.on(draw);
  return {
    enter() {
      entered = true;
      if (station.facts) draw();
    },
    leave() {
      entered = false;
      if (image) watch();
    },
    close() {
      stop();
      clearInterval(timer);
    },
  };
}
