/** What every view has: the banner, who operates, the connection, and the keys that always mean the same. */

import { banner } from "./banner.js";
import { coach } from "./coach.js";
import { Commands } from "./commands.js";
import { endings } from "./endings.js";
import { help } from "./help.js";
import { keepAwake } from "./wake.js";
import { me } from "./me.js";
import { standstill } from "./standstill.js";
import { h, say, mark } from "./dom.js";

/** Build the frame around the views. @param {object} context gets `commands` */
export function shell(context) {
  const { live, keys, toast, hand } = context;
  context.commands = new Commands(context);
  banner(document.getElementById("bridge"), context);
  coach(document.getElementById("coach"), context);
  lease(document.getElementById("lease"), context);
  tools(document.getElementById("tools"), context);
  endings(context);
  deviceButtons(context);
  keepAwake();

  const everywhere = { group: "Everywhere" };
  keys.bind(" ", "STOP: holds whoever drives (software stop)", () => context.commands.ask("stop"), everywhere);
  ["run", "critic", "review", "setup"].forEach((view, index) => {
    keys.bind(String(index + 1), `${view === "setup" ? "set-up" : view} view`, () => context.navigate(`#/${view}`), everywhere);
  });
  const asked = () => live.state.now?.can.includes("acknowledge") ?? false;
  const goOn = () => context.commands.ask("acknowledge");
  keys.bind("Enter", "continue, where it asks", goOn, { when: asked, first: true, ...everywhere });
  keys.bind("m", "sound on or off", () => document.querySelector("[data-act=mute]").click(), everywhere);
  keys.bind("?", "these keys", () => help(context), everywhere);
  keys.bind("Escape", "", () => hand.disarm(), { when: () => hand.armed, ...everywhere });

  const { body } = document;
  const mine = ({ mine: ours, holder }) => (ours ? "mine" : holder ? "other" : "none");
  live.on("hello", ({ role, run }) => {
    mark(body, "data-role", role);
    say(document.getElementById("run-name"), run ?? "");
  });
  live.on("lease", (message) => mark(body, "data-lease", mine(message)));
  live.on("connection", ({ connected }) => mark(body, "data-connected", String(connected)));
  live.on("error", ({ why }) => toast(why, "bad"));
  let lost = false;
  live.on("connection", ({ connected }) => {
    if (connected && lost) toast("Connected again.", "good", "connection");
    lost = !connected;
    if (connected) return;
    // A cookie that is not taken any more looks like a lost connection from here: asking over HTTP tells.
    fetch("/", { cache: "no-store", redirect: "manual" }).then(
      (answer) => answer.type === "opaqueredirect" && location.assign("/login"),
      () => {},
    );
  });
}

/** The buttons of a device that drives mean the same in every view. */
function deviceButtons({ live, hand, commands }) {
  hand.addEventListener("button", ({ detail: { name, down } }) => {
    const examples = name === "success" && live.state.now?.purpose === "classify";
    // An example is a success for as long as the button is held.
    if (!down) hand.drop(name);
    else if (examples) hand.hold(name);
    else if (name === "pause") commands.toggle();
    else commands.ask(name);
  });
}

/** Who operates, and the way to it. */
function lease(root, { live, toast }) {
  const who = h("span", { class: "holder", dataset: { field: "operator" } });
  const claim = h(
    "button",
    { type: "button", class: "primary", dataset: { act: "claim" }, on: { click: () => live.claim() } },
    "Take the controls",
  );
  const release = h("button", { type: "button", dataset: { act: "release" }, on: { click: () => live.release() } }, "Hand over");
  root.append(who, claim, release);
  let last = null;
  let began = null; // when the console began whose lease was last heard of
  let back = false; // connected again, and not told yet who has the controls
  /** Why this page has not got them any more. */
  const lost = (holder) => {
    if (holder) return `${holder} has the controls now.`;
    if (began !== live.state.hello.began_ms) return "The console was started again: take the controls again.";
    if (back) return "Your controls were given up while the connection was lost: take the controls again.";
    return "You have given the controls back.";
  };
  const draw = () => {
    const { lease: state, hello, connected } = live.state;
    const over = !connected && standstill(live.state) === "ended"; // and the console with it
    const { holder, mine } = over ? { holder: null, mine: false } : state;
    const viewer = hello?.role === "viewer";
    say(who, mine ? `${holder ?? hello?.name ?? "You"} (you)` : (holder ?? "nobody"));
    claim.hidden = mine || viewer || over;
    release.hidden = !mine;
    mark(root, "data-viewer", viewer ? "" : null);
    claim.disabled = release.disabled = !connected;
    if (last === "mine" && !mine && connected) toast(lost(holder), back && !holder ? "warn" : "info");
    last = mine ? "mine" : "other";
  };
  live.on("connection", () => (back = true));
  for (const kind of ["lease", "hello", "connection"]) live.on(kind, draw);
  live.on("lease", () => {
    began = live.state.hello.began_ms;
    back = false;
  });
  draw();
}

/** The connection, the sound, the theme, the help. */
function tools(root, context) {
  const { live, sounds } = context;
  const line = h("span", { class: "link", role: "status" });
  const mute = h("button", { type: "button", class: "quiet", dataset: { act: "mute" } });
  const theme = h(
    "button",
    { type: "button", class: "quiet", dataset: { act: "theme" }, "aria-label": "Light or dark", title: "Light or dark" },
    "◐",
  );
  const keysHelp = h("button", { type: "button", class: "quiet", dataset: { act: "help" }, "aria-label": "Keys", title: "Keys (?)" }, "?");
  let asking = false; // for a touch, which may be one of this very button
  const drawMute = () => {
    asking = !sounds.muted && !sounds.awake;
    say(mute, asking ? "Sound: touch the page" : sounds.muted ? "Sound off" : "Sound on");
    mark(mute, "aria-pressed", String(sounds.muted));
  };
  let woken = false;
  mute.addEventListener("pointerdown", () => {
    woken = asking;
  });
  sounds.addEventListener("change", drawMute);
  mute.addEventListener("click", (event) => {
    if (event.detail > 0 && woken) return;
    sounds.muted = !sounds.muted;
    drawMute();
    sounds.play("policy");
  });
  theme.addEventListener("click", () => document.dispatchEvent(new Event("themeswitch")));
  keysHelp.addEventListener("click", () => help(context));
  root.append(line, me(context), mute, theme, keysHelp);
  drawMute();
  const drawLine = () => {
    const { connected } = live.state;
    const over = standstill(live.state) === "ended";
    const trip = live.trip === null ? "–" : Math.max(1, Math.round(live.trip));
    say(line, connected ? `${trip} ms` : over ? "session ended" : "no connection");
    mark(line, "data-state", connected ? "on" : over ? "over" : "off");
  };
  live.on("connection", drawLine);
  live.on("pong", drawLine);
  drawLine();
}
