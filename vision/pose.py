"""Telling the tool's pose from feature maps: the head, its loss and its error.

Where the frames say the pose in the actual socket, the error of the pose is the loss. Where they only say
where the arm was, in a run's log, the poses of an episode are right up to one unknown offset of the socket (a
fixed effect), and the loss is the error of the *motion* between two frames of an episode: with planar poses
g = (x, y, z, yaw), that of g_a⁻¹ ∘ g_b, from which the offset cancels out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from handrail.vision.config import VisionConfig
from handrail.vision.encoder import ObservationEncoder

UNIT = (0.001, 0.001, 0.001, 0.01)
"""What the head and the loss count in: millimetres, and hundredths of a radian."""
MATES = 4
"""Frames of one episode that stand side by side in a batch."""
NEAR_M = 0.015
"""Height above the groove's floor below which the pose decides whether the module goes in [m]."""
_WIDTH = 256


class PoseHead(nn.Module):
    """The head of a policy (`ObservationEncoder`, without a state) and a small network to four numbers.

    Args:
        cameras: Number of cameras.
        map_shape: (C, S) of a feature map.
        config: Widths of the encoder.
        generator: Source of the initial weights.
    """

    def __init__(
        self, cameras: int, map_shape: tuple[int, int], config: VisionConfig, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.encoder = ObservationEncoder(cameras, map_shape, 0, config, generator)
        self.hidden, self.out = nn.Linear(self.encoder.size, _WIDTH), nn.Linear(_WIDTH, len(UNIT))
        for layer in (self.hidden, self.out):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)

    def forward(self, maps: Tensor) -> Tensor:
        """Poses (B, 4), in `UNIT`, of maps (B, cameras, C, S)."""
        return self.out(functional.relu(self.hidden(self.encoder(None, maps))))


def pose_loss(predicted: Tensor, poses: Tensor, absolute: Tensor) -> Tensor:
    """Huber loss of poses, or of the motions between them.

    Args:
        predicted: (B, 4) in `UNIT`; every `MATES` rows in a row are of one episode.
        poses: (B, 4) [m, rad].
        absolute: (B,) bool; False where only motion is known.
    """
    wanted = poses / poses.new_tensor(UNIT)
    by_pose = functional.huber_loss(predicted, wanted, reduction="none").mean(1)
    if bool(absolute.all()):
        return by_pose.mean()
    ours, theirs = predicted.view(-1, MATES, 4), wanted.view(-1, MATES, 4)
    errors = [
        functional.huber_loss(
            motion(ours, ours.roll(step, 1)), motion(theirs, theirs.roll(step, 1)), reduction="none"
        )
        for step in range(1, MATES // 2 + 1)
    ]
    by_motion = torch.stack(errors).mean((0, 3)).flatten()
    return torch.where(absolute, by_pose, by_motion).mean()


def motion(start: Tensor, end: Tensor) -> Tensor:
    """g_start⁻¹ ∘ g_end of planar poses (..., 4) in `UNIT`: the same whatever frame both are counted from."""
    dx, dy, dz, turn = (end - start).unbind(-1)
    yaw = start[..., 3] * UNIT[3]
    cos, sin = torch.cos(yaw), torch.sin(yaw)
    return torch.stack((cos * dx + sin * dy, cos * dy - sin * dx, dz, turn), -1)


@dataclass(frozen=True)
class PoseError:
    """Mean absolute errors on frames that were not trained on.

    Attributes:
        frames: How many.
        x_m: Along the slot [m].
        y_m: Across it [m].
        z_m: Up [m].
        yaw_rad: About the vertical [rad].
        of_motion: The errors are those of motions between frames, the frames' own poses being unknown.
    """

    frames: int
    x_m: float
    y_m: float
    z_m: float
    yaw_rad: float
    of_motion: bool

    def __str__(self) -> str:
        what = "motions" if self.of_motion else "poses"
        millimetres = " / ".join(f"{value * 1e3:.2f}" for value in (self.x_m, self.y_m, self.z_m))
        return f"{millimetres} mm in x / y / z, {self.yaw_rad * 57.29578:.2f}° in yaw ({self.frames} {what})"


def pose_error(predicted: Tensor, poses: Tensor, absolute: Tensor, near_m: float | None = None) -> PoseError:
    """The error of predictions laid out as for `pose_loss`; of motions unless every row is absolute.

    Args:
        predicted: (B, 4) in `UNIT`.
        poses: (B, 4) [m, rad].
        absolute: (B,) bool.
        near_m: Only of poses below this height [m]; for absolute ones.
    """
    wanted, of_motion = poses / poses.new_tensor(UNIT), not bool(absolute.all())
    if of_motion:
        ours, theirs = predicted.view(-1, MATES, 4), wanted.view(-1, MATES, 4)
        error = (motion(ours, ours.roll(1, 1)) - motion(theirs, theirs.roll(1, 1))).flatten(0, 1)
    else:
        error = predicted - wanted
        if near_m is not None:
            error = error[poses[:, 2] < near_m]
    x, y, z, yaw = (error.abs().mean(0) * error.new_tensor(UNIT)).tolist()
    return PoseError(len(error), x, y, z, yaw, of_motion)
