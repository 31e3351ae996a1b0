"""Episodes as a LeRobotDataset v3.0, written with PyArrow and PyAV alone (docs/exporting.md).

    meta/info.json                            what there is: features, files, counts
    meta/stats.json                           statistics of every feature over the whole dataset
    meta/tasks.parquet                        the task in words
    meta/episodes/chunk-000/file-000.parquet  per episode: where it is, and its own statistics
    data/chunk-000/file-000.parquet           one row a step, one row group an episode
    videos/<camera>/chunk-000/file-000.mp4    many episodes' images, one after the other
    meta/handrail.json                        where it came from; no part of the format

Whole episodes are written, what the policy drove as well as what a human did: which is which says
`complementary_info.is_intervention`. Rewards and ends are those of the episodes' labels (`verdict`).
"""

import itertools
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from handrail.intervention.index_query import EpisodeRow
from handrail.intervention.log_format import LogError
from handrail.intervention.transition import Source
from handrail.launch.export import lerobot_meta
from handrail.launch.export.lerobot_data import DataFiles
from handrail.launch.export.lerobot_features import ACTION, IMAGES, INTERVENTION, STATE, Layout
from handrail.launch.export.lerobot_files import FileLimits
from handrail.launch.export.lerobot_meta import WrittenEpisode
from handrail.launch.export.lerobot_stats import ImageStats, array_stats
from handrail.launch.export.lerobot_video import VideoFiles
from handrail.launch.export.material import Material
from handrail.launch.export.progress import Advance
from handrail.launch.export.verdict import counted_steps, judge

INSTRUCTION = "insert the RAM module into its socket"


def write(
    material: Material,
    folder: Path,
    advance: Advance,
    *,
    instruction: str = INSTRUCTION,
    limits: FileLimits | None = None,
) -> dict[str, int]:
    """Write the dataset.

    Args:
        material: the episodes.
        folder: to make; must not exist.
        advance: told of the steps done.
        instruction: the task in words.
        limits: how large files may grow; None for the format's own.

    Returns:
        {"frames": rows of the dataset, "cameras": how many}.

    Raises:
        MissingExtra: PyArrow or PyAV is not installed.
        LogError: an episode is damaged, or its images are not those of the first one.
        OSError: the disk refused.
    """
    folder.mkdir()
    with _Dataset(material, folder, limits or FileLimits()) as dataset:
        for number, row in enumerate(material.selection.rows):
            dataset.append(number, row)
            advance(row.steps)
    lerobot_meta.write(
        folder, dataset.layout, dataset.limits, dataset.episodes, dataset.image_totals, instruction
    )
    lerobot_meta.write_provenance(folder, material, dataset.episodes)
    return {"frames": dataset.frames, "cameras": len(dataset.layout.cameras)}


class _Dataset:
    """The rows and videos of a dataset, growing by one episode at a time; complete when the block ends."""

    def __init__(self, material: Material, folder: Path, limits: FileLimits) -> None:
        first = next(material.steps(material.selection.rows[0], images=True))
        cameras = {name: (image.shape[0], image.shape[1]) for name, image in first.images.items()}
        self.layout = Layout.of(material, cameras)
        self.limits = limits
        self._files = ExitStack()
        self._data = self._files.enter_context(DataFiles(folder, self.layout, limits))
        rate = Fraction(material.hz).limit_denominator(1000)
        self._videos = {
            camera: self._files.enter_context(VideoFiles(folder, IMAGES + camera, rate, shape, limits))
            for camera, shape in cameras.items()
        }
        self.image_totals = {IMAGES + camera: ImageStats() for camera in cameras}
        self.episodes: list[WrittenEpisode] = []
        self.frames = 0
        self._material = material

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.__exit__(kind, error, trace)

    def append(self, number: int, row: EpisodeRow) -> None:
        """Add an episode."""
        length = counted_steps(row)
        numbers, image_stats = self._read(row, length)
        columns = self._columns(number, row, numbers)
        place: dict[str, int | float] = {**self._data.append(columns)}
        for video in self._videos.values():
            place |= video.end_episode()
        stats = {name: array_stats(values) for name, values in columns.items()}
        stats |= {key: each.stats() for key, each in image_stats.items()}
        self.episodes.append(WrittenEpisode(row, length, self.frames, place, stats))
        self.frames += length

    def _read(self, row: EpisodeRow, length: int) -> tuple[dict[str, list[Any]], dict[str, ImageStats]]:
        """An episode's numbers by name; its images go to the videos on the way."""
        numbers: dict[str, list[Any]] = {
            name: [] for name in ("observation", "action", "reward", "terminated", "truncated", "source")
        }
        image_stats = {IMAGES + camera: ImageStats() for camera in self.layout.cameras}
        for step in itertools.islice(self._material.steps(row, images=True), length):
            for name, values in numbers.items():
                values.append(getattr(step, name))
            shapes = {camera: image.shape[:2] for camera, image in step.images.items()}
            if shapes != self.layout.cameras:
                raise LogError(
                    f"Step {step.step} of episode {row.episode} has the images {shapes}, the first one "
                    f"exported has {self.layout.cameras}; export those with the same cameras (episodes=…)."
                )
            for camera, image in step.images.items():
                self._videos[camera].add(image)
                image_stats[IMAGES + camera].add(image)
        for key, each in image_stats.items():
            self.image_totals[key].merge(each)
        return numbers, image_stats

    def _columns(self, number: int, row: EpisodeRow, numbers: dict[str, list[Any]]) -> dict[str, np.ndarray]:
        verdict = judge(row, *(np.asarray(numbers[name]) for name in ("reward", "terminated", "truncated")))
        frame = np.arange(len(verdict.reward))
        return {
            STATE: np.stack(numbers["observation"]),
            ACTION: np.stack(numbers["action"]),
            "next.reward": verdict.reward.astype(np.float32),
            "next.done": verdict.terminated,
            "next.truncated": verdict.truncated,
            INTERVENTION: np.asarray(numbers["source"]) == Source.HUMAN,
            "timestamp": (frame / self.layout.fps).astype(np.float32),
            "frame_index": frame,
            "episode_index": np.full_like(frame, number),
            "index": frame + self.frames,
            "task_index": np.zeros_like(frame),
        }
