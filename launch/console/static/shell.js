/** What every view has: the banner, who operates, the connection, and the keys that always mean the same. */

import { banner } from "./banner.js";
import { Commands } from "./commands.js";
import { help } from "./help.js";
import { keepAwake } from "./wake.js";
import { h, say, mark } from "./dom.js";

/** Build the frame around the views. @param {object} context gets `commands` */
export function shell(context) {
  const { live, keys, sounds, toast, hand } = context;
  context.commands = new Commands(context);
  banner(document.getElementById("bridge"), context);
  lease(document.getElementById("lease"), context);
  tools(document.getElementById("tools"), context);
  keepAwake();

  const everywhere = { group: "Everywhere" };
  keys.bind(" ", "STOP: holds whoever drives (software stop)", () => context.commands.ask("stop"), everywhere);
  ["run", "critic", "review", "setup"].forEach((view, index) => {
    keys.bind(String(index + 1), `${view === "setup" ? "set-up" : view} view`, () => context.navigate(`#/${view}`), everywhere);
  });
  const asked = () => live.state.now?.can.includes("acknowledge") ?? false;
  keys.bind("Enter", "continue, where it asks", () => context.commands.ask("acknowledge"), { when: asked, ...everywhere });
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
  live.on("ended", ({ episode, success, unaided, truncated_by: cut }) => {
    if (success) sounds.play("success");
    const end = success ? (unaided ? "success, unaided" : "success, with help") : cut ? `no success (${cut})` : "no success";
    toast(`Episode ${episode} ended: ${end}.`, success ? "good" : "info", `episode ${episode}`);
  });
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

/** Who operates, and the way to it. */
function lease(root, { live, toast }) {
  const who = h("span", { class: "holder", dataset: { field: "operator" } });
  const claim = h("button", { type: "button", class: "primary", dataset: { act: "claim" }, on: { click: () => live.claim() } }, "Take the controls");
  const release = h("button", { type: "button", dataset: { act: "release" }, on: { click: () => live.release() } }, "Hand over");
  root.append(who, claim, release);
  let last = null;
  const draw = () => {
    const { lease: state, hello, connected } = live.state;
    const { holder, mine } = state;
    const viewer = hello?.role === "viewer";
    say(who, mine ? `${holder ?? hello?.name ?? "You"} (you)` : (holder ?? "nobody"));
    claim.hidden = mine || viewer;
    release.hidden = !mine;
    mark(root, "data-viewer", viewer ? "" : null);
    claim.disabled = release.disabled = !connected;
    if (last === "mine" && !mine && connected) toast(holder ? `${holder} has the controls now.` : "You have given the controls back.", "info");
    last = mine ? "mine" : "other";
  };
  for (const kind of ["lease", "hello", "connection"]) live.on(kind, draw);
  draw();
}

/** The connection, the sound, the theme, the help. */
function tools(root, context) {
  const { live, sounds } = context;
  const line = h("span", { class: "link", role: "status" });
  const mute = h("button", { type: "button", class: "quiet", dataset: { act: "mute" } });
  const theme = h("button", { type: "button", class: "quiet", dataset: { act: "theme" }, "aria-label": "Light or dark", title: "Light or dark" }, "◐");
  const keysHelp = h("button", { type: "button", class: "quiet", dataset: { act: "help" }, "aria-label": "Keys", title: "Keys (?)" }, "?");
  const drawMute = () => {
    say(mute, sounds.muted ? "Sound off" : "Sound on");
    mark(mute, "aria-pressed", String(sounds.muted));
  };
  mute.addEventListener("click", () => {
    sounds.muted = !sounds.muted;
    drawMute();
    sounds.play("policy");
  });
  theme.addEventListener("click", () => document.dispatchEvent(new Event("themeswitch")));
  keysHelp.addEventListener("click", () => help(context));
  root.append(line, mute, theme, keysHelp);
  drawMute();
  const drawLine = () => {
    const { connected, hello } = live.state;
    say(line, connected ? `${hello?.role ?? ""} · ${live.trip === null ? "–" : Math.max(1, Math.round(live.trip))} ms` : "no connection");
    mark(line, "data-state", connected ? "on" : "off");
  };
  live.on("connection", drawLine);
  live.on("pong", drawLine);
  drawLine();
}
