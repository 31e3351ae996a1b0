"""What anybody may do with a served arm: look at it, stop it, and, as an operator, recover it.

While nobody commands it, an operator may also move its jaws and tare it.
"""

from typing import Literal

import numpy as np

from handrail.robot_env.arms.arm import ArmState
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import HandrailError
from handrail.robot_env.geometry import Array
from handrail.robot_env.remote.client import HELLO_S, SLOW_S, greet
from handrail.robot_env.remote.endpoints import Endpoints
from handrail.robot_env.remote.feed import StateFeed
from handrail.robot_env.remote.messages import (
    AskPositions,
    MoveGripper,
    Positions,
    Recover,
    State,
    Stop,
    ZeroFt,
)
from handrail.robot_env.remote.requester import Requester
from handrail.robot_env.remote.timing import watchdog_ns

_STOP_S = 1.0


def stop_arm(config: EnvConfig) -> None:
    """Have a served arm brake and hold, whoever commands it and whatever version its server is of.

    Raises:
        ArmError: the server did not hear it.
        ConfigError: its address or keys are refused.
    """
    requester = Requester(Endpoints.of(config.arm))
    try:
        requester.ask(Stop(), HELLO_S)
    finally:
        requester.close()


class ArmOperator:
    """A client without a lease; it cannot move the arm. One thread.

    Args:
        config: where the server is.

    Attributes:
        welcome: how the server presented itself.

    Raises:
        ArmError: no server answers.
    """

    def __init__(self, config: EnvConfig) -> None:
        self.welcome = greet(config)
        self._limit_ns = watchdog_ns(config.arm.server, 1.0 / config.hz)
        endpoints = Endpoints.of(config.arm)
        self._requester = Requester(endpoints)
        try:
            self.feed = StateFeed(endpoints)
        except BaseException:
            self._requester.close()
            raise

    def __enter__(self) -> "ArmOperator":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def newest(self) -> State | None:
        """The newest state as the server sent it; None before the first."""
        return self.feed.newest

    def state(self) -> ArmState:
        """The newest reading, from after the last thing asked for here.

        Raises:
            ArmError: the server is silent, or has not heard of the robot yet.
        """
        first = self.feed.newest is None
        shown, self._requester.shown = self._requester.shown, 0
        self.feed.wait(lambda state: state.tick >= shown, HELLO_S if first else self._limit_ns / 1e9)
        return self.feed.take(self._limit_ns)

    def stop(self) -> bool:
        """Have the arm brake and hold, whoever commands it; whether the server heard it. Never raises."""
        try:
            self._requester.ask(Stop(), _STOP_S)
        except HandrailError:
            return False
        return True

    def recover(self, by: str) -> None:
        """Acknowledge a fault: FAULT becomes HOLD, never RUN.

        Args:
            by: who acknowledges it; goes into the server's log.

        Raises:
            ArmFault: the cause is still there, or this was done too often of late.
        """
        self._requester.ask(Recover(by), SLOW_S)

    def gripper(self, action: Literal["open", "close"]) -> None:
        """Open the jaws, or close them until something is held.

        Raises:
            ArmError: somebody commands the arm, or it has no gripper.
        """
        self._requester.ask(MoveGripper(action), SLOW_S)

    def tare(self) -> None:
        """Zero the force reading; nothing may touch the tool.

        Raises:
            ArmError: somebody commands the arm.
        """
        self._requester.ask(ZeroFt(), SLOW_S)

    def positions(self) -> tuple[int, Array]:
        """Simulated time [ns] and the positions of all joints (nq,) of a simulated cell then.

        Raises:
            ArmError: the arm is not simulated, or the server is silent.
        """
        body = self._requester.ask(AskPositions(), _STOP_S).body
        assert isinstance(body, Positions)
        return body.t_ns, np.array(body.qpos)

    def close(self) -> None:
        """Hang up; the arm does as before."""
        self.feed.close()
        self._requester.close()
