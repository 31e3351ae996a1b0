"""Advice: what a run's numbers mean, and what to do about it, in plain sentences.

`RULES` is the whole of it. A rule fires when its condition holds of the `Facts`; its sentence says what is
the matter and what to do, its evidence shows the numbers behind it. docs/critic.md explains them one by one.
"""

import math
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from handrail.intervention.proportion import wilson_interval
from handrail.launch.advice_facts import Facts
from handrail.launch.coach import HELP_ONE_IN, Stage

Level = Literal["info", "warn", "alarm"]
LEVELS: tuple[Level, ...] = ("alarm", "warn", "info")
"""The most urgent first."""
_SURE = 0.75
"""Help is called needless only where the lower bound of the unaided rate is this high: 19 of 20."""


@dataclass(frozen=True)
class Rule:
    """One line of the table.

    Attributes:
        name: of the rule, and in the page.
        level: "alarm": act now; "warn": something slows or spoils training; "info": good to know.
        when: the condition; false wherever a fact is unknown.
        sentence: what is the matter and what to do; `{f.…}` is a fact.
        evidence: the numbers behind it.
    """

    name: str
    level: Level
    when: Callable[[Facts], bool]
    sentence: str
    evidence: str


@dataclass(frozen=True)
class Advice:
    """A rule that fired, in words."""

    name: str
    level: Level
    sentence: str
    evidence: str


RULES: tuple[Rule, ...] = (
    # The machine.
    Rule(
        "learner-silent",
        "alarm",
        lambda f: f.training and f.learner_silent_s > 10,
        "The learner has said nothing for {f.learner_silent_s:.0f} s: the arm goes on with the weights it "
        "has; look at logs/learner.log.",
        "last report {f.learner_silent_s:.0f} s ago, every 0.5 s is usual",
    ),
    Rule(
        "updates-stalled",
        "alarm",
        lambda f: f.training and f.stalled_s > 20,
        "Updates are due and none has been made for {f.stalled_s:.0f} s: look at logs/learner.log, and "
        "whether the machine is busy with something else.",
        "{f.updates_per_s:.0f} updates/s; {f.utd:.2f} updates a step of {f.utd_wanted:g}",
    ),
    Rule(
        "disk-full",
        "alarm",
        lambda f: f.disk_gb < 1,
        "The disk is all but full: pause, and make room, or the control loop stops when the log cannot grow.",
        "{f.disk_gb:.1f} GB free",
    ),
    Rule(
        "disk-low",
        "warn",
        lambda f: 1 <= f.disk_gb < 10,
        "The disk is filling up: make room before the next long session.",
        "{f.disk_gb:.1f} GB free",
    ),
    Rule(
        "diverged-again",
        "alarm",
        lambda f: f.rollbacks >= 2,
        "Training diverged {f.rollbacks:.0f} times and went back to its last checkpoint: lower "
        "agent.critic_lr, and look at the newest episodes in Review.",
        "{f.rollbacks:.0f} rollbacks; after the fourth the learner gives up",
    ),
    Rule(
        "diverged",
        "warn",
        lambda f: f.rollbacks == 1,
        "Training diverged once and went back to its last checkpoint: look at the newest episodes in "
        "Review for something that cannot be.",
        "1 rollback",
    ),
    Rule(
        "weights-stale",
        "warn",
        lambda f: f.training and f.weight_age_s > 10 + 3 * f.weights_due_s,
        "The arm acts with old weights ({f.weight_age_s:.0f} s): they are made but do not arrive; look at "
        "logs/actor.log.",
        "new ones are due every {f.weights_due_s:.0f} s",
    ),
    Rule(
        "learner-too-slow",
        "warn",
        lambda f: f.training and f.env_steps > 500 and f.utd < 0.8 * f.utd_wanted,
        "The learner cannot keep up: give it a faster processor or a GPU, or ask less of it with agent.utd.",
        "{f.utd:.2f} updates a step, {f.utd_wanted:g} asked; {f.updates_per_s:.0f} updates/s",
    ),
    Rule(
        "overruns",
        "warn",
        lambda f: f.overruns > 10,
        "The control loop is late: close what else runs on this machine, and check real-time priority with "
        "handrail doctor.",
        "{f.overruns:.0f} of 1,000 steps late in the last minutes",
    ),
    Rule(
        "late-looks",
        "warn",
        lambda f: f.late_looks > 10,
        "Cameras or the classifier are late, so successes are seen late: lower the cameras' rate or size, "
        "or free the processor.",
        "{f.late_looks:.0f} of 1,000 steps judged late in the last minutes",
    ),
    # The critic.
    Rule(
        "impossible-values",
        "alarm",
        lambda f: f.above_ceiling > 0.05,
        "The critic believes in returns that cannot be: keep agent.target_clip on, or lower "
        "agent.critic_lr; do not trust the policy's new ideas meanwhile.",
        "{f.above_ceiling:.1%} of Q above {f.ceiling:g}; no return is above 1",
    ),
    Rule(
        "values-overshoot",
        "info",
        # Seen in healthy training, too: next to the goal the networks swing a little beyond it.
        lambda f: 0.01 < f.above_ceiling <= 0.05,
        "A few values are a little above any possible return: that settles by itself; if they become more, "
        "lower agent.critic_lr.",
        "{f.above_ceiling:.1%} of Q above {f.ceiling:g}; no return is above 1",
    ),
    Rule(
        "overestimation",
        "warn",
        lambda f: f.overestimation > 0.2,
        "The critic promises more than the policy gets when nobody helps: let a few episodes fail by "
        "themselves, they correct it; if it stays, raise agent.critics.",
        "Q is {f.overestimation:.2f} above the return of unaided episodes, where one that was cut counts as "
        "worth nothing beyond the cut",
    ),
    Rule(
        "demos-dominate-alone",
        "warn",
        lambda f: f.share_demo > 0.9 and f.env_steps > 300 and f.recent > 0 and f.ever_succeeded == 0,
        "Almost only demonstrations pull at the critic, and no training episode has succeeded yet: help one "
        "third of the episodes to finish, so that it sees success from where the policy goes.",
        "demonstrations: {f.share_demo:.0%} of the gradient of the critic's last layer; 0 successes in "
        "{f.env_steps:.0f} steps",
    ),
    Rule(
        "demos-dominate",
        "info",
        lambda f: f.share_demo > 0.9 and f.env_steps > 300 and f.unaided > 0,
        "Still almost only demonstrations pull at the critic, although the policy succeeds alone: no more "
        "demonstrations are needed; let it finish alone where it can.",
        "demonstrations: {f.share_demo:.0%} of the gradient of the critic's last layer; {f.unaided} of the "
        "last {f.recent} episodes unaided",
    ),
    Rule(
        "no-online-reward",
        "warn",
        lambda f: f.reward_online == 0 and f.env_steps > 300 and f.recent > 0 and f.succeeded == 0,
        "None of the online samples looked at lately carries a reward: help an episode to its end, and see "
        "whether its success is noticed (if not, press success, or check env.reward).",
        "0 rewards in the learner's last looks; 0 of the last {f.recent} episodes succeeded",
    ),
    Rule(
        "value-does-not-spread",
        "info",
        lambda f: f.value_gap > 0.3 and f.env_steps > 1000,
        "Value is far below what it should be along the demonstrated path: give it time; if the gap stays, "
        "more demonstrations help.",
        "value is {f.value_gap:.2f} short of γ^k on average along the last demonstration",
    ),
    # The policy.
    Rule(
        "entropy-collapsed",
        "warn",
        lambda f: f.entropy < f.entropy_wanted - 3,
        "The policy has all but stopped exploring: raise agent.temperature, or help where it repeats the "
        "same mistake.",
        "entropy {f.entropy:.1f}, target {f.entropy_wanted:.1f}",
    ),
    Rule(
        "entropy-high",
        "info",
        lambda f: f.entropy > f.entropy_wanted + 3 and f.env_steps > 1000,
        "The policy is far noisier than it is meant to be: lower agent.temperature_max if it stays so.",
        "entropy {f.entropy:.1f}, target {f.entropy_wanted:.1f}",
    ),
    Rule(
        "saturation",
        "warn",
        lambda f: f.saturation > 0.5,
        "Most actions are at their limit: let it go faster with env.action_scale, or demonstrate more "
        "slowly.",
        "{f.saturation:.0%} of the action's components at ±1",
    ),
    Rule(
        "unlike-you",
        "info",
        lambda f: f.distance > 1.5 and not f.distance < 0.8 * f.distance_before,
        "Where you take over, you do something quite different from the policy: hold the correction for a "
        "second or two, so that there is enough of it to learn from.",
        "distance {f.distance:.2f} of at most 4.9 on fresh takeovers",
    ),
    Rule(
        "more-like-you",
        "info",
        lambda f: f.distance < 0.8 * f.distance_before,
        "The policy moves more and more as you do: wait a little longer before you take over.",
        "distance on fresh takeovers {f.distance:.2f}, before that {f.distance_before:.2f}",
    ),
    # The person.
    Rule(
        "no-unaided-success",
        "warn",
        lambda f: f.since_unaided_min >= 15 and f.recent >= 10,
        "No unaided success for {f.since_unaided_min:.0f} min: start closer, or help one third of the "
        "episodes to finish.",
        "{f.unaided} of the last {f.recent} episodes unaided, {f.helped} helped to finish; start closer "
        "with env.task.start_xy_m",
    ),
    Rule(
        "nobody-helps",
        "warn",
        lambda f: f.recent >= 10 and f.success_rate <= 0.2 and f.human_share < 0.02,
        "Hardly an episode succeeds and nobody helps: let it try for 25 steps, then help one third of the "
        "episodes to finish.",
        "{f.succeeded} of the last {f.recent} episodes succeeded; you drove {f.human_share:.0%} of the steps",
    ),
    Rule(
        "let-go",
        "warn",
        lambda f: (
            f.success_rate >= 0.8 and f.human_share > 0.2 and not f.human_share < 0.9 * f.human_share_before
        ),
        "You drive much, and no less than before: help fewer episodes, and see what it can do alone.",
        "you drove {f.human_share:.0%} of the last {f.recent} episodes' steps; {f.succeeded} succeeded, "
        "{f.unaided} unaided",
    ),
    Rule(
        "few-demonstrations",
        "info",
        lambda f: f.training and f.demonstrations < 10 <= f.demonstrations_wanted and f.unaided_rate < 0.5,
        "There are few demonstrations: record more with handrail record, between two sessions.",
        "{f.demonstrations:.0f} demonstrations, {f.demonstrations_wanted:.0f} are usual",
    ),
    Rule(
        "classifier-disagrees",
        "warn",
        lambda f: f.disagreed >= 2 and f.disagreed > 0.1 * f.judged,
        "You and the classifier disagree: look at those episodes in the inbox (Set-up) and train it anew.",
        "on {f.disagreed} of the {f.judged} last episodes that both judged",
    ),
    Rule(
        "check-regressed",
        "warn",
        lambda f: f.check_high < f.best_low,
        "The policy has got worse than it was: it often comes back within a check or two; if not, help "
        "again where it fails now.",
        "last check {f.check:.0%}, best {f.best:.0%} at step {f.best_step:.0f}",
    ),
)


def advise(facts: Facts, stage: Stage = "early") -> list[Advice]:
    """Every rule that fires, the most urgent first; when nothing is wrong, a line that says so.

    Args:
        facts: what is known of the run.
        stage: the coach's; whether help is needed is its judgement, so that the two never disagree.
    """
    fired = [_in_words(rule, facts) for rule in RULES if rule.when(facts)]
    fired.sort(key=lambda advice: LEVELS.index(advice.level))  # stable: in the table's order within a level
    if not any(advice.level != "info" for advice in fired):
        fired.insert(0, _all_well(facts, stage))
    return fired


class _Words(string.Formatter):
    """Formats facts; one that is unknown reads "?", not "nan"."""

    def format_field(self, value: object, format_spec: str) -> str:
        unknown = isinstance(value, float) and math.isnan(value)
        return "?" if unknown else super().format_field(value, format_spec)


def _in_words(rule: Rule, facts: Facts) -> Advice:
    words = _Words()
    return Advice(
        rule.name, rule.level, words.format(rule.sentence, f=facts), words.format(rule.evidence, f=facts)
    )


def _all_well(facts: Facts, stage: Stage) -> Advice:
    """That nothing is wrong, and whether help is still needed."""
    low, high = wilson_interval(facts.unaided, facts.recent)
    evidence = (
        f"{facts.unaided} of the last {facts.recent} episodes unaided (a rate of {low:.0%} to {high:.0%}), "
        f"{facts.helped} helped to finish"
        if facts.recent
        else "no training episode has finished yet"
    )
    return Advice("all-well", "info", f"Nothing is wrong. {_help_needed(facts, stage, low)}", evidence)


def _help_needed(facts: Facts, stage: Stage, low: float) -> str:
    if not facts.recent:
        if facts.demonstrations < facts.demonstrations_wanted:
            shown, wanted = facts.demonstrations, facts.demonstrations_wanted
            return f"It waits for demonstrations: {shown:.0f} of {wanted:.0f}."
        return "Your help will be needed once it tries by itself."
    one_in = HELP_ONE_IN[stage]
    if one_in is not None:
        return f"Your help is still needed: about one episode in {one_in}, to the end."
    if low >= _SURE:
        return "Your help is no longer needed."
    return "It mostly succeeds alone: leave it to itself, and see whether that lasts."


def rules_in_words(advice: Sequence[Advice]) -> list[dict[str, str]]:
    """The advice as the page gets it."""
    return [
        {"name": each.name, "level": each.level, "sentence": each.sentence, "evidence": each.evidence}
        for each in advice
    ]
