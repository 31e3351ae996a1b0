"""Frozen evaluation on the one arm there is: in real time, with a person beside it.

It is driven as training is, through a `Session`: countdown, pause, stop, hold until resumed, and the
operator's or the classifier's verdict. Its episodes are in the run's log, with their pictures, and are of a
purpose of their own, which no learner and no statistic of training takes in. A human step makes an episode
no success of the policy's.

The log is the only record: what an episode came to is read from there, with whatever a person has said of it
since, so that the result is what `handrail review purpose=evaluate` says, too.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

import torch

from handrail.agent.config import HAND_DEVICES, RunConfig
from handrail.agent.evaluate import EvaluationResult, StartSet, start_words
from handrail.agent.history import EVALUATION
from handrail.agent.policy import ActorPolicy
from handrail.agent.session import Session, held_once
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.index_query import EpisodeRow
from handrail.intervention.labeller import Label
from handrail.intervention.log_format import EpisodeEnd
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.robot_env.errors import ConfigError


def check_attended(config: RunConfig) -> None:
    """Refuse an evaluation of a real arm with nobody beside it, classifier or not.

    Raises:
        ConfigError: `actor.device` is no person's.
    """
    device = config.actor.device
    if device not in HAND_DEVICES:
        raise ConfigError(
            f"actor.device is {device!r}, and a real arm is evaluated with a person beside it, who stops and "
            "resumes it and says what succeeded; write actor.device=spacemouse, gamepad, keyboard or console "
            "behind the command"
        )


class ArmEvaluation:
    """One evaluation, start by start; a context manager. One thread may use it.

    An episode without a result (broken off by a fault, abandoned, excluded by the operator) is driven again
    from the same start. One that was stopped, or held by the watchdog, has one: it failed.

    Args:
        run: the run's directory.
        session: open on it.
        which: the fixed starts.
        episodes: how many of them.

    Raises:
        LogError: the log or its index cannot be read.
    """

    def __init__(self, run: RunDirectory, session: Session, which: StartSet, episodes: int) -> None:
        torch.set_num_threads(1)  # as in an actor: waking others takes longer than they save
        self._session, self._asked = session, episodes
        self._which: StartSet = which
        self._first = session.history.next_episode
        self._index = EpisodeIndex(run.index_file, LogReader(run.segments))
        self._rows: list[EpisodeRow] = []
        self._next: int | None = 0
        self._look()  # the index of a long log may have to be made: not while the arm waits

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._index.close()

    def drive(
        self,
        policy: ActorPolicy,
        *,
        stopped: Callable[[], bool],
        on_episode: Callable[[EvaluationResult], None] = lambda _: None,
        announce: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Drive the policy from one start after another, until each has a result.

        Args:
            policy: acts deterministically; has its weights.
            stopped: asked after each step, and again and again while nothing moves; True ends the evaluation.
            on_episode: told of the result so far, after each episode.
            announce: told what the operator's device is and what its buttons do, and why nothing moves.

        Raises:
            HandrailError: as `Session.drive`; `result` has what there is until then.
        """

        def note(_: EpisodeEnd) -> None:
            self._look()
            on_episode(self.result())

        self._session.drive(
            policy,
            EVALUATION,
            seed_of=lambda _: start_words(self._which, self._next or 0),
            wanted=lambda: self._next is not None and not stopped(),
            between_steps=lambda _: not stopped(),
            after_episode=note,
            on_hold=held_once(announce),
            announce=announce,
        )

    def result(self) -> EvaluationResult:
        """What the episodes so far have come to."""
        self._look()
        counted = self._counted()
        alone = [row for row in counted if row.outcome == "success" and not row.human_steps]
        return EvaluationResult.of(
            [row.steps for row in alone],
            len(counted),
            self._asked,
            max((row.peak_force_n or 0.0 for row in counted), default=0.0),
            aided=sum(row.human_steps > 0 for row in counted),
            human_steps=sum(row.human_steps for row in counted),
            without_result=sum(row.truncated_by != "stop" for row in self._rows if row not in counted),
        )

    def _look(self) -> None:
        """Read what the log says of this evaluation's episodes now, and which start has no result yet."""
        self._index.refresh()
        self._rows = self._index.episodes(purpose=EVALUATION, since=self._first)
        done = {row.seed for row in self._counted()}
        starts = range(self._asked)
        self._next = next((each for each in starts if start_words(self._which, each) not in done), None)

    def _counted(self) -> list[EpisodeRow]:
        """The episodes with a result, as a review counts them; of each start the last one.

        An episode that had none when its start was driven again may be given one in a review since.
        """
        found = (
            row for row in self._rows if row.outcome in ("success", "failure") and row.label != Label.EXCLUDE
        )
        return list({row.seed: row for row in found}.values())
