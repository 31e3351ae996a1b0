/** Keep the screen on: an operator looks at the arm, and a tablet takes that for absence. */
export function keepAwake() {
  if (!("wakeLock" in navigator)) return; // only over https or on localhost
  const ask = () => !document.hidden && navigator.wakeLock.request("screen").catch(() => {});
  document.addEventListener("visibilitychange", ask);
  ask();
}
