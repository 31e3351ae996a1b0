"""The client's ear: a thread that receives every state, so that nobody has to hurry to look.

Flags raised and the largest force *between* two looks are kept for the next one; contact is over in the
meantime.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable

import numpy as np
import zmq

from handrail.robot_env.arms.arm import ArmMode, ArmState
from handrail.robot_env.arms.refusals import stopped_meanwhile
from handrail.robot_env.errors import ArmError
from handrail.robot_env.remote.endpoints import Endpoints
from handrail.robot_env.remote.messages import State
from handrail.robot_env.remote.stops import ForeignStops
from handrail.robot_env.remote.timing import SenderAge
from handrail.robot_env.remote.wire import MAX_MESSAGE_BYTES, PROTOCOL, unpack_state
from handrail.robot_env.unpacking import Malformed

_POLL_MS = 50


class StateFeed:
    """Receives an arm server's states. Any thread may look.

    Args:
        endpoints: of the server.
        beat: called every `beat_s` in the feed's thread; for heartbeats.
        beat_s: time between two calls [s].

    Attributes:
        malformed: states that could not be unpacked.
        stops: stops that others than the commander asked for since the first state.
        ages_ns: of the newest readings when they arrived here [ns]; where both ends have one clock.
    """

    def __init__(
        self, endpoints: Endpoints, beat: Callable[[], None] = lambda: None, beat_s: float = 1.0
    ) -> None:
        self.malformed = 0
        self.stops = 0
        self._foreign = ForeignStops()
        self.ages_ns: deque[int] = deque(maxlen=4096)
        self._beat = beat
        self._beat_ms = max(1, round(1000 * beat_s))
        self._socket = zmq.Context.instance().socket(zmq.SUB)
        try:
            endpoints.secure(self._socket, server=False)
            self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
            self._socket.setsockopt(zmq.SUBSCRIBE, b"")
            self._socket.connect(endpoints.state)
        except BaseException:
            self._socket.close()
            raise
        self._changed = threading.Condition()
        self._newest: State | None = None
        self._age = SenderAge()
        self._flags = 0
        self._peak_n = 0.0
        self._closed = False
        self._thread = threading.Thread(target=self._listen, name="arm-states", daemon=True)
        self._thread.start()

    @property
    def newest(self) -> State | None:
        """The newest state; looking at it takes no flags."""
        return self._newest

    def age_ns(self) -> int | None:
        """Age of the newest state [ns]; None before the first."""
        with self._changed:
            if self._newest is None:
                return None
            return time.monotonic_ns() - self._age.here_ns(self._newest.sent_ns)

    def wait(self, wanted: Callable[[State], bool], timeout_s: float) -> bool:
        """Wait for a state; whether it came in time."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._newest is not None and wanted(self._newest), timeout_s
            )

    def counted(self, stops: int | None) -> int | None:
        """What the server's own count was when `stops` was this; None for None.

        Raises:
            ArmError: there have been others since.
        """
        if stops is None:
            return None
        with self._changed:
            if self._newest is None or stops != self.stops:
                raise stopped_meanwhile()
            return self._newest.counters.stops

    def take(self, limit_ns: int) -> ArmState:
        """The newest state, with the flags and the largest force since the last call.

        Raises:
            ArmError: it is older than `limit_ns`, or there is none.
        """
        age_ns = self.age_ns()
        with self._changed:
            state = self._newest
            if state is None or age_ns is None or age_ns > limit_ns:
                heard = (
                    "nothing was heard of it yet"
                    if age_ns is None
                    else f"was last heard {age_ns / 1e6:.0f} ms ago"
                )
                raise ArmError(
                    f"the arm server is silent: {heard} (limit {limit_ns / 1e6:.0f} ms); see whether "
                    "`handrail arm-server` still runs"
                )
            if not state.pose:
                raise ArmError("the arm server has not heard of the robot yet; wait for it")
            flags, self._flags = self._flags, 0
            peak_n, self._peak_n = self._peak_n, 0.0
        return ArmState(
            t_ns=state.t_ns,
            pose=np.array(state.pose),
            twist=np.array(state.twist),
            wrench=np.array(state.wrench),
            q=np.array(state.q),
            dq=np.array(state.dq),
            gripper_width_m=state.gripper_width_m,
            mode=ArmMode(state.mode),
            gate_flags=flags,
            peak_force_n=peak_n,
            device_ns=state.device_ns,
            fault=state.fault,
        )

    def close(self) -> None:
        """Stop listening."""
        self._closed = True
        self._thread.join()

    def _listen(self) -> None:
        try:
            beat_due_ms = 0.0
            while not self._closed:
                now_ms = time.monotonic() * 1000.0
                if now_ms >= beat_due_ms:
                    self._beat()
                    beat_due_ms = now_ms + self._beat_ms
                if self._socket.poll(min(_POLL_MS, self._beat_ms)):
                    self._receive()
        finally:
            self._socket.close()

    def _receive(self) -> None:
        frame = self._socket.recv()
        now_ns = time.monotonic_ns()
        try:
            state = unpack_state(frame)
        except Malformed:
            self.malformed += 1
            return
        if state.protocol != PROTOCOL:
            self.malformed += 1
            return
        self.ages_ns.append(now_ns - state.t_ns)
        force_n = state.force_n if math.isfinite(state.force_n) else math.inf
        with self._changed:
            if self._newest is None or state.boot != self._newest.boot:
                self._age = SenderAge()
            self._age.arrived(state.sent_ns, now_ns)
            self._newest = state
            self.stops += self._foreign.new(state)
            self._flags |= state.gate_flags
            self._peak_n = max(self._peak_n, force_n)
            self._changed.notify_all()
