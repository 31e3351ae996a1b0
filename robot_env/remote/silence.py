"""How long an arm goes on without a word from its commander."""

from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.arms.config import ArmServerConfig
from handrail.robot_env.remote.jobs import JobQueue
from handrail.robot_env.remote.lease import LeaseDesk
from handrail.robot_env.remote.modes import ModeMachine
from handrail.robot_env.remote.timing import waiting_ns, watchdog_ns

TARE_PATIENCE_NS = 3_000_000_000
"""Longest that an arm in RUN, and its commander, wait for a tare."""
TARE, JOINTS = "zero_ft", "move_joints"
"""Work that the commander waits for: no commands come meanwhile, but heartbeats must."""
LETS_GO = (JOINTS, "set_load")
"""Work before which the driver lets go of the arm."""


class SilenceWatch:
    """Looks out for a commander that says nothing while the arm runs, or moves by itself. One thread.

    Args:
        arm: who acts on commands.
        jobs: its slow work.
        desk: when the commander was last heard of.
        server: the watchdog's time.
        period_s: time between two commands, until a commander names its own [s].
    """

    def __init__(
        self, arm: ModeMachine, jobs: JobQueue, desk: LeaseDesk, server: ArmServerConfig, period_s: float
    ) -> None:
        self._arm = arm
        self._jobs = jobs
        self._desk = desk
        self._server = server
        self._patient_until_ns = 0
        self.follow(period_s)

    def follow(self, period_s: float) -> None:
        """Watch over a commander whose commands come every `period_s`."""
        self._limit_ns = watchdog_ns(self._server, period_s)

    def tares(self) -> None:
        """A tare has been asked for: have patience."""
        self._patient_until_ns = self._arm.now + TARE_PATIENCE_NS

    def look(self, moves: bool) -> str:
        """Why the arm must hold now; "" while it may go on.

        Args:
            moves: whether a joint motion that waits or runs has not been ended yet.
        """
        arm, job = self._arm, self._jobs.name
        runs = arm.mode is ArmMode.RUN
        if job not in (TARE, JOINTS):
            silent_ns = arm.now - arm.command_ns
            return f"no command for {silent_ns / 1e6:.0f} ms" if runs and silent_ns > self._limit_ns else ""
        if runs or (moves and job == JOINTS):
            silent_ns = self._desk.silent_ns(arm.now)
            if silent_ns > waiting_ns(self._limit_ns):
                return f"no heartbeat for {silent_ns / 1e6:.0f} ms in {job}"
            if job == TARE and arm.now > self._patient_until_ns:
                return f"{job} took longer than {TARE_PATIENCE_NS / 1e9:g} s"
        return ""
