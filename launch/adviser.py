"""Keeps what advice needs over time: when what was last heard, what the log and the diagnostics said last.

The rules themselves are in `handrail.launch.advice`, the coach in `handrail.launch.coach`.
"""

import contextlib
import math
import shutil
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from handrail.agent.config import RunConfig
from handrail.agent.diagnostics_store import DiagnosticsError, DiagnosticsReader
from handrail.intervention.console.messages import Now
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch.advice import LEVELS, RULES, Advice, advise, rules_in_words
from handrail.launch.advice_facts import (
    ONLINE,
    UNKNOWN,
    Clocks,
    Diagnosis,
    Facts,
    LogFacts,
    ever_succeeded,
    facts_of,
    read_log,
)
from handrail.launch.coach import Coach, Scene
from handrail.launch.view import RunView
from handrail.robot_env.errors import HandrailError

LOOK_EVERY_S = 10.0
"""Between two looks at the log and the diagnostics."""
LINGER_S = 6.0
"""How long advice stays after its reason has gone, so that it can be read."""
_SILENT_S = 10.0
_LATELY_S = 120.0
_ENOUGH = 100  # steps that a share of late ones takes
_OWED = 0.95  # below this share of the setting, updates are due
_LAST = 5  # values of a diagnostic that "now" is the mean of
_BEFORE = 20  # and those before them that it is compared with
_DIAGNOSTICS = (
    "share/demo", "overestimation", "value_gap", "entropy", "target_entropy",
    "saturation", "actor_human_distance",
)  # fmt: skip


@dataclass(frozen=True)
class _Counted:
    """The actor's counters at a time."""

    at_s: float
    steps: float
    overruns: float
    late_looks: float


class Adviser:
    """Turns reports into advice. One thread at a time may use it.

    Args:
        run: the run's directory.
        config: its configuration.
        clock: a monotonic clock [s].
    """

    def __init__(
        self, run: RunDirectory, config: RunConfig, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._run, self._config, self._clock = run, config, clock
        self.coach = Coach()
        self._looked_s = -1e9
        self._log = LogFacts()
        self._diagnosis = Diagnosis()
        self._disk_gb = UNKNOWN
        self._seen: dict[str, object] = {}
        self._heard_s: dict[str, float] = {}
        self._updates = -1
        self._moved_s = clock()
        self._counted: deque[_Counted] = deque(maxlen=100)
        self._lingering: dict[str, tuple[float, Advice]] = {}

    def say(self, view: RunView, now: Now | None) -> dict[str, Any]:
        """The advice for the page: `{"rules": […], "coach": {…}}`.

        A run that nobody drives is not coached, and "all is well" would be no news of it.

        Every ten seconds it reads the log's index and the diagnostics: call it where a wait of some tens of
        milliseconds does no harm.

        Args:
            view: the newest reports.
            now: the state of the control loop; None while there is none.
        """
        if now is None:
            wrong = [each for each in self.advice(self.facts(view)) if each.name != "all-well"]
            return {"rules": rules_in_words(wrong), "coach": {"sentence": "", "state": ""}}
        coaching = self.coach.advise(scene_of(view, now))
        return {
            "rules": rules_in_words(self.advice(self.facts(view))),
            "coach": {"sentence": coaching.sentence, "state": coaching.state},
        }

    def facts(self, view: RunView) -> Facts:
        """What is known now."""
        now = self._clock()
        if now - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = now
            self._look()
        return facts_of(view, self._log, self._clocks(view, now), self._diagnosis)

    def advice(self, facts: Facts) -> list[Advice]:
        """What fires, and what fired a moment ago, so that nothing flickers."""
        now = self._clock()
        fired = advise(facts, self.coach.stage)
        self._lingering |= {each.name: (now, each) for each in fired}
        self._lingering = {
            name: (seen, each) for name, (seen, each) in self._lingering.items() if now - seen < LINGER_S
        }
        names = {each.name for each in fired}
        wrong = any(each.level != "info" for _, each in self._lingering.values())
        stay = [
            each for name, (_, each) in self._lingering.items() if name not in names and name != "all-well"
        ]
        return _ordered([each for each in [*fired, *stay] if not (wrong and each.name == "all-well")])

    def _look(self) -> None:
        self._disk_gb = shutil.disk_usage(self._run.path).free / 1e9
        # A run that is being made, or a log of another version: advice does without.
        with (
            contextlib.suppress(HandrailError, OSError),
            EpisodeIndex(self._run.index_file, LogReader(self._run.segments)) as index,
        ):
            index.refresh()
            self._log = replace(read_log(index), ever_succeeded=ever_succeeded(index))
        with contextlib.suppress(DiagnosticsError):
            self._diagnosis = diagnosis_of(DiagnosticsReader(self._run.diagnostics_file))

    def _clocks(self, view: RunView, now: float) -> Clocks:
        for role, report in (("actor", view.actor), ("learner", view.learner)):
            if report is not self._seen.get(role):  # a view keeps no times; a new report is a new object
                self._seen[role] = report
                if report:
                    self._heard_s[role] = now
        silent_s = {role: now - heard_s for role, heard_s in self._heard_s.items()}
        if min(silent_s.values(), default=math.inf) > _SILENT_S:  # the whole run has ended, or stands
            self._moved_s = now
            self._counted.clear()
            return Clocks(disk_gb=self._disk_gb)
        self._count(view, now)
        return Clocks(
            live=True,
            stalled_s=self._stalled_s(view, now),
            learner_silent_s=silent_s.get("learner", UNKNOWN),
            overruns=self._late("overruns"),
            late_looks=self._late("late_looks"),
            disk_gb=self._disk_gb,
        )

    def _stalled_s(self, view: RunView, now: float) -> float:
        """How long updates have been due and none was made; a learner that waits for steps is not stalled."""
        updates = int(view.learner.get("updates", 0))
        owed = float(view.learner.get("utd", 0.0)) < _OWED * self._config.agent.utd
        if updates != self._updates or not owed:
            self._updates, self._moved_s = updates, now
        return now - self._moved_s

    def _count(self, view: RunView, now: float) -> None:
        """Keep the actor's counters of the last minutes; a restarted actor's begin anew."""
        if "overruns" not in view.actor:
            return
        steps, overruns, late = (view.actor.get(name, 0) for name in ("env_steps", "overruns", "late_looks"))
        counted = _Counted(now, float(steps), float(overruns), float(late))
        if self._counted and counted.overruns < self._counted[-1].overruns:
            self._counted.clear()
        if not self._counted or counted.steps > self._counted[-1].steps:
            self._counted.append(counted)
        while now - self._counted[0].at_s > _LATELY_S and len(self._counted) > 1:
            self._counted.popleft()

    def _late(self, name: str) -> float:
        """Late ones of 1,000 steps in the last minutes; unknown before there are enough steps."""
        if not self._counted:
            return UNKNOWN
        first, last = self._counted[0], self._counted[-1]
        steps = last.steps - first.steps
        return 1000.0 * (getattr(last, name) - getattr(first, name)) / steps if steps >= _ENOUGH else UNKNOWN


def diagnosis_of(reader: DiagnosticsReader) -> Diagnosis:
    """The newest diagnostics, smoothed: one batch says little.

    Raises:
        DiagnosticsError: the file cannot be read.
    """
    found = reader.series(_DIAGNOSTICS, limit=_LAST + _BEFORE)
    values = {name: [point.value for point in points] for name, points in found.items()}
    rows = [f"{kind}/{source}" for kind in ("rows", "reward_density") for source in ONLINE]
    newest = {name: fmean(each[-_LAST:]) for name, each in values.items() if each}
    # Rewards are rare: only many batches without one say that there is none.
    rare = reader.series(rows, limit=_LAST + _BEFORE)
    newest |= {name: fmean(point.value for point in points) for name, points in rare.items() if points}
    newest |= reader.newest(["above_ceiling"])  # what is impossible once is wrong
    before = {name: fmean(each[:-_LAST]) for name, each in values.items() if len(each) >= 2 * _LAST}
    return Diagnosis(newest, before)


def scene_of(view: RunView, now: Now) -> Scene:
    """What the coach looks at."""
    return Scene(
        purpose=now.purpose,
        driver=now.driver,
        running=now.running,
        episode=now.episode,
        step=now.step,
        most_steps=now.most_steps,
        unaided=[bool(each) for each in view.actor.get("unaided", ())],
        succeeded=[bool(each) for each in view.actor.get("assisted", ())],
        demonstrations=int(view.learner.get("demonstrations", view.actor.get("demonstrations", 0))),
        wanted=view.config.actor.demonstrations,
    )


def _ordered(advice: Sequence[Advice]) -> list[Advice]:
    names = [rule.name for rule in RULES]
    return sorted(
        advice,
        key=lambda each: (LEVELS.index(each.level), names.index(each.name) if each.name in names else -1),
    )
