"""What is known of a run: the newest report of each kind, and what they add up to. The display draws it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from handrail.agent.config import RunConfig
from handrail.intervention.proportion import wilson_interval
from handrail.launch.telemetry import Report

_NOTICES = 4
_HELD = "held: "  # as a control loop says why nothing moves


@dataclass(frozen=True)
class Rate:
    """Successes among the last episodes, with Wilson's 95 % bounds."""

    successes: int
    episodes: int

    @property
    def bounds(self) -> tuple[float, float]:
        """Low and high bound of the success rate."""
        return wilson_interval(self.successes, self.episodes)

    def __str__(self) -> str:
        if not self.episodes:
            return "-"
        low, high = self.bounds
        share = self.successes / self.episodes
        return f"{self.successes}/{self.episodes} = {share:.0%} ({low:.0%} to {high:.0%})"


@dataclass
class RunView:
    """The newest reports of a run.

    Attributes:
        run_id: the run's name.
        config: its configuration.
        actor: the newest report of the actor; {} before the first.
        learner: the newest report of the learner.
        arm: the newest report of an arm server that belongs to the run; {} where it has none.
        evaluations: every evaluation, oldest first; those of earlier sessions included.
        notices: the last things a person should know, oldest first.
    """

    run_id: str
    config: RunConfig
    actor: Report = field(default_factory=dict)
    learner: Report = field(default_factory=dict)
    arm: Report = field(default_factory=dict)
    evaluations: list[Report] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def take(self, report: Report) -> None:
        """Take in a report; kinds that are not known are left alone."""
        match report["kind"]:
            case "actor":
                self.actor = self.actor | report
            case "learner":
                self.learner = self.learner | report
            case "arm":
                self.arm = report
            case "evaluation":
                self.evaluations.append(report)
            case "notice":
                self.notice(str(report.get("text", "")))
        for notice in report.get("notices", ()):
            self.notice(str(notice))

    def notice(self, text: str) -> None:
        """Keep a line for the display; the oldest leaves. Of holds the newest is kept alone."""
        kept = [each for each in self.notices if not (text.startswith(_HELD) and each.startswith(_HELD))]
        self.notices = [*kept, text][-_NOTICES:]

    @property
    def env_steps(self) -> int:
        """Environment steps of training episodes so far."""
        return int(self.actor.get("env_steps", 0))

    @property
    def robot_minutes(self) -> float:
        """Time on the robot, resets included [min]."""
        return (self.env_steps / self.config.env.hz + float(self.actor.get("reset_s", 0.0))) / 60.0

    @property
    def driver(self) -> str:
        """Who drives: policy, human, hold, reset or demo; held while the operator's word is awaited."""
        return str(self.actor.get("driver", "starting"))

    @property
    def phase(self) -> str:
        """What the run is about, in a word or two."""
        if self.driver == "demo":
            done = self.learner.get("demonstrations", 0)
            return f"demonstrations ({done} of {self.config.actor.demonstrations})"
        phase = str(self.learner.get("phase", "starting"))
        if phase == "clone":
            return f"cloning the demonstrations ({float(self.learner.get('clone_progress', 0.0)):.0%})"
        return {"train": "training", "waiting": "collecting"}.get(phase, phase)

    def success(self, kind: str, window: int) -> Rate:
        """Success over the last `window` training episodes, `kind` "unaided" or "assisted"."""
        recent: Sequence[bool] = self.actor.get(kind, ())[-window:]
        return Rate(sum(map(bool, recent)), len(recent))

    @property
    def final(self) -> Mapping[str, Any] | None:
        """The evaluation that a summary quotes: the last final one, else the last check, else None."""
        finals = [each for each in self.evaluations if each.get("set") == "final"]
        return (finals or self.evaluations or [None])[-1]

    @property
    def evaluated(self) -> bool:
        """Whether an evaluator runs beside the training. A real arm cannot be in two places."""
        return not self.config.env.arm.real

    @property
    def evaluation_due(self) -> bool:
        """Whether the evaluator has, or will have, something to say about the steps so far."""
        if not self.evaluated:
            return False
        settings = self.config.evaluation
        if not self.evaluations:
            return self.env_steps >= settings.first_step
        last = self.evaluations[-1]
        final_to_come = last.get("set") != "final" and bool(last.get("passed"))
        return final_to_come or self.env_steps >= int(last["env_steps"]) + settings.every_steps

    @property
    def reached(self) -> bool:
        """Whether a final evaluation beside the training has passed, of as many starts as the goal is of."""
        return self.evaluated and any(map(self._passed, self.evaluations))

    def _passed(self, evaluation: Report) -> bool:
        run = int(evaluation["episodes"])
        whole = run == int(evaluation.get("asked", run)) == self.config.evaluation.episodes
        final = evaluation.get("set") == "final"
        return final and whole and int(evaluation["successes"]) >= self.config.goal.successes

    @property
    def t95_env_steps(self) -> int | None:
        """Steps at the first check with 95 % that the next two checks, where there are so many, confirm."""
        checks = [each for each in self.evaluations if each.get("set") != "final"]
        for index, check in enumerate(checks):
            if all(_reaches_95(each) for each in checks[index : index + 3]):
                return int(check["env_steps"])
        return None


def _reaches_95(evaluation: Mapping[str, Any]) -> bool:
    # Of the episodes asked for: one that was stopped early, for want of successes, has not reached it.
    asked = int(evaluation.get("asked", evaluation["episodes"]))
    return int(evaluation["successes"]) >= math.ceil(0.95 * asked) > 0
