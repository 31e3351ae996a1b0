"""The simulated cell behind an arm server, seen from a client as if it were at hand.

The client draws an episode's circumstances and sends the draw: its random numbers go on as they would with
the cell in its own process, and only plain numbers travel.
"""

from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any, Protocol

import msgspec
import numpy as np

from handrail.robot_env.errors import ArmError
from handrail.robot_env.geometry import Array
from handrail.robot_env.remote.messages import (
    Answer,
    AskPositions,
    AskSuccess,
    AskTruth,
    Body,
    Positions,
    Randomize,
    Seated,
    Truth,
)
from handrail.robot_env.remote.wire import Reply
from handrail.robot_env.sim.config import RandomizationConfig
from handrail.robot_env.sim.truth import RamTruth


class HostedScene(Protocol):
    """What a simulated driver shows of its cell; may be called from any thread."""

    @property
    def seated_pose(self) -> Array:
        """(7,) tool pose with the module seated in the nominal socket."""
        ...

    def put_in_force(self, episode: Any) -> None:
        """Put a `sim.randomize.Draw` in force."""
        ...

    def success(self) -> bool:
        """Whether the module is seated."""
        ...

    def truth(self) -> RamTruth:
        """Where everything is."""
        ...

    def positions(self) -> tuple[int, Array]:
        """Simulated time [ns] and the positions of all joints (nq,) then."""
        ...


def answer(
    scene: HostedScene | None, body: Randomize | AskSuccess | AskTruth | AskPositions
) -> Seated | Answer | Truth | Positions:
    """The server's side of a question about the cell.

    Raises:
        ArmError: the arm is not simulated, the draw is none, or the cell refuses it.
    """
    if scene is None:
        raise ArmError("this arm is not simulated: nobody can ask where everything is")
    match body:
        case Randomize(episode):
            from handrail.robot_env.sim.randomize import Draw  # loads the physics, which a simulated arm has

            try:
                scene.put_in_force(msgspec.convert(episode, Draw))
            except msgspec.ValidationError as error:
                raise ArmError(f"these are no circumstances of an episode: {error}") from error
            return Seated(tuple(scene.seated_pose.tolist()))
        case AskSuccess():
            return Answer(scene.success())
        case AskPositions():
            t_ns, qpos = scene.positions()
            return Positions(t_ns, tuple(qpos.tolist()))
        case _:
            truth = scene.truth()
            plain: dict[str, Any] = {each.name: getattr(truth, each.name) for each in fields(truth)}
            lists = {name: x.tolist() if isinstance(x, np.ndarray) else x for name, x in plain.items()}
            return msgspec.convert(lists, Truth)


class RemoteScene:
    """A `Scene` on the other side of the wire.

    Args:
        ask: sends a question, waits for the reply.
        seated_pose: (7,) as the server said when it was first asked.

    Attributes:
        seated_pose: (7,) tool pose with the module seated in the nominal socket, base frame.
        episode: the `sim.randomize.Draw` that was last put in force from here; the nominal one before.
    """

    def __init__(self, ask: Callable[[Body], Reply], seated_pose: tuple[float, ...]) -> None:
        # Loads the physics: only where a cell is simulated, and now, not while an arm in motion waits for it.
        from handrail.robot_env.sim.randomize import Draw, draw

        self._ask = ask
        self._draw: Callable[[np.random.Generator, RandomizationConfig], Draw] = draw
        self.seated_pose: Array = np.array(seated_pose)
        self._nominal = self.episode = Draw()

    def randomize(self, rng: np.random.Generator, config: RandomizationConfig | None = None) -> object:
        """Draw the next episode's circumstances here and put them in force there."""
        episode = self._nominal if config is None else self._draw(rng, config)
        body = self._ask(Randomize(asdict(episode))).body
        assert isinstance(body, Seated)
        self.seated_pose = np.array(body.pose)
        self.episode = episode
        return episode

    def success(self) -> bool:
        """Whether the module is seated now."""
        body = self._ask(AskSuccess()).body
        assert isinstance(body, Answer)
        return body.yes

    def truth(self) -> RamTruth:
        """What a person standing beside the cell could see."""
        body = self._ask(AskTruth()).body
        assert isinstance(body, Truth)
        plain: dict[str, Any] = msgspec.structs.asdict(body)
        return RamTruth(**{name: _unlisted(x) for name, x in plain.items()})

    def positions(self) -> tuple[int, Array]:
        """Simulated time [ns] and the positions of all joints (nq,) then: what it takes to draw the cell."""
        body = self._ask(AskPositions()).body
        assert isinstance(body, Positions)
        return body.t_ns, np.array(body.qpos)


def _unlisted(value: Any) -> Any:
    return np.array(value) if isinstance(value, tuple) else value
