"""A Robotiq gripper through its URCap: registers set and read by name on port 63352 of the robot.

A worker does the talking, so that every method returns at once. The protocol is the URCap's own:
`SET POS 255 SPE 128 FOR 20 GTO 1` is answered by `ack`, `GET POS` by `POS 12`.
"""

import contextlib
import logging
import socket
import threading
import time

from handrail.robot_env.arms.ur.config import URConfig
from handrail.robot_env.errors import ArmError

log = logging.getLogger(__name__)

PORT = 63352
TIMEOUT_S = 1.0
POLL_S = 0.05
RETRY_S = 0.2
"""Time from a failure to the next attempt [s]: an answer that was garbled once is no gripper that is lost."""
SPEED = 255
ACTIVE = 3
"""Value of STA once the gripper has found its end stops; it loses that with its power, or in a fault."""


class RobotiqGripper:
    """The gripper of one robot. Every method returns at once; the last command given wins.

    A gripper that is lost, or that has lost its activation, refuses commands with an `ArmError` until it is
    well.

    Args:
        config: facts of the robot.

    Raises:
        ArmError: it cannot be reached, or is not activated.
    """

    def __init__(self, config: URConfig) -> None:
        self._config = config
        self._buffer = b""
        self._trouble = ""
        try:
            self._socket = socket.create_connection((config.host, PORT), TIMEOUT_S)
        except OSError as error:
            raise ArmError(
                f"the Robotiq gripper at {config.host}:{PORT} cannot be reached ({error}); install its "
                "URCap, or set env.arm.ur.gripper to none"
            ) from error
        try:
            if trouble := self._unfit():
                raise ArmError(f"the Robotiq gripper {trouble}")
            self._measure()
        except OSError as error:
            self._socket.close()
            raise ArmError(f"the Robotiq gripper does not answer: {error}") from error
        except BaseException:
            self._socket.close()
            raise
        self._wanted: tuple[int, int] | None = None
        self._lock = threading.Lock()
        self._ended, self._asked = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="robotiq", daemon=True)
        self._thread.start()

    @property
    def width_m(self) -> float:
        """Opening between the jaws [m], as it was at `read_ns`."""
        return self._width

    @property
    def read_ns(self) -> int:
        """When the gripper said so, monotonic clock [ns]; stands still while it does not answer."""
        return self._read_ns

    @property
    def stroke_m(self) -> float:
        """That opening when fully open [m]."""
        return self._config.gripper_stroke_m

    def open(self) -> None:
        """Open fully."""
        self._want(self._config.gripper_counts[0], 0.0)

    def close(self) -> None:
        """Close until something is held."""
        self._want(255, self._config.gripper_force_n)

    def move(self, width_m: float, force_n: float) -> None:
        """Move the jaws to `width_m` apart [m], pressing with at most `force_n` [N] and the weakest grip."""
        opened, closed = self._config.gripper_counts
        share = min(1.0, max(0.0, width_m / self._config.gripper_stroke_m))
        self._want(round(closed - share * (closed - opened)), force_n)

    def shut_down(self) -> None:
        """Let go of the line; what the gripper holds it keeps holding."""
        self._ended.set()
        self._asked.set()
        self._thread.join()
        self._socket.close()

    def _want(self, counts: int, force_n: float) -> None:
        weakest, strongest = self._config.gripper_forces_n
        if self._trouble:
            raise ArmError(f"the Robotiq gripper {self._trouble}")
        share = min(1.0, max(0.0, (force_n - weakest) / (strongest - weakest)))
        with self._lock:
            self._wanted = counts, round(255 * share)
        self._asked.set()

    def _take(self) -> tuple[int, int] | None:
        with self._lock:
            wanted, self._wanted = self._wanted, None
            self._asked.clear()
        return wanted

    def _work(self) -> None:
        while not self._ended.is_set():
            try:
                self._note(self._unfit())
                if (wanted := self._take()) is not None and not self._trouble:
                    counts, force = wanted
                    self._say(f"SET POS {counts} SPE {SPEED} FOR {force} GTO 1")
                self._measure()
            except OSError as error:
                self._note(f"does not answer: {error}")
                self._take()
                self._ended.wait(RETRY_S)
                self._reconnect()
            self._asked.wait(POLL_S)

    def _note(self, trouble: str) -> None:
        """Keep what is wrong with it, "" for nothing, and say so once."""
        if trouble and trouble != self._trouble:
            log.warning("the Robotiq gripper %s", trouble)
        self._trouble = trouble

    def _unfit(self) -> str:
        """Why it would not obey; "" when it would."""
        fault = self._get("FLT")
        if self._get("STA") != ACTIVE:
            # Activation closes and opens it fully: that is for somebody who looks.
            what = f" (its fault {fault})" if fault else ""
            return f"is not activated{what}; activate it at the pendant, where you see it"
        return f"is in its fault {fault}; see its manual, and the pendant" if fault else ""

    def _measure(self) -> None:
        opened, closed = self._config.gripper_counts
        share = (closed - self._get("POS")) / (closed - opened)
        self._width = self._config.gripper_stroke_m * min(1.0, max(0.0, share))
        self._read_ns = time.monotonic_ns()

    def _get(self, name: str) -> int:
        answer = self._say(f"GET {name}").split()
        if len(answer) != 2 or answer[0] != name:
            raise OSError(f"asked for {name}, it said {' '.join(answer)!r}")
        try:
            return int(answer[1])
        except ValueError:  # "?" while the URCap has lost the gripper itself
            raise OSError(f"asked for {name}, it said {answer[1]!r}") from None

    def _say(self, line: str) -> str:
        self._socket.sendall(line.encode() + b"\n")
        while b"\n" not in self._buffer:
            data = self._socket.recv(1024)
            if not data:
                raise OSError("it hung up")
            self._buffer += data
            if self._buffer == b"ack":
                break  # some versions end this answer with nothing
        answer, _, self._buffer = self._buffer.partition(b"\n")
        return answer.decode(errors="replace").strip()

    def _reconnect(self) -> None:
        self._socket.close()
        self._buffer = b""
        with contextlib.suppress(OSError):
            self._socket = socket.create_connection((self._config.host, PORT), TIMEOUT_S)
