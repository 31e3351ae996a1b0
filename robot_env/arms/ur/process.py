"""The driver's end of the process that holds ur_rtde: started, asked, listened to, and ended for certain."""

import subprocess
import sys
import tempfile
import threading
import time

from handrail.robot_env.arms.ur.config import URConfig
from handrail.robot_env.arms.ur.messages import Alive, Link, Lost, Message, Reading, Reply, SetLoad, Setup
from handrail.robot_env.errors import ArmError, ArmFault

CONTROL = "handrail.robot_env.arms.ur.control"
START_S = 15.0
"""How long it may take to reach the robot and upload the program [s]."""
ALIVE_S = 0.02
"""Time after which the process is told at least that the driver is there [s]."""
END_S = 2.0
"""How long it may take to stop the arm and end [s]."""


class URProcess:
    """One process, one connection to one robot. Once lost it stays lost: start another.

    `latest`, `send` and `request` may each be called from a thread of their own.

    Args:
        config: facts of the robot.
        load: what it carries.

    Raises:
        ArmError: the robot cannot be reached, or takes no program.
    """

    def __init__(self, config: URConfig, load: SetLoad) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._reading: Reading | None = None
        self._lost = ""
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._stream, stream = Link.pair()
        self._calls, calls = Link.pair()
        with stream, calls:
            self._process = subprocess.Popen(
                [sys.executable, "-m", CONTROL, str(stream.fileno()), str(calls.fileno())],
                pass_fds=[stream.fileno(), calls.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
            )
        self._heard_s = self._said_s = time.monotonic()
        try:
            self._call(Setup(config, load), START_S)
        except BaseException:
            self.close()
            raise
        self._heard_s = time.monotonic()

    def latest(self) -> Reading:
        """What the robot last said.

        Raises:
            ArmError: the link is gone, and why.
        """
        with self._lock:
            self._listen()
            if self._lost:
                raise ArmError(self._lost)
            self._say_something()
            if self._reading is None:
                raise ArmError("the robot has said nothing yet")
            return self._reading

    def send(self, message: Message) -> None:
        """Say something, without waiting for anything."""
        self._said_s = time.monotonic()
        self._stream.send(message)

    def request(self, message: Message, timeout_s: float) -> None:
        """Ask for something and wait until it is done.

        Raises:
            ArmFault: the robot is in a fault.
            ArmError: it refused, or the link is gone.
        """
        self._call(message, timeout_s, listen=True)

    def close(self, reason: str = "the link to the robot is closed") -> None:
        """Let the process stop the arm and end; end it if it does not. Safe to call twice."""
        with self._lock:
            self._lost = self._lost or reason
            self._stream.close()
            self._calls.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

    def _call(self, message: Message, timeout_s: float, listen: bool = False) -> None:
        deadline_s = time.monotonic() + timeout_s
        what = type(message).__name__
        self._calls.send(message)
        while not self._calls.wait(ALIVE_S):
            self._say_something()
            if listen:
                self.latest()
            if time.monotonic() > deadline_s:
                with self._lock:
                    # Whatever it does now, nobody waits for it any more: the robot's watchdog stops the arm.
                    self._process.kill()
                    self._lost = f"the UR's control process has not done {what} within {timeout_s:g} s"
                    raise ArmError(self._lost)
        try:
            (reply,) = self._calls.drain()
        except EOFError:
            with self._lock:
                self._listen()
                self._lost = self._lost or self._last_words()
                raise ArmError(self._lost) from None
        assert isinstance(reply, Reply)
        if reply.error:
            raise (ArmFault if reply.fault else ArmError)(reply.error)

    def _listen(self) -> None:
        """Take in what has been said. With the lock."""
        if self._lost:
            return
        try:
            for message in self._stream.drain():
                self._heard_s = time.monotonic()
                if isinstance(message, Reading):
                    self._reading = message
                elif isinstance(message, Lost):
                    self._lost = message.reason
        except EOFError:
            self._lost = self._last_words()
        silent_s = time.monotonic() - self._heard_s
        if not self._lost and silent_s > self._config.silence_s:
            self._lost = f"the UR's control process has been silent for {1e3 * silent_s:.0f} ms; recover()"
        if self._lost:
            self._process.kill()

    def _say_something(self) -> None:
        if time.monotonic() - self._said_s > ALIVE_S:
            self.send(Alive())

    def _last_words(self) -> str:
        """Why the process has ended, as far as it can be told."""
        code = self._process.poll()
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").strip().splitlines()
        said = f", last said: {lines[-1]}" if lines else ""
        return f"the UR's control process has ended (code {code}{said}); recover()"
