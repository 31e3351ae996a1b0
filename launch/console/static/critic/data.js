/** What the page has of the diagnostics: columns side by side, completed by each answer of `/api/critic`. */

const MOST_ROWS = 1000; // beyond, all is asked for anew, thinned by the console
const SMOOTH = 5; // looks that a line is the mean of: one batch says little

export class CriticData {
  constructor() {
    this.last = 0;
    this.updates = [];
    this.series = {};
    this.answer = null;
  }

  /** What to ask for next: only what is new, or everything. */
  get since() {
    return this.updates.length > MOST_ROWS ? 0 : this.last;
  }

  /** Take in an answer; whether anything is new. */
  take(answer) {
    const fresh = answer.ready && (answer.whole || answer.columns.updates.length > 0);
    this.answer = answer;
    this.last = answer.last;
    if (!answer.ready || answer.whole) {
      this.updates = [];
      this.series = {};
    }
    if (answer.ready) this.append(answer.columns);
    return fresh;
  }

  append({ updates, series }) {
    // The last row may have been completed since: a row is what was found after the same number of updates.
    const again = updates.length > 0 && updates[0] === this.updates.at(-1);
    const kept = this.updates.length - (again ? 1 : 0);
    for (const name of new Set([...Object.keys(this.series), ...Object.keys(series)])) {
      const before = this.series[name] ?? new Array(this.updates.length).fill(null);
      const more = series[name] ?? new Array(updates.length).fill(null);
      const column = [...before.slice(0, kept), ...more];
      if (again && column[kept] === null) column[kept] = before[kept];
      this.series[name] = column;
    }
    this.updates = [...this.updates.slice(0, kept), ...updates];
  }

  has(name) {
    return this.series[name]?.some((value) => value !== null) ?? false;
  }

  /** A scalar by row, null where unknown. */
  raw(name) {
    return this.series[name] ?? new Array(this.updates.length).fill(null);
  }

  /** The same, each the mean of the last few that are known; null before the first. */
  smooth(name) {
    const window = [];
    return this.raw(name).map((value) => {
      if (value === null) return null;
      window.push(value);
      if (window.length > SMOOTH) window.shift();
      return window.reduce((sum, each) => sum + each, 0) / window.length;
    });
  }

  /** A scalar now, as the sentences say it: the mean of the last few looks; null where unknown. */
  lately(name) {
    return this.answer?.lately?.[name] ?? null;
  }

  /** A snapshot: "histogram", "value" or "overestimation"; null while there is none. */
  snapshot(name) {
    return this.answer?.snapshots?.[name] ?? null;
  }
}
