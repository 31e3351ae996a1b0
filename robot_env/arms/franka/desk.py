"""Getting a Franka ready through Desk: control token, brakes, self-test, FCI.

Only where a station names the environment variables that hold its credentials; everywhere else an operator
does the same by hand in the browser. The token is kept while the driver is connected, so that nobody unlocks
or moves the robot from Desk meanwhile, and given back afterwards. Locking the brakes is left to people.
"""

import logging
import os
import time
from typing import Any

from handrail.robot_env.errors import ArmError, ConfigError

log = logging.getLogger(__name__)

TAKE_CONTROL_S = 15.0
"""How long to wait for another session to let go of the robot [s]."""
UNLOCK_S = 20.0
"""How long the brakes may take to open [s]."""


def credentials(user_env: str, password_env: str) -> tuple[str, str] | None:
    """User and password from the named environment variables; None when none are named.

    Raises:
        ConfigError: one is named and the other is not, or a variable is not set.
    """
    if not user_env and not password_env:
        return None
    values = []
    for key, name in (("desk_user_env", user_env), ("desk_password_env", password_env)):
        value = os.environ.get(name, "") if name else ""
        if not value:
            raise ConfigError(
                f"env.arm.franka.{key} is {name!r}, and no such environment variable is set; name the "
                "variables that hold user and password of Desk, or leave both keys empty"
            )
        values.append(value)
    return values[0], values[1]


class FrankaDesk:
    """A session with the Desk of one robot (FR3, system 5 or later).

    Args:
        sdk: the franky module.
        host: address of the control box.
        user: user of Desk.
        password: its password; never logged.
    """

    def __init__(self, sdk: Any, host: str, user: str, password: str) -> None:
        self._sdk = sdk
        self._host = host
        self._desk = sdk.Desk(host, user, password)

    def prepare(self) -> None:
        """Take control, unlock the brakes and activate FCI, as far as that is still to be done.

        Raises:
            ArmError: Desk refused, somebody else has control, or a safety error waits to be confirmed there.
        """
        sdk, desk = self._sdk, self._desk
        try:
            desk.open()
            desk.take_control(wait_timeout=TAKE_CONTROL_S)
            recovery = desk.get_recovery_status()
            if recovery is not None:
                raise ArmError(
                    f"Desk at {self._host} waits for a safety recovery ({recovery.get('type', 'unknown')}; "
                    "SelfTestsElapsed is the daily self-test): confirm it in the browser, beside the robot"
                )
            if not self._unlocked():
                log.info("Franka: unlocking the brakes")
                desk.unlock_brakes()
                self._wait_for_brakes()
            if desk.operating_mode is not sdk.OperatingMode.EXECUTION:
                desk.set_mode_execution()
            desk.enable_fci()
        except (sdk.DeskError, OSError, KeyError, ValueError) as error:
            self.close()
            raise ArmError(
                f"Desk at {self._host}: {error}; prepare the robot in the browser, and leave "
                "env.arm.franka.desk_user_env empty to do so always"
            ) from error
        except ArmError:
            self.close()
            raise

    def _unlocked(self) -> bool:
        """Whether every brake is open; joint by joint they open one after the other."""
        try:
            return self._desk.brake_state is self._sdk.BrakeState.UNLOCKED
        except self._sdk.DeskError as error:
            if isinstance(error, self._sdk.FrankaAPIError):
                raise
            return False

    def _wait_for_brakes(self) -> None:
        deadline = time.monotonic() + UNLOCK_S
        while not self._unlocked():
            if time.monotonic() > deadline:
                raise ArmError(f"the brakes are not open after {UNLOCK_S:g} s; look into Desk")
            time.sleep(0.2)

    def close(self) -> None:
        """Give control back. Safe to call twice."""
        if self._desk.is_open:
            try:
                self._desk.close()
            except Exception as error:
                log.warning("Desk at %s did not take its control token back: %s", self._host, error)
