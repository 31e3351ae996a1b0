"""What goes in, what does not, and with how much force: the physics the whole project stands on."""

import numpy as np
import pytest

from handrail.robot_env.geometry import pose_compose, quat_from_rotvec
from handrail.robot_env.sim.insertion import insertion_depth
from handrail.robot_env.sim.sizes import MODULE_LENGTH_M, SOCKET_DEPTH_M

SEATED = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


def test_aligned_module_clicks_in(cell, press):
    force, depth = press(cell)
    assert cell.success()
    before_floor = depth < 0.8
    click = int(force[before_floor].argmax())
    assert 9.5 <= force[before_floor][click] <= 13.0
    assert 0.40 <= depth[before_floor][click] <= 0.55
    sliding = force[(depth > 0.62) & (depth < 0.93)]
    assert 4.0 <= sliding.mean() <= 7.0


@pytest.mark.parametrize(
    ("x_m", "y_m", "yaw"),
    [
        (0.0, 0.0015, 0.0),
        (0.0, -0.0015, 0.0),
        (0.0006, 0.0, 0.0),
        (-0.0006, 0.0, 0.0),
        (0.0, 0.0, 0.0087),
        (0.0, 0.0, -0.0087),
        (0.0, 0.0098, 0.0),
        (0.04, 0.0, 0.0),
        (0.0, 0.0, np.pi),
    ],
)
def test_misaligned_module_does_not_go_in(cell, press, x_m, y_m, yaw):
    _, depth = press(cell, x_m, y_m, yaw)
    assert not cell.success()
    assert depth.max() < 0.2


def test_depth_is_that_of_the_worse_corner():
    assert insertion_depth(np.array(SEATED))[0] == pytest.approx(1.0)
    tilt = 0.002 / MODULE_LENGTH_M
    tilted = pose_compose((0.0, 0.0, 0.001, *quat_from_rotvec((0.0, tilt, 0.0))), SEATED)
    depth, yaw = insertion_depth(tilted)
    assert depth == pytest.approx(1.0 - 0.002 / SOCKET_DEPTH_M, abs=1e-3)
    assert yaw == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("xyz", [(0.0, 0.003, 0.0), (0.003, 0.0, 0.0), (0.0, 0.0098, -0.001)])
def test_low_beside_the_slot_is_not_deep(xyz):
    assert insertion_depth(np.array((*xyz, *SEATED[3:])))[0] == 0.0


def test_reversed_module_is_not_deep():
    reversed_module = pose_compose((0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0), SEATED)
    assert insertion_depth(reversed_module)[0] == 0.0


def test_depth_is_measured_in_the_displaced_slots_frame(cell, press):
    from handrail.robot_env.sim.config import RandomizationConfig

    cell.randomize(np.random.default_rng(3), RandomizationConfig(hidden_xy_m=0.004))
    _, depth = press(cell)
    assert not cell.success(), "pressed into the nominal place, the displaced slot must not be found"
    assert depth.max() < 0.2


def test_nothing_goes_in_between_two_sockets(cell, press):
    """A module that comes down askew must not find a gap to wedge itself in."""
    press(cell, 0.0, 0.0049)
    truth = cell.truth()
    assert truth.T_base_tip[2] - truth.T_base_socket[2] > SOCKET_DEPTH_M - 0.0005
