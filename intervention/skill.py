"""How well a synthetic operator drives: an expert that sees late, sees wrong, and trembles.

The hand follows the scripted expert on a *delayed* view of the module. As people do, it knows what it has
itself commanded since, and expects the module to have followed; so it moves smoothly in free space, and
pushes on for a moment after a contact it has not noticed yet.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from handrail.intervention.config import OperatorLevel
from handrail.robot_env.clock import NS_PER_S
from handrail.robot_env.geometry import pose_compose, pose_from, pose_relative, quat_slerp
from handrail.robot_env.sim.expert import ScriptedExpert
from handrail.robot_env.sim.truth import RamTruth
from handrail.robot_env.spec import ActionSpec

_HISTORY_NS = 3 * NS_PER_S
_REACTION_SPREAD = 0.3  # of the logarithm
_TREMOR_MEMORY_S = 0.45
_LAG_S = 0.1  # damping over stiffness of the impedance controller


@dataclass(frozen=True)
class Skill:
    """One level.

    Attributes:
        reaction_s: median of the lognormal reaction time [s].
        bias_m: standard deviation of where the socket is believed to be, per intervention [m].
        bias_rad: the same for its yaw [rad].
        tremor: standard deviation of the AR(1) noise on each action component [1].
        miss: probability of not noticing a trigger.
        false_alarm_per_s: rate of helping for no reason [1/s].
    """

    reaction_s: float
    bias_m: float
    bias_rad: float
    tremor: float
    miss: float
    false_alarm_per_s: float


_GOOD = Skill(0.35, 0.0002, 0.004, 0.03, 0.10, 0.004)
SKILLS: dict[OperatorLevel, Skill] = {
    "novice": Skill(0.50, 0.0004, 0.008, 0.06, 0.30, 0.020),
    "good": _GOOD,
    "expert": Skill(0.25, 0.0, 0.0, 0.015, 0.02, 0.0),
    # Sure of itself and wrong: it sees the socket where it is not.
    "misleading": Skill(0.35, 0.0040, 0.080, 0.15, 0.10, 0.020),
    "budgeted": _GOOD,
}


class Hand:
    """Drives with a skill: `watch` every step, `take` when an intervention begins, then `drive` each step.

    Args:
        skill: How well.
        action_spec: How actions scale.
        period_s: Time between two steps [s].
        target_reference: What the environment adds an action to.
    """

    def __init__(
        self,
        skill: Skill,
        action_spec: ActionSpec,
        period_s: float,
        target_reference: Literal["commanded", "measured"],
    ) -> None:
        self._skill = skill
        self._expert = ScriptedExpert(
            action_spec,
            period_s=period_s,
            target_reference=target_reference,
            bias_m=skill.bias_m,
            bias_rad=skill.bias_rad,
        )
        self._memory = float(np.exp(-period_s / _TREMOR_MEMORY_S))
        self.reset()

    def reset(self) -> None:
        """Begin an episode."""
        self._seen: deque[tuple[int, RamTruth]] = deque()
        self._tremor = np.zeros(6)
        self._delay_ns = 0

    def reaction_s(self, normal: float) -> float:
        """Return a lognormal reaction time [s] from a standard normal draw."""
        return self._skill.reaction_s * float(np.exp(_REACTION_SPREAD * normal))

    def watch(self, truth: RamTruth, now_ns: int, normals: np.ndarray) -> None:
        """Take in the newest truth, and tremble: AR(1) with stationary deviation `tremor`.

        Args:
            truth: The true state now.
            now_ns: When [ns].
            normals: Standard normal draws (6,), one set a step whether or not the hand drives.
        """
        self._seen.append((now_ns, truth))
        while self._seen[0][0] < now_ns - _HISTORY_NS:
            self._seen.popleft()
        fresh = self._skill.tremor * np.sqrt(1.0 - self._memory**2)
        self._tremor = self._memory * self._tremor + fresh * normals

    def take(self, rng: np.random.Generator, delay_s: float) -> None:
        """Begin to drive, seeing everything `delay_s` late [s]; the bias is drawn anew from `rng`."""
        self._expert.reset(rng)
        self._delay_ns = round(delay_s * NS_PER_S)

    def drive(self) -> np.ndarray:
        """Return the next action, (6,) in [-1, 1], end-effector frame."""
        return np.clip(self._expert.act(self._expected()) + self._tremor, -1.0, 1.0)

    def _expected(self) -> RamTruth:
        """The delayed view, moved by what was commanded since."""
        seen = list(self._seen)
        horizon_ns = seen[-1][0] - self._delay_ns
        while len(seen) > 1 and seen[1][0] <= horizon_ns:
            del seen[0]
        return expected(seen)


def expected(seen: Sequence[tuple[int, RamTruth]]) -> RamTruth:
    """Return the state expected now by somebody who saw the first of `seen`.

    They know their own commands since. The forward model is free motion: the tool follows its set-point with
    the lag of the impedance controller, and the module stays where it is in the hand.

    Args:
        seen: (time [ns], truth), oldest first; of all but the first, only the set-points are used.
    """
    past, now = seen[0][1], seen[-1][1]
    position, orientation = past.T_base_tcp[:3], past.T_base_tcp[3:]
    for (before_ns, _), (t_ns, truth) in pairwise(seen):
        share = 1.0 - math.exp(-(t_ns - before_ns) / (_LAG_S * NS_PER_S))
        target = truth.T_base_setpoint
        position = position + share * (target[:3] - position)
        orientation = quat_slerp(orientation, target[3:], share)
    tcp = pose_from(position, orientation)
    tip = pose_compose(tcp, pose_relative(past.T_base_tcp, past.T_base_tip))
    return replace(past, T_base_tcp=tcp, T_base_tip=tip, T_base_setpoint=now.T_base_setpoint)
