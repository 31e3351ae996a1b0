/** Comfort for the sign-in page: takes the token from the printed address, remembers the name, says why it was refused. */

const name = document.getElementById("name");
const refused = document.getElementById("refused");
const token = document.getElementById("token");
const form = document.querySelector("form");
const button = form.querySelector("button");
const asked = new URLSearchParams(location.search);
const WHY = asked.get("refused");
const given = asked.get("token"); // of the address that was printed, which does not say who comes
const over = asked.get("over"); // this browser is signed in already, as somebody who may do more or less

name.value ||= asked.get("name") ?? "";
try {
  name.value ||= localStorage.getItem("handrail-name") ?? "";
  form.addEventListener("submit", () => localStorage.setItem("handrail-name", name.value.trim()));
} catch {
  // Without storage the name is typed again.
}
function offer() {
  const who = name.value.trim();
  button.textContent = who ? `Sign in as ${who}` : "Sign in";
}

name.addEventListener("input", offer);
name.addEventListener("focus", () => name.select()); // typing over it is enough
offer();
if (given !== null) {
  token.value = given;
  history.replaceState(null, "", "/login");
  // The last one's name is offered, not taken: a tablet at the arm is shared, and the log names whoever presses.
  if (name.value && over === null) button.focus();
} else if (name.value) token.focus();
if (WHY !== null) {
  refused.textContent =
    WHY === "name"
      ? "Give your own name: this one is empty, or the log uses it for a machine."
      : "This token is not taken. Look for it where the run was started: a new console may have a new one.";
  refused.hidden = false;
} else if (over === "operator" || over === "viewer") {
  const stay = document.createElement("a");
  stay.href = "/";
  stay.textContent = "Stay as you are.";
  const role = over === "viewer" ? "a viewer" : "an operator";
  refused.append(`This browser is signed in already, as ${role}. Signing in here ends that. `, stay);
  refused.hidden = false;
}
