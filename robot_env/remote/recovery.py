"""Leaving a fault: by order of an operator, with the cause gone, and not too often.

Recovering is easy to do without thinking. An arm that faults again and again has a cause that another click
does not remove.
"""

from collections import deque
from dataclasses import dataclass

from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.arms.config import ArmServerConfig
from handrail.robot_env.arms.driver import ArmDriver
from handrail.robot_env.clock import NS_PER_S
from handrail.robot_env.errors import ArmError, ArmFault, HandrailError
from handrail.robot_env.remote.jobs import Done, Job, JobQueue
from handrail.robot_env.remote.modes import ModeMachine

SETTLE_NS = NS_PER_S // 2
"""Time that a recovered robot has to show a sound reading."""
RECOVERY_S = 50.0
"""Longest that clearing a fault may take; whoever asked waits longer than that for an answer [s]."""


@dataclass
class _Order:
    """A recovery that somebody has asked for.

    Attributes:
        done: whom to tell, once.
        by: who acknowledges the fault.
        deadline_ns: when it is given up [ns].
        given_up: whether that has been told: whatever the driver still does, the fault then stays.
    """

    done: Done
    by: str
    deadline_ns: int
    given_up: bool = False


class RecoveryBudget:
    """So many recoveries in so long, well or ill: each makes the robot ready to move.

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
                f"recovering the arm was tried {self._most} times in {self._window_s:g} s, the limit; the "
                f"next recover() is possible in {left_s:.0f} s: use them to find the cause"
            )

    def take(self, now_ns: int) -> None:
        """Count a recovery."""
        self._taken.append(now_ns)


class Recovery:
    """The way from FAULT to HOLD. One thread, the supervisor's.

    Args:
        arm: whose fault it is.
        driver: clears it.
        jobs: where that runs.
        server: how often it may.
    """

    def __init__(self, arm: ModeMachine, driver: ArmDriver, jobs: JobQueue, server: ArmServerConfig) -> None:
        self._arm = arm
        self._driver = driver
        self._jobs = jobs
        self._budget = RecoveryBudget(server.recoveries, server.recovery_window_s)
        self._order: _Order | None = None  # with the driver
        self._settling: tuple[Done, str, int] | None = None

    def ask(self, by: str, done: Done) -> None:
        """An operator acknowledges the fault; `done` hears whether its cause has gone.

        Raises:
            ArmError: nobody acknowledges it, or a recovery is under way.
            ArmFault: software does not clear this one, or it was tried too often of late.
        """
        arm = self._arm
        if arm.mode is not ArmMode.FAULT:
            done(None)
            return
        if not by.strip():
            raise ArmError("a fault is acknowledged by somebody: give your name, by=<name>")
        if arm.estop and arm.reading is not None:
            raise ArmFault(
                f"{arm.reading.fault or 'the emergency stop is pressed'}: software does not clear this; "
                "release it at the robot, then recover()"
            )
        if self._settling is not None:
            raise ArmError("a recovery is under way already; wait for it")
        if self._order is not None and self._order.given_up:
            raise ArmFault(
                "the recovery that was given up still waits for the robot; look at it and its link, and "
                "restart the arm server if this lasts"
            )
        self._budget.check(arm.now)
        order = _Order(done, by, arm.now + round(RECOVERY_S * NS_PER_S))

        def ended(error: HandrailError | None) -> None:
            self._order = None
            if order.given_up:
                how = f"has failed: {error}" if error else "has ended; the fault stays until the next one"
                arm.note(f"the recovery that was given up {how}")
            elif error is not None:
                done(ArmFault(str(error)))
            else:
                self._settling = (done, by, arm.now + SETTLE_NS)

        self._jobs.add(Job("recover", self._driver.clear_fault, ended))
        self._order = order
        self._budget.take(arm.now)

    def settle(self) -> None:
        """Finish a recovery once the robot shows a sound reading; give up one that takes too long."""
        self._watch()
        if self._settling is None:
            return
        done, by, deadline_ns = self._settling
        trouble = self._arm.trouble()
        if not trouble:
            self._settling = None
            self._arm.recovered(by)
            done(None)
        elif self._arm.now > deadline_ns:
            self._settling = None
            done(ArmFault(f"the cause is still there: {trouble}; remove it, then recover()"))

    def _watch(self) -> None:
        order = self._order
        if order is None or order.given_up or self._arm.now <= order.deadline_ns:
            return
        order.given_up = True
        late = ArmFault(
            f"the robot was not recovered in {RECOVERY_S:g} s (by {order.by}); look at it and its link, then "
            "recover()"
        )
        self._arm.note(str(late))
        self._jobs.drop_waiting("recover", error=late)
        order.done(late)
