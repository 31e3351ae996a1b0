/**
 * The keyboard: one listener, one table of keys. The newest binding of a key whose `when` holds gets it, unless
 * one is bound to come first.
 *
 * Text fields keep their letters. A device that drives by keys looks first (`intercept`), so that a letter
 * that moves the arm does nothing else. Space belongs to STOP alone, with Ctrl or Alt as without: on a focused
 * button it presses STOP, not the button.
 */

const FIELDS = "input, textarea, [contenteditable]";
const NOT_TEXT = new Set(["button", "checkbox", "radio", "range", "color", "file", "submit", "reset"]);
const PRESSED_BY_ENTER = "button, a[href], summary, input, select, [role=button]";

/** Whether a node takes text from the keyboard. */
export function isTextField(node) {
  if (!(node instanceof Element)) return false;
  const field = node.closest(FIELDS);
  return field !== null && !(field.tagName === "INPUT" && NOT_TEXT.has(field.type));
}

/** The name of an event's key: letters in lower case, whatever Shift does. */
export function keyOf(event) {
  const key = event.key ?? "";
  return key.length === 1 ? key.toLowerCase() : key;
}

/**
 * Listen on a document.
 * @param {Document} document
 * @returns {{bind: Function, intercept: Function, list: Function}}
 */
export function keyboard(document) {
  const bindings = []; // oldest first
  const held = new Map(); // code of a key that is down → its binding, for `up`
  let interceptor = null;

  /** The binding that a key press is for. */
  function find(event) {
    const key = keyOf(event);
    if (key !== " " && (event.ctrlKey || event.metaKey || event.altKey)) return null;
    if (isTextField(event.target)) return null;
    if (key !== " " && event.target instanceof HTMLSelectElement) return null; // letters choose in it
    if (key !== " " && document.querySelector("dialog[open]") !== null) return null;
    if (key === "Enter" && event.target instanceof Element && event.target.closest(PRESSED_BY_ENTER)) return null;
    const meant = bindings.filter((each) => each.key === key && each.when());
    return meant.find((each) => each.first) ?? meant.at(-1) ?? null;
  }

  document.addEventListener(
    "keydown",
    (event) => {
      if (event.key !== " " && !isTextField(event.target) && interceptor?.(event, true)) {
        event.preventDefault();
        event.stopPropagation();
        return;
      }
      const binding = find(event);
      if (binding === null) return;
      event.preventDefault();
      if (event.repeat && !binding.repeat) return;
      held.set(event.code, binding);
      binding.fn(event);
    },
    true,
  );
  document.addEventListener(
    "keyup",
    (event) => {
      // Not asked where the focus is: a key that was let go is let go.
      if (interceptor?.(event, false)) event.preventDefault();
      const binding = held.get(event.code);
      held.delete(event.code);
      if (binding === undefined) return;
      event.preventDefault(); // a button is pressed by Space when Space comes up
      binding.up?.(event);
    },
    true,
  );
  window.addEventListener("blur", () => {
    for (const binding of held.values()) binding.up?.(null);
    held.clear();
  });

  return {
    /**
     * Bind a key.
     * @param {string} key as in KeyboardEvent.key, letters in lower case
     * @param {string} words what it does, for the help; "" keeps it out of the help
     * @param {(event: KeyboardEvent) => void} fn
     * @param {{when?: () => boolean, up?: Function, repeat?: boolean, first?: boolean, group?: string}} [options]
     *   `when`: whether
     *   the key means this now; `up`: called when it is let go (event is null when the window lost the focus);
     *   `repeat`: whether holding it down repeats it; `first`: goes before every other binding of the key; `group`:
     *   heading in the help
     * @returns {() => void} unbinds it
     */
    bind(key, words, fn, { when = () => true, up, repeat = false, first = false, group = "" } = {}) {
      if (key === " " && bindings.some((each) => each.key === " ")) throw new Error("Space belongs to STOP");
      const binding = { key, words, fn, when, up, repeat, first, group };
      bindings.push(binding);
      return () => {
        const index = bindings.indexOf(binding);
        if (index >= 0) bindings.splice(index, 1);
      };
    },

    /**
     * Look at every key before the bindings do.
     * @param {null | ((event: KeyboardEvent, down: boolean) => boolean)} fn whether it took the key
     */
    intercept(fn) {
      interceptor = fn;
    },

    /** What the keys do now: [{key, words, group}], in the order in which they were bound. */
    list() {
      return bindings.filter(({ words }) => words !== "").map(({ key, words, group }) => ({ key, words, group }));
    },
  };
}
