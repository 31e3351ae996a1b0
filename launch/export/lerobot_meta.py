"""What a dataset says about itself: the files under `meta/`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handrail.intervention.index_query import EpisodeRow
from handrail.launch.export.arrow import load_arrow
from handrail.launch.export.columns import action_components, state_components
from handrail.launch.export.lerobot_features import Layout
from handrail.launch.export.lerobot_files import DATA_PATH, EPISODES_PATH, VIDEO_PATH, FileLimits, Place
from handrail.launch.export.lerobot_stats import ImageStats, Stats, array_stats
from handrail.launch.export.material import Material

VERSION = "v3.0"


@dataclass(frozen=True)
class WrittenEpisode:
    """What a dataset's episode is.

    Attributes:
        row: the run's episode.
        length: rows of it.
        first: index of its first row in the dataset.
        place: its columns of `meta/episodes` that say in which files it is.
        stats: statistics by feature.
    """

    row: EpisodeRow
    length: int
    first: int
    place: dict[str, int | float]
    stats: dict[str, Stats]


def write(
    folder: Path,
    layout: Layout,
    limits: FileLimits,
    episodes: Sequence[WrittenEpisode],
    images: Mapping[str, ImageStats],
    instruction: str,
) -> None:
    """Write `info.json`, `stats.json`, `tasks.parquet` and `episodes/`.

    Args:
        folder: the dataset's; its rows are complete.
        layout: of the rows.
        limits: by which files were split.
        episodes: what was written.
        images: of every video feature, over all episodes.
        instruction: the task in words.
    """
    (folder / "meta").mkdir()
    features = layout.features()
    info = {
        "codebase_version": VERSION,
        "robot_type": layout.robot,
        "total_episodes": len(episodes),
        "total_frames": sum(each.length for each in episodes),
        "total_tasks": 1,
        "chunks_size": limits.chunk_files,
        "data_files_size_in_mb": limits.data_mb,
        "video_files_size_in_mb": limits.video_mb,
        "fps": layout.fps,
        "splits": {"train": f"0:{len(episodes)}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH if layout.cameras else None,
        "features": features,
    }
    _write_json(folder / "meta" / "info.json", info)
    numbers = [name for name, feature in features.items() if feature["dtype"] != "video"]
    stats: dict[str, Stats] = {name: array_stats(_column(folder, name)) for name in numbers}
    stats |= {key: each.stats() for key, each in images.items()}
    _write_json(folder / "meta" / "stats.json", {name: stats[name] for name in features})
    _write_tasks(folder, instruction)
    _write_episodes(folder, list(features), episodes, instruction)


def write_provenance(folder: Path, material: Material, episodes: Sequence[WrittenEpisode]) -> None:
    """Write `meta/handrail.json`: which run's which episodes these are, and what their numbers mean."""
    facts = {
        "run": material.run_id,
        "left_out": material.selection.left_out,
        "observation.state": [asdict(each) for each in state_components(material.state)],
        "action": [asdict(each) for each in action_components(material.action)],
        "episodes": [
            {
                "episode_index": number,
                "episode": each.row.episode,
                "purpose": each.row.purpose,
                "outcome": each.row.outcome,
                "label": each.row.label,
                "labelled_by": each.row.labeller,
                "human_steps": each.row.human_steps,
                "weights_version": each.row.weights_version,
            }
            for number, each in enumerate(episodes)
        ],
    }
    _write_json(folder / "meta" / "handrail.json", facts)


def _column(folder: Path, name: str) -> np.ndarray:
    """A column of the whole dataset, (N,) or (N, D)."""
    _, parquet = load_arrow()
    parts = []
    for path in sorted(folder.glob("data/*/*.parquet")):
        column = parquet.read_table(path, columns=[name]).column(0).combine_chunks()
        rows = len(column)
        flat = column.flatten() if hasattr(column, "flatten") and column.type.num_fields else column
        parts.append(flat.to_numpy(zero_copy_only=False).reshape(rows, -1))
    return np.concatenate(parts)


def _write_tasks(folder: Path, instruction: str) -> None:
    """The task's words are the index of a pandas table: LeRobot reads it as one."""
    arrow, parquet = load_arrow()
    text = {"pandas_type": "unicode", "numpy_type": "object"}
    pandas = {
        "index_columns": ["task"],
        "column_indexes": [{"name": None, "field_name": None, **text, "metadata": {"encoding": "UTF-8"}}],
        "columns": [
            {
                "name": "task_index",
                "field_name": "task_index",
                "pandas_type": "int64",
                "numpy_type": "int64",
                "metadata": None,
            },
            {"name": "task", "field_name": "task", **text, "metadata": None},
        ],
        "creator": {"library": "pyarrow", "version": arrow.__version__},
        "pandas_version": "2.2.0",
    }
    schema = arrow.schema(
        [("task_index", arrow.int64()), ("task", arrow.string())],
        metadata={"pandas": json.dumps(pandas)},
    )
    table = arrow.Table.from_pydict({"task_index": [0], "task": [instruction]}, schema=schema)
    parquet.write_table(table, folder / "meta" / "tasks.parquet")


def _write_episodes(
    folder: Path, features: Sequence[str], episodes: Sequence[WrittenEpisode], instruction: str
) -> None:
    arrow, parquet = load_arrow()
    place = Place()
    columns: dict[str, list[Any]] = {
        "episode_index": list(range(len(episodes))),
        "tasks": [[instruction]] * len(episodes),
        "length": [each.length for each in episodes],
        "dataset_from_index": [each.first for each in episodes],
        "dataset_to_index": [each.first + each.length for each in episodes],
    }
    for name in episodes[0].place:
        columns[name] = [each.place[name] for each in episodes]
    for feature in features:
        for stat in episodes[0].stats[feature]:
            columns[f"stats/{feature}/{stat}"] = [each.stats[feature][stat] for each in episodes]
    for name, value in place.columns("meta/episodes").items():
        columns[name] = [value] * len(episodes)
    path = folder / place.path(EPISODES_PATH)
    path.parent.mkdir(parents=True)
    parquet.write_table(arrow.Table.from_pydict(columns), path, compression="snappy")


def _write_json(path: Path, facts: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(facts, indent=4, ensure_ascii=False), encoding="utf-8")
