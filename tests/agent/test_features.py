"""The fixed features: both views of a number, and what they resolve."""

import math

import pytest
import torch

from handrail.agent.networks.features import StateFeatures
from handrail.robot_env.spec import STATE_SPEC, ArraySpec, StateSpec

SPEC = StateSpec(
    (
        ArraySpec("force", (1,), "N", "tool", 10.0, "force"),
        ArraySpec("here", (2,), "m", "work", 0.03, "p", 0.003),
    )
)


def test_both_views_of_a_state():
    features = StateFeatures(SPEC, fine=True)
    state = torch.tensor([[5.0, 0.003, -0.03]])
    expected = [0.5, 0.1, -1.0, math.tanh(1.0), math.tanh(-10.0)]
    assert features.size == 5
    assert features(state)[0].tolist() == pytest.approx(expected)


def test_without_the_second_view_only_the_scaled_state_remains():
    features = StateFeatures(SPEC, fine=False)
    assert features.size == SPEC.size
    assert features(torch.tensor([[10.0, 0.03, 0.0]]))[0].tolist() == pytest.approx([1.0, 1.0, 0.0])


def test_a_clearance_near_the_socket_is_a_visible_difference():
    features = StateFeatures(STATE_SPEC, fine=True)
    states = torch.zeros(2, STATE_SPEC.size)
    states[1, 0] = 0.0003
    coarse, fine = (features(states)[1] - features(states)[0])[[0, STATE_SPEC.size]].tolist()
    assert coarse < 0.02 and fine > 0.09
