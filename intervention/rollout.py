"""Drives one episode: for training, demonstrations and a real arm alike.

    observe → policy → device → arbiter → step → verdict → append one step to the log

Whatever happens, an episode in the log begins with `EpisodeStart` (after the reset succeeded) and ends with
either `EpisodeEnd` or an "aborted" event, so that no reader ever joins the steps of two episodes.
"""

import contextlib
import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import gymnasium
import numpy as np

from handrail.intervention.arbiter import ArbiterState, Driver, arbitrate
from handrail.intervention.config import ArbiterConfig, MappingConfig
from handrail.intervention.device import VERDICTS, Button, Device, EpisodeAware, Outspoken, Reading
from handrail.intervention.episode import ABANDONED, Heard, Purpose, RunningEpisode
from handrail.intervention.log_format import EpisodeEnd, EpisodeStart, Event, LogError, Record, step_record
from handrail.intervention.log_writer import LogWriter
from handrail.intervention.mapping import Mapping
from handrail.intervention.policy import Policy, PolicyStep
from handrail.intervention.transition import Source, Transition
from handrail.robot_env.clock import NS_PER_S
from handrail.robot_env.env import RobotEnv

Observation = dict[str, np.ndarray]


class Rollout:
    """The one place where episodes are driven; owned by the control loop's thread.

    Args:
        env: A `RobotEnv`, or anything with its observations and its `info`.
        device: The operator's device, open and at rest.
        arbiter: When the wheel changes hands.
        mapping: How deflections become actions.
        writer: Where steps go; None keeps no record.
        now_ns: The time that `device` is read at [ns]; None takes the observation's, which is right in
            lockstep.
        console: How deflections of a hand at the console become actions; None takes `mapping`.
    """

    def __init__(
        self,
        env: gymnasium.Env,
        device: Device,
        arbiter: ArbiterConfig,
        mapping: MappingConfig,
        writer: LogWriter | None,
        now_ns: Callable[[], int] | None = None,
        console: MappingConfig | None = None,
    ) -> None:
        self._env = env
        assert env.action_space.shape is not None
        self._action_size = env.action_space.shape[0]
        robot = env.unwrapped
        self._robot = robot if isinstance(robot, RobotEnv) else None
        self._device = device
        self._config = arbiter
        self._mapping = Mapping(mapping)
        self._console = Mapping(console or mapping)
        self._writer = writer
        self._now_ns = now_ns
        self._arbiter = ArbiterState()
        self._pressed: frozenset[Button] = frozenset()
        self._lost = False

    @property
    def driver(self) -> Driver:
        """Who has the wheel now; safe to read from another thread."""
        return self._arbiter.driver

    @property
    def paused(self) -> bool:
        """Whether the operator, or an incident, has paused the policy."""
        return self._arbiter.paused

    def pause(self) -> None:
        """Pause as the operator's button does; the button resumes."""
        self._arbiter = replace(self._arbiter, paused=True)

    def resume(self) -> None:
        """End a pause, as the operator's button does."""
        self._arbiter = replace(self._arbiter, paused=False)

    def look(self) -> Reading:
        """Look at the device between two episodes: its pause button counts, and nothing moves."""
        return self._look(time.monotonic_ns() if self._now_ns is None else self._now_ns())

    def _look(self, now_ns: int) -> Reading:
        nothing = np.zeros(self._action_size)
        reading = self._read(now_ns)
        self._arbiter, _ = arbitrate(self._arbiter, reading, nothing, nothing, now_ns, self._config)
        return reading

    def run_episode(
        self,
        policy: Policy | None,
        *,
        episode: int,
        seed: tuple[int, ...],
        purpose: Purpose = "train",
        between_steps: Callable[[Transition], bool] | None = None,
        after_reset: Callable[[Observation], None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> EpisodeEnd:
        """Reset, drive to the end, and store everything.

        Args:
            policy: Who proposes actions; None leaves the arm still until the human drives.
            episode: The episode's number.
            seed: Names the episode's randomness, environment and synthetic operator alike.
            purpose: "demo" labels a success as a demonstration.
            between_steps: Called after each stored step; returning False ends the episode as truncated by
                "stop". Readers cut there at `EpisodeEnd`: the step itself was already stored.
            after_reset: Told that the episode runs, with its first observation.
            options: Passed to the environment's reset.

        Raises:
            ResetError: the reset failed; nothing was stored.
            LogError: a step could not be stored. It and every other error mark the episode aborted.
        """
        observation, info = self._env.reset(seed=environment_seed(seed), options=options)
        # A verdict pressed during the reset, or still held from the last episode, is no word on this one. A
        # pause or a stop counts whenever it is pressed.
        held = self._look(int(info["t_ns"]) if self._now_ns is None else self._now_ns()).buttons
        self._arbiter = self._arbiter.next_episode()
        self._mapping.reset()
        self._console.reset()
        if after_reset is not None:
            after_reset(observation)
        if isinstance(self._device, EpisodeAware):
            self._device.episode_started(seed)
        end = None
        run = RunningEpisode(episode, purpose, policy, observation, info, self._action_size, held)
        try:
            proposal = run.propose()
            start = EpisodeStart(episode, seed, purpose, run.t_ns, time.time_ns(), proposal.weights_version)
            self._append(start, *run.frames())
            end = self._drive(run, proposal, between_steps)
            self._append(end, *run.labels(self._device.name))
            return end
        except BaseException as error:
            why = f"{type(error).__name__}: {error}"
            with contextlib.suppress(LogError):
                self._append(Event("aborted", episode, "rollout", time.time_ns(), None, None, why))
            raise
        finally:
            if isinstance(self._device, EpisodeAware):
                self._device.episode_finished(
                    end is not None and end.success, end is not None and end.unaided
                )

    def _drive(
        self, run: RunningEpisode, proposal: PolicyStep, between_steps: Callable[[Transition], bool] | None
    ) -> EpisodeEnd:
        """Step until the task, the time, a fault, the operator or the caller ends the episode."""
        paused_ns: int | None = None
        for number in itertools.count():
            started_ns = time.perf_counter_ns()
            if number > 0:
                proposal = run.propose()
            now_ns = run.t_ns if self._now_ns is None else self._now_ns()
            reading = self._read(now_ns)
            asked = self._asked(reading)
            self._arbiter, decision = arbitrate(
                self._arbiter, reading, asked, proposal.action, now_ns, self._config
            )
            latency_ms = run.look_ms + (time.perf_counter_ns() - started_ns) / 1e6
            execute = self._follow_hand if decision.source is Source.HUMAN else self._env.step
            heard = partial(self._heard, reading)
            transition = run.step(execute, proposal, decision, heard, latency_ms)
            ids = run.frame_ids(number), run.frame_ids(number + 1)
            self._append(*run.frames(), step_record(transition, *ids))
            go_on = between_steps is None or between_steps(transition)
            if transition.terminated or transition.truncated:
                break
            if not (decision.holding and self.paused):
                paused_ns = None
            elif paused_ns is None:
                paused_ns = now_ns
            elif now_ns - paused_ns > self._config.pause_s * NS_PER_S:
                run.truncated_by = ABANDONED
                break
            if not go_on:
                run.truncated_by = "stop"
                break
        return run.end(self._device.name)

    def _follow_hand(self, action: np.ndarray) -> tuple[Any, Any, bool, bool, Any]:
        """Step by the human's hand, within the step where the arm can follow it.

        Who drives is decided once a step: within one, the hand can only steer.
        """
        robot, now_ns = self._robot, self._now_ns
        # A wrapper around the environment knows whole steps only.
        if robot is None or robot is not self._env or not robot.streams_hand or now_ns is None:
            return self._env.step(action)

        let_go = False

        def hand() -> np.ndarray:
            nonlocal let_go
            reading = self._device.read(now_ns())
            self._pressed |= reading.buttons - {"takeover"}
            fresh = abs(now_ns() - reading.t_ns) <= self._config.stale_s * NS_PER_S
            self._lost |= not (fresh and reading.connected)
            let_go |= "stop" in self._pressed or (self._arbiter.deadman and "takeover" not in reading.buttons)
            asked = self._asked(reading)
            return np.zeros(self._action_size) if self._lost or let_go else asked

        return robot.step_by_hand(hand)

    def _heard(self, reading: Reading) -> Heard:
        """A step's reading with the verdicts pressed while it was executed, and what the console says."""
        late, self._pressed = self._pressed & VERDICTS, self._pressed - VERDICTS
        said = self._device.said() if isinstance(self._device, Outspoken) else frozenset()
        return Heard(replace(reading, buttons=reading.buttons | late) if late else reading, said)

    def _asked(self, reading: Reading) -> np.ndarray:
        """The action that a reading asks for, by the mapping of the hand it comes from."""
        return (self._console if reading.console else self._mapping).apply(reading, self._tool_quat())

    def _read(self, now_ns: int) -> Reading:
        """The device's reading, with what was seen of it within the last step: a click, a loss."""
        reading = self._device.read(now_ns)
        (pressed, self._pressed), (lost, self._lost) = (self._pressed, frozenset()), (self._lost, False)
        if pressed or lost:
            connected = reading.connected and not lost
            reading = replace(reading, buttons=reading.buttons | pressed, connected=connected)
        return reading

    def _tool_quat(self) -> np.ndarray | None:
        """Orientation of the tool, (4,) x y z w in the base frame; None where there is no robot."""
        return None if self._robot is None else self._robot.last_arm_state.pose[3:]

    def _append(self, *records: Record) -> None:
        if self._writer is not None:
            self._writer.append(*records)


def environment_seed(seed: tuple[int, ...]) -> int:
    """Return the number that `seed` gives an environment's reset; evaluation and training derive it alike."""
    return int(np.random.SeedSequence(seed).generate_state(1)[0])
