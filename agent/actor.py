"""The actor process: the control loop.

It drives the environment, appends every step to the run's log, serves the log to the learner, and swaps in
the newest weights between two steps. Nothing in it waits for the learner on a real arm; in lockstep
simulation it waits as the samples-per-insert limiter says.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from handrail.agent.config import RunConfig
from handrail.agent.feature_link import FeatureSender, features_address
from handrail.agent.history import DEMONSTRATION, TRAINING
from handrail.agent.limiter import SamplesPerInsertLimiter
from handrail.agent.link import LogServer, WeightSubscriber, log_address, weights_address
from handrail.agent.policy import ActorPolicy
from handrail.agent.session import Session
from handrail.agent.sight import sight_of
from handrail.agent.weights import WeightsError, decode_weights
from handrail.intervention.log_format import EpisodeEnd, frame_id
from handrail.intervention.log_reader import LogReader
from handrail.intervention.recovery import Recovery
from handrail.intervention.run_directory import RunDirectory
from handrail.intervention.transition import Source, Transition
from handrail.robot_env.judge import Judge

Report = Callable[[dict[str, Any]], None]
_REPORT_EVERY_S = 0.25
_LAST_PULL_S = 2.0
_DRIVERS = {Source.POLICY: "policy", Source.HUMAN: "human", Source.SCRIPT: "hold"}


class Actor:
    """What the control loop does between two steps, and its three phases. One thread may use it.

    Args:
        run: the run's directory.
        session: the open session on it.
        stop: ends the loop at the next step.
        report: takes status reports; must not block.
    """

    def __init__(self, run: RunDirectory, session: Session, stop: threading.Event, report: Report) -> None:
        self.session, self.config = session, session.config
        self._stop, self._report = stop, report
        self._run_id = run.id
        self.online_steps = session.history.online_steps
        env, sockets, writer = session.env, run.socket_dir(), session.writer
        self._server = LogServer(
            log_address(sockets), LogReader(run.segments), lambda: writer.committed, run.id, env.schema_hash
        )
        self._weights = WeightSubscriber(weights_address(sockets))
        self._limiter = SamplesPerInsertLimiter(self.config.agent.utd, self.config.learner.slack_steps)
        self._sight = sight_of(run.path, self.config)
        self._features: FeatureSender | None = None
        if self._sight is not None and self._sight.frozen:
            self._features = FeatureSender(features_address(sockets))
        self.policy = ActorPolicy(self.config.agent, env.state_spec, env.action_spec.size, sight=self._sight)
        self._phase = ""
        self._driver = "reset"
        self._held_for = ""
        self._reported_s = 0.0
        self._weights_id = ("", -1)
        self._weights_s: float | None = None
        self._notices = [*_recovered(session.writer.recovery)]

    def close(self) -> None:
        """Close the sockets; the session belongs to the caller."""
        self._server.close()
        self._weights.close()
        if self._features is not None:
            self._features.close()

    def demonstrate(self) -> None:
        """Record demonstrations until as many as configured carry their label."""
        if self._lacks_demonstrations():
            self._phase = DEMONSTRATION
            self.session.drive(
                None,
                DEMONSTRATION,
                wanted=self._wants_demonstrations,
                between_steps=self._between_steps,
                before_reset=self._before_reset,
                on_hold=self._on_hold,
                announce=self._notice,
            )

    def wait_for_policy(self) -> None:
        """Wait for the first weights."""
        self._phase = self._driver = "waiting"
        while not self._stop.is_set() and not self.policy.ready:
            self._take_weights(wait_s=0.05)
            self.session.console.wait("for the learner's first weights")
            self._tell()

    def train(self) -> None:
        """Drive training episodes until the step limit."""
        self._phase = TRAINING
        self.session.drive(
            self.policy,
            TRAINING,
            wanted=self._may_go_on,
            between_steps=self._between_steps,
            before_reset=self._before_reset,
            after_episode=self._after_episode,
            on_hold=self._on_hold,
            announce=self._notice,
        )

    def serve_the_rest(self) -> None:
        """Wait, briefly, until the learner has the whole log: nobody serves it once this process has gone."""
        deadline_s = time.monotonic() + _LAST_PULL_S
        last = self.session.writer.appended
        while self._server.progress.position < last and time.monotonic() < deadline_s:
            if self._stop.wait(0.01):
                return
            self._tell()

    def _lacks_demonstrations(self) -> bool:
        return self.session.history.demonstrations < self.config.actor.demonstrations

    def _wants_demonstrations(self) -> bool:
        self._tell()  # asked throughout a reset and a countdown, too: the loop goes on
        return self._lacks_demonstrations() and not self._stop.is_set()

    def _may_go_on(self) -> bool:
        self._tell()  # as above
        self._check_server()
        return self.online_steps < self.config.goal.max_env_steps and not self._stop.is_set()

    def _check_server(self) -> None:
        if self._server.failure is not None:
            raise self._server.failure

    def _before_reset(self) -> None:
        self._driver = "reset"
        self._held_for = ""
        self._tell()

    def _notice(self, line: str) -> None:
        self._notices.append(line)

    def _on_hold(self, reason: str) -> None:
        self._driver = "held"
        if reason != self._held_for:
            self._held_for = reason
            self._notice(f"held: {reason}")
        self._tell()

    def _after_episode(self, end: EpisodeEnd) -> None:
        self.online_steps = self.session.history.online_steps

    def _between_steps(self, transition: Transition) -> bool:
        """Count, swap weights, report, and in lockstep wait for the learner. False ends the episode here."""
        if self._phase == DEMONSTRATION:
            self._driver = DEMONSTRATION
            self._tell()
            return not self._stop.is_set()
        self._driver = _DRIVERS[transition.source]
        self.online_steps += 1
        self._hand_on_maps(transition)
        self._take_weights()
        if self.session.env.lockstep:  # time stands still between two steps, so waiting costs nothing
            self._wait_for_learner()
        self._tell()
        return self._may_go_on()

    def _hand_on_maps(self, transition: Transition) -> None:
        """What the policy has just seen the step's images as: the learner need not look again."""
        if self._features is None or self._sight is None:
            return
        maps = {
            frame_id(transition.episode, transition.step, number): self.policy.maps[name]
            for number, name in enumerate(transition.images)
            if name in self.policy.maps
        }
        self._features.send(self._sight.trunk.key, maps)

    def _wait_for_learner(self) -> None:
        while not self._stop.is_set():
            self._check_server()
            learner = self._server.progress
            ahead = self.online_steps - learner.began_at
            unlimited = learner.heard_ns > 0 and not learner.training
            if unlimited or (learner.training and self._limiter.may_collect(learner.updates, ahead)):
                return
            self._stop.wait(0.002)
            self._tell()

    def _take_weights(self, wait_s: float = 0.0) -> None:
        frame = self._weights.newest(wait_s)
        if frame is None:
            return
        try:
            schema_hash = self.session.env.schema_hash
            header, tensors = decode_weights(frame, run_id=self._run_id, schema_hash=schema_hash)
            if (header.boot_id, header.version) != self._weights_id:
                self.policy.load(tensors, header.version)
                self._weights_id, self._weights_s = (header.boot_id, header.version), time.monotonic()
        except WeightsError as error:  # the arm goes on with the weights it has; the display shows the reason
            self._notices.append(str(error))

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._reported_s < _REPORT_EVERY_S:
            return
        self._reported_s = now
        history, env = self.session.history, self.session.env
        report: dict[str, Any] = {
            "kind": "actor",
            "phase": self._phase,
            "driver": self._driver,
            "env_steps": self.online_steps,
            "episode": max(0, history.next_episode - 1),
            "demonstrations": history.demonstrations,
            "demonstration_steps": history.demonstration_steps,
            "unaided": [success and unaided for success, unaided in history.finished],
            "assisted": [success for success, _ in history.finished],
            "human_steps": history.human_steps,
            "takeovers": history.takeovers,
            "intervention_rate": history.human_steps / max(1, history.online_steps),
            "weights_version": self.policy.version,
            "weight_age_s": None if self._weights_s is None else now - self._weights_s,
            "committed": self.session.writer.committed,
            "reset_s": max(0.0, history.robot_ns / 1e9 - history.online_steps * env.period_s),
            "overruns": env.tick_counts.overruns,
            "late_looks": env.late_looks,
        }
        notices, self._notices = self._notices, []
        self._report(report | ({"notices": notices} if notices else {}))


def _recovered(recovery: Recovery) -> Iterator[str]:
    """What opening the log for writing found, in words; nothing after a clean end."""
    if recovery.torn_bytes:
        yield f"the log's torn end was cut: {recovery.torn_bytes} bytes of a record that was never whole"
    for damage in recovery.damaged:
        yield f"{damage.length} damaged bytes in {damage.segment} at {damage.offset} are skipped"


def run_actor(
    run: RunDirectory,
    config: RunConfig,
    stop: threading.Event,
    report: Report,
    judge: Judge | None = None,
) -> None:
    """Run the control loop until `stop` is set or the step limit is reached.

    Args:
        run: the run's directory.
        config: its configuration.
        stop: ends the loop at the next step.
        report: takes status reports; must not block.
        judge: what judges the images, where the configuration asks for a classifier.

    Raises:
        RunLocked: another actor drives this run.
        LogError: the log cannot be written.
        DeviceError: the operator's device is missing, or not at rest.
        ArmError: no arm server answers, or a real arm is to be driven without real-time priority.
    """
    torch.set_num_threads(1)
    with Session(run, config, judge) as session:
        actor = Actor(run, session, stop, report)
        try:
            actor.demonstrate()
            actor.wait_for_policy()
            actor.train()
            actor.serve_the_rest()
        finally:
            actor.close()
