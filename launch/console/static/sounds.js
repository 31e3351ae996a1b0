/**
 * A tone for every change of who drives, so that nobody has to look. Made by the browser; no files.
 *
 * Each has a melody of its own: up to the policy, one long tone for the human, down for a hold, an alarm that
 * cannot be taken for anything else for a fault. One is heard at a time. Browsers are silent until somebody has
 * touched the page.
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
  ended: [[392, 0, 0.16], [523, 0.2, 0.34]],
  fault: [[988, 0, 0.14], [740, 0.16, 0.14], [988, 0.32, 0.14], [740, 0.48, 0.14], [988, 0.64, 0.2]],
  success: [[659, 0, 0.09], [831, 0.09, 0.09], [988, 0.18, 0.2]],
  refused: [[196, 0, 0.18]],
};

const PASSING = new Set(["policy", "reset", "countdown", "regrasp", "waiting"]); // these wait for their turn
const GAP_S = 0.25; // between the beginnings of two melodies, at least

/** The page's sounds. Fires "change" when the browser begins or ceases to let us be heard. */
export class Sounds extends EventTarget {
  #audio = null;
  #muted = false;
  #voice = null; // of the melody that is played
  #freeS = 0; // when it is over, on the clock of the audio
  #later = 0;

  constructor() {
    super();
    try {
      this.#muted = localStorage.getItem(KEY) === "true";
    } catch {
      // Without storage sound is on.
    }
    const wake = () => {
      if (this.#audio === null) {
        this.#audio = new AudioContext();
        this.#audio.addEventListener("statechange", () => this.dispatchEvent(new Event("change")));
      }
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

  /**
   * Play a melody by name; an unknown one is silence. It ends the one that is played, or, where it only tells that
   * things take their course, waits for its end; of several that wait the newest is played.
   */
  play(name) {
    const audio = this.#audio;
    const melody = MELODIES[name];
    if (this.#muted || !this.awake || melody === undefined) return;
    clearTimeout(this.#later);
    const waitS = this.#freeS - audio.currentTime;
    if (waitS > 0 && PASSING.has(name)) {
      this.#later = setTimeout(() => this.play(name), 1000 * waitS);
      return;
    }
    this.#voice?.gain.setTargetAtTime(0, audio.currentTime, 0.005);
    this.#voice = audio.createGain();
    this.#voice.connect(audio.destination);
    const begin = audio.currentTime + 0.01;
    for (const note of melody) this.#sing(name === "fault", note, begin);
    const [, start, length] = melody.at(-1);
    this.#freeS = begin + Math.max(GAP_S, start + length);
  }

  #sing(alarm, [frequency, start, length], begin) {
    const tone = this.#audio.createOscillator();
    const gain = this.#audio.createGain();
    tone.type = alarm ? "square" : "triangle";
    tone.frequency.value = frequency;
    const loud = alarm ? 0.16 : 0.22;
    gain.gain.setValueAtTime(0, begin + start);
    gain.gain.linearRampToValueAtTime(loud, begin + start + 0.012); // no clicks
    gain.gain.setValueAtTime(loud, begin + start + length * 0.6);
    gain.gain.linearRampToValueAtTime(0, begin + start + length);
    tone.connect(gain).connect(this.#voice);
    tone.start(begin + start);
    tone.stop(begin + start + length + 0.02);
  }
}
