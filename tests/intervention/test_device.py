import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from handrail.intervention.buttons import BUTTONS, assign, described, meant
from handrail.intervention.config import ButtonsConfig, DeviceConfig
from handrail.intervention.device import Button, DeviceError, Reading, check_at_rest
from handrail.robot_env.errors import ConfigError


class Stub:
    """A device that always says the same."""

    name = "SpaceMouse"

    def __init__(self, **reading: object) -> None:
        fields: dict = {"twist": np.zeros(6), "t_ns": 0}
        self._reading = Reading(**{**fields, **reading})

    def open(self) -> None: ...

    def close(self) -> None: ...

    def read(self, now_ns: int) -> Reading:
        return self._reading


def test_a_device_at_rest_is_accepted() -> None:
    check_at_rest(Stub(twist=np.full(6, 0.01)), 0)


@pytest.mark.parametrize(
    ("reading", "message"),
    [
        (
            {"twist": np.array([0, 0, 0, 0, -0.4, 0.1])},
            r"SpaceMouse is not at rest: axis ry reads -0\.40, limit 0\.03",
        ),
        ({"twist": np.full(6, np.nan)}, "not at rest"),
        ({"connected": False}, "not connected"),
        ({"buttons": frozenset({"success"})}, "success pressed"),
    ],
)
def test_anything_else_is_refused_in_one_line(reading: dict, message: str) -> None:
    with pytest.raises(DeviceError, match=message) as caught:
        check_at_rest(Stub(**reading), 0)
    assert "\n" not in str(caught.value)


NAMES = ("LEFT", "RIGHT", "FIT")
DEFAULTS: dict[str, Button] = {"LEFT": "success", "RIGHT": "failure", "MENU": "pause"}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, "LEFT success, RIGHT failure"),
        ({"discard": "fit"}, "LEFT success, RIGHT failure, FIT discard"),
        ({"success": "FIT"}, "RIGHT failure, FIT success"),
        ({"success": "RIGHT"}, "RIGHT success"),
        ({"success": "none", "failure": "None"}, "no buttons"),
        ({"success": "RIGHT", "failure": "LEFT"}, "RIGHT success, LEFT failure"),
    ],
)
def test_buttons_are_assigned_by_the_devices_own_names(wanted: dict[str, str], expected: str) -> None:
    meanings = assign("Mouse", NAMES, DEFAULTS, ButtonsConfig(**wanted))
    assert described(meanings) == expected
    assert meant(["FIT", "LEFT", "unheard of"], {"FIT": "stop"}) == {"stop"}


def test_a_button_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"device.buttons.stop is 'ESC': Mouse .* it has LEFT, RIGHT, FIT$"):
        assign("Mouse", NAMES, DEFAULTS, ButtonsConfig(stop="ESC"))
    with pytest.raises(ConfigError, match="it has none"):
        assign("Mouse", (), DEFAULTS, ButtonsConfig(stop="ESC"))


def test_every_meaning_can_be_configured() -> None:
    assert {each.name for each in dataclasses.fields(ButtonsConfig)} == set(BUTTONS)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ButtonsConfig(success="a", failure="A"), "failure and device.buttons.success are both 'a'"),
        (lambda: DeviceConfig(poll_s=0.2), r"device.poll_s is 0.2, outside \[0.001, 0.05\]"),
        (lambda: DeviceConfig(stick_dead_zone=0.9), "device.stick_dead_zone is 0.9"),
        (lambda: DeviceConfig(key_deflection=0.0), "device.key_deflection is 0.0"),
        (lambda: DeviceConfig(key_s=float("nan")), "device.key_s is nan"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
