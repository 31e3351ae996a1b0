"""Frames with poses: rendered in the simulated cell, and read back from a run's log."""

from dataclasses import replace
from math import cos, sin
from pathlib import Path

import numpy as np
import pytest
import torch

from handrail.intervention.log_format import LOG_SCHEMA, FrameRecord, SegmentHeader, frame_id, step_record
from handrail.intervention.log_writer import LogWriter
from handrail.intervention.transition import Source, Transition
from handrail.robot_env.config import CameraConfig, EnvConfig, RandomizationConfig
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.spec import START_SPEC, STATE_SPEC
from handrail.vision.frames import PoseFrames, joined, recorded, simulated

CONFIG = EnvConfig(
    cameras=(CameraConfig("wrist", width=32, height=24), CameraConfig("second", "wrist_2", 32, 24)),
    randomization=RandomizationConfig(light=True),
)
CAMERAS = ["wrist", "second"]


@pytest.fixture(scope="module")
def truth() -> PoseFrames:
    return simulated(CONFIG, CAMERAS, 60, seed=3)


@pytest.fixture(scope="module")
def proprioception() -> PoseFrames:
    return simulated(CONFIG, CAMERAS, 60, seed=3, truth=False)


def test_the_cell_is_seen_from_every_camera_at_poses_between_start_and_seated(truth: PoseFrames) -> None:
    assert {name: images.shape for name, images in truth.images.items()} == dict.fromkeys(
        CAMERAS, (60, 24, 32, 3)
    )
    assert all(images.dtype == torch.uint8 and images.float().std() > 10 for images in truth.images.values())
    height, sideways, yaw = truth.poses[:, 2], truth.poses[:, :2].abs(), truth.poses[:, 3].abs()
    assert -0.001 < float(height.min()) < 0.006 < 0.03 < float(height.max()) < 0.06
    assert float(sideways.max()) < CONFIG.task.start_xy_m + 0.008
    assert float(yaw.max()) < CONFIG.task.start_yaw_rad + 0.07
    low = height < 0.006  # between the walls there is no room
    assert int(low.sum()) >= 5
    assert float(sideways[low].max()) < 0.004
    assert truth.absolute.all()
    assert truth.episodes.tolist() == [row // 10 for row in range(60)]


def test_the_same_seed_gives_the_same_frames(truth: PoseFrames, proprioception: PoseFrames) -> None:
    for name in CAMERAS:
        assert torch.equal(truth.images[name], proprioception.images[name])
    other = simulated(CONFIG, CAMERAS, 10, seed=4)
    assert not torch.equal(other.images["wrist"], truth.images["wrist"][:10])


def test_an_arm_does_not_know_the_hidden_displacement(truth: PoseFrames, proprioception: PoseFrames) -> None:
    """The two labels differ by an episode's displacement, and by how the module sits in the hand."""
    assert not proprioception.absolute.any()
    config = replace(
        CONFIG, randomization=RandomizationConfig(hidden_xy_m=0.01, hidden_yaw_rad=0.0, grasp_m=0.0)
    )
    rows = {
        known: simulated(config, CAMERAS, 30, seed=5, truth=known).poses[:, :2] for known in (True, False)
    }
    offsets = (rows[False] - rows[True]).view(3, 10, 2)
    within = offsets - offsets.mean(1, keepdim=True)
    assert float(offsets.mean(1).abs().max()) > 0.003
    assert float(within.abs().max()) < 0.0025  # tilt and give: two hundredths of a radian over 4 cm


def test_cameras_that_are_not_configured_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"\['overview'\] are wanted, env.cameras has \['wrist', 'second'\]"
    ):
        simulated(CONFIG, ["overview"], 1, seed=0)
    with pytest.raises(ConfigError, match=r"\[\] are wanted"):
        simulated(EnvConfig(), [], 1, seed=0)


def pose_of(episode: int, index: int) -> tuple[float, float, float, float]:
    return 0.01 * episode, 0.001 * index, 0.05 - 0.001 * index, 0.02 * index


def write_log(segments: Path, layout: str, lengths: list[int]) -> None:
    """A log of episodes of so many steps; images of camera c in frame n of episode e are all 40·c + n + e."""
    spec = START_SPEC if layout == "start" else STATE_SPEC

    def state(episode: int, index: int) -> np.ndarray:
        vector, (x, y, z, yaw) = np.zeros(spec.size, np.float32), pose_of(episode, index)
        if layout == "start":
            y, z, yaw = -y, -z, -yaw
        vector[spec.slices["tcp_position"]], vector[spec.slices["tcp_rotation"]] = (x, y, z), (0, 0, yaw)
        return vector

    def image(episode: int, index: int, camera: int) -> FrameRecord:
        pixels = bytes([40 * camera + index + episode]) * (4 * 6 * 3)
        return FrameRecord(frame_id(episode, index, camera), CAMERAS[camera], index, (4, 6, 3), pixels)

    header = SegmentHeader(LOG_SCHEMA, "run", "hash", spec.size, 6, 0)
    with LogWriter(segments, header, reserve_bytes=0, segment_bytes=4000) as writer:
        for episode, length in enumerate(lengths):
            writer.append(*(image(episode, 0, camera) for camera in (0, 1)))
            for step in range(length):
                names = [{CAMERAS[c]: frame_id(episode, at, c) for c in (0, 1)} for at in (step, step + 1)]
                transition = Transition(
                    episode,
                    step,
                    state(episode, step),
                    np.zeros(6, np.float32),
                    np.zeros(6, np.float32),
                    0.0,
                    False,
                    step + 1 == length,
                    state(episode, step + 1),
                    Source.HUMAN,
                    step,
                    0,
                    0,
                )
                writer.append(
                    *(image(episode, step + 1, camera) for camera in (0, 1)), step_record(transition, *names)
                )


@pytest.mark.parametrize("layout", ["socket", "start"])
def test_a_log_gives_every_observation_once_with_the_arm_s_pose(tmp_path: Path, layout: str) -> None:
    write_log(tmp_path, layout, [3, 5])
    told = []
    spec = START_SPEC if layout == "start" else STATE_SPEC
    frames = recorded(tmp_path, spec, CAMERAS, 1000, progress=lambda done, of: told.append((done, of)))
    assert frames.episodes.tolist() == [0] * 4 + [1] * 6
    expected = [(e, n) for e, length in enumerate([3, 5]) for n in range(length + 1)]
    assert frames.poses.numpy() == pytest.approx(np.array([pose_of(e, n) for e, n in expected]), abs=1e-6)
    for camera, name in enumerate(CAMERAS):
        assert frames.images[name].shape == (10, 4, 6, 3)
        assert frames.images[name][:, 0, 0, 0].tolist() == [40 * camera + n + e for e, n in expected]
    assert not frames.absolute.any()
    assert told[-1] == (10, 10)


def test_a_long_log_is_thinned_evenly(tmp_path: Path) -> None:
    write_log(tmp_path, "socket", [9, 9])
    frames = recorded(tmp_path, STATE_SPEC, ["second"], 5)
    assert frames.episodes.tolist() == [0, 0, 1, 1, 1] or frames.episodes.tolist() == [0, 0, 0, 1, 1]
    assert list(frames.images) == ["second"]


def test_a_log_without_these_cameras_is_refused(tmp_path: Path) -> None:
    write_log(tmp_path, "socket", [2])
    with pytest.raises(ConfigError, match="holds no frames of wrist and ceiling; record episodes with them"):
        recorded(tmp_path, STATE_SPEC, ["wrist", "ceiling"], 10)


def test_whole_episodes_are_held_out(truth: PoseFrames) -> None:
    training, held_out = truth.split(0.34)
    assert sorted([*training.tolist(), *held_out.tolist()]) == list(range(60))
    assert not set(truth.episodes[training].tolist()) & set(truth.episodes[held_out].tolist())
    assert len(held_out) == 20
    with pytest.raises(ConfigError, match="of 1 episodes; pretraining needs two"):
        truth.rows(torch.arange(10)).split(0.5)


def test_two_sources_keep_their_episodes_apart(truth: PoseFrames, proprioception: PoseFrames) -> None:
    both = joined([truth, proprioception])
    assert len(both) == 120
    assert both.episodes.tolist() == [row // 10 for row in range(120)]
    assert both.absolute.tolist() == [True] * 60 + [False] * 60
    small = replace(CONFIG, cameras=(CameraConfig("wrist", width=16, height=16),))
    with pytest.raises(ConfigError, match="frames of different cameras cannot be mixed"):
        joined([truth, simulated(small, ["wrist"], 2, seed=0)])


def planar(x: float, y: float, yaw: float) -> tuple[float, float]:
    return cos(yaw) * x - sin(yaw) * y, sin(yaw) * x + cos(yaw) * y


def test_motion_in_the_start_s_frame_is_that_in_the_socket_s() -> None:
    """What `recorded` makes of both layouts of one movement differs by a planar offset only."""
    from handrail.vision.pose import motion

    start_yaw = 0.3
    from_start = torch.tensor([[0.0, 0.0, 0.0, 0.0], [4.0, -3.0, -20.0, 7.0]])
    from_socket = torch.tensor(
        [
            [*planar(x, y, start_yaw), z + 40.0, yaw + 30.0]
            for x, y, z, yaw in ((float(a), float(b), float(c), float(d)) for a, b, c, d in from_start)
        ]
    )
    assert torch.allclose(motion(*from_start), motion(*from_socket), atol=1e-4)
