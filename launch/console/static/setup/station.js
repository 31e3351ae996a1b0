/** What the parts of the set-up share: the station as the console knows it, and what is not saved yet. */

import { soon } from "../dom.js";

const REFRESH_MS = 3000;
const NO_JOB = { state: "none", lines: [], command: "", seconds: 0, code: null };

const same = (a, b) => a.length === b.length && a.every((each, index) => each === b[index]);

/** Follows the newest job of a kind, whoever began it: its state, and its lines as they come. */
class JobWatch {
  #context;
  #kind;
  #timer = 0;
  #next = 0;
  #turn = 0;
  #closed = false;

  constructor(context, kind) {
    this.#context = context;
    this.#kind = kind;
    this.state = NO_JOB;
    this.listeners = new Set();
  }

  get running() {
    return this.state.state === "running";
  }

  /** Start one; throws with one line to show when it is refused. */
  async start(body = {}) {
    await this.#context.api(`/api/setup/jobs/${this.#kind}`, { method: "POST", body });
    await this.look();
  }

  /** What the console says of it in passing: look when another one was begun, or it has ended. */
  meet({ id, state } = NO_JOB) {
    if (id !== this.state.id || state !== this.state.state) this.look();
  }

  async stop() {
    await this.#context.api(`/api/setup/jobs/${this.#kind}/stop`, { method: "POST", body: {} });
    await this.look();
  }

  /** Look now, and go on looking while it runs. */
  async look() {
    clearTimeout(this.#timer);
    const turn = (this.#turn += 1);
    let wait = 350;
    try {
      const known = `since=${this.#next}&of=${this.state.id ?? ""}`;
      const news = await this.#context.api(`/api/setup/jobs/${this.#kind}?${known}`);
      if (this.#closed || turn !== this.#turn) return;
      this.#take(news);
    } catch {
      wait = 2000; // the connection says so itself
    }
    if (!this.#closed && this.running) this.#timer = setTimeout(() => this.look(), wait);
  }

  #take(news) {
    this.#next = news.next;
    const earlier = news.id === this.state.id ? this.state.lines : [];
    this.state = { ...NO_JOB, ...news, lines: [...earlier, ...news.lines] };
    for (const fn of this.listeners) fn(this.state);
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
  }
}

/** One mounted set-up view's knowledge. */
export class Station {
  #context;
  #listeners = new Set();
  #offs = [];
  #timer = 0;
  #closed = false;
  #key;

  constructor(context) {
    this.#context = context;
    this.facts = null;
    this.trouble = "";
    this.jobs = Object.fromEntries(
      ["preflight", "rig", "collect", "train", "accept"].map((kind) => [kind, new JobWatch(context, kind)]),
    );
    this.drafts = { crops: {}, corners: [], belowMm: null, name: "" };
  }

  /** Begin to look; call it when every part has been made. */
  open() {
    const { live } = this.#context;
    let boot = null;
    this.#offs = [
      live.on("now", () => {
        const now = `${live.state.alive}${live.state.now?.boot}`;
        if (now !== boot) this.refresh();
        boot = now;
        this.#tell();
      }),
      ...["lease", "hello", "connection", "steps"].map((kind) => live.on(kind, () => this.#tell())),
    ];
    for (const job of Object.values(this.jobs)) {
      job.listeners.add(() => this.#tell());
      job.look();
    }
    this.jobs.rig.listeners.add(({ state }) => state !== "running" && this.refresh());
    this.#timer = setInterval(() => this.refresh(), REFRESH_MS);
    this.refresh();
  }

  /** Hear of changes. */
  on(fn) {
    this.#listeners.add(fn);
    if (this.facts) fn();
  }

  /** News come faster than anybody reads: once in a drawn frame is enough. */
  #tell = soon(() => {
    if (this.facts && !this.#closed) for (const fn of this.#listeners) fn();
  });

  async refresh() {
    try {
      this.facts = await this.#context.api("/api/setup");
      this.trouble = "";
      if (!this.#key) this.#recall();
      for (const [kind, job] of Object.entries(this.jobs)) job.meet(this.facts.jobs[kind]);
    } catch (error) {
      this.trouble = error.message;
    }
    this.#tell();
  }

  #recall() {
    this.#key = `handrail-setup-${this.#context.live.state.hello?.run ?? ""}`;
    try {
      Object.assign(this.drafts, JSON.parse(sessionStorage.getItem(this.#key) ?? "{}"));
    } catch {
      // Without storage, or with something else in it, one begins anew.
    }
    if (!this.drafts.name) this.drafts.name = `${this.facts.station || "my"}_setup`;
    if (this.drafts.belowMm === null) this.drafts.belowMm = Math.max(0, Math.round(-1000 * this.facts.box.low_m[2]));
  }

  /** What is not saved yet has changed. */
  changed() {
    try {
      sessionStorage.setItem(this.#key, JSON.stringify(this.drafts));
    } catch {
      // As above.
    }
    this.#tell();
  }

  /** Forget what has been saved. */
  saved() {
    this.drafts.crops = {};
    this.drafts.corners = [];
    this.box = null;
    this.changed();
  }

  /** Whether the station is being set up now, with its whole pictures and its pose. */
  get setUp() {
    const { now, alive } = this.#context.live.state;
    return alive && now?.purpose === "setup" && Boolean(this.facts?.rig);
  }

  /** Whether whole pictures of a camera are to be seen now. */
  sees(source) {
    const { now, alive } = this.#context.live.state;
    if (!alive || !now) return false;
    const whole = this.setUp || (this.facts.real && now.purpose !== "setup");
    return whole && now.cameras.includes(source);
  }

  /** The crop of an image: what was dragged, or what is configured; null for the middle. */
  crop(image) {
    const mine = this.drafts.crops[image.name];
    return mine === undefined ? image.crop : mine;
  }

  setCrop(image, value) {
    const unchanged = value === null ? image.crop === null : image.crop !== null && same(value, image.crop);
    if (unchanged) delete this.drafts.crops[image.name];
    else this.drafts.crops[image.name] = value;
    this.changed();
  }

  close() {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const off of this.#offs) off();
    for (const job of Object.values(this.jobs)) job.close();
  }
}
