"""What is alive between a driver and a SERL server: the newest state in, the newest set-point out.

Two loops on the session's thread: one asks for states, the other sends the newest set-point, so that a slow
server is given fewer set-points, never old ones. `SerlWatch` judges each state on the way in.

Calls that are under way at once may arrive in any order. So whatever ends the pull waits until no set-point
is under way: one that arrived behind it would pull for ever.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from handrail.robot_env.arms.driver import DriverReading
from handrail.robot_env.clock import NS_PER_S
from handrail.robot_env.errors import ArmError
from handrail.robot_env.geometry import Array
from handrail.robot_env.serl.config import SerlHttpConfig
from handrail.robot_env.serl.protocol import decode_state
from handrail.robot_env.serl.session import SerlRefusal, SerlSession
from handrail.robot_env.serl.watch import SerlWatch, WatchLimits

REPEAT_S = 0.5
"""A set-point that stays is sent again so often: a server with a watchdog wants to hear of us [s]."""
REFUSALS = 3
"""Set-points refused in a row that are a fault; HIL-SERL's server refuses none, ours does when it must."""


class SerlLink:
    """A polled, watched SERL server. Any thread may call any method.

    Attributes:
        session: for commands that are neither states nor set-points.

    Args:
        config: where the server is, and how often it is asked.
    """

    def __init__(self, config: SerlHttpConfig) -> None:
        self.session = SerlSession(config.url, config.deadline_s)
        self._config = config
        limits = WatchLimits(
            config.frozen_states, config.follow_m, config.follow_rad, config.follow_n, config.follow_s
        )
        self._watch = SerlWatch(limits, time.monotonic_ns)
        self._lock = threading.Lock()
        self._reading: DriverReading | None = None
        self._raw_wrench = np.zeros(6)
        self._tare = np.zeros(6)
        self._answered_ns = 0
        self._error = ""
        self._fault = ""
        self._resting = False
        self._setpoint: Array | None = None
        self._params: dict[str, float] | None = None
        self._wake = asyncio.Event()
        self._sending = asyncio.Lock()

    def open(self) -> None:
        """Read one state, then go on reading; nothing that moves is sent.

        Raises:
            ArmError: no server answers with a state there.
        """
        self.session.open()
        try:
            self.look()
        except ArmError as error:
            self.session.close()
            raise ArmError(
                f"{error}; start the SERL server, or correct env.arm.serl_http.url if it runs"
            ) from error
        self._wake, self._sending = asyncio.Event(), asyncio.Lock()  # of the session's present loop
        for loop in (self._poll(), self._send()):
            self.session.submit(loop).add_done_callback(self._ended)

    def close(self) -> None:
        """Give up every call and end the thread. Safe to call twice."""
        self.session.close()
        with self._lock:
            self._reading, self._setpoint, self._params = None, None, None

    def look(self) -> None:
        """Ask for a state now.

        Raises:
            ArmError: there is none, or a dead one.
        """
        content = self.session.request("getstate", deadline_s=self._config.slow_deadline_s)
        if not self._accept(content):
            raise ArmError(self._error)

    def reading(self) -> DriverReading:
        """The newest live state; its time stands still while there are none.

        Raises:
            ArmError: there has been none for too long, or the link is not open.
        """
        with self._lock:
            reading, error, answered_ns, fault = self._reading, self._error, self._answered_ns, self._fault
        if reading is None:
            raise ArmError("the SERL server is not connected; call connect() first")
        silent_s = (time.monotonic_ns() - answered_ns) / NS_PER_S
        if silent_s > self._config.gone_s:
            reason = error or "its answers take too long"
            raise ArmError(f"no state from the SERL server for {silent_s:.1f} s: {reason}")
        return replace(
            reading,
            pose=reading.pose.copy(),
            twist=reading.twist.copy(),
            wrench=reading.wrench.copy(),
            q=reading.q.copy(),
            dq=reading.dq.copy(),
            fault=fault,
        )

    def pull(self, setpoint: Array | None) -> None:
        """Send `setpoint` (7,) next, in place of one not sent yet; None sends no more."""
        with self._lock:
            self._setpoint = setpoint
        self.session.notify(self._wake)

    def stand(self) -> None:
        """Pull the arm towards where it is, after the last set-point that is under way.

        Raises:
            ArmError: the server did not take it, or it is not known where the arm is.
        """
        self.pull(None)
        self.session.wait(self._last("pose"), "pose")

    def stop_impedance(self) -> None:
        """Stop its impedance controller, after the last set-point that is under way.

        Raises:
            ArmError: the server did not.
        """
        self.pull(None)
        self.session.wait(self._last("stopimp"), "stopimp")

    def tune(self, params: dict[str, float]) -> None:
        """Send compliance parameters before the next set-point."""
        with self._lock:
            self._params = params
        self.session.notify(self._wake)

    def tare(self) -> None:
        """Take the wrench of this moment as zero."""
        with self._lock:
            self._tare = self._raw_wrench.copy()
            if self._reading is not None:
                self._reading = replace(self._reading, wrench=np.zeros(6))

    def forgive(self) -> None:
        """Forget the fault and what led to it."""
        with self._lock:
            self._fault = ""
            self._watch.restart()

    @contextmanager
    def unwatched(self) -> Iterator[None]:
        """While the robot moves by itself, its states may pause and its set-point means nothing."""
        with self._lock:
            self._resting = True
        try:
            yield
        finally:
            with self._lock:
                self._resting = False
                self._watch.restart()

    def note(self, error: str) -> None:
        """Remember why the last call failed, for whoever asks why there is no state."""
        with self._lock:
            self._error = error

    def _ended(self, loop: "Future[None]") -> None:
        """A loop that ended by itself is a bug, which must not pass for a robot that stands."""
        if not loop.cancelled() and (error := loop.exception()) is not None:
            with self._lock:
                self._fault = f"the link to the SERL server failed: {type(error).__name__}: {error}"

    async def _poll(self) -> None:
        """Ask for states, steadily; a late answer delays the next question, and none is caught up."""
        period_s = 1.0 / self._config.poll_hz
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            try:
                self._accept(await self.session.call("getstate"))
            except ArmError as error:
                self.note(str(error))
            due_s = max(due_s + period_s, loop.time())
            await asyncio.sleep(due_s - loop.time())

    async def _send(self) -> None:
        """Send the newest parameters and the newest set-point, whenever there are new ones."""
        period_s, loop = 1.0 / self._config.pose_hz, asyncio.get_running_loop()
        sent: Array | None = None
        sent_s, refused = 0.0, 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            with self._lock:
                setpoint, params, self._params = self._setpoint, self._params, None
            again = loop.time() - sent_s > REPEAT_S
            try:
                if params is not None:
                    await self.session.call("update_param", params)
                    params = None
                if setpoint is None:
                    sent, refused = None, 0
                elif sent is None or again or not np.array_equal(setpoint, sent):
                    sent = await self._pull_on()
                    sent_s, refused = loop.time(), 0
            except ArmError as error:
                sent = None
                refused = refused + 1 if isinstance(error, SerlRefusal) else 0
                with self._lock:
                    self._params = self._params or params
                    self._error = str(error)
                    if refused >= REFUSALS:
                        self._fault = self._fault or str(error)
            await asyncio.sleep(period_s)

    async def _pull_on(self) -> Array | None:
        """Send the set-point that is wanted when it is sent, and return it; None when there is none."""
        async with self._sending:
            if self._config.clear_errors and self._wanted() is not None:
                await self.session.call("clearerr")
            setpoint = self._wanted()  # anew: the pull may have ended meanwhile
            if setpoint is not None:
                await self.session.call("pose", {"arr": setpoint.tolist()})
            return setpoint

    async def _last(self, name: str) -> None:
        """The word after the last set-point: a `pose` where the arm is by then, or `stopimp`."""
        async with self._sending:
            payload = {"arr": self.reading().pose.tolist()} if name == "pose" else None
            await self.session.call(name, payload, self._config.slow_deadline_s)

    def _wanted(self) -> Array | None:
        with self._lock:
            return self._setpoint

    def _accept(self, content: bytes) -> bool:
        """Make a state the reading. One that is none, or a dead one, is not: then the time stands still."""
        config = self._config
        try:
            state = decode_state(content, config.joints, config.wrench_frame, config.wrench_by)
        except ValueError as error:
            self.note(f"SERL server {config.url}getstate: {error}")
            return False
        now_ns = time.monotonic_ns()
        with self._lock:
            self._raw_wrench = state.wrench
            state = replace(state, wrench=state.wrench - self._tare)
            if not self._resting:
                if self._watch.frozen(state, self._setpoint):
                    self._error = "its states repeat although the arm ought to move"
                    return False
                self._fault = self._fault or self._watch.stuck(state, self._setpoint)
            self._error, self._answered_ns = "", now_ns
            self._reading = DriverReading(
                t_ns=now_ns,
                device_ns=now_ns,
                pose=state.pose,
                twist=state.twist,
                wrench=state.wrench,
                q=state.q,
                dq=state.dq,
                gripper_width_m=state.opening * config.gripper_open_m,
                gripper_stroke_m=0.0 if config.gripper == "none" else config.gripper_open_m,
            )
        return True
