"""A clock that goes by the robot's time."""

import time

from handrail.robot_env.errors import ArmError
from handrail.robot_env.remote.client import ArmClient

_STANDSTILL_S = 10.0


class DeviceClock:
    """Time as the served robot counts it: a slow emulator, or a busy machine, changes nothing.

    Args:
        client: of the arm, connected before the clock is used.
    """

    def __init__(self, client: ArmClient) -> None:
        self._client = client

    def now_ns(self) -> int:
        """The robot's time [ns]."""
        return self._client.newest.device_ns

    def wait_until(self, t_ns: int) -> None:
        """Return once the robot's time has come to `t_ns`.

        Raises:
            ArmError: it has stood still for ten seconds.
        """
        while (before_ns := self.now_ns()) < t_ns:
            end_s = time.monotonic() + _STANDSTILL_S
            while not self._client.feed.wait(lambda state: state.device_ns >= t_ns, 0.5):
                if self.now_ns() > before_ns:
                    break
                if time.monotonic() > end_s:
                    raise ArmError(f"the robot's time has stood still for {_STANDSTILL_S:g} s")

    def stalled_ns(self) -> int:
        """Always zero: the robot does not wait for this process."""
        return 0
