/** Comfort for the sign-in page: takes the token from the printed address, remembers the name, says why it was refused. */

const name = document.getElementById("name");
const refused = document.getElementById("refused");
const token = document.getElementById("token");
const form = document.querySelector("form");
const asked = new URLSearchParams(location.search);
const WHY = asked.get("refused");
const given = asked.get("token"); // of the address that was printed, which does not say who comes

try {
  name.value ||= localStorage.getItem("handrail-name") ?? "";
  form.addEventListener("submit", () => localStorage.setItem("handrail-name", name.value.trim()));
} catch {
  // Without storage the name is typed again.
}
if (given !== null) {
  token.value = given;
  history.replaceState(null, "", "/login");
  if (name.value) form.requestSubmit(); // asked for once in this browser
} else if (name.value) token.focus();
if (WHY !== null) {
  refused.textContent =
    WHY === "name"
      ? "Give your own name: this one is empty, or the log uses it for a machine."
      : "This token is not taken. Look for it where the run was started: a new console may have a new one.";
  refused.hidden = false;
}
