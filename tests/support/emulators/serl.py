"""A stand-in for HIL-SERL's robot server: the same protocol, an arm without dynamics, and faults on demand.

The arm is a point that approaches the last pose exponentially. What matters here is the HTTP side: replies
that come late, trickle in, never end, repeat themselves or are no states.
"""

import asyncio
import json
import math
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from handrail.robot_env.geometry import pose_from, quat_slerp
from handrail.robot_env.serl.serving import HttpThread

FOLLOW_S = 0.03
POSTURE = (0.0, -0.19, 0.0, -2.51, 0.0, 2.32, 0.785)
REPLIES = {
    "pose": "Moved",
    "update_param": "Updated compliance parameters",
    "clearerr": "Clear",
    "startimp": "Started impedance",
    "stopimp": "Stopped impedance",
    "jointreset": "Reset Joint",
    "open_gripper": "Opened",
    "close_gripper": "Closed",
    "move_gripper": "Moved Gripper",
    "set_load": "Set Load",
}


class SerlServer:
    """Starts on a port of its own; `url` says where. Every attribute may be changed while it runs.

    `broken` spoils `getstate`: "hang", "garbage", "nan", "short", "html", "trickle", "endless", "frozen".
    `slow` delays the endpoints named in it [s], `refuse` names those answered with 503. `stuck` is an arm
    that does not move, `force` what it presses with.
    """

    def __init__(self) -> None:
        self.reset()
        self._http = HttpThread(self, "127.0.0.1", 0, "serl-emulator")
        self.url = f"http://127.0.0.1:{self._http.port}/"
        self._http.start()

    def reset(self) -> None:
        """As it was when it started."""
        self.broken = ""
        self.slow: dict[str, float] = {}
        self.refuse: set[str] = set()
        self.stuck = False
        self.reset_reaches = True
        self.force: tuple[float, ...] = (0.0, 0.0, 0.0)
        self.torque: tuple[float, ...] = (0.0, 0.0, 0.0)
        self.gripper: float | None = 1.0
        self.pose = [0.5, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0]
        self.target = list(self.pose)
        self.q = list(POSTURE)
        self.velocity = 0.0
        self.calls: list[str] = []
        self.bodies: list[tuple[str, Any]] = []
        self._then_s = time.monotonic()
        self._frozen: dict[str, Any] | None = None

    def close(self) -> None:
        self.broken = ""
        self._http.close()

    def poses(self) -> list[list[float]]:
        return [body["arr"] for name, body in list(self.bodies) if name == "pose"]

    def last(self, name: str) -> Any:
        return next(body for each, body in reversed(self.bodies) if each == name)

    async def __call__(self, scope, receive, send) -> None:
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        name = request.url.path.strip("/")
        body = await request.body()
        self.calls.append(name)
        await asyncio.sleep(self.slow.get(name, 0.0))
        if name in self.refuse:
            return PlainTextResponse("fault: a reflex\n", 503)
        if name == "getstate":
            return await self._state(request)
        if name not in REPLIES:
            return PlainTextResponse("Not Found", 404)
        self._move()
        self.bodies.append((name, json.loads(body) if body else None))
        if name == "pose":
            self.target = list(self.bodies[-1][1]["arr"])
        if name == "jointreset" and not self.reset_reaches:
            self.q[1] += 0.5
        return PlainTextResponse(REPLIES[name])

    async def _state(self, request: Request) -> Response:
        match self.broken:
            case "hang":
                while self.broken == "hang" and not await request.is_disconnected():
                    await asyncio.sleep(0.01)
            case "garbage":
                return PlainTextResponse('{"pose": [1, 2')
            case "nan":
                return PlainTextResponse(json.dumps({**self._now(), "pose": [math.nan] * 7}))
            case "short":
                return JSONResponse({**self._now(), "vel": [0.0]})
            case "html":
                return PlainTextResponse("<h1>Internal Server Error</h1>", 500)
            case "trickle" | "endless":
                return StreamingResponse(self._drip(0.02 if self.broken == "trickle" else 0.0))
            case "frozen":
                self._frozen = self._frozen or self._now()
                return JSONResponse(self._frozen)
        self._frozen = None
        return JSONResponse(self._now())

    async def _drip(self, pause_s: float):
        while self.broken in ("trickle", "endless"):
            yield b" " if pause_s else b" " * 4096
            await asyncio.sleep(pause_s)

    def _now(self) -> dict[str, Any]:
        self._move()
        return {
            "pose": self.pose,
            "vel": [self.velocity, 0.0, 0.0, 0.0, 0.0, 0.0],
            "force": list(self.force),
            "torque": list(self.torque),
            "q": self.q,
            "dq": [self.velocity] + [0.0] * 6,
            "jacobian": [0.0] * 42,
            "gripper_pos": self.gripper,
        }

    def _move(self) -> None:
        now_s = time.monotonic()
        passed_s, self._then_s = now_s - self._then_s, now_s
        if self.stuck:
            self.velocity = 0.0
            return
        share = 1.0 - math.exp(-passed_s / FOLLOW_S)
        target = pose_from(self.target[:3], self.target[3:]).tolist()
        xyz = [p + share * (t - p) for p, t in zip(self.pose[:3], target[:3], strict=True)]
        self.velocity = (xyz[0] - self.pose[0]) / max(passed_s, 1e-3)
        self.pose = [*xyz, *quat_slerp(self.pose[3:], target[3:], share).tolist()]
