"""The adviser over time: real logs, real diagnostics, reports, and a clock of the test's."""

import math
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judged import open_log

from handrail.agent.config import RunConfig
from handrail.agent.diagnostics_store import DiagnosticsWriter
from handrail.intervention.console.messages import Now
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.labeller import Label, classifier_name
from handrail.intervention.labels import append_label, label_event
from handrail.intervention.log_format import EpisodeEnd, EpisodeStart, step_record
from handrail.intervention.log_reader import LogReader
from handrail.intervention.log_writer import LogWriter
from handrail.intervention.run_directory import RunDirectory
from handrail.intervention.transition import Source, Transition
from handrail.launch.advice_facts import RECENT, ever_succeeded, facts_of, read_log
from handrail.launch.adviser import LINGER_S, LOOK_EVERY_S, Adviser
from handrail.launch.view import RunView

CLASSIFIER = "0123456789ab"
BETWEEN = Now("run", "boot", "train", "reset", 0, episode=-1)
"""A control loop between two episodes."""


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


class Told:
    """An adviser, and the reports that it is shown."""

    def __init__(self, folder: Path) -> None:
        self.run = RunDirectory(folder / "run").create("", {})
        self.clock = Clock()
        self.adviser = Adviser(self.run, RunConfig(), self.clock)
        self.view = RunView("run", RunConfig())

    def report(self, kind: str, **facts: Any) -> None:
        self.view.take({"kind": kind, **facts})

    def names(self, after_s: float = 0.0) -> list[str]:
        self.clock.s += after_s
        return [rule["name"] for rule in self.adviser.say(self.view, BETWEEN)["rules"]]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def write(
    writer: LogWriter,
    episode: int,
    *,
    steps: int = 10,
    human: int = 0,
    success: bool = False,
    classifier: str = "",
) -> None:
    """A training episode, in which a classifier has said what it came to where there is one."""
    writer.append(EpisodeStart(episode, (0, episode), "train", 0, 1, 0))
    zeros, nowhere = np.zeros(6, np.float32), np.zeros(19, np.float32)
    for number in range(steps):
        last = number == steps - 1
        writer.append(
            step_record(
                Transition(
                    episode=episode,
                    step=number,
                    observation=nowhere,
                    action=zeros,
                    policy_action=zeros,
                    reward=float(last and success),
                    terminated=last and success,
                    truncated=last and not success,
                    next_observation=nowhere,
                    source=Source.HUMAN if number < human else Source.POLICY,
                    t_ns=number,
                    wall_ns=number,
                    weights_version=0,
                    classifier=classifier,
                )
            )
        )
    writer.append(EpisodeEnd(episode, steps, success, None, human == 0, human, int(human > 0), 1.0, 1))
    if classifier and success:
        writer.append(label_event(episode, None, Label.SUCCESS, classifier_name(classifier)))


def test_a_run_that_has_not_begun_has_nothing_wrong(told: Told) -> None:
    said = told.adviser.say(told.view, BETWEEN)
    assert [rule["name"] for rule in said["rules"]] == ["all-well"]
    assert said["coach"]["state"] == "wait"


def test_a_run_that_nobody_drives_is_not_coached_and_not_called_well(told: Told) -> None:
    assert told.adviser.say(told.view, None) == {"rules": [], "coach": {"sentence": "", "state": ""}}
    told.report("learner", phase="train", rollbacks=1)
    said = told.adviser.say(told.view, None)
    assert [rule["name"] for rule in said["rules"]] == ["diverged"], "what is wrong is wrong at rest, too"


def test_the_log_says_how_long_there_has_been_no_unaided_success(told: Told) -> None:
    with open_log(told.run.segments) as writer:
        write(writer, 0, steps=100, success=True)
        for episode in range(1, 12):
            write(writer, episode, steps=100, human=20, success=episode % 2 == 0)
    told.report("actor", env_steps=1200, reset_s=600.0, unaided=[True] + [False] * 11, assisted=[True] * 12)
    facts = told.adviser.facts(told.view)
    assert facts.since_unaided_min == pytest.approx((1200 / 10 + 600) / 60 * 11 / 12)
    assert facts.human_share == pytest.approx(220 / 1200)
    assert (facts.recent, facts.unaided, facts.succeeded, facts.helped) == (12, 1, 12, 11)
    told.report("actor", reset_s=3600.0)
    (rule,) = [r for r in told.adviser.say(told.view, None)["rules"] if r["name"] == "no-unaided-success"]
    assert rule["sentence"].startswith("No unaided success for 57 min: start closer, or help one third")


def test_verdicts_of_a_classifier_and_of_a_person_are_compared(told: Told) -> None:
    with (
        open_log(told.run.segments) as writer,
        EpisodeIndex(told.run.index_file, LogReader(told.run.segments)) as index,
    ):
        for episode in range(4):
            write(writer, episode, success=episode < 2, classifier=CLASSIFIER)
        append_label(writer, index, 0, "success", who="Ada")  # confirmed
        append_label(writer, index, 1, "failure", who="Ada")  # vetoed
        append_label(writer, index, 2, "success", who="Ada")  # missed
        index.refresh()
        log = read_log(index)
    assert (log.judged, log.disagreed) == (3, 2)


def test_diagnostics_are_smoothed_but_what_is_impossible_once_is_wrong(told: Told) -> None:
    writer = DiagnosticsWriter(told.run.diagnostics_file)
    for number in range(12):
        distance = 0.9 if number < 7 else 0.3
        late = {"above_ceiling": 0.1} if number == 11 else {"above_ceiling": 0.0}
        rows = {f"rows/{source}": 10.0 for source in ("intervention", "online_success", "online_failure")}
        dense = {"reward_density/online_success": 0.3, "reward_density/intervention": 0.0}
        writer.add(
            number * 100,
            number * 200,
            {"actor_human_distance": distance, **late, **rows, **dense, "saturation": number % 2},
        )
    writer.close()
    facts = told.adviser.facts(told.view)
    assert facts.distance == pytest.approx(0.3) and facts.distance_before == pytest.approx(0.9)
    assert facts.saturation == pytest.approx(0.6)
    assert facts.above_ceiling == 0.1
    assert facts.reward_online == pytest.approx(0.1)
    assert "impossible-values" in told.names() and "more-like-you" in told.names()


def test_the_files_are_looked_at_now_and_then(told: Told) -> None:
    assert told.names() == ["all-well"]
    writer = DiagnosticsWriter(told.run.diagnostics_file)
    writer.add(1, 1, {"above_ceiling": 0.5})
    writer.close()
    assert told.names(LOOK_EVERY_S / 2) == ["all-well"]
    assert told.names(LOOK_EVERY_S / 2) == ["impossible-values"]


def test_unreadable_files_leave_advice_without_them(told: Told) -> None:
    told.run.diagnostics_file.write_bytes(b"no database at all, and longer than a header of one would be" * 9)
    assert told.names() == ["all-well"]


def test_a_learner_that_owes_updates_and_makes_none_is_stalled(told: Told) -> None:
    for after_s in range(0, 60, 5):
        told.report("actor", env_steps=1000 + after_s)
        told.report("learner", phase="train", updates=1500, utd=1.4, updates_per_s=0.0)
        named = told.names(5.0)
        assert ("updates-stalled" in named) == (after_s > 20)


def test_a_learner_that_waits_for_steps_is_not_stalled(told: Told) -> None:
    for _ in range(12):
        told.report("learner", phase="train", updates=2000, utd=2.0, updates_per_s=0.0)
        assert "updates-stalled" not in told.names(5.0)


def test_a_learner_that_is_not_heard_any_more_raises_an_alarm(told: Told) -> None:
    told.report("learner", phase="train", updates=2000, utd=2.0)
    assert told.names() == ["all-well"]
    told.report("actor", env_steps=1001)
    assert "learner-silent" not in told.names(9.0)
    told.report("actor", env_steps=1002)
    assert "learner-silent" in told.names(3.0)
    told.report("learner", updates=2001)
    told.clock.s += LINGER_S
    assert "learner-silent" not in told.names()


def test_a_run_that_has_ended_is_not_advised_about_as_if_it_ran(told: Told) -> None:
    told.report("actor", env_steps=1000, weight_age_s=500.0)
    told.report("learner", phase="train", updates=1000, utd=1.0, updates_per_s=100.0)
    assert told.names() == ["weights-stale", "learner-too-slow"]
    told.names(60.0)
    assert told.names(LINGER_S) == ["all-well"]


def test_late_steps_count_by_the_last_minutes_and_a_restarted_actor_begins_anew(told: Told) -> None:
    told.report("actor", env_steps=5000, overruns=400, late_looks=0)
    assert told.names() == ["all-well"], "what was late long ago says nothing of now"
    told.report("actor", env_steps=5200, overruns=410, late_looks=0)
    assert told.names(20.0) == ["overruns"]
    told.report("actor", env_steps=5300, overruns=0, late_looks=0)
    assert told.adviser.facts(told.view).overruns != told.adviser.facts(told.view).overruns, "unknown"


def test_advice_stays_long_enough_to_be_read(told: Told) -> None:
    told.report("learner", phase="train", rollbacks=1)
    assert told.names() == ["diverged"]
    told.report("learner", rollbacks=0)
    assert told.names(2.0) == ["diverged"]
    assert told.names(LINGER_S) == ["all-well"]


def test_the_coach_follows_the_control_loop(told: Told) -> None:
    told.report("actor", unaided=[False, False], assisted=[False, False])
    now = Now("run", "boot", "train", "policy", 0, episode=2, running=True, step=12, most_steps=100)
    assert told.adviser.say(told.view, now)["coach"] == {
        "sentence": "Let it try: 12 of 25 steps.",
        "state": "explore",
    }
    later = Now("run", "boot", "train", "policy", 0, episode=2, running=True, step=40, most_steps=100)
    assert told.adviser.say(told.view, later)["coach"]["sentence"] == "Help this one to finish."


def test_a_success_long_ago_is_remembered_by_the_log(told: Told) -> None:
    with open_log(told.run.segments) as writer:
        for episode in range(3):
            write(writer, episode)
    told.report("actor", env_steps=4000, unaided=[False] * 3, assisted=[False] * 3)
    assert told.adviser.facts(told.view).ever_succeeded == 0.0
    with (
        open_log(told.run.segments) as writer,
        EpisodeIndex(told.run.index_file, LogReader(told.run.segments)) as index,
    ):
        write(writer, 3, human=4, success=True)
        for episode in range(4, 4 + RECENT):
            write(writer, episode)
        index.refresh()
        assert ever_succeeded(index) == 1.0
        append_label(writer, index, 3, "failure", who="Ada")
        index.refresh()
        assert ever_succeeded(index) == 0.0
        append_label(writer, index, 3, "success", who="Ada")
    told.clock.s += LOOK_EVERY_S
    facts = told.adviser.facts(told.view)
    assert (facts.ever_succeeded, facts.succeeded) == (1.0, 0)


def test_the_advice_never_contradicts_the_coach(told: Told) -> None:
    """Whatever the history: where the coach says hands off, nothing asks for help, and otherwise it does."""
    rng = random.Random(3)
    unaided: list[bool] = []
    stages = set()
    for episode in range(300):
        between = told.adviser.say(told.view, BETWEEN)
        skill = 0.5 + 0.5 * math.sin(episode / 25)  # gets better and worse
        unaided.append(rng.random() < skill)
        told.report("actor", unaided=list(unaided[-100:]), assisted=list(unaided[-100:]))
        now = Now("run", "boot", "train", "policy", 0, episode=episode, running=True, step=40, most_steps=100)
        told.clock.s += LINGER_S
        for said in (between, told.adviser.say(told.view, now)):
            well = [rule["sentence"] for rule in said["rules"] if rule["name"] == "all-well"]
            hands_off = said["coach"]["sentence"].startswith("Hands off")
            stages.add(told.adviser.coach.stage)
            for sentence in well:
                assert ("help is still needed" in sentence or "once it tries" in sentence) is not hands_off
                one_in = re.search(r"one episode in (\d)", sentence)
                coached = re.search(r"help in one of (\d)", said["coach"]["sentence"])
                assert not (one_in and coached) or one_in[1] == coached[1]
    assert stages == {"early", "taper", "alone"}


def test_evaluations_are_compared_beyond_chance(told: Told) -> None:
    for steps, successes in ((500, 60), (1000, 95), (1500, 93)):
        told.report("evaluation", set="check", env_steps=steps, successes=successes, episodes=100)
    assert told.names() == ["all-well"]
    told.report("evaluation", set="check", env_steps=2000, successes=4, episodes=10)
    facts = facts_of(told.view)
    assert (facts.check, facts.best, facts.best_step) == (0.4, 0.95, 1000)
    assert told.names() == ["check-regressed"]


def test_of_verdicts_no_more_is_read_than_is_told(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    with (
        open_log(told.run.segments) as writer,
        EpisodeIndex(told.run.index_file, LogReader(told.run.segments)) as index,
    ):
        events = index.events
        for episode in range(60):
            write(writer, episode, steps=2, success=True, classifier=CLASSIFIER)
        index.refresh()
        monkeypatch.setattr(index, "events", lambda episode: (asked.append(episode), events(episode))[1])
        assert (read_log(index).judged, asked) == (0, [])  # where nobody labels, nothing is looked for
        for episode in range(0, 60, 2):
            append_label(writer, index, episode, "failure" if episode < 30 else "success", who="Ada")
        index.refresh()
        asked.clear()
        log = read_log(index)
    assert sorted(asked) == list(range(20, 60, 2))  # the newest twenty
    assert (log.judged, log.disagreed, log.steps, log.steps_since_unaided) == (20, 5, 120, 0)
