"""HIL-SERL's robot server protocol in front of our arm server, so that its users keep their clients.

It is a client of the arm server like everybody else: lease, gate and watchdog apply (`SerlCommander`), and
states are read whoever commands. Its clients ignore what a refusal says, so the status is what counts: 4xx
or 5xx, and one line of text for whoever looks.

The protocol knows no authentication, which is why it is offered on loopback unless told otherwise. A web page
can post to loopback too: a request that a browser sends for a page (it names an `Origin`) is refused, and so
is one that reached loopback under a foreign name (DNS rebinding).
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from handrail.robot_env.arms.arm import ArmState
from handrail.robot_env.arms.models import tool_of
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ArmError, ArmFault, ConfigError
from handrail.robot_env.geometry import Array
from handrail.robot_env.remote.client import ArmClient
from handrail.robot_env.remote.endpoints import Endpoints, is_loopback
from handrail.robot_env.remote.feed import StateFeed
from handrail.robot_env.remote.impedance import Impedance
from handrail.robot_env.remote.timing import watchdog_ns
from handrail.robot_env.serl.commander import NotOffered, SerlCommander
from handrail.robot_env.serl.jacobian import ToolJacobian
from handrail.robot_env.serl.protocol import (
    FRANKA_OPEN_M,
    SERL_JOINTS,
    LoadBody,
    MoveGripperBody,
    PoseBody,
    com_in_tool,
    euler_of,
    numbers,
    opening_of,
    padded,
    pose_of,
    width_of_counts,
    wrench_reply,
)
from handrail.robot_env.serl.serving import HttpThread
from handrail.robot_env.unpacking import Malformed, unpack

BODY_BYTES = 16 * 1024
"""Longest request that is read [bytes]; the longest of HIL-SERL's has 700."""
HEAR_S = 1.0
"""How long the first answer waits for an arm server that is there [s]."""
BODY_S = 2.0
"""Longest that a request may take to arrive [s]."""
GRIP_N = 40.0
"""Force of `move_gripper`, which asks for none [N]."""

log = logging.getLogger(__name__)
Body = bytes
Reading = Callable[[], ArmState]


class Refused(Exception):
    """A request that is answered with `status` and one line."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


class SerlRest:
    """The ASGI application.

    Args:
        commander: does what is commanded.
        reading: the arm's newest state; called in the server's thread, must not wait.
        jacobian: of this arm's tool.
        tool_of: the tool's frame in the flange's (7,), with the arm in that state; or why not known.
        stroke_m: opening of its gripper when fully open [m]; as `reading`, asked at every call.
        loopback: whether only this machine can reach the server; then the Host header must name it.
    """

    def __init__(
        self,
        commander: SerlCommander,
        reading: Reading,
        jacobian: ToolJacobian,
        tool_of: Callable[[ArmState], Array | str],
        stroke_m: Callable[[], float],
        loopback: bool = True,
    ) -> None:
        self._commander = commander
        self._reading = reading
        self._jacobian = jacobian
        self._tool_of = tool_of
        self._stroke_m = stroke_m
        self._loopback = loopback
        self._questions: dict[str, Callable[[ArmState], object]] = {
            "getstate": self._state,
            "getpos": lambda s: {"pose": s.pose.tolist()},
            "getpos_euler": lambda s: {"pose": [*s.pose[:3].tolist(), *euler_of(s.pose[3:])]},
            "getvel": lambda s: {"vel": s.twist.tolist()},
            "getforce": lambda s: {"force": wrench_reply(s.wrench)[0]},
            "gettorque": lambda s: {"torque": wrench_reply(s.wrench)[1]},
            "getq": lambda s: {"q": padded(s.q)},
            "getdq": lambda s: {"dq": padded(s.dq)},
            "getjacobian": lambda s: {"jacobian": self._jacobian_of(s)},
            "get_gripper": lambda s: {"gripper": self._opening_of(s)},
        }
        c = commander
        self._commands: dict[str, tuple[str, Callable[[Body], Callable[[], Any]]]] = {
            "pose": ("Moved", self._pose),
            "update_param": ("Updated compliance parameters", self._update_param),
            "startimp": ("Started impedance", lambda _: c.start),
            "stopimp": ("Stopped impedance", lambda _: c.stop),
            "jointreset": ("Reset Joint", lambda _: c.joint_reset),
            "open_gripper": ("Opened", lambda _: lambda: c.gripper().open()),
            "close_gripper": ("Closed", lambda _: lambda: c.gripper().close()),
            "close_gripper_slow": ("Closed", lambda _: lambda: c.gripper().close()),
            "move_gripper": ("Moved Gripper", self._move_gripper),
            "set_load": ("Set Load", self._set_load),
        }
        # A gripper that is there is active; errors are an operator's to clear.
        self._nothings = {"clearerr": "Clear", "activate_gripper": "Activated", "reset_gripper": "Reset"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except Refused as refusal:
            response = PlainTextResponse(f"{refusal}\n", refusal.status)
        except ClientDisconnect:
            return
        except Exception:
            log.exception("request for %s failed", request.url.path)
            response = PlainTextResponse("a bug of the REST server's; its log has the traceback\n", 500)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        name = request.url.path.strip("/")
        if name not in self._questions and name not in self._commands and name not in self._nothings:
            raise Refused(404, f"no such endpoint: /{name[:80]}")
        if request.method != "POST":
            raise Refused(405, f"{request.method} /{name}: every endpoint is a POST")
        self._check_sender(request)
        body = await self._read(request)
        if name in self._questions:
            try:
                answer = self._questions[name](self._reading())
            except NotOffered as error:
                raise Refused(501, str(error)) from error
            except ArmError as error:
                raise Refused(503, str(error)) from error
            return Response(msgspec.json.encode(answer), media_type="application/json")
        if name in self._commands:
            await self._command(name, body)
            return PlainTextResponse(self._commands[name][0])
        return PlainTextResponse(self._nothings[name])

    async def _command(self, name: str, body: Body) -> None:
        try:
            call = self._commands[name][1](body)
            if name == "stopimp":  # in no queue
                await asyncio.to_thread(call)
            else:
                await asyncio.wrap_future(self._commander.submit(call))
        except NotOffered as error:
            raise Refused(501, str(error)) from error
        except ArmFault as error:
            raise Refused(503, f"fault: {error}") from error
        except ArmError as error:
            raise Refused(409, str(error)) from error
        except (ConfigError, ValueError) as error:
            raise Refused(400, str(error)) from error

    def _check_sender(self, request: Request) -> None:
        if "origin" in request.headers or "sec-fetch-site" in request.headers:
            raise Refused(403, "requests of web pages are refused; use a robot's client")
        if self._loopback and not is_loopback(request.url.hostname or ""):
            raise Refused(421, "reached under a name that is not this machine's; use http://127.0.0.1")

    async def _read(self, request: Request) -> Body:
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_S):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > BODY_BYTES:
                        raise Refused(413, f"a request of over {BODY_BYTES} bytes")
        except TimeoutError:
            raise Refused(408, f"the request did not arrive within {BODY_S:g} s") from None
        return bytes(body)

    def _pose(self, body: Body) -> Callable[[], None]:
        pose = pose_of(_decode(body, PoseBody).arr)
        return lambda: self._commander.pose(pose)

    def _update_param(self, body: Body) -> Callable[[], None]:
        params = _decode(body, dict[str, float])
        return lambda: self._commander.update_param(params)

    def _move_gripper(self, body: Body) -> Callable[[], None]:
        width_m = width_of_counts(_decode(body, MoveGripperBody).gripper_pos, open_m=self._stroke_m())
        return lambda: self._commander.gripper().move(width_m, GRIP_N)

    def _set_load(self, body: Body) -> Callable[[], None]:
        load = _decode(body, LoadBody)
        (mass_kg,) = numbers("mass", [load.mass], 1)
        in_flange = numbers("F_x_center_load", load.F_x_center_load, 3)
        tool = self._tool_of(self._reading())
        if isinstance(tool, str):
            raise NotOffered(f"the load cannot be set: {tool}")
        com_m = com_in_tool(in_flange, tool)
        return lambda: self._commander.set_load(mass_kg, com_m)

    def _state(self, state: ArmState) -> object:
        force, torque = wrench_reply(state.wrench)
        try:
            jacobian = self._jacobian_of(state)
        except NotOffered:  # of all that is asked for here, a client may want the rest
            jacobian = [[0.0] * SERL_JOINTS] * 6
        return {
            "pose": state.pose.tolist(),
            "vel": state.twist.tolist(),
            "force": force,
            "torque": torque,
            "q": padded(state.q),
            "dq": padded(state.dq),
            "jacobian": jacobian,
            "gripper_pos": self._opening_of(state),
        }

    def _opening_of(self, state: ArmState) -> float:
        """0 to 1, of whatever gripper it is."""
        return opening_of(state.gripper_width_m, self._stroke_m())

    def _jacobian_of(self, state: ArmState) -> list[list[float]]:
        """Six rows of seven.

        Raises:
            NotOffered: it is not known which arm this is: a wrong Jacobian would be worse than none.
        """
        jacobian = self._jacobian.of(state.q, state.pose)
        if isinstance(jacobian, str):
            raise NotOffered(jacobian)
        return [padded(row) for row in jacobian]


class RestServer:
    """The protocol in front of one arm server, in two threads of its own.

    Args:
        config: which arm, and in `env.arm.server` where to listen.
        port: where to listen instead; 0 lets the system choose.
        pursue_s: as in `SerlCommander` [s]; None for `env.arm.server.rest_pursue_s`.
        idle_s: as in `SerlCommander` [s].
        await_start: as in `SerlCommander`.

    Attributes:
        port: where it listens.

    Raises:
        ConfigError: the port cannot be had.
    """

    def __init__(
        self,
        config: EnvConfig,
        port: int | None = None,
        pursue_s: float | None = None,
        idle_s: float = 10.0,
        await_start: bool = True,
    ) -> None:
        server = config.arm.server
        pursue_s = server.rest_pursue_s if pursue_s is None else pursue_s
        period_s = 1.0 / config.hz
        limit_ns = watchdog_ns(server, period_s)
        self._commander = SerlCommander(
            lambda: ArmClient(config, name="serl"),
            period_s,
            Impedance(config).check,
            config.arm.joint_home,
            pursue_s,
            idle_s,
            await_start,
        )
        loopback = is_loopback(server.rest_host)
        app = SerlRest(
            self._commander,
            lambda: self._feed.take(limit_ns),
            ToolJacobian(config),
            lambda state: tool_of(config, state.q, state.pose),
            self._stroke_m,
            loopback,
        )
        self._http = HttpThread(
            app, server.rest_host, server.rest_port if port is None else port, name="serl-rest"
        )
        self.port = self._http.port
        self._feed = StateFeed(Endpoints.of(config.arm))
        if not loopback:
            log.warning(
                "HIL-SERL's REST protocol is offered on %s without authentication: whoever reaches port %d "
                "moves the arm",
                server.rest_host,
                self.port,
            )

    def start(self) -> None:
        """Begin to serve; the arm server need not be there yet.

        One that is there was heard before the first question comes, so that no question is refused for its
        haste.
        """
        self._commander.open()
        self._feed.wait(lambda state: bool(state.pose), HEAR_S)
        self._http.start()

    def close(self) -> None:
        """Hold the arm if it was ours, and end. Safe to call twice."""
        self._http.close()
        self._commander.close()
        self._feed.close()

    def _stroke_m(self) -> float:
        """Of the arm's gripper; a Franka hand's, where none says it [m]."""
        state = self._feed.newest
        return state.gripper_stroke_m if state is not None and state.gripper_stroke_m else FRANKA_OPEN_M


def serve_rest(config: EnvConfig, stop: threading.Event) -> threading.Thread:
    """Offer the protocol until `stop` is set. Returns once it is offered.

    Returns:
        The thread that ends it; join it after setting `stop`.

    Raises:
        ConfigError: the port cannot be had.
    """
    server = RestServer(config)
    server.start()

    def end() -> None:
        stop.wait()
        server.close()

    thread = threading.Thread(target=end, name="serl-rest-end", daemon=True)
    thread.start()
    return thread


def _decode(body: Body, kind: Any) -> Any:
    """A request's JSON, whatever its content type says.

    Raises:
        ValueError: it is not what the endpoint takes; a number that is not finite is no JSON.
    """
    try:
        return unpack(msgspec.json.Decoder(kind), body)
    except Malformed as error:
        raise ValueError(f"the body is refused: {error}") from error
