"""A control loop's side of the console: what it tells, what it obeys, and the hand it shares the wheel with.

Whoever drives episodes owns one. Without a console at the other end it costs a few microseconds a step, and
whatever becomes of a console, the control loop does not wait for it.
"""

import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from handrail.intervention.config import ArbiterConfig
from handrail.intervention.console.desk import Desk, Outcome
from handrail.intervention.console.eyes import Eyes
from handrail.intervention.console.feed import Feed
from handrail.intervention.console.halt import Halt
from handrail.intervention.console.hand import SILENT, ConsoleHand, Press, SharedDevice
from handrail.intervention.console.messages import (
    VERDICTS,
    Command,
    Ended,
    Hand,
    Left,
    Now,
    Step,
    Steps,
    desk_address,
    feed_address,
)
from handrail.intervention.console.secretary import Secretary
from handrail.intervention.device import Button, Device
from handrail.intervention.hold import RESUME, Reason
from handrail.intervention.log_format import EpisodeEnd, Event
from handrail.intervention.log_writer import LogWriter
from handrail.intervention.run_directory import RunDirectory
from handrail.intervention.transition import Source, Transition
from handrail.robot_env.arms.arm import ArmMode, ArmState
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.judge import Judge

BEAT_S = 0.25
_ATTENDED_S = 600.0
_STEPS_S = 0.1  # steps of a simulation that runs ahead travel together
_DRIVERS = {Source.POLICY: "policy", Source.HUMAN: "human", Source.SCRIPT: "hold"}
_PRESSED: dict[str, Button] = {"reset": "abandon", "pause": "hold"}


class ConsoleLink:
    """Owned by the control loop's thread; `Desk` and a heartbeat have threads of their own.

    Args:
        run: the run; its socket folder holds both ends.
        env: what is driven.
        arbiter: for how long a silent hand is trusted.
        writer: the run's log, for labels; None where nothing is recorded.
        judge: what judges the images, whose threshold is told; None for none.

    Attributes:
        regrasp_wanted: whether an operator has asked for a part to be taken anew, and none has been yet.
        halt: who has paused the policy from here, in words.
    """

    def __init__(
        self,
        run: RunDirectory,
        env: RobotEnv,
        arbiter: ArbiterConfig,
        writer: LogWriter | None,
        judge: Judge | None = None,
    ) -> None:
        self.regrasp_wanted = False
        self.halt = Halt()
        self._heard_s = -_ATTENDED_S
        self._env, self._judge = env, judge
        self._lock = threading.Lock()
        self._steps: list[Step] = []
        self._steps_s = 0.0
        sockets = run.socket_dir()
        self._feed = Feed(feed_address(sockets))
        self.eyes = Eyes(env, self._feed)
        self.hand = ConsoleHand(arbiter.stale_s, forgives=env.lockstep)
        self._secretary = None if writer is None else Secretary(run, writer)
        self._now = Now(
            run_id=run.id,
            boot=uuid.uuid4().hex,
            purpose="",
            driver="waiting",
            t_ns=time.monotonic_ns(),
            most_steps=env.config.task.max_steps,
            period_s=env.period_s,
            cameras=self.eyes.names,
            threshold=self._threshold,
        )
        closing = self._secretary.close if self._secretary is not None else lambda: None
        self._desk = Desk(desk_address(sockets), self._obey, self._feel, self.eyes.watch, closing)
        self._stop = threading.Event()
        self._beat = threading.Thread(target=self._go_on, name="console-beat", daemon=True)
        self._beat.start()

    def close(self) -> None:
        """End the threads and close the sockets."""
        self._stop.set()
        self._beat.join(timeout=2.0)
        self._desk.close()
        self._feed.send(Left(self._now.boot))
        self.eyes.close()
        self._feed.close()

    # What the control loop asks
    # -----------------------------------------------------------------------------------------------

    def share(self, device: Device) -> SharedDevice:
        """The device, with the hand at the console over it."""
        self.tell(device=device.name)
        return SharedDevice(device, self.hand, self._running)

    def _running(self) -> int | None:
        return self._now.episode if self._now.running else None

    @property
    def real_time(self) -> bool:
        """Whether a simulated arm is to move as slowly as a real one: somebody wants to see, or drives."""
        return self.eyes.real_time or bool(self.hand.driver)

    @property
    def attended(self) -> bool:
        """Whether an operator at a console has driven this run of late: somebody can resume what is held."""
        return time.monotonic() - self._heard_s < _ATTENDED_S

    # What the control loop tells
    # -----------------------------------------------------------------------------------------------

    def tell(self, **facts: Any) -> None:
        """Change fields of `Now`, and send it if anything is new."""
        with self._lock:
            before = self._now
            now = msgspec.structs.replace(before, **facts)
            if now == before:
                return
            self._now = msgspec.structs.replace(now, t_ns=time.monotonic_ns())
        if _headline(now) != _headline(before):
            self._send_now()

    def hold(self, reason: Reason, *, paused: bool) -> str:
        """Nothing moves between two episodes, and why.

        Returns:
            Why, as it is to be told elsewhere: with what to do at the device, unless somebody at a console
            halted it, who has a way of their own to go on.
        """
        mode, _ = self._env.arm_mode()
        fault = mode is ArmMode.FAULT
        halt = self._halt(paused)
        words = reason.text if reason.remedy == RESUME else str(reason)  # the page has a way of its own
        if reason.kind == "stop" and halt["stopped"]:  # this console's stop, which the arm has heard as well
            words = str(self.halt)
        elif reason.kind != "pause":  # an incident says more than who pressed what meanwhile
            halt |= {"stopped": False, "halted_by": ""}
        self.tell(driver="held", running=False, reason=words, fault=fault, hand="", **halt)
        self.eyes.see({})
        return words if self.halt.who else str(reason)

    def prompt(self, words: str) -> None:
        """A part is taken anew, and this is what the operator is to do."""
        self.tell(driver="regrasp", running=False, reason=words, fault=False)
        self.eyes.see({})

    def wait(self, reason: str) -> None:
        """No episode can begin yet, for a reason that is no incident and no pause."""
        self.tell(driver="waiting", running=False, reason=reason, fault=False)
        self.eyes.see({})

    def regrasped(self) -> None:
        """A part was taken anew, and is held."""
        self.regrasp_wanted = False

    def begin(self, episode: int, purpose: str) -> None:
        """An episode is about to begin; its steps will follow."""
        self._send_steps()
        self.tell(
            episode=episode,
            purpose=purpose,
            step=0,
            driver="reset",
            reason="",
            fault=False,
            **self._halt(False),
            hand="",
        )

    def step(self, transition: Transition, state: ArmState, *, paused: bool) -> None:
        """A step was made and stored."""
        force_n = float(np.linalg.norm(state.wrench[:3]))
        self._steps.append(
            Step(
                transition.step,
                int(transition.source),
                round(force_n, 3),
                transition.value,
                transition.score,
                transition.reward,
                tuple(np.round(transition.action, 4).tolist()),
                transition.weights_version,
            )
        )
        driver, hand = _DRIVERS[transition.source], self.hand.driver
        halt = self._halt(paused)
        reason = str(self.halt) if paused else SILENT if driver == "hold" and hand else ""
        self.tell(
            driver=driver,
            running=not (transition.terminated or transition.truncated),
            **halt,
            reason=reason,
            fault=False,
            step=transition.step + 1,
            hand=hand,
            pose=tuple(np.round(state.pose, 5).tolist()),
            force_n=round(force_n, 2),
            threshold=self._threshold,
        )
        if time.monotonic() - self._steps_s >= _STEPS_S:
            self._send_steps()
        self.eyes.see(transition.next_images)

    def start(self, state: ArmState, images: Mapping[str, np.ndarray]) -> None:
        """The reset succeeded: from here on the episode runs."""
        pose = tuple(np.round(state.pose, 5).tolist())
        self.tell(running=True, driver="policy", pose=pose, threshold=self._threshold)
        self.eyes.see(images)

    def end(self, end: EpisodeEnd, purpose: str) -> None:
        """An episode is over and in the log."""
        self._send_steps()
        self.tell(running=False)
        self._feed.send(
            Ended(
                end.episode,
                purpose,
                end.steps,
                end.success,
                end.unaided,
                end.truncated_by,
                end.human_steps,
                end.takeovers,
            )
        )

    def _halt(self, paused: bool) -> dict[str, Any]:
        """The fields of `Now` about a pause."""
        self.halt.stands(paused)
        if not paused:
            return {"paused": False, "stopped": False, "halted_by": ""}
        return {"paused": True, "stopped": self.halt.stopped, "halted_by": self.halt.who}

    @property
    def _threshold(self) -> float | None:
        """Of the stage that is looked for now; asked in the control loop's thread, as the judge is."""
        return None if self._judge is None else self._judge.threshold

    def _send_steps(self) -> None:
        if self._steps:
            self._feed.send(Steps(self._now.episode, self._steps))
            self._steps = []
        self._steps_s = time.monotonic()

    def _send_now(self) -> None:
        now = self._now
        self._feed.send(
            msgspec.structs.replace(
                now,
                can=self._can(now),
                blind=self.eyes.blind,
                real_time=not self._env.lockstep or self.real_time,
            )
        )

    def _go_on(self) -> None:
        """A reset takes seconds, and a console that joins late wants to know where things stand."""
        while not self._stop.wait(BEAT_S):
            self._send_now()

    # What an operator asks; all of it in the desk's thread
    # -----------------------------------------------------------------------------------------------

    def _can(self, now: Now) -> tuple[str, ...]:
        can: list[str] = ["stop", "resume" if now.paused or now.driver == "held" else "pause"]
        if now.running:
            can += [*VERDICTS, "reset"]
        if now.driver == "regrasp":
            can.append("acknowledge")
        if self._env.config.regrasp is not None:
            can.append("regrasp")
        if self._secretary is not None:
            can += ["label", "comment"]
        return tuple(can)

    def _feel(self, hand: Hand) -> None:
        self._heard_s = time.monotonic()
        self.hand.feel(hand)

    def _obey(self, command: Command) -> str | Outcome:
        now, verb = self._now, command.verb
        if verb not in ("label", "comment"):  # which a reviewer far away from the arm may say as well
            self._heard_s = time.monotonic()
        match verb:
            case "success" | "failure" | "discard" | "reset":
                return self._judged(command, now)
            case "pause" | "resume" | "stop":
                return self._halted(Press(_PRESSED.get(verb, verb), command.who))
            case "acknowledge":
                if now.driver != "regrasp":
                    return "there is nothing to acknowledge now"
                return self.hand.press(Press("success", command.who))
            case "regrasp":
                if self._env.config.regrasp is None:
                    return "this station has no regrasp procedure: teach env.regrasp first"
                self.regrasp_wanted = True
                return ""
            case _:
                if self._secretary is None:
                    return "nothing is recorded here that could be labelled"
                return self._secretary.write(command, self._running)

    def _halted(self, press: Press) -> str:
        """Stop, pause or resume; who did it is kept in the log."""
        why = self.hand.press(press)
        kind = None if why else self.halt.asked(press)
        if kind is not None and self._secretary is not None:
            at = self._now.episode
            self._secretary.note(Event(kind, at, press.who, time.time_ns(), None, None, ""))
        return why

    def _judged(self, command: Command, now: Now) -> str | Outcome:
        """A verdict on the running episode, and on no other; answered once the control loop has seen it."""
        if not now.running:
            return "no episode is running; correct a finished one in the review"
        if command.episode != now.episode:
            return f"episode {now.episode} is running, not {command.episode}; correct that one in the review"
        if now.purpose == "classify" and command.verb == "success":
            return "hold the button down for as long as it is a success"
        button: Button = _PRESSED.get(command.verb, command.verb)  # pyright: ignore[reportAssignmentType]
        press = Press(button, command.who, now.episode)
        self.hand.press(press)
        deadline_s = time.monotonic() + command.ttl_ms / 1000

        def outcome() -> str | None:
            if press.outcome is None and time.monotonic() > deadline_s:
                self.hand.withdraw(press, "the control loop has not looked in time; ask again")
            return press.outcome

        return outcome


def _headline(now: Now) -> tuple[object, ...]:
    """What is worth a message of its own at once; the rest waits for the next heartbeat."""
    return now.driver, now.reason, now.paused, now.stopped, now.episode, now.running, now.hand, now.device
