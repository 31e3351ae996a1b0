"""What every export is made from: the chosen episodes of a run, read from its log one after the other."""

from collections.abc import Iterator
from dataclasses import dataclass

from handrail.agent.config import RunConfig
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.index_query import EpisodeRow
from handrail.intervention.log_format import Event, LogError, StepRecord, decode_record, transition_from
from handrail.intervention.log_reader import LogReader, TransitionAssembler
from handrail.intervention.run_directory import RunDirectory
from handrail.intervention.transition import Transition
from handrail.launch.export.verdict import Verdict, judge_steps
from handrail.robot_env.arms.config import REAL_ARMS
from handrail.robot_env.spec import ActionSpec, StateSpec, state_spec

_READ_BYTES = 16 << 20
_NEAR = 64  # frames between two episodes (labels, remarks) that are sooner read than sought


@dataclass(frozen=True)
class Selection:
    """Episodes to export.

    Attributes:
        rows: the episodes, oldest first.
        left_out: how many were left out, by why.
    """

    rows: tuple[EpisodeRow, ...]
    left_out: dict[str, int]

    @property
    def steps(self) -> int:
        """Steps of all of them."""
        return sum(row.steps for row in self.rows)


class Material:
    """The episodes to export, with what describes them; for one thread.

    Args:
        run: the run.
        config: its configuration.
        index: of its log.
        selection: the episodes.

    Raises:
        LogError: the log's states are not those of the configuration.
    """

    def __init__(
        self, run: RunDirectory, config: RunConfig, index: EpisodeIndex, selection: Selection
    ) -> None:
        self.run_id = run.id
        self.config = config
        self.selection = selection
        self.state: StateSpec = state_spec(config.env)
        self.action = ActionSpec(*config.env.action_scale)
        self._index = index
        self._log = LogReader(run.segments)
        self._position = 0
        header = self._log.header()
        if header is not None and (header.state_size, header.action_size) != (
            self.state.size,
            self.action.size,
        ):
            raise LogError(
                f"The log of {run.id} has states of {header.state_size} and actions of {header.action_size} "
                f"numbers, its config.yaml says {self.state.size} and {self.action.size}; restore its own."
            )

    @property
    def hz(self) -> float:
        """Steps a second [1/s]."""
        return self.config.env.hz

    @property
    def robot(self) -> str:
        """Which arm it was, such as "franka", or "panda (simulated)"."""
        kind = self.config.env.arm.kind
        return kind if kind in REAL_ARMS else f"{self.config.env.sim.arm} (simulated)"

    def events(self, episode: int) -> list[Event]:
        """What was said about an episode, oldest first."""
        return [event for _, event in self._index.events(episode)]

    def steps(self, row: EpisodeRow, *, images: bool) -> Iterator[Transition]:
        """Read an episode's steps in order.

        Args:
            row: the episode.
            images: whether the transitions are to have their images.

        Raises:
            LogError: a part of the episode is damaged.
        """
        assembler = TransitionAssembler()
        expected = 0
        for record in self._records(row):
            if images:
                transition = assembler.feed(record)
            else:
                transition = transition_from(record) if isinstance(record, StepRecord) else None
            if transition is None or transition.episode != row.episode:
                continue
            if transition.step != expected:
                break
            yield transition
            expected += 1
        if expected != row.steps:
            raise LogError(
                f"Step {expected} of episode {row.episode} is lost in a damaged stretch of the log; "
                "leave that episode out (episodes=…)."
            )

    def verdict(self, row: EpisodeRow) -> Verdict:
        """What an episode's counted steps are worth under its label.

        Raises:
            LogError: a part of the episode is damaged.
        """
        return judge_steps(row, [*self.steps(row, images=False)])

    def _records(self, row: EpisodeRow) -> Iterator:
        near = 0 <= row.first_sequence - 1 - self._position <= _NEAR
        after = self._position if near else row.first_sequence - 1
        while batch := self._log.read(after, upto=row.last_sequence, limit_bytes=_READ_BYTES):
            for sequence, payload in batch:
                if sequence >= row.first_sequence:
                    yield decode_record(payload)
            after = self._position = batch[-1][0]
