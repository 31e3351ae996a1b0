"""The actor process: the control loop.

It drives the environment, appends every step to the run's log, serves the log to the learner, and swaps in
the newest weights between two steps. Nothing in it waits for the learner on a real arm; in lockstep
simulation it waits as the samples-per-insert limiter says.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from handrail.agent.config import RunConfig
from handrail.agent.devices import make_device
from handrail.agent.history import DEMONSTRATION, TRAINING, RunHistory
from handrail.agent.limiter import SamplesPerInsertLimiter
from handrail.agent.link import LogServer, WeightSubscriber, log_address, weights_address
from handrail.agent.policy import ActorPolicy
from handrail.agent.weights import WeightsError, decode_weights
from handrail.intervention.device import EpisodeAware, check_at_rest
from handrail.intervention.episode import Purpose
from handrail.intervention.labels import mark_aborted
from handrail.intervention.log_format import LOG_SCHEMA, SegmentHeader
from handrail.intervention.log_reader import LogReader
from handrail.intervention.log_writer import LogWriter
from handrail.intervention.rollout import Rollout
from handrail.intervention.run_directory import RunDirectory
from handrail.intervention.transition import Source, Transition
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.make import make_env

Report = Callable[[dict[str, Any]], None]
_REPORT_EVERY_S = 0.25
_DRIVERS = {Source.POLICY: "policy", Source.HUMAN: "human", Source.SCRIPT: "hold"}


class Actor:
    """The control loop's parts, and what it does between two steps. One thread may use it.

    Args:
        run: the run's directory.
        config: the run's configuration.
        env: connected, its own.
        writer: the run's log.
        stop: ends the loop at the next step.
        report: takes status reports; must not block.
    """

    def __init__(
        self,
        run: RunDirectory,
        config: RunConfig,
        env: RobotEnv,
        writer: LogWriter,
        stop: threading.Event,
        report: Report,
    ) -> None:
        self.config, self.env, self.writer, self._stop, self._report = config, env, writer, stop, report
        self._run_id = run.id
        self._reader = LogReader(run.segments)
        self.history = RunHistory()
        self._read_log()
        self.online_steps = self.history.online_steps
        sockets = run.socket_dir()
        self._server = LogServer(
            log_address(sockets), LogReader(run.segments), lambda: writer.committed, run.id, env.schema_hash
        )
        self._weights = WeightSubscriber(weights_address(sockets))
        self._limiter = SamplesPerInsertLimiter(config.agent.utd, config.learner.slack_steps)
        self.policy = ActorPolicy(config.agent, env.state_spec, env.action_spec.size)
        self._phase = ""
        self._driver = "reset"
        self._reported_s = 0.0
        self._weights_s = time.monotonic()
        self._refused: str | None = None

    def close(self) -> None:
        """Close the sockets; the log and the environment belong to the caller."""
        self._server.close()
        self._weights.close()

    def demonstrate(self) -> None:
        """Record demonstrations until as many as configured carry their label."""
        wanted = self.config.actor.demonstrations
        if self.history.demonstrations < wanted:
            self._phase = DEMONSTRATION
            self._drive(None, DEMONSTRATION, lambda: self.history.demonstrations < wanted)

    def wait_for_policy(self) -> None:
        """Wait for the first weights."""
        self._phase = self._driver = "waiting"
        while not self._stop.is_set() and not self.policy.ready:
            self._take_weights(wait_s=0.05)
            self._tell()

    def train(self) -> None:
        """Run training episodes until the step limit."""
        self._phase = TRAINING
        self._drive(self.policy, TRAINING, self._has_steps_left)

    def _has_steps_left(self) -> bool:
        return self.online_steps < self.config.goal.max_env_steps

    def _drive(self, policy: ActorPolicy | None, purpose: Purpose, wanted: Callable[[], bool]) -> None:
        """Run episodes of one purpose while more are wanted, with the device that fits it."""
        device, mapping = make_device(self.config, self.env, demonstrate=purpose == DEMONSTRATION)
        device.open()
        try:
            check_at_rest(device, time.monotonic_ns())
            rollout = Rollout(self.env, device, self.config.arbiter, mapping, self.writer)
            if isinstance(device, EpisodeAware):  # after a restart: what it had seen of this run
                for success, unaided in self.history.finished:
                    device.episode_finished(success, unaided)
            while wanted() and not self._stop.is_set():
                self._episode(rollout, policy, purpose)
        finally:
            device.close()

    def _episode(self, rollout: Rollout, policy: ActorPolicy | None, purpose: Purpose) -> None:
        episode = self.history.next_episode
        seed = (self.config.seed, episode)
        self._driver = "reset"
        self._tell()
        rng = np.random.default_rng([*seed, 1])
        # Some episodes are driven as an evaluation would drive them: where a policy without noise gets stuck
        # is seen, helped out of, and learned from.
        self.policy.deterministic = bool(rng.random() < self.config.actor.greedy_share)
        self.policy.seed(int(rng.integers(2**63)))
        rollout.run_episode(
            policy, episode=episode, seed=seed, purpose=purpose, between_steps=self._between_steps
        )
        self._read_log()
        self.online_steps = self.history.online_steps

    def _read_log(self) -> None:
        for sequence, record in self._reader.records(self.history.sequence):
            self.history.ingest(sequence, record)

    def _between_steps(self, transition: Transition) -> bool:
        """Count, swap weights, report, and in lockstep wait for the learner. False ends the episode here."""
        self._driver = DEMONSTRATION if self._phase == DEMONSTRATION else _DRIVERS[transition.source]
        if self._phase == TRAINING:
            self.online_steps += 1
            self._take_weights()
            if self.env.lockstep:  # time stands still between two steps, so waiting costs nothing
                self._wait_for_learner()
        self._tell()
        return not self._stop.is_set() and self._has_steps_left()

    def _wait_for_learner(self) -> None:
        while not self._stop.is_set():
            learner = self._server.progress
            ahead = self.online_steps - learner.began_at
            if not learner.training or self._limiter.may_collect(learner.updates, ahead):
                return
            self._stop.wait(0.002)
            self._tell()

    def _take_weights(self, wait_s: float = 0.0) -> None:
        frame = self._weights.newest(wait_s)
        if frame is None:
            return
        try:
            header, tensors = decode_weights(frame, run_id=self._run_id, schema_hash=self.env.schema_hash)
            if header.version != self.policy.version:
                self.policy.load(tensors, header.version)
                self._weights_s = time.monotonic()
        except WeightsError as error:  # the arm goes on with the weights it has; the display shows the reason
            self._refused = str(error)

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._reported_s < _REPORT_EVERY_S:
            return
        self._reported_s = now
        finished = list(self.history.finished)
        report: dict[str, Any] = {
            "kind": "actor",
            "phase": self._phase,
            "driver": self._driver,
            "env_steps": self.online_steps,
            "episode": self.history.next_episode - 1,
            "demonstrations": self.history.demonstrations,
            "demonstration_steps": self.history.demonstration_steps,
            "unaided": [success and unaided for success, unaided in finished],
            "assisted": [success for success, _ in finished],
            "human_steps": self.history.human_steps,
            "takeovers": self.history.takeovers,
            "intervention_rate": self.history.human_steps / max(1, self.history.online_steps),
            "weights_version": self.policy.version,
            "weight_age_s": now - self._weights_s,
            "committed": self.writer.committed,
            "reset_s": max(0.0, self.history.robot_ns / 1e9 - self.history.online_steps * self.env.period_s),
            "overruns": self.env.tick_counts.overruns,
        }
        self._report(report | ({"refused_weights": self._refused} if self._refused else {}))


def run_actor(run: RunDirectory, config: RunConfig, stop: threading.Event, report: Report) -> None:
    """Run the control loop until `stop` is set or the step limit is reached.

    Raises:
        RunLocked: another actor runs on this run.
        LogError: the log cannot be written.
    """
    torch.set_num_threads(1)
    with run.lock("actor"):
        env = make_env(config.env)
        header = SegmentHeader(
            schema=LOG_SCHEMA,
            run_id=run.id,
            schema_hash=env.schema_hash,
            state_size=env.state_spec.size,
            action_size=env.action_spec.size,
            created_wall_ns=time.time_ns(),
        )
        writer = LogWriter(run.segments, header, **dataclasses.asdict(config.log))
        actor: Actor | None = None
        try:
            mark_aborted(writer, LogReader(run.segments))
            actor = Actor(run, config, env, writer, stop, report)
            actor.demonstrate()
            actor.wait_for_policy()
            actor.train()
        finally:
            writer.close()
            if actor is not None:
                actor.close()
            env.close()
