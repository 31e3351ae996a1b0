/**
 * The panels of the critic view: what each draws, what its figures mean, what there is to say before there are any.
 *
 * A panel's `draw(body, tools)` makes its drawing and returns {set(data) → whether there is anything to show,
 * tell(row) → the figures at a row of the data, destroy()}.
 */

import { SOURCES } from "./sources.js";
import { lines, peakLabels, percent, stack, thousands } from "./draw.js";
import { chart, format } from "../chart.js";
import { h } from "../dom.js";

const three = (value) => value.toFixed(Math.abs(value) < 0.1 ? 3 : 2);
const AXES = ["x", "y", "z", "rx", "ry", "rz"];

/** The figures of several names at a row: "demonstrations 78 %, interventions 12 %". */
function figures(data, names, labels, words) {
  return (row) =>
    names
      .map((name, index) => [labels[index], data[index]?.[row]])
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([label, value]) => `${label} ${words(value)}`)
      .join(", ");
}

/** A drawing of lines, one for each name of `names`, over updates. */
function overUpdates(names, styles, { words, smooth = true, marks, ...options }) {
  return (body, { label, onCursor, bare }) => {
    let xs = [];
    let columns = [];
    const x = { label: bare ? undefined : "updates", values: thousands };
    const drawn = lines(body, styles, { format: words, label, onCursor, x, ...options });
    return {
      set(data) {
        xs = data.updates;
        columns = names.map((name) => (smooth ? data.smooth(name) : data.raw(name)));
        const there = names.some((name) => data.has(name));
        if (there) drawn.set(xs, columns, typeof marks === "function" ? marks(data) : marks, names.map((name) => data.lately(name)));
        return there;
      },
      tell: (row) => `${thousands(xs[row])}: ${figures(columns, names, styles.map((each) => each.label), words)(row)}`,
      destroy: drawn.destroy,
    };
  };
}

const bySource = (kind) => SOURCES.map(({ name }) => `${kind}/${name}`);
const one = (label, color = "--accent") => [{ label, short: "", color }];

function shares(body, { label, onCursor }) {
  let xs = [];
  let columns = [];
  const names = bySource("share");
  const drawn = stack(body, { label, onCursor });
  return {
    set(data) {
      if (!names.some((name) => data.has(name))) return false;
      xs = data.updates;
      columns = names.map((name) => data.smooth(name));
      drawn.set(xs, columns, names.map((name) => data.lately(name)));
      return true;
    },
    tell: (row) => `${thousands(xs[row])}: ${figures(columns, names, SOURCES.map((each) => each.label), percent)(row)}`,
    destroy: drawn.destroy,
  };
}

/** Each source's samples over Q, as shares of the source: steps with a dash each, and where no return can be. */
function histogram(body, { label, onCursor }) {
  let edges = [];
  let columns = [];
  const drawn = chart(body, {
    label,
    onCursor,
    gutter: 8,
    series: SOURCES.map(({ label: name, color, dash }) => ({ label: name, color, dash, kind: "step", width: 2.25 })),
    x: { label: "Q(s, a)" },
    y: { values: percent, range: (_, high) => [0, Math.max(0.1, high * 1.12)] },
    paint: {
      over(plot) {
        peakLabels(
          plot,
          SOURCES.flatMap(({ label: text, color }, index) => {
            const column = columns[index];
            const y = Math.max(...(column ?? []));
            if (!(y > 0)) return [];
            const bin = column.indexOf(y);
            return [{ text, color, x: (edges[bin] + edges[bin + 1]) / 2, y }];
          }),
        );
      },
    },
  });
  return {
    set(data) {
      const shot = data.snapshot("histogram");
      if (!shot) return false;
      edges = shot.edges;
      columns = SOURCES.map(({ name }) => {
        const counts = shot.counts[name];
        const total = counts?.reduce((sum, each) => sum + each, 0);
        return total ? [...counts.map((count) => count / total), 0] : edges.map(() => null);
      });
      drawn.set([edges, ...columns], { lines: [{ at: 1, label: "ceiling" }] });
      return true;
    },
    tell: (row) =>
      `Q ${format(edges[row])} to ${format(edges[Math.min(row + 1, edges.length - 1)])}: ` +
      figures(columns, SOURCES, SOURCES.map((each) => each.label), percent)(row),
    destroy: drawn.destroy,
  };
}

function value(body, { label, onCursor }) {
  let shot = null;
  const drawn = lines(
    body,
    [
      { label: "value", color: "--source-demo", width: 2.5 },
      { label: "γᵏ", color: "--muted", dash: [6, 4] },
    ],
    {
      label,
      onCursor,
      format: three,
      gutter: 84,
      x: { label: "step of the demonstration" },
      y: { range: (low, high) => [Math.min(0, low), Math.max(1.05, high)] },
    },
  );
  return {
    set(data) {
      shot = data.snapshot("value");
      if (!shot?.values.length) return false;
      const rewarded = shot.rewards.flatMap((reward, step) => (reward > 0 ? [{ at: step, label: "reward", color: "--good" }] : []));
      drawn.set(shot.values.map((_, step) => step), [shot.values, shot.discounted], rewarded);
      return true;
    },
    tell: (row) => `step ${row}: value ${three(shot.values[row])}, γᵏ ${three(shot.discounted[row])}`,
    destroy: drawn.destroy,
  };
}

/** Median and 95th percentile, one above the other. */
function td(body, { label, onCursor }) {
  const styles = SOURCES.map(({ label: name, color, dash }) => ({ label: name, color, dash }));
  const halves = [
    ["td_median", "half of the samples err by more"],
    ["td_p95", "one in twenty errs by more"],
  ].map(([kind, words], place) => {
    const half = h("div", { class: "half" });
    body.append(h("h3", {}, words), half);
    const draw = overUpdates(bySource(kind), styles, { words: three, y: { min: 0 } });
    return draw(half, { label: `${label}: ${words}`, onCursor, bare: place === 0 });
  });
  return {
    set: (data) => halves.map((half) => half.set(data)).some(Boolean),
    tell: (row) => halves[0].tell(row),
    destroy: () => halves.forEach((half) => half.destroy()),
  };
}

/** Length of each source's gradient, and its cosine with the whole, as they are now; "" while unknown. */
function lengths(data) {
  const found = SOURCES.flatMap(({ name, label }) => {
    const length = data.lately(`gradient_norm/${name}`);
    const cosine = data.lately(`cosine/${name}`);
    return length === null ? [] : [`${label} ${format(length)}${cosine === null ? "" : `, ${cosine.toFixed(2)}`}`];
  });
  return found.length ? `Length of g_k, and its cosine with g, lately: ${found.join("; ")}.` : "";
}

const zero = [{ value: 0, label: "as much as they return", color: "--text", dash: [] }];
const limit = (data) => {
  const wanted = data.raw("target_entropy").findLast((each) => each !== null);
  return wanted === undefined ? [] : [{ value: wanted, label: "target" }];
};

/** What is looked at first, large. */
export const LARGE = [
  {
    id: "shares",
    title: "Who pulls at the critic",
    empty: "The critic has not been updated yet.",
    draw: shares,
    formula:
      "g is the gradient of the critic's loss at its last layer, g_k the part of it that comes from the samples of source k. " +
      "share_k = ⟨g_k, g⟩ / ‖g‖²; the shares add up to 1, and one below 0 pulls against the rest. Means of five looks.",
    now: lengths,
    todo:
      "Far above its share of samples: few samples teach nearly everything. That is normal at first; help episodes to " +
      "finish until the policy's own steps carry weight.",
  },
  {
    id: "histogram",
    title: "What it thinks of whose actions",
    empty: "No samples have been looked at yet.",
    draw: histogram,
    formula:
      "Q(s, a), the mean over critics, for the samples of the last look; each source adds up to 100 %. " +
      "At the ends, what lies beyond is counted too.",
    todo:
      "Demonstrations high and the rest near 0 is the start of every sparse task. " +
      "The policy's own steps should move right as it succeeds.",
  },
  {
    id: "value",
    title: "Value along the last demonstration",
    empty: "No demonstration is in memory yet.",
    draw: value,
    formula: "Q(s_t, a_t) along the last demonstrated episode, against γᵏ: what the step is worth k steps before the reward.",
    todo:
      "Value grows from the reward backwards. A gap at the beginning that stays: the start is seldom seen to lead " +
      "anywhere; start closer, or demonstrate more.",
  },
  {
    id: "overestimation",
    title: "Promise and return, when nobody helps",
    empty: "No episode without help has finished yet.",
    draw: overUpdates(["overestimation"], one("promise − return"), {
      words: (each) => `${each >= 0 ? "+" : "−"}${three(Math.abs(each))}`,
      smooth: false,
      points: true,
      gutter: 64,
      marks: zero,
      y: { range: (low, high) => [Math.min(-0.1, low - 0.03), Math.max(0.1, high + 0.03)] },
    }),
    formula: "Mean of Q(s_t, a_t) − G_t over episodes that finished without a human step since the last look; " +
      "G_t is what they really returned from there. An episode that was cut, by its time limit too, counts as worth " +
      "nothing beyond the cut, so the truth may be lower.",
    todo:
      "Above 0 for long: the critic dreams. Let some episodes fail alone, they correct it; then more critics " +
      "(agent.critics), or a lower agent.critic_lr.",
  },
  {
    id: "td",
    title: "Where it still errs",
    empty: "The critic has not been updated yet.",
    draw: td,
    formula: "|Q − y|, y what the update is to learn (r + γ·next value), by source. Means of five looks.",
    todo:
      "High for interventions just after you helped: it is learning from them. High for all, for long: a lower " +
      "agent.critic_lr, or look for wrong labels in Review.",
  },
  {
    id: "effective",
    title: "How many samples it still errs on",
    empty: "The critic has not been updated yet.",
    draw: overUpdates(["effective_samples"], one("of a batch", "--accent"), {
      words: percent,
      gutter: 64,
      y: { values: percent, range: (_, high) => [0, Math.max(0.1, high * 1.1)] },
    }),
    formula:
      "Share of a batch with |TD error| above diagnostics.effective_td (0.1 unless set). " +
      "Smaller errors move the critic, too, but little.",
    todo:
      "Near 0 while the policy fails: the critic has little left to learn from what it has. " +
      "Show it something new: help where it fails.",
  },
];

/** Beside them, small. */
export const SMALL = [
  {
    id: "reward",
    title: "Samples with a reward",
    empty: "No samples yet.",
    draw: overUpdates(
      bySource("reward_density"),
      SOURCES.map(({ label, color, dash }) => ({ label, short: "", color, dash })),
      { words: (share) => `${(100 * share).toFixed(1)} %`, gutter: 52, y: { values: percent, min: 0 } },
    ),
    formula: "Share of each source's samples whose own step was rewarded.",
    todo: "0 for everything but demonstrations: no success of its own is in memory.",
  },
  {
    id: "distance",
    title: "You and the policy",
    empty: "Nobody has taken over yet.",
    draw: overUpdates(["actor_human_distance"], one("distance", "--source-intervention"), {
      words: three,
      smooth: false,
      points: true,
      gutter: 44,
      y: { min: 0 },
    }),
    formula:
      "‖a_human − a‖ over six components in [−1, 1], on the steps of fresh takeovers, before they are trained on. " +
      "a is what the acting policy does there without noise: the actor's mean or, where the target critics prefer " +
      "it, the mean of the clone of the demonstrations.",
    todo: "Falling: it comes to do as you do. High and level: correct for longer, always in the same way.",
  },
  {
    id: "entropy",
    title: "Exploration",
    empty: "The actor has not been looked at yet.",
    draw: overUpdates(["entropy"], one("entropy"), {
      words: (each) => each.toFixed(1),
      gutter: 44,
      marks: limit,
      y: { range: (low, high) => [Math.min(low, -7) - 1, Math.max(high, -5) + 1] },
    }),
    formula: "Entropy of the policy's actions [nat], against agent.target_entropy.",
    todo: "Far below its target: it repeats itself; raise agent.temperature.",
  },
  {
    id: "temperature",
    title: "Temperature",
    empty: "The actor has not been looked at yet.",
    draw: overUpdates(["temperature"], one("α"), { words: (each) => each.toPrecision(2), gutter: 52, y: { min: 0 } }),
    formula: "α: what a nat of entropy is worth to the actor, tuned towards the target.",
    todo: "At agent.temperature_max for long: the target asks for more noise than the task allows.",
  },
  {
    id: "sigma",
    title: "Noise by axis",
    empty: "The actor has not been looked at yet.",
    draw: overUpdates(
      AXES.map((_, axis) => `sigma/${axis}`),
      AXES.map((label, axis) => ({ label, color: axis < 3 ? "--accent" : "--hold-ink", dash: [[], [7, 3], [2, 3]][axis % 3] })),
      { words: (each) => each.toFixed(2), gutter: 64, y: { min: 0 } },
    ),
    formula: "σ of each component of the action before the tanh: x, y, z and the turns about them.",
    todo: "One axis much wider than the others: it does not know yet what to do there.",
  },
  {
    id: "saturation",
    title: "Actions at their limit",
    empty: "The actor has not been looked at yet.",
    draw: overUpdates(["saturation"], one("at ±1"), {
      words: percent,
      gutter: 52,
      y: { values: percent, range: (_, high) => [0, Math.max(0.1, high * 1.1)] },
    }),
    formula: "Share of the mean action's components beyond 0.99.",
    todo: "High: the arm is asked to go faster than env.action_scale lets it.",
  },
  {
    id: "cem",
    title: "What a search would find",
    optional: true,
    empty: "Off: switch it on with diagnostics.cem=true.",
    draw: overUpdates(["cem_gap"], one("Q(CEM) − Q(μ)"), { words: three, gutter: 52, y: { min: 0 } }),
    formula: "Q of the best action that a search (CEM: 64 samples, 6 elites, twice) finds, minus Q of the actor's mean μ.",
    todo: "Large for long: the actor lags behind the critic, or the critic has a peak where there are no data.",
  },
];
