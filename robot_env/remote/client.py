"""The arm behind an arm server, as an `Arm` like any other.

Commands go through the calling thread; states come in through a thread of their own, which also sends the
heartbeats. `state` never shows the world from before the last command that was answered.
"""

import os
import platform
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np

from handrail.robot_env.arms.arm import ArmMode, ArmState, Gains
from handrail.robot_env.arms.refusals import not_connected
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ArmError, HandrailError
from handrail.robot_env.geometry import Array, Vector
from handrail.robot_env.gripper import Gripper
from handrail.robot_env.remote.agreement import agreement
from handrail.robot_env.remote.endpoints import Endpoints
from handrail.robot_env.remote.feed import StateFeed
from handrail.robot_env.remote.messages import (
    Acquire,
    Body,
    Goal,
    Heartbeat,
    Hello,
    Lease,
    MoveGripper,
    MoveJoints,
    Recover,
    Release,
    SetGains,
    SetLoad,
    SetResetting,
    Start,
    State,
    Stop,
    Target,
    Welcome,
    ZeroFt,
)
from handrail.robot_env.remote.requester import Requester
from handrail.robot_env.remote.scene import RemoteScene
from handrail.robot_env.remote.timing import BEAT_S, watchdog_ns
from handrail.robot_env.remote.wire import PROTOCOL, LeaseLost, Reply, other_version

HELLO_S = 3.0
"""How long a server may take to say that it is there."""
SLOW_S = 60.0
"""How long an arm may take to engage, to recover, to move its joints or to tare."""
_COMMAND_S = 0.25
_BEATS_PER_LEASE = 4


def greet(config: EnvConfig, timeout_s: float = HELLO_S) -> Welcome:
    """Ask an arm server who it is.

    Raises:
        ArmError: nobody answers; names the command that starts a server.
        ConfigError: its address or keys are refused, or it is of another version.
    """
    requester = Requester(Endpoints.of(config.arm))
    try:
        reply = requester.ask(Hello(), timeout_s)
    except ArmError as error:
        raise ArmError(
            f"no arm server answers for {config.arm.name!r} ({error}); start `handrail arm-server` with the "
            "same station= and task= (or overrides) as here"
        ) from error
    finally:
        requester.close()
    if reply.protocol != PROTOCOL:
        raise other_version(reply.protocol, PROTOCOL)
    assert isinstance(reply.body, Welcome)
    return reply.body


class RemoteGripper:
    """The gripper on the other side of the wire."""

    def __init__(self, client: "ArmClient") -> None:
        self._client = client

    def open(self) -> None:
        """Open fully."""
        self._client.command(MoveGripper("open"))

    def close(self) -> None:
        """Close until something is held."""
        self._client.command(MoveGripper("close"))

    def move(self, width_m: float, force_n: float) -> None:
        """Move the jaws to `width_m` apart [m], pressing with at most `force_n` [N]."""
        self._client.command(MoveGripper("move", width_m, force_n))

    @property
    def width_m(self) -> float:
        """Opening between the jaws [m]."""
        return self._client.newest.gripper_width_m


class ArmClient:
    """The commander of a served arm. One thread commands; `stop` may come from any.

    Args:
        config: what to expect of the arm, and where its server is. The server is asked at once, and given
            no lease before `connect`.
        name: who commands, for the refusal of a second one.

    Attributes:
        gripper: the arm's gripper; None without one.
        scene: the simulated cell; None where the arm is not simulated.
        latencies_ns: from each target's stamp to the driver's set-point [ns]; where both ends have one clock.

    Raises:
        ArmError: no server answers.
    """

    def __init__(self, config: EnvConfig, name: str = "env") -> None:
        self._config = config
        self._name = name
        self._endpoints = Endpoints.of(config.arm)
        # Within the watchdog's time, though a state is a round old when looked at, and the look another.
        limit_ns = watchdog_ns(config.arm.server, 1.0 / config.hz)
        self._limit_ns = max(limit_ns // 2, limit_ns - round(2e9 / config.arm.server.rate_hz))
        self._command_s = max(_COMMAND_S, config.arm.server.command_age_s)
        welcome = greet(config)
        self.gripper: Gripper | None = RemoteGripper(self) if welcome.gripper else None
        self.scene: RemoteScene | None = None
        if welcome.seated_pose is not None:
            self.scene = RemoteScene(lambda body: self._ask(body, self._command_s), welcome.seated_pose)
        self.latencies_ns: deque[int] = deque(maxlen=4096)
        self._lock = threading.RLock()
        self._feed: StateFeed | None = None
        self._requester: Requester | None = None
        self._beats: Requester | None = None
        self._lease = Lease(0, "")
        self._sequence = 0
        self._boot = ""

    @property
    def newest(self) -> State:
        """The newest state as the server sent it; looking at it takes no flags.

        Raises:
            ArmError: not connected.
        """
        state = None if self._feed is None else self._feed.newest
        if state is None:
            raise not_connected()
        return state

    @property
    def stops(self) -> int:
        """Stops that somebody else asked for since the connection; 0 without one."""
        return 0 if self._feed is None else self._feed.stops

    @property
    def feed(self) -> StateFeed:
        """What the server says.

        Raises:
            ArmError: not connected.
        """
        if self._feed is None:
            raise not_connected()
        return self._feed

    def connect(self) -> None:
        """Take the lease. The arm holds, or is in a fault."""
        if self._feed is not None:
            return
        try:
            self._requester = Requester(self._endpoints)
            self._beats = Requester(self._endpoints)
            self._acquire()
            beat_s = min(BEAT_S, self._config.arm.server.lease_s / _BEATS_PER_LEASE)
            self._feed = StateFeed(self._endpoints, self._beat, beat_s)
            self._await_server()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop the arm, give the lease back and hang up."""
        if self._requester is not None and self._lease.token:
            self.stop()
            with suppress(HandrailError):  # the server is gone, or the lease is
                self.command(Release())
        self._lease = Lease(0, "")
        for part in (self._feed, self._beats, self._requester):
            if part is not None:
                part.close()
        self._feed = self._beats = self._requester = None

    def state(self) -> ArmState:
        """The newest reading."""
        self._catch_up()
        return self.feed.take(self._limit_ns)

    def start(self, gains: Gains | None = None, stops: int | None = None) -> None:
        """Enter RUN; takes the lease anew if it was lost. A refusal is told when `stops` shows its reason."""
        try:
            self._start(gains, stops)
        except LeaseLost:
            self._acquire()
            self._await_server()
            self._start(gains, stops)

    def _start(self, gains: Gains | None, stops: int | None) -> None:
        try:
            self.command(Start(gains, self.feed.counted(stops)), SLOW_S)
        except ArmError:
            self._catch_up()
            raise

    def set_target(self, pose: Vector, twist: Vector | None = None) -> Array:
        """Command a tool pose through the server's gate; `twist` is of no use there."""
        values = pose.tolist() if isinstance(pose, np.ndarray) else [float(x) for x in pose]
        with self._lock:
            goal = self.command(Target(values)).body
            assert isinstance(goal, Goal) and self._requester is not None
            self.latencies_ns.append(goal.set_ns - self._requester.sent_ns)
        return np.array(goal.pose)

    def set_gains(self, gains: Gains) -> None:
        """Change the impedance; the set-point does not move."""
        self.command(SetGains(gains))

    def set_resetting(self, resetting: bool) -> None:
        """Limits and impedance of resets, or of episodes."""
        self.command(SetResetting(resetting))

    def move_joints(
        self,
        q: Sequence[float] | Array,
        interrupt: Callable[[], str] | None = None,
        stops: int | None = None,
    ) -> None:
        """Move to the configured joint home; the server refuses any other."""

        def look() -> None:
            self._still_there()
            if interrupt is not None and interrupt():
                self._stop_from_aside()  # again and again, until the server says that the motion has ended

        with self._lock:
            self._sequence += 1
            body = MoveJoints([float(x) for x in q], self.feed.counted(stops))
            try:
                self._ask(body, SLOW_S, self._sequence, look)
            except ArmError:
                self._catch_up()
                raise

    def stop(self) -> None:
        """Brake and hold. Also while another thread waits for a slow motion, which this ends."""
        if not self._lock.acquire(blocking=False):
            self._stop_from_aside()
            return
        try:
            if self._requester is not None:
                self._ask(Stop(), self._command_s)
        except HandrailError:
            pass  # a server that does not hear this hears no commands either: its watchdog holds the arm
        finally:
            self._lock.release()

    def hold(self) -> None:
        """Stop, and know that the server has heard it; what somebody else commands by now is left alone."""
        state = self.newest
        if state.lease not in (0, self._lease.number):
            raise ArmError(f"the arm is commanded by {state.commander} now; end that first")
        self._ask(Stop(), self._command_s)

    def _stop_from_aside(self) -> None:
        """Stop over a socket of its own, while a slow command waits for its answer on the usual one."""
        try:
            requester = Requester(self._endpoints)
        except HandrailError:
            return
        try:
            requester.ask(Stop(), self._command_s, self._lease.token)
        except HandrailError:
            pass  # as in `stop`
        finally:
            requester.close()

    def recover(self, by: str = "operator") -> None:
        """Acknowledge a fault, by order of an operator."""
        self._ask(Recover(by), SLOW_S)

    def set_load(self, mass_kg: float, com_m: Vector) -> None:
        """Tell the arm what it carries."""
        self.command(SetLoad(float(mass_kg), [float(x) for x in com_m]), SLOW_S)

    def zero_ft(self) -> None:
        """Tare the force/torque reading."""
        self.command(ZeroFt(), SLOW_S)

    def command(self, body: Body, timeout_s: float | None = None) -> Reply:
        """Send a command of the commander's.

        Raises:
            ArmError: refused, dropped or not answered.
        """
        with self._lock:
            self._sequence += 1
            return self._ask(body, timeout_s or self._command_s, self._sequence)

    def _ask(
        self, body: Body, timeout_s: float, sequence: int = 0, look: Callable[[], None] | None = None
    ) -> Reply:
        with self._lock:
            if self._requester is None:
                raise not_connected()
            look = look or self._still_there
            try:
                return self._requester.ask(body, timeout_s, self._lease.token, sequence, look)
            except ArmError:
                newest = None if self._feed is None else self._feed.newest
                if newest is not None and not self._requester.answered:
                    self._requester.shown = newest.tick + 1  # what was heard before says nothing of it
                raise

    def _acquire(self) -> None:
        settings = agreement(self._config)
        period_s = 1.0 / self._config.hz
        asked = Acquire(self._name, os.getpid(), platform.node()[:80], period_s, settings)
        lease = self._ask(asked, self._command_s).body
        assert isinstance(lease, Lease)
        self._lease = lease

    def _await_server(self) -> None:
        """Wait until the state shows this lease, and an arm."""
        feed, number = self.feed, self._lease.number
        if not feed.wait(lambda state: state.lease == number, HELLO_S):
            raise ArmError(
                f"the arm server gave a lease but no state came in {HELLO_S} s; "
                "see whether a firewall is in the way of its second port"
            )
        self._boot = self.newest.boot
        if not feed.wait(lambda state: state.mode != ArmMode.DISARMED.value, SLOW_S):
            raise ArmError(f"the arm server has not reached its robot in {SLOW_S} s; see what it says")

    def _catch_up(self) -> None:
        """Wait for the state that shows what the last answer was about, for as long as the newest counts.

        Where there was no answer, that is any new one: a server that was killed a moment ago has left a state
        that is young enough, and tells of an arm that is well.
        """
        shown = 0 if self._requester is None else self._requester.shown
        left_ns = max(0, self._limit_ns - (self.feed.age_ns() or 0))
        self.feed.wait(lambda state: state.tick >= shown or state.boot != self._boot, left_ns / 1e9)

    def _still_there(self) -> None:
        """Give up waiting when the server has fallen silent."""
        if self._feed is not None and (self._feed.age_ns() or 0) > self._limit_ns:
            raise ArmError("the arm server fell silent in the middle of it; see whether it still runs")

    def _beat(self) -> None:
        if self._beats is not None and self._lease.token:
            self._beats.tell(Heartbeat(), self._lease.token)
