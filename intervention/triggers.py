"""What makes an operator reach for the device: the four things that look wrong on a RAM insertion.

    stall      for `stall_s` the module came no nearer to the socket
    corridor   the tip left the funnel that narrows towards the socket
    force      the arm has pushed too hard for `force_s`
    edge       the tool is about to leave the workspace

Each trigger also knows when its trouble is over, so that an operator lets go as soon as it is.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum

import numpy as np

from handrail.intervention.config import OperatorConfig
from handrail.robot_env.clock import NS_PER_S
from handrail.robot_env.config import LimitsConfig
from handrail.robot_env.geometry import pose_relative
from handrail.robot_env.sim.truth import RamTruth


class Trigger(Enum):
    """Why an operator took over."""

    STALL = "stall"
    CORRIDOR = "corridor"
    FORCE = "force"
    EDGE = "edge"
    FALSE_ALARM = "false alarm"


@dataclass(frozen=True, slots=True)
class View:
    """What of the truth the triggers look at.

    Attributes:
        t_ns: When [ns].
        tip_m: The tip in the socket's frame, x y z [m].
        force_n: Force on the tool [N].
    """

    t_ns: int
    tip_m: tuple[float, float, float]
    force_n: float

    @property
    def distance_m(self) -> float:
        """How far the tip is from its seat [m]."""
        x, y, z = self.tip_m
        return (x * x + y * y + z * z) ** 0.5

    @property
    def lateral_m(self) -> float:
        """How far the tip is beside the slot [m]."""
        return (self.tip_m[0] ** 2 + self.tip_m[1] ** 2) ** 0.5


def view_of(truth: RamTruth, t_ns: int) -> View:
    """Return what an operator sees at `t_ns` [ns]."""
    x, y, z = pose_relative(truth.T_base_socket, truth.T_base_tip)[:3].tolist()
    return View(t_ns, (x, y, z), truth.peak_force_n)


class TriggerMonitor:
    """Watches one episode.

    Args:
        config: Thresholds.
        limits: The workspace whose edge matters.
    """

    def __init__(self, config: OperatorConfig, limits: LimitsConfig) -> None:
        self._config = config
        self._low = np.array(limits.workspace_low_m) + config.edge_m
        self._high = np.array(limits.workspace_high_m) - config.edge_m
        self.reset()

    def reset(self) -> None:
        """Begin to watch afresh: a new episode, or after an intervention."""
        self._recent: deque[tuple[int, float]] = deque()
        self._best_before_m = float("inf")
        self._hard_since_ns: int | None = None

    def see(self, view: View) -> Trigger | None:
        """Take in the newest view; return what looks wrong, most urgent first."""
        stalled, pressed = self._stalled(view), self._pressed(view)
        if pressed:
            return Trigger.FORCE
        if self._beyond_edge(view, 0.0):
            return Trigger.EDGE
        if view.lateral_m > self._corridor_m(view):
            return Trigger.CORRIDOR
        return Trigger.STALL if stalled else None

    def is_over(self, trigger: Trigger, start: View, now: View) -> bool:
        """Whether the trouble that began at `start` is over.

        There is a margin, so that it does not return at once.
        """
        match trigger:
            case Trigger.STALL:
                return now.distance_m < 0.4 * start.distance_m
            case Trigger.CORRIDOR:
                return now.lateral_m < 0.5 * self._corridor_m(now)
            case Trigger.FORCE:
                return now.force_n < 0.6 * self._config.force_n
            case Trigger.EDGE:
                return not self._beyond_edge(now, 2.0 * self._config.edge_m)
            case Trigger.FALSE_ALARM:
                return True

    def _stalled(self, view: View) -> bool:
        """Whether the last `stall_s` brought the tip no nearer than it had been before."""
        horizon_ns = view.t_ns - round(self._config.stall_s * NS_PER_S)
        self._recent.append((view.t_ns, view.distance_m))
        while self._recent[0][0] <= horizon_ns:
            self._best_before_m = min(self._best_before_m, self._recent.popleft()[1])
        return min(d for _, d in self._recent) > self._best_before_m - self._config.progress_m

    def _pressed(self, view: View) -> bool:
        if view.force_n < self._config.force_n:
            self._hard_since_ns = None
            return False
        if self._hard_since_ns is None:
            self._hard_since_ns = view.t_ns
        return view.t_ns - self._hard_since_ns >= self._config.force_s * NS_PER_S

    def _corridor_m(self, view: View) -> float:
        return self._config.corridor_m + self._config.corridor_slope * max(0.0, view.tip_m[2])

    def _beyond_edge(self, view: View, margin_m: float) -> bool:
        tip = np.array(view.tip_m)
        # The floor is no edge: pressing the module down is the task.
        return bool((tip[:2] < self._low[:2] + margin_m).any() or (tip > self._high - margin_m).any())
