/**
 * A tone for every change of who drives, so that nobody has to look. Made by the browser; no files.
 *
 * Each has a melody of its own: up to the policy, one long tone for the human, down for a hold, an alarm that
 * cannot be taken for anything else for a fault. Browsers are silent until somebody has touched the page.
 */

const KEY = "handrail-mute";

// [frequency [Hz], start [s], length [s]]
const MELODIES = {
  policy: [[523, 0, 0.11], [784, 0.12, 0.16]],
  human: [[659, 0, 0.3]],
  hold: [[523, 0, 0.12], [349, 0.13, 0.24]],
  held: [[440, 0, 0.1], [440, 0.16, 0.1]],
  regrasp: [[440, 0, 0.1], [554, 0.12, 0.1], [440, 0.24, 0.1]],
  reset: [[330, 0, 0.09]],
  countdown: [[880, 0, 0.06]],
  waiting: [[294, 0, 0.12]],
  gone: [[392, 0, 0.18], [294, 0.2, 0.18], [220, 0.4, 0.3]],
  fault: [[988, 0, 0.14], [740, 0.16, 0.14], [988, 0.32, 0.14], [740, 0.48, 0.14], [988, 0.64, 0.2]],
  success: [[659, 0, 0.09], [831, 0.09, 0.09], [988, 0.18, 0.2]],
  refused: [[196, 0, 0.18]],
};

/** The page's sounds. */
export class Sounds {
  #audio = null;
  #muted = false;

  constructor() {
    try {
      this.#muted = localStorage.getItem(KEY) === "true";
    } catch {
      // Without storage sound is on.
    }
    const wake = () => {
      this.#audio ??= new AudioContext();
      if (this.#audio.state === "suspended") this.#audio.resume();
    };
    for (const type of ["pointerdown", "keydown"]) window.addEventListener(type, wake, { capture: true, passive: true });
  }

  get muted() {
    return this.#muted;
  }

  set muted(value) {
    this.#muted = value;
    try {
      localStorage.setItem(KEY, String(value));
    } catch {
      // As above.
    }
  }

  /** Whether the browser lets us be heard yet. */
  get awake() {
    return this.#audio?.state === "running";
  }

  /** Play a melody by name; an unknown one is silence. */
  play(name) {
    const audio = this.#audio;
    if (this.#muted || audio === null || audio.state !== "running") return;
    const begin = audio.currentTime + 0.01;
    for (const [frequency, start, length] of MELODIES[name] ?? []) {
      const tone = audio.createOscillator();
      const gain = audio.createGain();
      tone.type = name === "fault" ? "square" : "triangle";
      tone.frequency.value = frequency;
      const loud = name === "fault" ? 0.16 : 0.22;
      gain.gain.setValueAtTime(0, begin + start);
      gain.gain.linearRampToValueAtTime(loud, begin + start + 0.012); // no clicks
      gain.gain.setValueAtTime(loud, begin + start + length * 0.6);
      gain.gain.linearRampToValueAtTime(0, begin + start + length);
      tone.connect(gain).connect(audio.destination);
      tone.start(begin + start);
      tone.stop(begin + start + length + 0.02);
    }
  }
}
