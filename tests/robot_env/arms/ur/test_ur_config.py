"""What a UR's settings refuse, and what is said when ur_rtde is not installed."""

import importlib
import math
import sys
from dataclasses import replace

import pytest

from handrail.robot_env.arms.ur.config import URConfig
from handrail.robot_env.arms.ur.driver import URDriver
from handrail.robot_env.arms.ur.state import fault_of, stopped_by_hand
from handrail.robot_env.errors import ConfigError, MissingExtra


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rate_hz", 100.0),
        ("rate_hz", 1000.0),
        ("tcp", (0.0, 0.0, 0.1)),
        ("tcp", (0.0, 0.0, 100.0, 0.0, 0.0, 0.0, 1.0)),
        ("tcp", (0.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0)),
        ("payload_kg", -1.0),
        ("payload_com_m", (0.0, 0.0, 60.0)),
        ("clip_m", (0.0, 0.01, 0.01)),
        ("clip_rad", (0.01, 0.01)),
        ("force_limit_n", math.nan),
        ("torque_limit_nm", 0.0),
        ("speed_limit_m_s", 3.0),
        ("speed_limit_rad_s", 0.0),
        ("force_damping", 1.5),
        ("force_scaling", 0.0),
        ("watchdog_hz", 0.0),
        ("stale_s", 0.0),
        ("silence_s", 60.0),
        ("joint_speed_rad_s", 180.0),
        ("joint_acceleration_rad_s2", 0.0),
        ("unlock_s", 0.0),
        ("gripper", "franka"),
        ("gripper_stroke_m", 85.0),
        ("gripper_counts", (228, 3)),
        ("gripper_forces_n", (20.0, 10.0)),
        ("gripper_force_n", 1000.0),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(field, value):
    with pytest.raises(ConfigError, match=rf"arm\.ur\.{field} is "):
        replace(URConfig(), **{field: value})


def test_a_driver_without_an_address_names_the_key():
    with pytest.raises(ConfigError, match=r"env\.arm\.ur\.host is empty"):
        URDriver(URConfig())


def test_without_ur_rtde_the_line_names_the_extra_and_settings_still_load(monkeypatch):
    monkeypatch.setitem(sys.modules, "rtde_control", None)
    with pytest.raises(MissingExtra, match=r"pip install 'handrail\[ur\]'"):
        URDriver(URConfig(host="127.0.0.1"))
    importlib.import_module("handrail.robot_env.arms.config").ArmConfig(kind="ur")


def test_every_mode_that_is_no_running_robot_has_words_for_it():
    assert fault_of(1, 7) == fault_of(2, 7) == ""
    for safety in range(3, 15):
        assert fault_of(safety, 7)
    for mode in range(-1, 9):
        assert bool(fault_of(1, mode)) == (mode != 7)
    assert {mode for mode in range(15) if stopped_by_hand(mode)} == {6, 7, 13}
    assert "emergency" in fault_of(7, 3)  # the stop, not that the arm is off because of it
