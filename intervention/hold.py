"""Between episodes: nothing moves while the operator pauses, or until he has seen to an incident.

And what moves then is guided by him: taking a module anew.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from handrail.intervention.device import Device, DeviceError, check_at_rest
from handrail.intervention.rollout import Rollout
from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.errors import ArmError
from handrail.robot_env.regrasp import STOPPED

RESUME = "resume with the pause or success button"
"""How whoever is at the device ends a pause."""
UNANSWERED = f"{STOPPED}, then start the command again"
"""What ends a session in which nobody can resume."""
_LOOK_S = 0.05
_HEARD_S = 1.0


@dataclass(frozen=True)
class Reason:
    """Why nothing moves; `str` is what whoever is at the device is told.

    Attributes:
        kind: "pause" by the operator, "stop" by somebody else, "incident" for all else.
        text: in words.
        remedy: what to do at the device; "" where the words say it.
    """

    kind: Literal["pause", "stop", "incident"]
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.text}; {self.remedy}" if self.remedy else self.text


_BY_SOMEBODY_ELSE = Reason("stop", STOPPED)


class Hold:
    """Holds a session; owned by the thread that drives it.

    After an incident the arm has to be out of its fault (`handrail arm recover`), and then the person at the
    device resumes with its pause button, or its success button, which a device with two buttons has as well:
    after the recovery, since whoever recovers may stand at the arm. Where there is no person, a simulated arm
    goes on once it is well.

    A stop by somebody else is an incident whenever it comes, also while nothing moves. It is answered by a
    person who resumes after it; where there is none, the session ends.

    Args:
        env: whose arm must be well.
        rollout: which hears the device.
        person: asked whether there is somebody who can resume.
        wanted: whether to wait any longer; asked again and again.
        on_hold: told why, again and again.
        answered: how many of the stops of `env` are the past's.
        halt: who paused, in words, where nothing else says why.

    Attributes:
        answered: how many of them have been seen, and answered.
    """

    def __init__(
        self,
        env: RobotEnv,
        rollout: Rollout,
        person: Callable[[], bool],
        wanted: Callable[[], bool],
        on_hold: Callable[[Reason], None],
        answered: int = 0,
        halt: object = "paused by the operator",
    ) -> None:
        self._env, self._rollout, self._person = env, rollout, person
        self._wanted, self._on_hold, self._halt = wanted, on_hold, halt
        self._incident: Reason | None = None
        self.answered = self._stops = answered
        self._deserted = False

    def begin(self, incident: str) -> None:
        """Hold from now on, because of `incident`."""
        self._begin(Reason("incident", incident))

    def stopped(self) -> None:
        """Hold from now on, because somebody else stopped the arm."""
        self._begin(_BY_SOMEBODY_ELSE)

    def _begin(self, incident: Reason) -> None:
        self._incident = incident
        if self._person():
            self._rollout.pause()
        self._on_hold(incident)

    def interruption(self) -> str:
        """Why a reset or a countdown that is under way must end now; "" while it need not."""
        self._rollout.look()
        if (halted := self._halted()) is not None:
            return halted.text
        return "" if self._wanted() else "the session ends"

    def until_resumed(self) -> bool:
        """Wait while there is reason to hold; False when waiting is no longer wanted.

        Raises:
            ArmError: somebody else stopped the arm, and nobody was there to say when it may go on.
        """
        # The press that ended the episode may still be down.
        success = True
        while True:
            before, success = success, "success" in self._rollout.look().buttons
            if success and not before:
                self._rollout.resume()
            self._look_for_stops()  # after the press, which is no answer to a stop that came with it
            reason = self._reason()
            if reason is None:
                self._incident, self.answered = None, self._stops
                return True
            if not self._wanted():
                return False
            if self._deserted:
                raise ArmError(UNANSWERED)
            self._on_hold(reason)
            time.sleep(_LOOK_S)

    def until_at_rest(self, device: Device) -> None:
        """Wait until nobody holds the device: it may not begin to drive by itself."""
        while self._wanted():
            try:
                check_at_rest(device, time.monotonic_ns())
                return
            except DeviceError as error:
                self._on_hold(Reason("incident", str(error)))
            time.sleep(_LOOK_S)

    def regrasp(self, prompt: Callable[[str], None]) -> bool:
        """Take a module anew, guided by the device: its success button acknowledges each prompt.

        Args:
            prompt: told what the operator is to do.

        Returns:
            Whether a module is held; False when it was paused or stopped, or is no longer wanted.

        Raises:
            ResetError: it took too long, nothing was caught, or somebody else stopped the arm; it holds.
            ArmFault: the arm is in a latched fault.
        """
        procedure = self._env.regrasp(self._stops)
        while self._wanted():
            reading = self._rollout.look()
            if self._halted():
                break
            step = procedure.step("success" in reading.buttons)
            if step.done:
                return True
            prompt(step.prompt)
            time.sleep(_LOOK_S)
        procedure.cancel()
        return False

    def _look_for_stops(self) -> None:
        """Begin an incident for a stop that was not seen before."""
        stops = self._env.stops
        if stops != self._stops:
            self._stops = stops
            self._deserted = not self._person()
            self.stopped()

    def _halted(self) -> Reason | None:
        """Why nothing may move until the operator says so; None while it may."""
        self._look_for_stops()
        return self._standing()

    def _standing(self) -> Reason | None:
        """As `_halted`, of what has been seen."""
        if not (self._rollout.paused or self._deserted):
            return None
        return self._incident or Reason("pause", str(self._halt))

    def _reason(self) -> Reason | None:
        """Why nothing may move now, and what to do; None when it may."""
        if self._incident is not None:
            mode, fault = self._env.arm_mode()
            if mode in (ArmMode.FAULT, ArmMode.DISARMED) and self._person():
                self._rollout.pause()  # what was pressed before the arm was well is no word to go on
            if mode is ArmMode.FAULT:
                return Reason("incident", fault, "see to it, then `handrail arm recover by=<your name>`")
            if mode is ArmMode.DISARMED:
                return Reason("incident", fault, "see to it, or wait for it")
        standing = self._standing()
        return standing if standing is None or self._deserted else replace(standing, remedy=RESUME)


def wait_until_heard(device: Device) -> None:
    """Give a device that has just been opened a moment to say that it is there."""
    deadline_s = time.monotonic() + _HEARD_S
    while not device.read(time.monotonic_ns()).connected and time.monotonic() < deadline_s:
        time.sleep(_LOOK_S)
