"""The arm server: the sole owner of an arm. One thread supervises, another does what takes long.

200 times a second: read the driver, decide, write the set-point, publish the state. Between two rounds the
thread waits for commands and handles each as it comes. What is malformed is counted and survived; a flood of
it delays commands, never a round.
"""

import secrets
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

import zmq
from zmq.auth.thread import ThreadAuthenticator

from handrail.robot_env.arms.driver import ArmDriver
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ArmError, HandrailError
from handrail.robot_env.geometry import WorkFrame
from handrail.robot_env.remote.endpoints import Endpoints, ServerLock
from handrail.robot_env.remote.jobs import Worker
from handrail.robot_env.remote.journal import Journal
from handrail.robot_env.remote.lease import Commander, Stamp
from handrail.robot_env.remote.messages import (
    Acquire,
    AskPositions,
    AskSuccess,
    AskTruth,
    Body,
    Counters,
    Goal,
    Heartbeat,
    Hello,
    Lease,
    MoveGripper,
    MoveJoints,
    Randomize,
    Recover,
    Release,
    SetGains,
    SetLoad,
    SetResetting,
    Start,
    Stop,
    Target,
    Welcome,
    ZeroFt,
)
from handrail.robot_env.remote.scene import HostedScene, answer
from handrail.robot_env.remote.supervisor import ArmSupervisor
from handrail.robot_env.remote.whereabouts import announce
from handrail.robot_env.remote.wire import (
    MAX_MESSAGE_BYTES,
    OF_ANY_VERSION,
    PROTOCOL,
    Reply,
    ReplyBody,
    Request,
    other_version,
    pack,
    refusal,
    unpack_body,
    unpack_request,
)

_REST_NS = 1_000_000_000
"""Longest that a server which is told to end waits for the arm to come to rest."""
_LET_GO_S = 5.0
_POLL_GRAIN_NS = 1_000_000
_STATES_QUEUED = 100
"""For a subscriber that does not read; what comes after is dropped, for that one only."""


class ArmServer:
    """One arm behind two sockets.

    Args:
        driver: the arm.
        config: limits, addresses, watchdog.
        frame: work frame of the limits; None before the seated pose has been taught: nobody is then given the
            lease.
        scene: the cell of a simulated arm; None for a real one.

    Attributes:
        supervisor: the rules; belongs to the thread in `run`.
        ready: set when the robot has been reached and commands are served.
    """

    def __init__(
        self, driver: ArmDriver, config: EnvConfig, frame: WorkFrame | None, scene: HostedScene | None = None
    ) -> None:
        self._driver = driver
        self._config = config
        self._scene = scene
        self._endpoints = Endpoints.of(config.arm)
        self._period_ns = round(1e9 / config.arm.server.rate_hz)
        self.supervisor = ArmSupervisor(driver, config, frame, lambda work: self._worker.submit(work))
        self.ready = threading.Event()
        self._boot = secrets.token_hex(8)
        self._published = 0
        self._overruns = self._worst_ns = self._malformed = 0
        self._failure: HandrailError | None = None
        self._log: Journal

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set; the arm then brakes and is let go.

        Raises:
            ArmError: the robot cannot be reached, or another server has the address.
            ConfigError: the address or its keys are refused.
        """
        with ExitStack() as stack:
            self._log = Journal("arm-server")
            stack.callback(self._log.close)
            self._open(stack)
            stack.callback(self._let_go)
            self.supervisor.open(time.monotonic_ns(), self._opened)
            self._loop(lambda: stop.is_set() or self._failure is not None)
            self.supervisor.end(time.monotonic_ns(), "the arm server ends")
            end_ns = time.monotonic_ns() + _REST_NS
            self._loop(lambda: self.supervisor.arm.resting or time.monotonic_ns() > end_ns)
        if self._failure is not None:
            raise self._failure

    def counters(self) -> Counters:
        """What the server has seen so far."""
        return Counters(
            ticks=self._published,
            overruns=self._overruns,
            worst_lateness_ns=self._worst_ns,
            commands=self.supervisor.commands,
            dropped=self.supervisor.dropped,
            malformed=self._malformed,
            watchdog=self.supervisor.watchdog_trips,
            stops=self.supervisor.stops.count,
        )

    # The loop

    def _open(self, stack: ExitStack) -> None:
        """Bind the sockets and start the worker; `stack` undoes it."""
        endpoints = self._endpoints
        if endpoints.folder is not None:
            stack.callback(ServerLock(endpoints.folder).release)
        context = zmq.Context()
        stack.callback(context.term)
        if endpoints.keys is not None:
            guard = ThreadAuthenticator(context)
            guard.start()
            stack.callback(guard.stop)
            guard.configure_curve(domain="*", location=str(endpoints.keys))
        self._commands = self._bind(stack, context, zmq.ROUTER, endpoints.commands)
        self._states = self._bind(stack, context, zmq.PUB, endpoints.state)
        self._worker = Worker()
        stack.callback(self._worker.close)
        stack.callback(announce(endpoints))

    def _bind(
        self, stack: ExitStack, context: "zmq.Context[zmq.Socket[bytes]]", kind: int, address: str
    ) -> "zmq.Socket[bytes]":
        socket = context.socket(kind)
        stack.callback(socket.close)
        self._endpoints.secure(socket, server=True)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        if kind == zmq.PUB:
            socket.setsockopt(zmq.SNDHWM, _STATES_QUEUED)
        try:
            socket.bind(address)
        except zmq.ZMQError as error:
            raise ArmError(
                f"the arm server cannot listen at {address} ({error}); end what listens there, or change "
                "arm.server.address"
            ) from error
        return socket

    def _opened(self, error: HandrailError | None) -> None:
        if error is None:
            self.ready.set()
        self._failure = error

    def _let_go(self) -> None:
        """Disengage and hang up, if the driver still can."""
        try:
            self._worker.submit(self._driver.disengage)
            self._worker.submit(self._driver.close).result(_LET_GO_S)
        except Exception as error:  # whatever an SDK raises, or no answer in time
            self._log.warning("the driver did not let go", error=repr(error))

    def _loop(self, ended: Callable[[], bool]) -> None:
        due_ns = time.monotonic_ns()
        while not ended():
            self._serve_until(due_ns)
            now_ns = time.monotonic_ns()
            late_ns = now_ns - due_ns
            self._worst_ns = max(self._worst_ns, late_ns)
            if late_ns > self._period_ns:
                self._overruns += 1
                due_ns = now_ns
            due_ns += self._period_ns
            self._round(now_ns)

    def _round(self, now_ns: int) -> None:
        self.supervisor.tick(now_ns)
        state = self.supervisor.state(self._boot, self._published + 1, self.counters())
        self._states.send(pack(state), zmq.NOBLOCK)  # a PUB socket never waits
        self._published += 1
        events = self.supervisor.arm.events
        while events:
            t_ns, what = events.popleft()
            self._log.info(what, t_ns=t_ns)

    def _serve_until(self, due_ns: int) -> None:
        """Handle commands as they come, until it is time for the next round."""
        while (left_ns := due_ns - time.monotonic_ns()) > 0:
            if left_ns < _POLL_GRAIN_NS:  # ZMQ waits for whole milliseconds only
                time.sleep(left_ns / 1e9)
            elif self._commands.poll(left_ns // _POLL_GRAIN_NS):
                self._handle(self._commands.recv_multipart())
        if self._commands.poll(0):  # a loop that is always late still hears a stop
            self._handle(self._commands.recv_multipart())

    # Requests

    def _handle(self, frames: list[bytes]) -> None:
        """Unpack a request and answer it; whatever it is, the loop goes on."""
        try:
            sender, frame = frames
            request = unpack_request(frame)
        except Exception:  # fuzz finds what msgspec raises besides DecodeError; none of it is ours
            self._malformed += 1
            return
        try:
            body = unpack_body(request)
        except Exception as error:  # as above
            body = error
        if request.protocol != PROTOCOL and not isinstance(body, OF_ANY_VERSION):
            self._reply(sender, request, other_version(PROTOCOL, request.protocol))
            return
        if isinstance(body, Exception):
            self._malformed += 1
            self._reply(sender, request, ArmError(f"malformed request: {body}"))
            return
        try:
            self._dispatch(sender, request, body)
        except HandrailError as error:
            self._reply(sender, request, error)
        except Exception as error:  # a bug: whoever asked shall know, and the arm stay watched over
            self._log.exception("a request failed", request=type(body).__name__)
            self._reply(sender, request, ArmError(f"internal error: {error!r}"))

    def _dispatch(self, sender: bytes, request: Request, body: Body) -> None:
        supervisor, now_ns = self.supervisor, time.monotonic_ns()
        stamp = Stamp(request.token, request.sequence, request.sent_ns)

        def done(error: HandrailError | None) -> None:
            self._reply(sender, request, error)

        answered: ReplyBody = None
        match body:
            case Target(pose):
                goal = supervisor.target(now_ns, stamp, pose).goal
                answered = Goal(tuple(goal.tolist()), time.monotonic_ns())
            case Heartbeat():
                with suppress(HandrailError):  # the state says who has the lease
                    supervisor.heartbeat(now_ns, stamp)
                return
            case Start(gains, stops):
                return supervisor.start(now_ns, stamp, gains, done, stops)
            case MoveJoints(q, stops):
                return supervisor.joints(now_ns, stamp, q, done, stops)
            case ZeroFt():
                return supervisor.tare(now_ns, stamp, done)
            case SetLoad(mass_kg, com_m):
                return supervisor.load(now_ns, stamp, mass_kg, com_m, done)
            case Recover(by):
                return supervisor.recover(now_ns, by, done)
            case Stop():
                supervisor.asked_to_stop(now_ns, stamp)
            case SetGains(gains):
                supervisor.gains(now_ns, stamp, gains)
            case SetResetting(resetting):
                supervisor.resetting(now_ns, stamp, resetting)
            case MoveGripper(action, width_m, force_n):
                supervisor.gripper(now_ns, stamp, action, width_m, force_n)
            case Release():
                supervisor.release(now_ns, stamp)
            case Acquire(name, pid, host, period_s, settings):
                commander = Commander(name, pid, host, period_s)
                holder = supervisor.acquire(now_ns, request.sent_ns, commander, settings)
                answered = Lease(holder.number, holder.token)
            case Hello():
                answered = self._welcome()
            case Randomize() | AskSuccess() | AskTruth() | AskPositions():
                answered = answer(self._scene, body)
        self._reply(sender, request, None, answered)

    def _welcome(self) -> Welcome:
        seated = None if self._scene is None else tuple(self._scene.seated_pose.tolist())
        return Welcome(self._driver.name, self._driver.joints, self._driver.gripper is not None, seated)

    def _reply(
        self, sender: bytes, request: Request, error: HandrailError | None, body: ReplyBody = None
    ) -> None:
        tick = self._published + 1
        reply = (
            Reply(PROTOCOL, request.id, tick, body=body)
            if error is None
            else refusal(request.id, tick, error)
        )
        with suppress(zmq.ZMQError):  # the sender has gone, or does not read
            self._commands.send_multipart([sender, pack(reply)], zmq.NOBLOCK)
