import dataclasses
import math

import pytest

from handrail.robot_env.arms.config import ArmConfig, ArmServerConfig
from handrail.robot_env.config import CameraConfig, EnvConfig, LimitsConfig, MotionLimits, TaskConfig
from handrail.robot_env.errors import ConfigError, HandrailError
from handrail.robot_env.serl.config import SerlHttpConfig


def test_the_defaults_are_usable():
    config = EnvConfig()
    assert config.hz == 10.0 and config.task.max_steps == 100
    assert dataclasses.replace(config, hz=20.0).action_scale == config.action_scale


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(MotionLimits)])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_motion_limit_of_nothing_or_everything_is_refused(name, value):
    with pytest.raises(ConfigError, match=rf"limits\.{name} is {value}"):
        MotionLimits(**{name: value})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LimitsConfig(workspace_low_m=(0.1, -0.05, -0.01)), r"workspace on x .* set workspace_low_m"),
        (lambda: LimitsConfig(workspace_high_m=(0.05, 0.05, -0.005)), r"on z .* without 0"),
        (lambda: LimitsConfig(workspace_low_m=(0.0, 0.0, 0.0), workspace_high_m=(0.0, 0.0, 0.0)), "nothing"),
        (lambda: LimitsConfig(workspace_low_m=(math.nan, 0.0, 0.0)), "three finite"),
        (lambda: LimitsConfig(workspace_low_m=(0.0, 0.0)), "three finite"),  # type: ignore[arg-type]
        (lambda: LimitsConfig(rotation_limit_rad=(0.0, 0.1, 0.1)), "rotation_limit_rad about x is 0.0 rad"),
        (lambda: LimitsConfig(rotation_limit_rad=(0.1, 12.0, 0.1)), "about y is 12.0 rad"),
        (lambda: LimitsConfig(force_limit_n=0.0), "force_limit_n is 0.0"),
        (lambda: LimitsConfig(force_samples=0), "force_samples is 0"),
        (lambda: MotionLimits(leash_m=12.0), r"leash_m is 12.0, outside \[0.0, 1.0\]"),
        (lambda: TaskConfig(start_xy_m=20.0), "start_xy_m is 20.0"),
        (lambda: TaskConfig(start_yaw_rad=10.0), "start_yaw_rad is 10.0"),
        (lambda: TaskConfig(home_m=0.01), "home_m is 0.01 m, below task.clearance_m"),
        (lambda: TaskConfig(start_height_m=0.02), "raise start_height_m"),
        (lambda: TaskConfig(max_steps=0), "max_steps is 0"),
        (lambda: TaskConfig(seated_pose=(0.0,) * 7), "unit quaternion"),
        (lambda: EnvConfig(hz=0.0), "hz is 0.0"),
        (lambda: EnvConfig(hz=math.nan), "hz is nan"),
        (lambda: EnvConfig(action_scale=(10.0, 60.0)), "in metres and radians"),
        (lambda: EnvConfig(action_scale=(0.0, 0.06)), r"action_scale\[0\] is 0.0"),
        (lambda: EnvConfig(action_scale=(0.01,)), "two numbers"),  # type: ignore[arg-type]
        (lambda: EnvConfig(target_reference="comanded"), "'commanded' or 'measured'"),  # type: ignore[arg-type]
        (lambda: EnvConfig(cameras=(CameraConfig(), CameraConfig())), "name of its own"),
        (lambda: EnvConfig(task=TaskConfig(start_xy_m=0.06)), "on x, beyond limits.workspace_high_m"),
        (lambda: EnvConfig(task=TaskConfig(start_yaw_rad=0.5)), "start_yaw_rad is 0.5 rad, beyond"),
        (lambda: EnvConfig(task=TaskConfig(home_m=0.2)), "home_m is 0.2 m, above"),
        (
            lambda: EnvConfig(limits=LimitsConfig(workspace_low_m=(-0.01, -0.05, -0.01))),
            "on x, beyond limits.workspace_low_m",
        ),
    ],
)
def test_bad_settings_are_refused_in_one_line_with_the_value_and_the_remedy(make, words):
    with pytest.raises(ConfigError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, HandrailError) and caught.value.exit_code == 2


def test_a_reading_may_be_as_old_as_a_serl_server_may_make_it():
    with pytest.raises(ConfigError, match=r"reading_age_s is 0\.1, .*0\.27 s .* raise it to 0\.27"):
        ArmConfig(kind="serl_http")
    assert ArmConfig(kind="serl_http", server=ArmServerConfig(reading_age_s=0.27))
    quick = SerlHttpConfig(deadline_s=0.05, poll_hz=100.0)
    assert ArmConfig(kind="serl_http", serl_http=quick)
