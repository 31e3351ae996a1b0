/** Who is signed in here, and the way out: a tablet at the arm is shared. */

import { h, say, mark } from "./dom.js";

const NAME = "handrail-name"; // as the sign-in page remembers it

/** The button with the name. @param {object} context @returns {HTMLElement} */
export function me({ live, hand, toast }) {
  const node = h("button", { type: "button", class: "quiet", dataset: { act: "me" }, "aria-haspopup": "dialog", hidden: true });
  node.addEventListener("click", () => ask(live.state.hello, hand, toast));
  live.on("hello", ({ name, role }) => {
    node.hidden = false;
    const shown = role === "viewer" ? `${name} (viewer)` : name;
    say(node, shown);
    mark(node, "title", `${name}, signed in as ${role}`);
    mark(node, "aria-label", `${shown}: not you?`);
  });
  return node;
}

/** Whether that is right. Nobody drives by letters meanwhile. */
function ask({ name, role }, hand, toast) {
  hand.disarm("somebody may sign out");
  const out = h("button", { type: "button", dataset: { act: "logout" } }, "Not you? Sign out");
  const stay = h("button", { type: "button", class: "primary", autofocus: true }, "Stay");
  const dialog = h(
    "dialog",
    { id: "me", "aria-labelledby": "me-name", on: { close: () => dialog.remove() } },
    h("h1", { id: "me-name" }, name),
    h("p", {}, role === "viewer" ? "Signed in to look on." : "Signed in to operate. The log names you beside all that you do."),
    h("p", { class: "small muted" }, "Signing out gives the controls back, in every window of this browser. The token signs in again."),
    h("div", { class: "row" }, stay, out),
  );
  stay.addEventListener("click", () => dialog.close());
  out.addEventListener("click", () =>
    leave().catch(() => {
      dialog.close(); // which would stand before the note
      toast("Still signed in: the console has not answered as it should; try again.", "bad");
    }),
  );
  document.body.append(dialog);
  dialog.showModal();
}

/** Leaves once the console has said that it knows the session no more, or never did; else throws, and one stays. */
async function leave() {
  const answer = await fetch("/logout", { method: "POST", credentials: "same-origin", redirect: "manual" });
  if (answer.type !== "opaqueredirect" && answer.status !== 401) throw new Error(`not signed out: ${answer.status}`);
  try {
    localStorage.removeItem(NAME); // the next one is somebody else
  } catch {
    // Without storage there was no name.
  }
  location.assign("/login");
}
