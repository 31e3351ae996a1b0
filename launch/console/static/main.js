/** The page: its parts put together, and the views that come and go. */

import { keyboard } from "./keys.js";
import { Live } from "./live.js";
import { Video } from "./run/video.js";
import { Hand } from "./hand/hand.js";
import { Sounds } from "./sounds.js";
import { api, blob } from "./api.js";
import { toast } from "./messages.js";
import { shell } from "./shell.js";
import { h, clear } from "./dom.js";

const VIEWS = ["run", "critic", "review", "setup"];

const styles = new Map(); // file → the promise that it applies
const live = new Live();
const keys = keyboard(document);
const video = new Video(live);
const sounds = new Sounds();
const hand = new Hand({ live, keys, toast, may: () => context.may() });

/** What views are given. The contract of every view module: `mount(root, context) → unmount()`. */
const context = {
  live,
  keys,
  video,
  hand,
  sounds,
  api,
  blob,
  toast,

  /** "operator" or "viewer"; "" until the console has said. */
  get role() {
    return live.state.hello?.role ?? "";
  },

  /** The name that was given at login. */
  get name() {
    return live.state.hello?.name ?? "";
  },

  /** Whether this page may act: an operator who holds the lease, and is connected. */
  may() {
    return this.role === "operator" && live.state.connected && live.state.lease.mine;
  },

  /** Load a style sheet of a view, once; resolves when it applies. */
  style(file) {
    if (!styles.has(file)) {
      const loaded = new Promise((resolve) => {
        document.head.append(
          h("link", { rel: "stylesheet", href: `/static/${file}`, on: { load: resolve, error: resolve } }),
        );
      });
      styles.set(file, loaded);
    }
    return styles.get(file);
  },

  /** Go to a view: "#/review/12". */
  navigate(hash) {
    location.hash = hash;
  },
};

const root = document.getElementById("view");
let unmount = () => {};
let shown = 0;

/** Show the view that the address names. */
async function route() {
  const [, name = ""] = location.hash.split("/");
  if (!VIEWS.includes(name)) {
    location.replace("#/run");
    return;
  }
  const turn = (shown += 1);
  for (const link of document.querySelectorAll("nav a[data-view]")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  let view;
  try {
    view = (await import(`./${name}/${name}.js`)).default;
  } catch (error) {
    console.error(error);
    if (turn === shown) {
      leave();
      root.append(h("p", { class: "empty" }, `This view could not be loaded (${error.message}); reload the page.`));
    }
    return;
  }
  if (turn !== shown) return; // somewhere else by now
  leave();
  document.body.dataset.view = name;
  document.title = `${view.title} · Handrail`;
  unmount = view.mount(root, context) ?? (() => {});
  // A link that was clicked must not keep Enter to itself; and whoever reads by ear begins at the view.
  root.focus({ preventScroll: true });
}

function leave() {
  hand.letGo(); // whatever view armed it: the next one may have no way to end it
  try {
    unmount();
  } catch (error) {
    console.error(error);
  }
  unmount = () => {};
  live.watch({});
  clear(root);
  window.scrollTo(0, 0);
}

window.handrail = { frames: video.frames, context };
shell(context);
window.addEventListener("hashchange", route);
route();
live.open();
