"""Pretraining, on small pictures whose pose is easy to see: a bright square on a dark ground."""

import math
from dataclasses import replace

import pytest
import torch

from handrail.robot_env.errors import ConfigError
from handrail.vision.frames import PoseFrames
from handrail.vision.pretrain import PretrainConfig, PretrainDiverged, Stage, pretrain, probe
from handrail.vision.trunk import Trunk, build

SIDE = 32
CONFIG = PretrainConfig(updates=150, batch=32, check_every=50, learning_rate=3e-3)


def squares(count: int, seed: int, *, absolute: bool = True) -> PoseFrames:
    """A square that stands at (x, y), as large as z says; a pixel is a millimetre.

    Without `absolute` the label is off by as much as the picture is wide, otherwise in each episode.
    """
    generator = torch.Generator().manual_seed(seed)
    place = torch.rand(count, 3, generator=generator)
    centre, half = 9 + 14 * place[:, :2], 3 + 4 * place[:, 2]
    grid = torch.arange(SIDE).float() + 0.5
    inside = [
        ((half[:, None] - (grid - centre[:, axis, None]).abs()).clamp(-0.5, 0.5) + 0.5) for axis in (0, 1)
    ]
    image = (40 + 180 * inside[1][:, :, None] * inside[0][:, None, :]).round().to(torch.uint8)
    images = image[..., None].expand(-1, -1, -1, 3).contiguous()
    poses = torch.cat([centre, half[:, None], torch.zeros(count, 1)], 1) * torch.tensor(
        [1e-3, 1e-3, 1e-3, 0.01]
    )
    episodes = torch.arange(count) // 8
    if not absolute:
        offsets = 0.03 * torch.randn(count // 8 + 1, 4, generator=generator)
        offsets[:, 3] = 0.0
        poses = poses + offsets[episodes]
    known = torch.full((count,), absolute)
    return PoseFrames({"left": images, "right": images.flip(2)}, poses, episodes, known)


TRAINING, TEST = squares(400, 0), squares(80, 1)


def worst(error) -> float:
    return max(error.x_m, error.y_m, error.z_m)


@pytest.fixture(scope="module")
def trained() -> dict[str, torch.Tensor]:
    stages: list[Stage] = []
    result = pretrain("cnn", TRAINING, CONFIG, seed=0, progress=stages.append)
    assert [stage.updates for stage in stages] == list(range(1, 151))
    assert stages[0].error is None and stages[-1].error is not None
    assert stages[-1].loss < 0.3 * stages[0].loss
    assert result.updates == 150
    assert not result.error.of_motion
    assert worst(result.error) < 0.0005  # of places 14 pixels apart: 3.5 mm if it saw nothing
    assert {key: value.dtype for key, value in result.tensors.items()} == {
        key: torch.float32 for key in build("cnn").state_dict()
    }
    return result.tensors


def test_a_trained_trunk_s_frozen_features_tell_the_pose_to_a_new_head(
    trained: dict[str, torch.Tensor],
) -> None:
    error, near = probe(Trunk("cnn", trained), TRAINING, TEST, updates=150)
    untrained, _ = probe(Trunk("cnn", build("cnn", 0).state_dict()), TRAINING, TEST, updates=150)
    assert worst(error) < 0.5 * worst(untrained)
    assert worst(error) < 0.0005
    assert near.frames == error.frames  # every z here is below 15 mm
    blind = replace(TRAINING, images={name: torch.zeros_like(i) for name, i in TRAINING.images.items()})
    unseen = replace(TEST, images={name: torch.zeros_like(i) for name, i in TEST.images.items()})
    assert worst(probe(Trunk("cnn", trained), blind, unseen, updates=150)[0]) > 0.0025


def test_motion_alone_teaches_it_too() -> None:
    """Each episode's poses are off by some centimetres that nobody knows, as on a real arm."""
    result = pretrain("cnn", squares(400, 0, absolute=False), CONFIG, seed=0)
    assert result.error.of_motion
    error, _ = probe(Trunk("cnn", result.tensors), TRAINING, TEST, updates=150)
    assert worst(error) < 0.0005


def test_a_seed_and_a_number_of_updates_say_what_comes_out() -> None:
    config = replace(CONFIG, updates=6, check_every=3)
    runs = [pretrain("cnn", TRAINING, config, seed=seed).tensors for seed in (5, 5, 6)]
    assert all(torch.equal(runs[0][key], runs[1][key]) for key in runs[0])
    assert not all(torch.equal(runs[0][key], runs[2][key]) for key in runs[0])


def test_it_goes_on_from_weights_that_are_given(trained: dict[str, torch.Tensor]) -> None:
    config = replace(CONFIG, updates=1, learning_rate=1e-9)
    result = pretrain("cnn", TRAINING, config, seed=1, tensors=trained)
    assert all(torch.allclose(result.tensors[key], trained[key], atol=1e-4) for key in trained)


def test_the_reference_s_network_can_be_trained_as_well() -> None:
    few = TRAINING.rows(torch.arange(32))
    start = build("resnet10", 0).state_dict()
    result = pretrain("resnet10", few, replace(CONFIG, updates=2, batch=8, check_every=1), seed=0)
    assert any(not torch.equal(result.tensors[key], start[key]) for key in start)
    assert all(torch.isfinite(value).all() for value in result.tensors.values())


def test_it_ends_when_asked_and_when_nothing_gets_better() -> None:
    asked = iter([False, False, True])
    result = pretrain("cnn", TRAINING, CONFIG, seed=0, stopped=lambda: next(asked))
    assert result.updates == 3
    impatient = replace(CONFIG, learning_rate=1e-12, weight_decay=0.0, check_every=1, patience=2)
    assert pretrain("cnn", TRAINING, impatient, seed=0).updates < 20


def test_a_loss_that_is_no_number_ends_it_in_one_line() -> None:
    poses = TRAINING.poses.clone()
    poses[:] = math.nan
    with pytest.raises(PretrainDiverged, match=r"diverged at update 1: its loss is nan; lower the learning"):
        pretrain("cnn", replace(TRAINING, poses=poses), CONFIG, seed=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": 30}, "batch is 30, no multiple of 4"),
        ({"minutes": 0.0}, "minutes"),
        ({"held_out": 0.0}, "held_out"),
    ],
)
def test_settings_beyond_reason_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PretrainConfig(**change)
