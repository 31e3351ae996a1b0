"""Which model an arm is, from its joint angles and where it says that its tool is."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handrail.robot_env.arms.config import ArmConfig, ArmKind, ArmServerConfig
from handrail.robot_env.arms.franka.config import FrankaConfig
from handrail.robot_env.arms.kinematics import FRANKA, UR
from handrail.robot_env.arms.models import HALF_TURN, SIMULATED_HAND, SIMULATED_TOOL, fits, table_of, tool_of
from handrail.robot_env.arms.ur.config import URConfig
from handrail.robot_env.config import EnvConfig, SimConfig
from handrail.robot_env.geometry import pose_compose, pose_from, quat_from_rotvec

TOOL = (0.02, -0.03, 0.15, 0.0, 0.0, -0.3826834, 0.9238795)
PATIENT = ArmServerConfig(reading_age_s=1.0)
Q = np.array([0.3, -1.4, 1.9, -2.0, -1.57, 0.2])


def ur(tcp=TOOL) -> EnvConfig:
    return EnvConfig(arm=ArmConfig(kind="ur", ur=URConfig(tcp=tcp)))


@given(
    st.sampled_from(sorted(UR)),
    st.lists(st.floats(-2.0, 2.0), min_size=6, max_size=6),
    st.lists(st.floats(-0.007, 0.007), min_size=3, max_size=3),
)
def test_a_ur_is_never_taken_for_another_whatever_its_calibration(model, angles, off_m):
    q = np.array(angles)
    told = table_of(ur(), q, pose_compose(UR[model].flange(q), np.add(TOOL, (*off_m, 0, 0, 0, 0))))
    assert told is UR[model] or "it may be a" in str(told)


@pytest.mark.parametrize("model", sorted(UR))
def test_each_ur_is_told(model):
    assert table_of(ur(), Q, pose_compose(UR[model].flange(Q), TOOL)) is UR[model]


def test_where_two_models_reach_the_same_place_nothing_is_said_yet():
    q = np.array([0.0, -0.4, 3.0, 0.1, 1.9, 0.0])
    told = table_of(ur(), q, pose_compose(UR["ur3e"].flange(q), TOOL))
    assert told == "where the arm stands it may be a ur3e or a ur5e; ask again where it stands elsewhere"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (ur((0.0, 0.0, 0.05, 0.0, 0.0, 0.0, 1.0)), "correct env.arm.ur.tcp"),
        (ur(None), "env.arm.ur.tcp is not set"),
        (EnvConfig(arm=ArmConfig(kind="serl_http", server=PATIENT)), "known to its own server alone"),
        (EnvConfig(arm=ArmConfig(kind="franka", franka=FrankaConfig(tcp=TOOL))), "6 joints is not known"),
    ],
)
def test_what_cannot_be_told_says_why(config, words):
    assert words in str(table_of(config, Q, pose_compose(UR["ur5e"].flange(Q), TOOL)))


@pytest.mark.parametrize("kind", ["franka", "sim_server", "serl_http"])
def test_seven_joints_are_a_frankas_whatever_its_tool(kind: ArmKind):
    q = np.zeros(7)
    assert table_of(EnvConfig(arm=ArmConfig(kind=kind, server=PATIENT)), q, FRANKA.flange(q)) is FRANKA


def test_the_simulated_ur_stands_turned_by_half_a_turn():
    config = EnvConfig(arm=ArmConfig(kind="sim_server"), sim=SimConfig(arm="ur5e"))
    pose = pose_compose(pose_compose(HALF_TURN, UR["ur5e"].flange(Q)), SIMULATED_TOOL)
    assert table_of(config, Q, pose) is UR["ur5e"]


def test_the_best_fit_comes_first():
    turn = pose_from((0.0, 0.0, 0.0), quat_from_rotvec((0.0, 0.0, math.radians(1.0))))
    found = fits(ur(), Q, pose_compose(pose_compose(UR["ur3e"].flange(Q), TOOL), turn))
    assert not isinstance(found, str) and found[0].model == "ur3e"
    assert found[0].angle_rad == pytest.approx(math.radians(1.0), abs=1e-6) and found[0].uncalibrated
    assert not found[1].uncalibrated


def has_tool(config: EnvConfig, q, pose, tool) -> bool:
    told = tool_of(config, np.asarray(q), np.asarray(pose))
    assert not isinstance(told, str), told
    return np.allclose(told, tool, atol=1e-6)


@pytest.mark.parametrize("tcp", [TOOL, None])
def test_the_tool_of_a_franka_is_the_stations_or_desks(tcp):
    """What is not configured lies between its table, which is its controller's own, and the reported pose."""
    config = EnvConfig(arm=ArmConfig(kind="franka", franka=FrankaConfig(tcp=tcp)))
    q = np.array([0.1, -0.3, 0.2, -2.0, 0.1, 1.8, 0.7])
    assert has_tool(config, q, pose_compose(FRANKA.flange(q), TOOL), TOOL)


def test_the_tool_of_a_ur_is_the_stations_or_not_known():
    anywhere = pose_compose(UR["ur5e"].flange(Q), TOOL)
    assert has_tool(ur(), Q, anywhere, TOOL)
    assert "env.arm.ur.tcp is not set" in str(tool_of(ur(None), Q, anywhere))


def test_simulated_arms_and_serl_servers_have_tools_of_their_own():
    panda = EnvConfig(arm=ArmConfig(kind="sim_server"), sim=SimConfig(arm="panda"))
    ur5e = EnvConfig(arm=ArmConfig(kind="sim_server"), sim=SimConfig(arm="ur5e"))
    serl = EnvConfig(arm=ArmConfig(kind="serl_http", server=PATIENT))
    for config, tool in (
        (panda, SIMULATED_HAND),
        (ur5e, SIMULATED_TOOL),
        (serl, serl.arm.serl_http.tool_in_flange),
    ):
        assert has_tool(config, np.zeros(7), TOOL, tool)
