"""What advice is drawn from: numbers about a run, from its reports, its log and the learner's diagnostics.

What is not known is NaN. No comparison with NaN holds, so a rule about something that nobody has measured
never fires.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from handrail.intervention.episode_filter import EpisodeFilter
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.labeller import said_by_machine
from handrail.intervention.proportion import wilson_interval
from handrail.launch.view import RunView

UNKNOWN = math.nan
RECENT = 20
"""Finished episodes that "recent" means."""
ONLINE = ("intervention", "online_success", "online_failure")
"""Where a sample of training episodes comes from; names of the learner's diagnostics."""
_SUCCESSES = ("success", "demo")


@dataclass(frozen=True)
class Facts:
    """Numbers about a run now; NaN where unknown. Shares and rates are in [0, 1].

    Attributes:
        training: whether updates are being made, or would be if nothing were wrong.
        env_steps: training steps so far.
        episodes: finished training episodes.
        demonstrations, demonstrations_wanted: episodes with that label, and how many are asked for.
        recent: finished episodes among the last `RECENT`; the three that follow count in them.
        unaided, succeeded, helped: successes without a human step; successes; successes with one.
        ever_succeeded: 1 once a training episode has ended in success, with help or without; 0 before.
        since_unaided_min: robot time since the last unaided success, or since training began [min].
        human_share, human_share_before: of the steps of the last `RECENT` episodes, and of those before.
        updates_per_s, utd, utd_wanted: of the learner; updates an environment step, and their setting.
        stalled_s: how long updates have been due and none was made [s].
        learner_silent_s: since the learner was last heard [s].
        rollbacks: to the last checkpoint, after values that were not finite.
        weight_age_s, weights_due_s: age of the acting weights, and time between two sets at this rate [s].
        overruns, late_looks: steps that were late, and judged too late, of 1,000 in the last minutes.
        disk_gb: free where the run is kept [10⁹ bytes].
        share_demo: of the critic's gradient.
        reward_online: share of online samples that carry a reward.
        above_ceiling, ceiling: share of Q above what is possible, and that limit.
        overestimation: mean of Q − return on finished unaided episodes.
        value_gap: mean of max(0, γ^k − V) along the last demonstrated episode.
        entropy, entropy_wanted: of the policy [nat].
        saturation: share of the mean action's components at their limit.
        distance, distance_before: between the acting policy's action and the human's on fresh takeovers,
            lately and before that.
        judged, disagreed: of the last `RECENT` episodes that both a classifier and a person judged; and
            those of them that they judged differently.
        check, check_high, best, best_low, best_step: success rate of the last evaluation and its upper
            bound; of the best, its lower bound, and the environment step it was made at.
    """

    training: bool = False
    env_steps: float = UNKNOWN
    episodes: float = UNKNOWN
    demonstrations: float = UNKNOWN
    demonstrations_wanted: float = UNKNOWN
    recent: int = 0
    unaided: int = 0
    succeeded: int = 0
    helped: int = 0
    ever_succeeded: float = UNKNOWN
    since_unaided_min: float = UNKNOWN
    human_share: float = UNKNOWN
    human_share_before: float = UNKNOWN
    updates_per_s: float = UNKNOWN
    utd: float = UNKNOWN
    utd_wanted: float = UNKNOWN
    stalled_s: float = UNKNOWN
    learner_silent_s: float = UNKNOWN
    rollbacks: float = UNKNOWN
    weight_age_s: float = UNKNOWN
    weights_due_s: float = UNKNOWN
    overruns: float = UNKNOWN
    late_looks: float = UNKNOWN
    disk_gb: float = UNKNOWN
    share_demo: float = UNKNOWN
    reward_online: float = UNKNOWN
    above_ceiling: float = UNKNOWN
    ceiling: float = 1.0
    overestimation: float = UNKNOWN
    value_gap: float = UNKNOWN
    entropy: float = UNKNOWN
    entropy_wanted: float = UNKNOWN
    saturation: float = UNKNOWN
    distance: float = UNKNOWN
    distance_before: float = UNKNOWN
    judged: int = 0
    disagreed: int = 0
    check: float = UNKNOWN
    check_high: float = UNKNOWN
    best: float = UNKNOWN
    best_low: float = UNKNOWN
    best_step: float = UNKNOWN

    @property
    def unaided_rate(self) -> float:
        """Unaided successes among the recent episodes."""
        return self.unaided / self.recent if self.recent else UNKNOWN

    @property
    def success_rate(self) -> float:
        """Successes among the recent episodes, with help or without."""
        return self.succeeded / self.recent if self.recent else UNKNOWN


@dataclass(frozen=True)
class LogFacts:
    """What the episode log says; read now and then, because reading it takes a moment.

    Attributes:
        steps_since_unaided: training steps since the last unaided success, or since the first.
        steps: training steps in the log.
        human_share, human_share_before, judged, disagreed, ever_succeeded: as in `Facts`.
    """

    steps_since_unaided: float = UNKNOWN
    steps: float = UNKNOWN
    human_share: float = UNKNOWN
    human_share_before: float = UNKNOWN
    judged: int = 0
    disagreed: int = 0
    ever_succeeded: float = UNKNOWN


@dataclass(frozen=True)
class Clocks:
    """What only shows over time; `handrail.launch.adviser` keeps it.

    Attributes:
        live: whether the run's processes are heard; what they said last says nothing of now otherwise.
        stalled_s, learner_silent_s, overruns, late_looks, disk_gb: as in `Facts`.
    """

    live: bool = False
    stalled_s: float = UNKNOWN
    learner_silent_s: float = UNKNOWN
    overruns: float = UNKNOWN
    late_looks: float = UNKNOWN
    disk_gb: float = UNKNOWN


@dataclass(frozen=True)
class Diagnosis:
    """The learner's diagnostics: means of the last few of each, and for some the mean of those before."""

    newest: Mapping[str, float] = field(default_factory=dict)
    before: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, name: str) -> float:
        """One of them; NaN where there is none."""
        return self.newest.get(name, UNKNOWN)


def read_log(index: EpisodeIndex) -> LogFacts:
    """Read the facts of a run's log; the index has been refreshed."""
    since, steps = index.steps_since_unaided()
    judged = index.judged_by_both(trained=True, newest=RECENT)
    return LogFacts(
        steps_since_unaided=since,
        steps=steps,
        human_share=_known(index.human_share(RECENT)),
        human_share_before=_known(index.human_share(RECENT, before=RECENT)),
        judged=len(judged),
        disagreed=sum(_disagree(index, each.episode) for each in judged),
    )


def ever_succeeded(index: EpisodeIndex) -> float:
    """Whether a training episode has ended in success, labels considered: 1 or 0."""
    return float(bool(index.numbers(EpisodeFilter(purpose="train", outcome="success", last=1))))


def facts_of(
    view: RunView,
    log: LogFacts | None = None,
    clocks: Clocks | None = None,
    diagnosis: Diagnosis | None = None,
) -> Facts:
    """Put together what is known of a run.

    Args:
        view: the newest reports.
        log: what the log says.
        clocks: what shows over time.
        diagnosis: the learner's diagnostics.
    """
    log, clocks, told = log or LogFacts(), clocks or Clocks(), diagnosis or Diagnosis()
    config, learner = view.config, view.learner
    succeeded = [bool(each) for each in view.actor.get("assisted", ())][-RECENT:]
    unaided = [bool(each) for each in view.actor.get("unaided", ())][-RECENT:]
    rate = _number(learner, "updates_per_s")
    return Facts(
        training=clocks.live and learner.get("phase") == "train",
        env_steps=_number(view.actor, "env_steps"),
        episodes=len(view.actor.get("assisted", ())) if view.actor else UNKNOWN,
        demonstrations=_number(view.actor | learner, "demonstrations"),
        demonstrations_wanted=config.actor.demonstrations,
        recent=len(succeeded),
        unaided=sum(unaided),
        succeeded=sum(succeeded),
        helped=sum(succeeded) - sum(unaided),
        ever_succeeded=log.ever_succeeded,
        since_unaided_min=view.robot_minutes * log.steps_since_unaided / log.steps if log.steps else UNKNOWN,
        human_share=log.human_share,
        human_share_before=log.human_share_before,
        updates_per_s=rate,
        utd=_number(learner, "utd"),
        utd_wanted=config.agent.utd,
        stalled_s=clocks.stalled_s,
        learner_silent_s=clocks.learner_silent_s,
        rollbacks=_number(learner, "rollbacks"),
        weight_age_s=_number(view.actor, "weight_age_s"),
        weights_due_s=config.learner.publish_every / rate if rate > 0.0 else UNKNOWN,
        overruns=clocks.overruns,
        late_looks=clocks.late_looks,
        disk_gb=clocks.disk_gb,
        share_demo=told("share/demo"),
        reward_online=_reward_online(told.newest),
        above_ceiling=told("above_ceiling"),
        ceiling=1.0 + config.diagnostics.ceiling_margin,
        overestimation=told("overestimation"),
        value_gap=told("value_gap"),
        entropy=told("entropy"),
        entropy_wanted=told("target_entropy"),
        saturation=told("saturation"),
        distance=told("actor_human_distance"),
        distance_before=told.before.get("actor_human_distance", UNKNOWN),
        judged=log.judged,
        disagreed=log.disagreed,
        **_evaluated(view.evaluations),
    )


def _evaluated(evaluations: Sequence[Mapping[str, float]]) -> dict[str, float]:
    checks = [each for each in evaluations if each.get("set") != "final" and each.get("episodes")]
    if not checks:
        return {}
    rates = [each["successes"] / each["episodes"] for each in checks]
    at = max(range(len(checks)), key=lambda number: (rates[number], number))
    last, best = checks[-1], checks[at]
    return {
        "check": rates[-1],
        "check_high": wilson_interval(int(last["successes"]), int(last["episodes"]))[1],
        "best": rates[at],
        "best_low": wilson_interval(int(best["successes"]), int(best["episodes"]))[0],
        "best_step": float(best["env_steps"]),
    }


def _reward_online(newest: Mapping[str, float]) -> float:
    """Share of online samples with a reward: the sources' shares, weighted by their rows."""
    rows = [newest.get(f"rows/{source}", 0.0) for source in ONLINE]
    if not sum(rows):
        return UNKNOWN
    rewards = [newest.get(f"reward_density/{source}", 0.0) for source in ONLINE]
    return sum(count * reward for count, reward in zip(rows, rewards, strict=True)) / sum(rows)


def _known(value: float | None) -> float:
    return UNKNOWN if value is None else value


def _disagree(index: EpisodeIndex, episode: int) -> bool:
    """Whether a classifier and a person took an episode, which both have judged, for different things."""
    said = [event for _, event in index.labels(episode)]
    machine = [event.new in _SUCCESSES for event in said if said_by_machine(event.who)]
    person = [event.new in _SUCCESSES for event in said if not said_by_machine(event.who)]
    # A classifier that never called success has said no by its silence.
    return bool(person) and any(machine) != person[-1]


def _number(report: Mapping[str, object], name: str) -> float:
    value = report.get(name)
    return float(value) if isinstance(value, int | float) else UNKNOWN
