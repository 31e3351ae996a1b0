"""A control loop's hold on a run: its environment, its log, and the episodes it drives.

The actor process and `handrail record` drive episodes in the same way; this is that way.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

import numpy as np

from handrail.agent.config import HAND_DEVICES, RunConfig
from handrail.agent.devices import make_device
from handrail.agent.history import DEMONSTRATION, TRAINING, RunHistory
from handrail.agent.policy import ActorPolicy
from handrail.intervention.config import MappingConfig
from handrail.intervention.console.hand import CONSOLE_MAPPING, NoDevice
from handrail.intervention.console.link import ConsoleLink
from handrail.intervention.device import Device, EpisodeAware, check_at_rest
from handrail.intervention.episode import Purpose
from handrail.intervention.hold import UNANSWERED, Hold, Reason, wait_until_heard
from handrail.intervention.labels import mark_aborted
from handrail.intervention.log_format import LOG_SCHEMA, EpisodeEnd, SegmentHeader
from handrail.intervention.log_reader import LogReader
from handrail.intervention.log_writer import LogWriter
from handrail.intervention.rollout import Rollout
from handrail.intervention.run_directory import RunDirectory
from handrail.intervention.transition import Transition
from handrail.robot_env import realtime
from handrail.robot_env.cameras.references import FirstLook
from handrail.robot_env.clock import NS_PER_S, MonotonicClock, Ticker
from handrail.robot_env.errors import ArmError, CameraError, HandrailError, ResetEnded, ResetError
from handrail.robot_env.judge import Judge
from handrail.robot_env.make import make_env

HELD = {
    "watchdog": "the arm held: no command came in time",
    "overrun": "the loop could not keep its beat three times in a row",
}
"""What ended an episode with the arm in HOLD, besides a stop, and in words; the operator resumes."""
MOST_INCIDENTS = 5
"""So many in a row, without a person to resume, are no incidents any more."""
AT_THE_PAGE = "the next demonstration waits for a hand: take the controls on the page and press Drive (k)"
"""Why none begins while nobody at the operator's page, the only device, is about to drive."""
_LOOK_S = 0.05


def _nothing(*_: object) -> None:
    """Nobody wants to know."""


def held_once(announce: Callable[[str], None]) -> Callable[[str], None]:
    """An `on_hold` for `Session.drive` that announces each reason once, however long it lasts."""
    last = ""

    def on_hold(reason: str) -> None:
        nonlocal last
        if reason != last:
            last = reason
            announce(f"held: {reason}")

    return on_hold


class Session:
    """Owns a run's "actor" role while it is open; a context manager. One thread may use it.

    Args:
        run: the run's directory.
        config: the run's configuration.
        judge: what judges the images, where the configuration asks for a classifier.

    Attributes:
        env: the environment, its own.
        writer: the run's log.
        history: what the log adds up to, as of the last finished episode.
        console: what an operator's console sees and asks; costs nothing while there is none.

    Raises:
        RunLocked: another process drives this run.
        LogError: the log cannot be written.
        ConfigError: the environment cannot be made as configured.
        ArmError: no arm server answers, or a real arm is to be driven without real-time priority.
    """

    def __init__(self, run: RunDirectory, config: RunConfig, judge: Judge | None = None) -> None:
        self.config = config
        self._closing = ExitStack()
        try:
            self._closing.callback(run.lock("actor").release)
            self.env = make_env(config.env, judge=judge)
            self._closing.callback(self.env.close)
            observer = self.env.observer
            self._first_look = FirstLook(observer.cameras.values(), run.camera_pictures)
            observer.first_look = self._first_look
            header = SegmentHeader(
                schema=LOG_SCHEMA,
                run_id=run.id,
                schema_hash=self.env.schema_hash,
                state_size=self.env.state_spec.size,
                action_size=self.env.action_spec.size,
                created_wall_ns=time.time_ns(),
            )
            self.writer = LogWriter(run.segments, header, **dataclasses.asdict(config.log))
            self._closing.callback(self.writer.close)
            self._reader = LogReader(run.segments)
            mark_aborted(self.writer, self._reader)
            self.history = RunHistory()
            self._read_log()
            self.console = ConsoleLink(run, self.env, config.arbiter, self.writer, judge)
            self._closing.callback(self.console.close)
            self._clock = MonotonicClock()
            self._closing.callback(self._clock.close)
            with realtime.control_loop(config.env.arm):
                pass  # whoever may not have it is refused now; `drive` claims it, late
        except BaseException:
            self._closing.close()
            raise
        self._since_regrasp = self._incidents = self._stops_answered = 0
        self._driven = self._claimed = self._told_late = self._paused = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._closing.close()
        except HandrailError:
            if error is None:  # otherwise the first error says more
                raise

    def drive(
        self,
        policy: ActorPolicy | None,
        purpose: Purpose,
        *,
        hand: tuple[Device, MappingConfig] | None = None,
        seed_of: Callable[[int], tuple[int, ...]] | None = None,
        wanted: Callable[[], bool],
        between_steps: Callable[[Transition], bool],
        before_reset: Callable[[], None] = _nothing,
        after_episode: Callable[[EpisodeEnd], None] = _nothing,
        on_hold: Callable[[str], None] = _nothing,
        announce: Callable[[str], None] = _nothing,
    ) -> None:
        """Drive episodes of one purpose while more are `wanted`, with the device that fits it.

        A real arm that faults, a camera that freezes or a reset that is blocked ends the episode and holds
        the session until the operator resumes it; nothing moves before that. So does a stop by somebody else,
        at any time. Whenever the loop waits for something, the arm holds.

        Args:
            policy: who proposes actions; None in demonstrations.
            purpose: "train", "demo", "classify" or "evaluate"; of an evaluation the policy stays as it is.
            hand: who drives, and how it is mapped; by default the device that the configuration names.
            seed_of: names an episode's randomness by its number; by default with the run's own seed.
            wanted: asked before each episode, and again and again while the session is held.
            between_steps: told of each step; False ends the episode there.
            before_reset: called before each reset.
            after_episode: told of each episode.
            on_hold: told why the session is held, again and again while it is; must not block.
            announce: told once what a person's device is and what its buttons do, of a priority that the loop
                could not get, and of a classifier that looks longer than it may while the arm moves.

        Raises:
            DeviceError: the device is missing, or not at rest.
            ArmError: what nobody is there to see to: the arm was stopped by somebody else, or faults again
                and again.
        """
        own_device, mapping = hand or make_device(self.config, self.env, demonstrate=policy is None)
        console, device = self.console, self.console.share(own_device)
        person = self.config.actor.device in HAND_DEVICES
        console.tell(purpose=purpose, most_steps=self.config.env.task.max_steps)
        device.open()
        try:
            self._claim_priority(announce)
            if person:
                wait_until_heard(own_device)
                announce(str(own_device))
            if not self._driven:  # a device that is held, stuck or gone at the start is refused
                check_at_rest(own_device, time.monotonic_ns())
            if isinstance(device, EpisodeAware):  # after a restart: what it had seen of this run
                for success, unaided in self.history.finished:
                    device.episode_finished(success, unaided)
            # A person's device has threads that stamp its readings with the machine's own time.
            now_ns = time.monotonic_ns if person else None
            rollout = Rollout(
                self.env, device, self.config.arbiter, mapping, self.writer, now_ns, CONSOLE_MAPPING
            )

            if self._paused:  # who paused the demonstrations has paused the training as well
                rollout.pause()

            def attended() -> bool:
                return person or console.attended

            def held(reason: Reason) -> None:
                on_hold(console.hold(reason, paused=rollout.paused))

            def prompted(words: str) -> None:
                console.prompt(words)
                on_hold(words)

            hold = Hold(self.env, rollout, attended, wanted, held, self._stops_answered, console.halt)
            pace = self._pacer(lambda: person or console.real_time or rollout.paused)
            hold.until_at_rest(own_device)
            self._driven = True
            self.env.interrupt = None if self.env.lockstep else hold.interruption

            def after_step(transition: Transition) -> bool:
                console.step(transition, self.env.last_arm_state, paused=rollout.paused)
                pace(transition)
                self._tell_of_late_looks(announce)
                return between_steps(transition)

            while hold.until_resumed() and wanted():
                before_reset()
                try:
                    self._stand()  # connected, too: a stop is heard of from here on
                    if self._regrasp_is_due() and not self._regrasp(hold, prompted):
                        continue
                    if purpose == DEMONSTRATION and isinstance(own_device, NoDevice):
                        if not self._hand_at_the_page(hold, on_hold):
                            continue
                        before_reset()
                    if not self._count_down(hold):
                        continue
                    episode = self.history.next_episode
                    console.begin(episode, purpose)
                    seed = (self.config.seed, episode) if seed_of is None else seed_of(episode)
                    if policy is not None and purpose == TRAINING:
                        self._prepare(policy, seed)
                    end = rollout.run_episode(
                        policy,
                        episode=episode,
                        seed=seed,
                        purpose=purpose,
                        between_steps=after_step,
                        after_reset=lambda seen: console.start(self.env.last_arm_state, seen),
                    )
                    with suppress(ArmError):  # this episode is whole: the next `_stand` says what is wrong
                        self._stand()
                except ResetEnded:  # `hold` had the reason, and still has it
                    console.tell(running=False)
                    self._read_log()
                    continue
                except (ArmError, CameraError, ResetError) as error:
                    if self.env.lockstep:  # a simulation that breaks is a bug, not an incident
                        raise
                    console.tell(running=False)
                    self._incident(hold, error, attended())
                    self._read_log()
                    continue
                console.end(end, purpose)
                self._since_regrasp += 1
                self._read_log()
                after_episode(end)
                if end.truncated_by == "stopped" and not self.env.lockstep:
                    if not attended():
                        raise ArmError(UNANSWERED)
                    hold.stopped()
                elif end.truncated_by in HELD and not self.env.lockstep:
                    self._incident(hold, ArmError(HELD[end.truncated_by]), attended())
                else:
                    self._incidents = 0
            self._paused, self._stops_answered = rollout.paused, hold.answered
        finally:
            device.close()

    def _stand(self) -> None:
        """Have the arm hold before anything is waited for; its watchdog is for what nobody meant."""
        if not self.env.lockstep:  # where time stands still meanwhile
            self.env.hold()
        self._first_look.at_rest()

    def _claim_priority(self, announce: Callable[[str], None]) -> None:
        """Put this process first until the session closes; not while programs are still being loaded."""
        if self._claimed:
            return
        warning = self._closing.enter_context(realtime.control_loop(self.config.env.arm))
        self._claimed = True
        if warning:
            announce(warning)

    def _tell_of_late_looks(self, announce: Callable[[str], None]) -> None:
        if self._told_late or self.env.lockstep or not self.env.late_looks:
            return
        self._told_late = True
        budget_ms = self.config.env.reward.budget_ms
        announce(
            f"the reward classifier looked for longer than env.reward.budget_ms={budget_ms:g} "
            "while the arm moved; leave it a core of its own, train it on fewer cameras, or raise the budget"
        )

    def _prepare(self, policy: ActorPolicy, seed: tuple[int, ...]) -> None:
        """Fix the episode's noise, or its absence.

        Some episodes are driven as an evaluation would drive them: where a policy without noise gets stuck is
        seen, helped out of, and learned from.
        """
        rng = np.random.default_rng([*seed, 1])
        policy.deterministic = bool(rng.random() < self.config.actor.greedy_share)
        policy.seed(int(rng.integers(2**63)))

    def _incident(self, hold: Hold, error: HandrailError, person: bool) -> None:
        """Hold until the person at the device resumes; without one, until the simulated arm is well.

        Raises:
            HandrailError: nobody is there to resume, and it is too often.
        """
        if not person:
            self._incidents += 1
            if self._incidents >= MOST_INCIDENTS:
                raise error
        hold.begin(str(error))

    def _regrasp_is_due(self) -> bool:
        every = self.config.env.regrasp_every
        return self.console.regrasp_wanted or (every > 0 and self._since_regrasp >= every)

    def _regrasp(self, hold: Hold, prompt: Callable[[str], None]) -> bool:
        """Take a module anew; whether one is held. What goes wrong holds the session."""
        try:
            held = hold.regrasp(prompt)
        except (ArmError, ResetError) as error:
            hold.begin(str(error))
            return False
        if held:
            self._since_regrasp = 0
            self.console.regrasped()
        return held

    def _hand_at_the_page(self, hold: Hold, on_hold: Callable[[str], None]) -> bool:
        """Wait until somebody at the page has switched driving on; False when something else comes first.

        Without, the arm would be reset again and again for episodes in which nobody drives. A label that is
        given meanwhile may be the last demonstration's.
        """
        while not self.console.real_time:
            self._read_log()
            if hold.interruption() or self._regrasp_is_due():
                return False
            self.console.wait(AT_THE_PAGE)
            on_hold(AT_THE_PAGE)
            time.sleep(_LOOK_S)
        return True

    def _count_down(self, hold: Hold) -> bool:
        """Say on the console that the arm is about to move; whether it may, as of the end of it."""
        if self.env.lockstep:
            return True
        at_s = time.monotonic() + self.config.actor.countdown_s
        while (left_s := at_s - time.monotonic()) > 0.0:
            if hold.interruption():
                return False
            self.console.tell(driver="countdown", countdown_s=round(left_s, 1), running=False)
            time.sleep(_LOOK_S)
        self.console.tell(countdown_s=0.0)
        return not hold.interruption()

    def _pacer(self, wanted: Callable[[], bool]) -> Callable[[Transition], None]:
        """A person at the simulated cell needs real time; the synthetic operator does not."""
        if not self.env.lockstep:
            return _nothing
        ticker: Ticker | None = None

        def pace(transition: Transition) -> None:
            nonlocal ticker
            if not wanted():
                ticker = None
                return
            if ticker is None or transition.step == 0:
                ticker = Ticker(self._clock, round(NS_PER_S / self.config.env.hz))
            ticker.wait()

        return pace

    def _read_log(self) -> None:
        for sequence, record in self._reader.records(self.history.sequence):
            self.history.ingest(sequence, record)
