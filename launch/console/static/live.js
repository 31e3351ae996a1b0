/**
 * The wire to the console: what the run does, and the operator's commands.
 *
 * State is kept by the server; a page that comes back gets all of it again. Times of commands are on the
 * server's clock.
 */

import { requestId } from "./api.js";
import { Clock } from "./clock.js";

const PING_MS = 2000;
const CLAIM_MS = 10_000; // for so long the controls are asked for
const ANSWER_MS = 3000;
const LISTEN_MS = 500;
const DOUBTS = 2; // looks in a row at which nothing had come: the console speaks at least twice a second
const SILENCES = 6; // and so many are taken for a loss
const BACKOFF_MS = [250, 500, 1000, 2000, 4000];
const CROWDED = 4429; // the console has ended this connection for one of another page
const CROWDED_MS = 30_000; // two pages that put each other out again and again would both be of no use

/** Address of a WebSocket of this server. */
export function socketAddress(path) {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`;
}

/** How long to wait before the attempt of this number: longer each time, and never all pages at once [ms]. */
export function backoff(attempt) {
  const wait = BACKOFF_MS[Math.min(attempt, BACKOFF_MS.length - 1)];
  return wait * (0.75 + 0.5 * Math.random());
}

/** Whether a loop that was heard in a session is no loss any more: it has said farewell, or another session began. */
function over({ rest, end, session }, heard) {
  return rest === "left" || Boolean(end?.final) || (session !== "" && session !== heard);
}

/** The live connection; one for the page. */
export class Live {
  #socket = null;
  #attempt = 0;
  #clock = new Clock();
  #listeners = new Map();
  #waiting = new Map(); // id of a command → what to do with its answer
  #wants = new Map(); // who wants to watch → {fps, real_time}
  #timers = [];
  #silences = 0;
  #claimedAt = null; // when the controls were asked for, until that is answered

  constructor() {
    this.state = {
      hello: null,
      now: null,
      alive: false,
      drove: false, // whether a control loop of this session has been heard that said no farewell since
      session: "", // whose loop was heard last
      rest: "", // why no control loop is heard, as far as the console knows
      end: null, // how the session ends, or (`final`) has ended: also once the console has gone with it
      run: null,
      advice: null,
      lease: { holder: null, mine: false },
      connected: false,
      doubt: false, // whether nothing has come for longer than it should
      steps: { episode: -1, steps: [] },
    };
  }

  /** Connect, and stay connected. */
  open() {
    this.#connect();
    this.#timers = [
      setInterval(() => this.#ping(), PING_MS),
      setInterval(() => this.#sendWatch(), 1000),
      setInterval(() => this.#listen(), LISTEN_MS),
    ];
    document.addEventListener("visibilitychange", () => this.#sendWatch());
    window.addEventListener("online", () => this.#socket === null && this.#connect());
  }

  /**
   * Hear of news.
   * @param {string} kind of a message, "connection" or "doubt"
   * @param {(message: object) => void} fn
   * @returns {() => void} ends it
   */
  on(kind, fn) {
    if (!this.#listeners.has(kind)) this.#listeners.set(kind, new Set());
    this.#listeners.get(kind).add(fn);
    return () => this.#listeners.get(kind).delete(fn);
  }

  /**
   * Ask the control loop for something. Every call is a new request with an id of its own.
   * @param {string} verb
   * @param {{episode?: number, label?: string, step?: number, why?: string, ttl_ms?: number}} [details]
   * @returns {Promise<{status: "done"|"refused"|"expired"|"silent", why: string}>} never rejects
   */
  command(verb, details = {}) {
    const id = requestId();
    const message = { kind: "command", id, verb, issued_ms: this.serverNow(), ...details };
    if (!this.#send(message)) {
      return Promise.resolve({ status: "silent", why: "there is no connection to the console" });
    }
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        resolve({ status: "silent", why: `no answer within ${ANSWER_MS / 1000} s` });
      }, ANSWER_MS);
      this.#waiting.set(id, (answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
    });
  }

  /** Ask to operate. The answer is a "lease" message, or an "error"; a lost connection does not forget who asked. */
  claim() {
    this.#claimedAt = performance.now();
    this.#claim();
  }

  #claim() {
    if (this.#claimedAt === null) return;
    if (performance.now() - this.#claimedAt > CLAIM_MS) this.#claimedAt = null;
    else this.#send({ kind: "claim" });
  }

  /** Operate no longer. */
  release() {
    this.#send({ kind: "release" });
  }

  /** The server's monotonic clock [ms]. */
  serverNow() {
    return this.#clock.now;
  }

  /** Shortest round trip of late [ms]; null before the first. */
  get trip() {
    return this.#clock.trip;
  }

  /**
   * Say that the page looks on; repeated by itself. Views need it only for what `video.show` does not ask for.
   * @param {{fps?: number, real_time?: boolean}} wanted
   * @param {string} [who] whose wish this is; wishes of several add up
   */
  watch({ fps = 0, real_time: realTime = false } = {}, who = "view") {
    const before = JSON.stringify(this.#watched());
    if (fps === 0 && !realTime) this.#wants.delete(who);
    else this.#wants.set(who, { fps, realTime });
    if (JSON.stringify(this.#watched()) !== before) this.#sendWatch();
  }

  #watched() {
    const wants = document.hidden ? [] : [...this.#wants.values()];
    return { fps: Math.max(0, ...wants.map((each) => each.fps)), real_time: wants.some((each) => each.realTime) };
  }

  #sendWatch() {
    this.#send({ kind: "watch", ...this.#watched() });
  }

  #ping() {
    this.#claim();
    this.#send({ kind: "ping", t: performance.now() });
  }

  #send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #connect() {
    const socket = new WebSocket(socketAddress("/ws/live"));
    this.#socket = socket;
    this.#silences = 0;
    socket.onmessage = (event) => {
      if (this.#socket !== socket) return;
      this.#silences = 0;
      this.#doubt(false);
      this.#take(JSON.parse(event.data));
    };
    socket.onclose = ({ code }) => {
      if (this.#socket !== socket) return;
      if (code === CROWDED) {
        const why = "Too many pages of this run are open, so this one was disconnected: close those that nobody looks at.";
        this.#emit("error", { kind: "error", why });
      }
      this.#giveUp(code === CROWDED ? CROWDED_MS : undefined);
    };
  }

  /**
   * Take silence for loss: a cable that was pulled closes no socket for minutes. Looks are counted, not time: a page
   * that was itself asleep has not listened, and finds what came in the meantime behind this very look.
   */
  #listen() {
    if (this.#clock.slept()) this.#ping();
    if (this.#socket === null) return;
    this.#silences += 1;
    if (this.#silences >= SILENCES) this.#giveUp();
    else if (this.#silences >= DOUBTS) this.#doubt(this.state.connected);
  }

  #doubt(doubt) {
    if (doubt === this.state.doubt) return;
    this.state.doubt = doubt;
    this.#emit("doubt", { kind: "doubt", doubt });
  }

  /** The connection is no more, or of no use; another will be tried. */
  #giveUp(waitMs = backoff(this.#attempt)) {
    const socket = this.#socket;
    this.#socket = null;
    socket.close();
    this.#lost();
    setTimeout(() => this.#socket === null && this.#connect(), waitMs);
    this.#attempt += 1;
  }

  #lost() {
    for (const answer of this.#waiting.values()) {
      answer({ status: "silent", why: "the connection was lost before the answer came" });
    }
    this.#waiting.clear();
    if (!this.state.connected) {
      if (this.#attempt > 0) this.#emit("connection", { kind: "connection", connected: false });
      return;
    }
    this.state.connected = false;
    this.state.alive = false;
    this.state.doubt = false;
    this.#clock.forget();
    this.#emit("connection", { kind: "connection", connected: false });
  }

  #take(message) {
    const { state } = this;
    switch (message.kind) {
      case "hello":
        this.#attempt = 0;
        this.#clock.guess(message.server_ms);
        state.hello = message;
        state.connected = true;
        for (const wait of [0, 60, 120, 250, 500]) setTimeout(() => this.#ping(), wait);
        this.#sendWatch();
        this.#emit("connection", { kind: "connection", connected: true });
        break;
      case "now":
        state.now = message.now ?? state.now;
        state.alive = message.alive;
        state.drove = message.alive || (state.drove && !over(message, state.session));
        if (message.alive) state.session = message.session;
        state.rest = message.rest;
        state.end = message.end;
        break;
      case "steps":
        this.#addSteps(message);
        break;
      case "run":
        state.run = message;
        break;
      case "advice":
        state.advice = message;
        break;
      case "lease":
        state.lease = { holder: message.holder, mine: message.mine };
        if (message.holder !== null) this.#claimedAt = null;
        break;
      case "ack":
        this.#waiting.get(message.id)?.({ status: message.status, why: message.why ?? "" });
        this.#waiting.delete(message.id);
        if (message.status === "expired") this.#ping(); // by a clock that may be wrong
        break;
      case "error":
        this.#claimedAt = null;
        break;
      case "pong":
        this.#clock.take(message.t, message.server_ms);
        break;
    }
    this.#emit(message.kind, message);
  }

  #addSteps({ episode, steps }) {
    // A page that comes back is told the whole episode again; a number may also be used anew after a crash.
    if (episode !== this.state.steps.episode || steps[0]?.[0] === 0) this.state.steps = { episode, steps: [...steps] };
    else this.state.steps.steps.push(...steps);
  }

  #emit(kind, message) {
    for (const fn of [...(this.#listeners.get(kind) ?? [])]) {
      try {
        fn(message);
      } catch (error) {
        console.error(`${kind}:`, error); // one part of the page that fails must not take the others along
      }
    }
  }
}
