"""How often an operator may send an arm back after a fault.

Recovering is easy to do without thinking. An arm that faults again and again has a cause that another click
does not remove.
"""

from collections import deque

from handrail.robot_env.errors import ArmFault

NS_PER_S = 1_000_000_000


class RecoveryBudget:
    """So many recoveries in so long.

    Args:
        most: recoveries within the window.
        window_s: the window [s].
    """

    def __init__(self, most: int, window_s: float) -> None:
        self._most = most
        self._window_s = window_s
        self._taken: deque[int] = deque(maxlen=most) if most else deque(maxlen=0)

    def check(self, now_ns: int) -> None:
        """Refuse when it is spent.

        Raises:
            ArmFault: naming the limit, and when the next recovery is possible.
        """
        if self._most == 0:
            raise ArmFault("arm.server.recoveries is 0: restart the arm server after seeing to the fault")
        if len(self._taken) < self._most:
            return
        left_s = self._window_s - (now_ns - self._taken[0]) / NS_PER_S
        if left_s > 0.0:
            raise ArmFault(
                f"the arm was recovered {self._most} times in {self._window_s:g} s, which is the limit; the "
                f"next recover() is possible in {left_s:.0f} s: use them to find the cause"
            )

    def take(self, now_ns: int) -> None:
        """Count a recovery."""
        self._taken.append(now_ns)
