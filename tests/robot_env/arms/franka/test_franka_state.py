"""The wrench from joint torques, which stands in near a singularity: laws, on Jacobians of chosen sizes."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handrail.robot_env.arms.franka.state import wrench_of

SOUND = (1.6, 1.2, 0.9, 0.6, 0.4, 0.25)
"""Singular values of a Jacobian far from a singularity."""


def jacobian(sizes: tuple[float, ...], seed: int) -> np.ndarray:
    """A Jacobian (6, 7) with these singular values, its directions at random."""
    rng = np.random.default_rng(seed)
    left, right = np.linalg.qr(rng.normal(size=(6, 6)))[0], np.linalg.qr(rng.normal(size=(7, 7)))[0]
    return left @ np.diag(sizes) @ right[:6]


def felt(wrench: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
    """What is said of a robot that does `wrench` (6,) to its surroundings, with only its joints to tell."""
    state = SimpleNamespace(
        K_F_ext_hat_K=np.zeros(6),
        tau_ext_hat_filtered=jacobian.T @ wrench,
        O_T_EE=SimpleNamespace(matrix=np.eye(4)),
    )
    return -wrench_of(state, jacobian)


def wrenches(most: float = 50.0) -> st.SearchStrategy[np.ndarray]:
    return st.lists(st.floats(-most, most, width=32), min_size=6, max_size=6).map(np.array)


@given(wrenches(), st.integers(0, 1000))
def test_away_from_a_singularity_it_is_the_whole_wrench(wrench, seed):
    np.testing.assert_allclose(felt(wrench, jacobian(SOUND, seed)), wrench, atol=1e-6)


@given(wrenches(), st.integers(0, 1000), st.floats(0.0, 0.2))
def test_a_direction_that_is_lost_leaves_the_others_whole(wrench, seed, size):
    turned = jacobian((*SOUND[:5], size), seed)
    lost = np.linalg.svd(turned)[0][:, 5]
    said = felt(wrench, turned)
    rest = np.eye(6) - np.outer(lost, lost)
    np.testing.assert_allclose(rest @ said, rest @ wrench, atol=1e-4)
    assert abs(lost @ said) <= abs(lost @ wrench) + 1e-4  # it is never made up


@pytest.mark.parametrize("size", [0.0, 1e-9, 1e-3, 0.05])
def test_noise_of_the_joints_is_no_force_in_a_direction_that_is_lost(size):
    turned = jacobian((*SOUND[:5], size), 3)
    noise = 0.1 * np.linalg.svd(turned)[2][5]  # 0.1 Nm, in the joints that move the lost direction
    state = SimpleNamespace(
        K_F_ext_hat_K=np.zeros(6), tau_ext_hat_filtered=noise, O_T_EE=SimpleNamespace(matrix=np.eye(4))
    )
    assert np.linalg.norm(wrench_of(state, turned)) < 2.0
