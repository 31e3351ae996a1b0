"""Images whose pose is known: what a trunk can learn to see from.

Two sources. The simulated cell puts the tool anywhere between a start and the seated pose and knows where the
socket really is. A run's log, of a real robot too, knows where the arm was, but not the socket: within an
episode its poses are right up to one unknown offset, and only the *motion* between two of them is a label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from handrail.intervention.log_format import FrameRecord, StepRecord, image_from
from handrail.intervention.log_reader import LogReader
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.geometry import pose_relative

if TYPE_CHECKING:
    from handrail.robot_env.config import CameraConfig, EnvConfig, TaskConfig
    from handrail.robot_env.sim.cell import SimCell
    from handrail.robot_env.sim.truth import RamTruth
    from handrail.robot_env.spec import StateSpec

Progress = Callable[[int, int], None]
"""Told how many frames there are, of how many."""

_IN_GROOVE_M, _FREE_M = 0.006, 0.03
"""Heights above the seated pose between which a module has no room and all of it."""
_GROOVE_XY_M, _GROOVE_YAW_RAD = 0.0005, 0.006
_MARGIN_M, _MARGIN_RAD = 0.005, 0.05
_TILT_RAD = 0.02
_GIVE = {"grasp_slide": 0.0006, "grasp_pitch": 0.01, "grasp_roll": 0.03}
"""How far contact bends the module in the fingers [m, rad]."""


@dataclass(frozen=True)
class PoseFrames:
    """Images with the poses they were taken at.

    Attributes:
        images: (N, H, W, 3) uint8 by camera.
        poses: (N, 4) float32: the tool along the socket's axes, x, y, z [m], and its turn about z [rad].
        episodes: (N,) int64, ascending; frames of one number share whatever offset their poses have.
        absolute: (N,) bool: the pose is that of the module in the actual socket. Otherwise it counts from
            anywhere, and only motion within an episode means something.
    """

    images: Mapping[str, Tensor]
    poses: Tensor
    episodes: Tensor
    absolute: Tensor

    def __len__(self) -> int:
        return len(self.poses)

    def rows(self, index: Tensor) -> PoseFrames:
        """Those at `index`, copied."""
        images = {name: array[index] for name, array in self.images.items()}
        return PoseFrames(images, self.poses[index], self.episodes[index], self.absolute[index])

    def split(self, share: float) -> tuple[Tensor, Tensor]:
        """Numbers of the frames to train on, and of about a `share` held out: whole episodes, evenly spread.

        Raises:
            ConfigError: Fewer than two episodes.
        """
        names, episode = torch.unique_consecutive(self.episodes, return_inverse=True)
        if len(names) < 2:
            raise ConfigError(
                f"the frames are of {len(names)} episodes; pretraining needs two, one of them to test on"
            )
        held_out = max(1, min(len(names) - 1, round(share * len(names))))
        chosen = torch.zeros(len(names), dtype=torch.bool)
        chosen[((torch.arange(held_out) + 0.5) * len(names) / held_out).long()] = True
        return torch.nonzero(~chosen[episode])[:, 0], torch.nonzero(chosen[episode])[:, 0]


def joined(sources: Sequence[PoseFrames]) -> PoseFrames:
    """Several sources as one, copied if there is more than one; their episodes stay apart.

    Raises:
        ConfigError: They have other cameras, or images of other sizes.
    """
    if len(sources) == 1:
        return sources[0]
    shapes = [{name: tuple(array.shape[1:]) for name, array in s.images.items()} for s in sources]
    if any(shape != shapes[0] for shape in shapes):
        raise ConfigError(f"frames of different cameras cannot be mixed: {shapes}")
    episodes, used = [], 0
    for source in sources:
        episodes.append(source.episodes - source.episodes.min() + used)
        used = int(episodes[-1].max()) + 1
    return PoseFrames(
        {name: torch.cat([s.images[name] for s in sources]) for name in shapes[0]},
        torch.cat([s.poses for s in sources]),
        torch.cat(episodes),
        torch.cat([s.absolute for s in sources]),
    )


def simulated(
    config: EnvConfig,
    cameras: Sequence[str],
    count: int,
    seed: int,
    *,
    truth: bool = True,
    episode_steps: int = 10,
    progress: Progress = lambda *_: None,
) -> PoseFrames:
    """Render the simulated cell, about 5 ms for a frame of two 128x128 cameras.

    The tool stands at random poses, the more of them the nearer to the socket, in it too; every
    `episode_steps` frames the socket is displaced anew, visibly, hidden or not as the configuration says, and
    the module sits otherwise in the hand.

    Args:
        config: The cell, its cameras, its randomisation and the range of the task.
        cameras: Names of the cameras wanted.
        count: Frames.
        seed: Everything drawn follows from it.
        truth: Label with the module's pose in the actual socket; else with what a real arm would know, the
            tool's pose from the nominal one.
        episode_steps: Frames of one displacement.
        progress: Told after each of them.

    Raises:
        ConfigError: No cameras, or one that the configuration lacks.
        RenderingUnavailable: Nothing can render here.
    """
    from handrail.robot_env.sim.cell import SimCell
    from handrail.robot_env.sim.scene import SimScene
    from handrail.robot_env.tasks import RamInsertion

    views = _views(config, cameras)
    cell, rng = SimCell(config.sim), np.random.default_rng(seed)
    scene, task = SimScene.shared(cell), replace(config.task, seated_pose=None)
    varies = replace(config.randomization, grasp=True)
    images = {v.name: np.empty((count, v.height, v.width, 3), np.uint8) for v in views}
    poses = np.empty((count, 4), np.float32)
    try:
        for row in range(count):
            if row % episode_steps == 0:
                cell.teleport(cell.home_pose)
                cell.randomize(rng, varies)
                frame = RamInsertion(task, cell).frame()
                progress(row, count)
            place = _place(rng, task, cell.episode.hidden)
            cell.teleport(frame.pose(place))
            _bend(cell, rng)
            poses[row] = _pose_in_socket(cell.truth()) if truth else (*place[:3], place[5])
            for view in views:
                images[view.name][row] = scene.render(view.source, view.width, view.height, view.crop)
    finally:
        scene.close()
    progress(count, count)
    return PoseFrames(
        {name: torch.from_numpy(array) for name, array in images.items()},
        torch.from_numpy(poses),
        torch.arange(count) // episode_steps,
        torch.full((count,), truth),
    )


def recorded(
    segments: Path,
    state: StateSpec,
    cameras: Sequence[str],
    count: int,
    *,
    progress: Progress = lambda *_: None,
) -> PoseFrames:
    """Frames of a run's log with the arm's own pose as label.

    Args:
        segments: The log's folder.
        state: Layout of the states in it.
        cameras: Names of the cameras wanted.
        count: At most so many; evenly thinned where there are more.
        progress: Told as they are read.

    Raises:
        ConfigError: The log has no frames of these cameras.
        LogError: It is damaged or of another layout.
    """
    total = sum(1 for _ in _observed(segments, cameras))
    if not total:
        raise ConfigError(f"{segments} holds no frames of {' and '.join(cameras)}; record episodes with them")
    wanted = set(np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist())
    images: dict[str, np.ndarray] = {}
    poses, episodes = [], []
    for number, (episode, observation, frames) in enumerate(_observed(segments, cameras)):
        if number in wanted:
            for camera in cameras:
                image = image_from(frames[camera])
                if camera not in images:
                    images[camera] = np.empty((len(wanted), *image.shape), np.uint8)
                if image.shape != images[camera].shape[1:]:
                    raise ConfigError(
                        f"{segments} holds images of {camera} of two sizes, {images[camera].shape[1:3]} and "
                        f"{image.shape[:2]}; use the frames of another run"
                    )
                images[camera][len(poses)] = image
            poses.append(_pose_in_state(state, observation))
            episodes.append(episode)
            progress(len(poses), len(wanted))
    return PoseFrames(
        {camera: torch.from_numpy(array) for camera, array in images.items()},
        torch.from_numpy(np.array(poses, np.float32)),
        torch.tensor(episodes),
        torch.zeros(len(poses), dtype=torch.bool),
    )


def _observed(
    segments: Path, cameras: Sequence[str]
) -> Iterator[tuple[int, np.ndarray, dict[str, FrameRecord]]]:
    """Every observation with all these cameras, once: its episode, its state and its frames by camera."""
    stored: dict[int, FrameRecord] = {}
    seen: set[int] = set()
    episode = -1
    for _, record in LogReader(segments).records():
        if isinstance(record, FrameRecord):
            stored[record.frame_id] = record
        elif isinstance(record, StepRecord):
            if record.episode != episode:
                episode, seen = record.episode, set()
            for state, frames in (
                (record.observation, record.frames),
                (record.next_observation, record.next_frames),
            ):
                ids = {camera: frames.get(camera, -1) for camera in cameras}
                if any(name not in stored for name in ids.values()) or seen.issuperset(ids.values()):
                    continue
                seen.update(ids.values())
                found = {camera: stored[name] for camera, name in ids.items()}
                yield episode, np.frombuffer(state, "<f4"), found
            # Only the frames after this step are still to come, as those before the next one.
            stored = {name: stored[name] for name in record.next_frames.values() if name in stored}


def _pose_in_state(state: StateSpec, observation: np.ndarray) -> tuple[float, float, float, float]:
    """x, y, z, yaw with z up, of a state: work coordinates, or the pose from the start of the episode."""
    x, y, z = observation[state.slices["tcp_position"]].tolist()
    yaw = float(observation[state.slices["tcp_rotation"]][2])
    from_start = next(field.frame for field in state.fields if field.name == "tcp_position") == "start"
    # The tool's frame has its z axis down and its x axis along the socket's.
    return (x, -y, -z, -yaw) if from_start else (x, y, z, yaw)


def _views(config: EnvConfig, cameras: Sequence[str]) -> list[CameraConfig]:
    """The settings of the cameras wanted.

    Raises:
        ConfigError: None is wanted, or one is not configured.
    """
    known = {view.name: view for view in config.cameras}
    if not cameras or any(name not in known for name in cameras):
        raise ConfigError(
            f"frames of the cameras {list(cameras)} are wanted, env.cameras has {list(known)}; "
            "use task=ram_insertion_cameras, or add them"
        )
    return [known[name] for name in cameras]


def _place(rng: np.random.Generator, task: TaskConfig, hidden: Sequence[float]) -> list[float]:
    """Six work coordinates: a funnel over the actual socket, as wide as the starts at its top."""
    top = task.start_height_m + task.start_z_m + _MARGIN_M
    height = top * rng.uniform() ** 1.5
    room = min(1.0, max(0.0, (height - _IN_GROOVE_M) / _FREE_M))
    along, across, yaw, *tilt = rng.uniform(-1.0, 1.0, 5).tolist()
    wide = _GROOVE_XY_M + room * (task.start_xy_m + _MARGIN_M)
    turn = _GROOVE_YAW_RAD + room * (task.start_yaw_rad + _MARGIN_RAD)
    lean = _TILT_RAD * min(1.0, height / _IN_GROOVE_M)
    return [
        hidden[0] + wide * along,
        hidden[1] + wide * across,
        height,
        lean * tilt[0],
        lean * tilt[1],
        hidden[2] + turn * yaw,
    ]


def _bend(cell: SimCell, rng: np.random.Generator) -> None:
    """Move the module in the fingers as contact does, half of the time."""
    if rng.uniform() < 0.5:
        for joint, extent in _GIVE.items():
            cell.data.joint(joint).qpos[0] += extent * rng.uniform(-1.0, 1.0)


def _pose_in_socket(truth: RamTruth) -> tuple[float, float, float, float]:
    """x, y, z of the module's contact edge and its yaw, in the actual socket's frame."""
    tip = pose_relative(truth.T_base_socket, truth.T_base_tip)
    return float(tip[0]), float(tip[1]), float(tip[2]), truth.yaw_rad
