"""The head, the two losses, and their errors."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from handrail.vision.config import VisionConfig
from handrail.vision.pose import MATES, UNIT, PoseHead, motion, pose_error, pose_loss

UNITS = torch.tensor(UNIT)


def poses(seed: int, count: int = 8) -> torch.Tensor:
    """(count, 4) [m, rad]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 4, generator=generator) * torch.tensor([0.01, 0.01, 0.02, 0.1])


def moved(inner: torch.Tensor, by: tuple[float, float, float, float]) -> torch.Tensor:
    """`by` ∘ poses, all in [m, rad]."""
    x, y, z, yaw = inner.unbind(-1)
    c, s = math.cos(by[3]), math.sin(by[3])
    return torch.stack((by[0] + c * x - s * y, by[1] + s * x + c * y, by[2] + z, by[3] + yaw), -1)


small = st.floats(-1.0, 1.0)


@given(st.integers(0, 1000), small, small, small, small)
def test_motion_is_the_same_whatever_frame_the_poses_count_from(
    seed: int, x: float, y: float, z: float, yaw: float
) -> None:
    start, end = poses(seed, 2).double()
    by = (0.1 * x, 0.1 * y, 0.1 * z, yaw)
    here = motion(start / UNITS, end / UNITS)
    there = motion(moved(start, by) / UNITS, moved(end, by) / UNITS)
    assert torch.allclose(here, there, atol=1e-5)
    # And it leads from the one pose to the other.
    assert torch.allclose(moved((here * UNITS)[None], tuple(start.tolist()))[0], end, atol=1e-9)


def test_an_unknown_offset_costs_nothing_where_only_motion_is_known() -> None:
    labels = poses(1)
    offset = torch.cat(
        [moved(labels[:MATES], (0.03, 0.0, 0.1, 0.4)), moved(labels[MATES:], (0, 0.02, 0, -1))]
    )
    motion_only, absolute = torch.zeros(8, dtype=torch.bool), torch.ones(8, dtype=torch.bool)
    assert float(pose_loss(offset / UNITS, labels, motion_only)) == pytest.approx(0.0, abs=1e-5)
    assert float(pose_loss(offset / UNITS, labels, absolute)) > 1.0
    assert float(pose_loss(labels / UNITS, labels, absolute)) == 0.0
    mixed = torch.tensor([True] * MATES + [False] * MATES)
    half = float(pose_loss(offset / UNITS, labels, absolute)) * 0.0
    half += float(pose_loss(torch.cat([offset[:MATES], labels[MATES:]]) / UNITS, labels, absolute))
    assert float(pose_loss(offset / UNITS, labels, mixed)) == pytest.approx(half, rel=1e-4)


def test_errors_are_in_metres_and_radians_and_can_be_of_those_near_the_socket() -> None:
    labels = poses(2)
    labels[:, 2] = torch.tensor([0.001, 0.01, 0.02, 0.03] * 2)
    off = torch.tensor([0.001, -0.002, 0.003, 0.04])
    absolute = torch.ones(8, dtype=torch.bool)
    error = pose_error((labels + off) / UNITS, labels, absolute)
    assert (error.x_m, error.y_m, error.z_m, error.yaw_rad) == pytest.approx(
        (0.001, 0.002, 0.003, 0.04), rel=1e-3
    )
    assert error.frames == 8
    assert str(error) == "1.00 / 2.00 / 3.00 mm in x / y / z, 2.29° in yaw (8 poses)"
    assert pose_error(labels / UNITS, labels, absolute, near_m=0.015).frames == 4
    unknown = pose_error(moved(labels, (1, 2, 3, 0.5)) / UNITS, labels, ~absolute)
    assert unknown.of_motion
    assert (unknown.x_m, unknown.yaw_rad) == pytest.approx((0.0, 0.0), abs=1e-5)


def test_all_of_the_head_learns() -> None:
    head = PoseHead(2, (8, 4), VisionConfig(), torch.Generator().manual_seed(0))
    maps = torch.rand(MATES, 2, 8, 4, generator=torch.Generator().manual_seed(1))
    pose_loss(head(maps), poses(3, MATES), torch.ones(MATES, dtype=torch.bool)).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
