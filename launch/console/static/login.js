/** Comfort for the sign-in page, which works without it: remembers the name, says why it was refused. */

const name = document.getElementById("name");
const refused = document.getElementById("refused");
const WHY = new URLSearchParams(location.search).get("refused");

try {
  name.value ||= localStorage.getItem("handrail-name") ?? "";
  document.querySelector("form").addEventListener("submit", () => localStorage.setItem("handrail-name", name.value.trim()));
} catch {
  // Without storage the name is typed again.
}
if (name.value) document.getElementById("token").focus();
if (WHY !== null) {
  refused.textContent =
    WHY === "name"
      ? "Give your own name: this one is empty, or the log uses it for a machine."
      : "This token is not taken. Look for it where the run was started: a new console may have a new one.";
  refused.hidden = false;
}
