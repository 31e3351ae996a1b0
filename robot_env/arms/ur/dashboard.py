"""The dashboard server of a UR: a line in, a line out (port 29999).

What needs no control program: is the robot ready for one, and making it ready again after a protective stop.
https://docs.universal-robots.com/tutorials/communication-protocol-tutorials/dashboard-server.html
"""

import socket
import time
from types import TracebackType
from typing import Self

from handrail.robot_env.arms.ur.state import DASHBOARD_SAFETY, PROTECTIVE_STOP, fault_of
from handrail.robot_env.errors import ArmError, ArmFault

PORT = 29999
TIMEOUT_S, POLL_S = 2.0, 0.1
_ROBOT_MODES = {
    "NO_CONTROLLER": -1,
    "DISCONNECTED": 0,
    "CONFIRM_SAFETY": 1,
    "BOOTING": 2,
    "POWER_OFF": 3,
    "POWER_ON": 4,
    "IDLE": 5,
    "BACKDRIVE": 6,
    "RUNNING": 7,
    "UPDATING_FIRMWARE": 8,
}


class Dashboard:
    """One conversation with the dashboard. Use as a context manager; every answer has a deadline.

    Args:
        host: address of the controller.

    Raises:
        ArmError: nobody answers there.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._buffer = b""
        try:
            self._socket = socket.create_connection((host, PORT), TIMEOUT_S)
        except OSError as error:
            raise self._unreachable(error) from error
        try:
            self._line()  # it greets
        except BaseException:
            self._socket.close()
            raise

    def ask(self, command: str) -> str:
        """Send a command, return the answer.

        Raises:
            ArmError: there was none in time.
        """
        try:
            self._socket.sendall(command.encode() + b"\n")
        except OSError as error:
            raise self._unreachable(error) from error
        return self._line()

    def safety_mode(self) -> int:
        """The safety mode, numbered as in RTDE; 11 for one of another name."""
        return DASHBOARD_SAFETY.get(_value(self.ask("safetystatus")), 11)

    def fault(self) -> str:
        """Why the robot will not move, in words; "" when it would."""
        mode = _ROBOT_MODES.get(_value(self.ask("robotmode")), -1)
        return fault_of(self.safety_mode(), mode)

    def require_ready(self) -> None:
        """Refuse a robot that takes no orders from the network, or takes somebody else's.

        Raises:
            ArmError: it is not in remote control, too old, or a program runs.
        """
        version = self.ask("PolyscopeVersion")
        numbers = next((word.split(".") for word in version.split() if word[:1].isdigit()), [])
        if len(numbers) < 2 or (int(numbers[0]), int(numbers[1])) < (5, 6):
            raise ArmError(
                f"the UR at {self._host} has {version!r}; PolyScope 5.6 or later is needed: update it"
            )
        if self.ask("is in remote control") != "true":
            raise ArmError(
                f"the UR at {self._host} is in local control; choose Remote Control at the top right of the "
                "pendant (and enable it under Settings, System)"
            )
        program = self._program()
        if program in ("PLAYING", "PAUSED") and not self.fault():
            raise ArmError(
                f"a program is running on the UR at {self._host} ({program}); stop it at the pendant"
            )

    def stop(self) -> None:
        """End the program, so that nobody can resume it where it was."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while self._program() in ("PLAYING", "PAUSED") and time.monotonic() < deadline_s:
            self.ask("stop")
            time.sleep(POLL_S)

    def clear_protective_stop(self, patience_s: float) -> None:
        """Unlock a protective stop, as soon as the robot allows it. Anything else is left as it is.

        Raises:
            ArmFault: it did not allow it in time.
        """
        deadline_s = time.monotonic() + patience_s
        answer = ""
        while self.safety_mode() == PROTECTIVE_STOP:
            if time.monotonic() > deadline_s:
                raise ArmFault(
                    f"the protective stop was not unlocked in {patience_s:g} s (the robot says {answer!r}); "
                    "see what holds it, and the pendant"
                )
            self.ask("close safety popup")
            answer = self.ask("unlock protective stop")
            time.sleep(POLL_S)
        settled_s = time.monotonic() + TIMEOUT_S
        while answer and self.fault() and time.monotonic() < settled_s:
            time.sleep(POLL_S)

    def _program(self) -> str:
        """The state of the program: STOPPED, PLAYING or PAUSED."""
        return self.ask("programState").partition(" ")[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def _line(self) -> str:
        while b"\n" not in self._buffer:
            try:
                data = self._socket.recv(4096)
            except OSError as error:
                raise self._unreachable(error) from error
            if not data:
                raise self._unreachable(ConnectionError("it hung up"))
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode(errors="replace").strip()

    def _unreachable(self, error: Exception) -> ArmError:
        return ArmError(
            f"the UR at {self._host} does not answer on port {PORT} ({error}); is it on, and is its address "
            "right (env.arm.ur.host)?"
        )


def _value(answer: str) -> str:
    """What follows the colon."""
    return answer.partition(":")[2].strip()
