"""Teaching a trunk to see where the tool is, before there is any task reward.

The trunk and a head as a policy has it learn together to tell the tool's pose from the images (`pose.py`);
the head is thrown away. `probe` says what that was worth: how well a new head on the frozen features does.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from handrail.robot_env.checks import require_positive, require_range
from handrail.robot_env.errors import ConfigError, HandrailError
from handrail.vision.config import TrunkName, VisionConfig
from handrail.vision.frames import PoseFrames
from handrail.vision.pose import MATES, NEAR_M, PoseError, PoseHead, pose_error, pose_loss
from handrail.vision.trunk import Trunk, build, fastest_precision, normalise

_WARM_UP = 0.05  # share of the budget in which the learning rate rises
_CLIP = 10.0
_CHUNK = 64
_TESTED = 512  # frames of a test at most
_SLOTS = 16  # weight of a loss in its running mean


class PretrainDiverged(HandrailError):
    """The loss is no longer a number; nothing was written."""

    exit_code = 17


@dataclass(frozen=True)
class PretrainConfig:
    """How long and how fast.

    Attributes:
        minutes: Wall time at most [min].
        updates: Updates at most; the learning rate falls to zero with whichever of the two ends first.
        batch: Frames in an update, each of all cameras.
        learning_rate: At its highest, after a short rise.
        weight_decay: Of AdamW (arXiv 1711.05101).
        held_out: Share of the episodes to test on.
        check_every: Updates between two tests.
        patience: Tests in a row without an improvement after which it ends.
    """

    minutes: float = 10.0
    updates: int = 1_000_000
    batch: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    held_out: float = 0.1
    check_every: int = 200
    patience: int = 20

    def __post_init__(self) -> None:
        require_positive("pretrain", minutes=self.minutes, learning_rate=self.learning_rate)
        require_range("pretrain", 1, 10_000_000, updates=self.updates, check_every=self.check_every)
        require_range("pretrain", 1, 10_000, patience=self.patience)
        require_range("pretrain", MATES, 4096, batch=self.batch)
        require_range("pretrain", 0.01, 0.9, held_out=self.held_out)
        require_range("pretrain", 0.0, 1.0, weight_decay=self.weight_decay)
        if self.batch % MATES:
            raise ConfigError(f"pretrain.batch is {self.batch}, no multiple of {MATES}; use 64")


@dataclass(frozen=True)
class Stage:
    """How far pretraining is.

    Attributes:
        updates: Made so far.
        share: Of the budget, 0 to 1.
        loss: Running mean on the training frames.
        error: At the last test; None before the first.
    """

    updates: int
    share: float
    loss: float
    error: PoseError | None


@dataclass(frozen=True)
class Pretrained:
    """What came out.

    Attributes:
        tensors: The trunk's weights by name, float32, at the best test.
        error: Of trunk and head together on the frames held out, at the best test.
        updates: Made in all.
        seconds: Wall time of it.
        untested: It was stopped before the first of its regular tests, and has learned next to nothing.
    """

    tensors: dict[str, Tensor]
    error: PoseError
    updates: int
    seconds: float
    untested: bool = False


def pretrain(
    name: TrunkName,
    frames: PoseFrames,
    config: PretrainConfig,
    seed: int,
    *,
    tensors: Mapping[str, Tensor] | None = None,
    progress: Callable[[Stage], None] = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Pretrained:
    """Train a trunk on frames with poses; on a GPU if there is one, in bfloat16 where that is native.

    Args:
        name: Its architecture.
        frames: Of two episodes at least; some of them are held out.
        config: Budget and rates.
        seed: Initial weights and batches follow from it; how far it gets in a time does not.
        tensors: Weights to begin with; None for random ones.
        progress: Told after each update.
        stopped: Asked after each update; True ends it with what there is.

    Raises:
        ConfigError: Too few frames.
        PretrainDiverged: The loss is no longer finite.
    """
    began = time.monotonic()
    network, generator = _PoseNetwork.of(name, frames, seed, tensors), torch.Generator().manual_seed(seed)
    training, held_out = frames.split(config.held_out)
    batches, best = _Batches(frames, training, generator), _Best(frames, held_out)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=config.weight_decay)
    loss, update = 0.0, 0
    while True:
        # In hundredths: where the updates are what ends it, no clock is to have a say in the learning rate.
        spent = math.floor(100.0 * (time.monotonic() - began) / (60.0 * config.minutes)) / 100.0
        share = max(spent, update / config.updates)
        asked = update > 0 and stopped()
        ends = share >= 1.0 or best.failures >= config.patience or asked
        if ends or (update and update % config.check_every == 0):
            best.test(network)
        if ends:
            break
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * _rate(share)
        latest = _update(network, optimiser, frames.rows(batches.draw(config.batch)))
        update += 1
        loss += (latest - loss) / min(update, _SLOTS)
        if not math.isfinite(loss):
            break
        progress(Stage(update, min(1.0, share), loss, best.error))
    if best.error is None or not math.isfinite(loss):
        raise PretrainDiverged(
            f"pretraining diverged at update {update}: its loss is {loss}; lower the learning rate "
            f"({config.learning_rate})"
        )
    weights = {key: value.detach().float().cpu().contiguous() for key, value in best.tensors.items()}
    untested = asked and share < 1.0 and update < config.check_every
    return Pretrained(weights, best.error, update, time.monotonic() - began, untested)


def _update(network: _PoseNetwork, optimiser: torch.optim.Optimizer, batch: PoseFrames) -> float:
    """One step; returns the loss before it."""
    loss = pose_loss(network(batch.images), *network.labels(batch))
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), _CLIP)
    optimiser.step()
    return float(loss.detach())


class _Best:
    """The weights that did best on frames held out.

    Args:
        frames: Of which
        held_out: these are held out, ascending; a test is on some of them, evenly spread.

    Attributes:
        tensors: Of the trunk.
        error: Of trunk and head; None before a test whose loss was a number.
        failures: Tests since.
    """

    def __init__(self, frames: PoseFrames, held_out: Tensor) -> None:
        groups = _in_groups(frames.episodes, held_out).view(-1, MATES)
        chosen = torch.linspace(0, len(groups) - 1, min(len(groups), _TESTED // MATES)).round().long()
        self._frames = frames.rows(groups[chosen].flatten())
        self._loss = math.inf
        self.tensors: dict[str, Tensor] = {}
        self.error: PoseError | None = None
        self.failures = 0

    def test(self, network: _PoseNetwork) -> None:
        """Test, and keep the weights if they are the best so far."""
        loss, error = network.judge(self._frames)
        self.failures += 1
        if loss < self._loss:
            self._loss, self.error, self.failures = loss, error, 0
            self.tensors = copy.deepcopy(network.trunk.state_dict())


def probe(
    trunk: Trunk, training: PoseFrames, test: PoseFrames, *, updates: int = 3000, seed: int = 0
) -> tuple[PoseError, PoseError]:
    """What a frozen trunk's features are worth: train a new head on them, as a policy would.

    Args:
        trunk: Sees the frames, once.
        training: Frames for the head.
        test: Frames to test on.
        updates: Of the head, 128 frames each.
        seed: Of the head and its batches.

    Returns:
        The errors on the test frames, and on those near the socket only.
    """
    generator = torch.Generator().manual_seed(seed)
    maps, test_maps = _maps(trunk, training), _maps(trunk, test)
    head = PoseHead(maps.shape[1], (maps.shape[2], maps.shape[3]), VisionConfig(), generator)
    optimiser = torch.optim.AdamW(head.parameters(), weight_decay=1e-4)
    batches = _Batches(training, torch.arange(len(training)), generator)
    for update in range(updates):
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * _rate(update / updates)
        rows = batches.draw(128)
        loss = pose_loss(head(maps[rows]), training.poses[rows], training.absolute[rows])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        rows = _in_groups(test.episodes, torch.arange(len(test)))
        predicted = torch.cat([head(test_maps[chunk]) for chunk in rows.split(256)])
    labels = test.poses[rows], test.absolute[rows]
    return pose_error(predicted, *labels), pose_error(predicted, *labels, near_m=NEAR_M)


class _PoseNetwork(nn.Module):
    """A trunk in training, with its head."""

    def __init__(self, trunk: nn.Module, head: PoseHead, device: torch.device) -> None:
        super().__init__()
        self.trunk = trunk.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.head = head.to(device)
        self._device = device
        # The products in bfloat16 where that is native; weights, sums and the head stay float32.
        native = device.type == "cuda" or fastest_precision() is torch.bfloat16
        self._half = native and sum(p.numel() for p in trunk.parameters()) > 1_000_000

    @classmethod
    def of(
        cls, name: TrunkName, frames: PoseFrames, seed: int, tensors: Mapping[str, Tensor] | None
    ) -> _PoseNetwork:
        trunk, generator = build(name, seed), torch.Generator().manual_seed(seed)
        if tensors is not None:
            trunk.load_state_dict(dict(tensors))
        first = next(iter(frames.images.values()))
        with torch.no_grad():
            shape = trunk(normalise(first[:1])).flatten(2).shape
        head = PoseHead(len(frames.images), (shape[1], shape[2]), VisionConfig(), generator)
        return cls(trunk, head, torch.device("cuda" if torch.cuda.is_available() else "cpu"))

    def forward(self, images: Mapping[str, Tensor]) -> Tensor:
        """Poses (B, 4) in `UNIT` of images (B, H, W, 3) by camera, all of one size."""
        stacked = torch.cat([image.to(self._device) for image in images.values()])
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._half):
            maps = self.trunk(normalise(stacked))
        maps = maps.float().flatten(2).unflatten(0, (len(images), -1))
        return self.head(maps.transpose(0, 1))

    def labels(self, frames: PoseFrames) -> tuple[Tensor, Tensor]:
        return frames.poses.to(self._device), frames.absolute.to(self._device)

    @torch.no_grad()
    def judge(self, test: PoseFrames) -> tuple[float, PoseError]:
        """Loss and error on frames laid out as for `pose_loss`."""
        chunks = torch.arange(len(test)).split(_CHUNK)
        predicted = torch.cat([self({k: v[c] for k, v in test.images.items()}) for c in chunks])
        labels = self.labels(test)
        return float(pose_loss(predicted, *labels)), pose_error(predicted, *labels)


class _Batches:
    """Draws frames so that every `MATES` in a row are of one episode.

    Args:
        frames: Of which are drawn
        rows: these, ascending.
        generator: Source of the draws.
    """

    def __init__(self, frames: PoseFrames, rows: Tensor, generator: torch.Generator) -> None:
        _, episode, count = torch.unique_consecutive(
            frames.episodes[rows], return_inverse=True, return_counts=True
        )
        self._rows, self._generator = rows, generator
        self._begin, self._count = (count.cumsum(0) - count)[episode], count[episode]

    def draw(self, size: int) -> Tensor:
        """Numbers of `size` frames: random ones, each followed by random others of its episode."""
        first = torch.randint(0, len(self._rows), (size // MATES, 1), generator=self._generator)
        chance = torch.rand(len(first), MATES - 1, generator=self._generator, dtype=torch.float64)
        mates = self._begin[first] + (chance * self._count[first]).long()
        return self._rows[torch.cat((first, mates), 1).flatten()]


def _in_groups(episodes: Tensor, rows: Tensor) -> Tensor:
    """`rows`, ascending, so that every `MATES` in a row are of one episode; some stand twice."""
    groups = []
    for one in rows.split(torch.unique_consecutive(episodes[rows], return_counts=True)[1].tolist()):
        whole = -(-len(one) // MATES) * MATES
        groups.append(one.repeat(-(-whole // len(one)))[:whole])
    return torch.cat(groups)


def _maps(trunk: Trunk, frames: PoseFrames) -> Tensor:
    """Feature maps (N, cameras, C, S) float16."""
    maps = [torch.cat([trunk(c) for c in images.split(_CHUNK)]) for images in frames.images.values()]
    return torch.stack(maps, 1)


def _rate(share: float) -> float:
    """A short rise, then half a cosine down to zero (arXiv 1608.03983)."""
    return min(1.0, share / _WARM_UP + 0.01) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))
