"""The dataset, read back with PyArrow and PyAV alone: field by field what the run has."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported import HUMAN, POLICY, SCRIPT, Told, cameras, make_run

from handrail.intervention.episode_filter import EpisodeFilter
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.log_format import LogError
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.intervention.transition import Transition
from handrail.launch import compose
from handrail.launch.cli import main
from handrail.launch.export import lerobot
from handrail.launch.export.lerobot_files import FileLimits, Place
from handrail.launch.export.material import Material
from handrail.launch.export.selection import select

av = pytest.importorskip("av")
pq = pytest.importorskip("pyarrow.parquet")

SENTENCE = "seat the module"
SHOWN = cameras((48, 64), (33, 31))  # AV1 takes odd sides too
EPISODES = {
    0: Told(),
    1: Told(steps=7, sources=(POLICY, HUMAN, HUMAN, SCRIPT, POLICY)),
    2: Told(success=False, truncated_by="time_limit", sources=(HUMAN,), purpose="demo"),
    3: Told(labels=(("exclude", "Ada", "the lamp was off", None),)),
    4: Told(labels=(("failure", "Ada", "not seated", None),)),
    5: Told(steps=6, success=False, truncated_by="time_limit", labels=(("success", "Ada", "", 3),)),
    6: Told(end="aborted"),
    7: Told(purpose="classify"),
    8: Told(success=False, truncated_by="stopped"),
}
TAKEN = (0, 1, 2, 4, 5, 8)
"""Run's episodes in the dataset, in order; number 5 ends with its fourth step, as its label says."""


def used(number: int, told: dict[int, Told]) -> list[Transition]:
    return told[number].transitions[: 4 if number == 5 else None]


@pytest.fixture(scope="module")
def told() -> dict[int, Told]:
    return EPISODES


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, told: dict[int, Told]) -> RunDirectory:
    return make_run(tmp_path_factory.mktemp("runs") / "first", [*told.values(), Told(end="open")], SHOWN)


@pytest.fixture(scope="module")
def dataset(run: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "data" / "first"
    words = [f"run={run.path}", f"to={folder}", f"instruction={SENTENCE}"]
    assert main(["export", "lerobot", *words]) == 0
    return folder


def read_json(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / "meta" / name).read_text(encoding="utf-8"))


def rows_of(folder: Path) -> dict[str, list]:
    """All rows of a dataset, in the order of its files."""
    tables = [pq.read_table(path).to_pydict() for path in sorted(folder.glob("data/*/*.parquet"))]
    return {name: [value for table in tables for value in table[name]] for name in tables[0]}


def episodes_of(folder: Path) -> list[dict[str, Any]]:
    return pq.read_table(folder / "meta/episodes/chunk-000/file-000.parquet").to_pylist()


def pictures_of(path: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(path)) as container:
        return [
            (float(frame.pts * frame.time_base), frame.to_ndarray(format="rgb24"))
            for frame in container.decode(video=0)
        ]


def in_order(told: dict[int, Told]) -> Iterator[tuple[int, int, Transition]]:
    """(episode of the dataset, its step, what was recorded)."""
    for number, episode in enumerate(TAKEN):
        for step in used(episode, told):
            yield number, step.step, step


def test_info_says_what_there_is(dataset: Path) -> None:
    info = read_json(dataset, "info.json")
    features = info.pop("features")
    assert info == {
        "codebase_version": "v3.0",
        "robot_type": "panda (simulated)",
        "total_episodes": 6,
        "total_frames": 4 + 7 + 4 + 4 + 4 + 4,
        "total_tasks": 1,
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": 10,
        "splits": {"train": "0:6"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    }
    assert list(features) == [
        "observation.state",
        "action",
        "observation.images.wrist",
        "observation.images.wrist_2",
        "next.reward",
        "next.done",
        "next.truncated",
        "complementary_info.is_intervention",
        "timestamp",
        "frame_index",
        "episode_index",
        "index",
        "task_index",
    ]
    assert features["action"] == {
        "dtype": "float32",
        "shape": [6],
        "names": ["dx", "dy", "dz", "rx", "ry", "rz"],
    }
    names = features["observation.state"]["names"]
    assert len(names) == 19 and names[:3] == ["tcp_position_x", "tcp_position_y", "tcp_position_z"]
    assert names[12:15] == ["force_x", "force_y", "force_z"] and names[-1] == "gripper_width"
    assert features["next.done"] == {"dtype": "bool", "shape": [1], "names": None}
    assert features["timestamp"] == {"dtype": "float32", "shape": [1], "names": None}
    assert features["index"] == {"dtype": "int64", "shape": [1], "names": None}


def test_the_files_have_the_types_that_info_promises(dataset: Path) -> None:
    features = read_json(dataset, "info.json")["features"]
    schema = pq.read_schema(dataset / "data/chunk-000/file-000.parquet")
    assert schema.names == [name for name, each in features.items() if each["dtype"] != "video"]
    for field in schema:
        feature = features[field.name]
        if feature["shape"] == [1]:
            assert str(field.type).replace("float", "float32") == feature["dtype"]
        else:
            assert [field.type.list_size] == feature["shape"] and str(field.type.value_type) == "float"
    for key in ("observation.images.wrist", "observation.images.wrist_2"):
        with av.open(str(dataset / f"videos/{key}/chunk-000/file-000.mp4")) as container:
            stream, shape = container.streams.video[0], features[key]["shape"]
            assert features[key]["names"] == ["height", "width", "channels"]
            assert shape == [stream.height, stream.width, 3]
            assert features[key]["info"] == {
                "video.height": stream.height,
                "video.width": stream.width,
                "video.codec": stream.codec.canonical_name,
                "video.pix_fmt": stream.pix_fmt,
                "video.is_depth_map": False,
                "video.fps": stream.base_rate,
                "video.channels": 3,
                "has_audio": bool(container.streams.audio),
            }


def test_every_row_is_its_step(dataset: Path, told: dict[int, Told]) -> None:
    rows = rows_of(dataset)
    expected = list(in_order(told))
    assert rows["index"] == list(range(len(expected)))
    assert rows["episode_index"] == [number for number, _, _ in expected]
    assert rows["frame_index"] == [step for _, step, _ in expected]
    assert rows["task_index"] == [0] * len(expected)
    assert rows["timestamp"] == [float(np.float32(step / 10)) for _, step, _ in expected]
    steps = [step for _, _, step in expected]
    assert np.array_equal(
        np.asarray(rows["observation.state"], np.float32), [step.observation for step in steps]
    )
    assert np.array_equal(np.asarray(rows["action"], np.float32), [step.action for step in steps])
    assert rows["complementary_info.is_intervention"] == [step.source is HUMAN for step in steps]
    assert sum(rows["complementary_info.is_intervention"]) == 2 + 4


def test_rewards_and_ends_are_those_of_the_labels(dataset: Path) -> None:
    rows = rows_of(dataset)
    last = [
        index
        for index in rows["index"]
        if index + 1 not in rows["index"] or not rows["frame_index"][index + 1]
    ]
    ends = {
        TAKEN[rows["episode_index"][index]]: (
            rows["next.reward"][index],
            rows["next.done"][index],
            rows["next.truncated"][index],
        )
        for index in last
    }
    assert ends == {
        0: (1.0, True, False),
        1: (1.0, True, False),
        2: (0.0, False, True),
        4: (0.0, False, True),  # it was a success until somebody looked
        5: (1.0, True, False),  # and this one was not
        8: (0.0, False, True),  # stopped: the last step itself does not know
    }
    between = set(rows["index"]) - set(last)
    for name in ("next.reward", "next.done", "next.truncated"):
        assert not any(rows[name][index] for index in between)


def test_the_task_is_the_index_of_a_pandas_table(dataset: Path) -> None:
    table = pq.read_table(dataset / "meta/tasks.parquet")
    assert table.to_pydict() == {"task_index": [0], "task": [SENTENCE]}
    pandas = json.loads(table.schema.metadata[b"pandas"])
    assert pandas["index_columns"] == ["task"]
    assert [each["field_name"] for each in pandas["columns"]] == ["task_index", "task"]


def test_episodes_say_where_they_are(dataset: Path, told: dict[int, Told]) -> None:
    first, shown = 0, 0.0
    for number, row in enumerate(episodes_of(dataset)):
        length = len(used(TAKEN[number], told))
        assert (row["episode_index"], row["length"], row["tasks"]) == (number, length, [SENTENCE])
        assert (row["dataset_from_index"], row["dataset_to_index"]) == (first, first + length)
        for prefix in (
            "data",
            "meta/episodes",
            *(f"videos/observation.images.{each.name}" for each in SHOWN),
        ):
            assert (row[f"{prefix}/chunk_index"], row[f"{prefix}/file_index"]) == (0, 0)
        for camera in SHOWN:
            prefix = f"videos/observation.images.{camera.name}"
            assert row[f"{prefix}/from_timestamp"] == pytest.approx(shown, abs=1e-9)
            assert row[f"{prefix}/to_timestamp"] == pytest.approx(shown + length / 10, abs=1e-9)
        first, shown = first + length, shown + length / 10
    groups = pq.ParquetFile(dataset / "data/chunk-000/file-000.parquet").metadata
    assert groups.num_row_groups == len(TAKEN)


def expected_stats(values: np.ndarray, method: Any = "linear") -> dict[str, np.ndarray]:
    values = values.astype(np.float64)
    stats = {"min": values.min(0), "max": values.max(0), "mean": values.mean(0), "std": values.std(0)}
    quantiles = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
    return stats | {name: np.quantile(values, q, axis=0, method=method) for name, q in quantiles.items()}


def same_stats(found: dict[str, Any], values: np.ndarray, count: int, *, image: bool) -> None:
    expected = expected_stats(values, "inverted_cdf" if image else "linear")
    assert set(found) == {*expected, "count"} and found["count"] == [count]
    shape = (3, 1, 1) if image else (values.shape[1],)
    for name, value in expected.items():
        assert np.shape(found[name]) == shape, name
        assert np.ravel(found[name]) == pytest.approx(value, abs=1e-9), name


def test_statistics_are_those_of_the_rows_and_pictures(dataset: Path, told: dict[int, Told]) -> None:
    rows, stats = rows_of(dataset), read_json(dataset, "stats.json")
    assert set(stats) == set(read_json(dataset, "info.json")["features"])
    total = len(rows["index"])
    for name, column in rows.items():
        same_stats(stats[name], np.reshape(np.asarray(column), (total, -1)), total, image=False)
    for camera in SHOWN:
        pixels = np.concatenate([step.images[camera.name].reshape(-1, 3) for _, _, step in in_order(told)])
        same_stats(stats[f"observation.images.{camera.name}"], pixels / 255, total, image=True)


def test_an_episodes_statistics_are_its_own(dataset: Path, told: dict[int, Told]) -> None:
    row = episodes_of(dataset)[1]
    steps = used(1, told)

    def stats(feature: str) -> dict[str, Any]:
        prefix = f"stats/{feature}/"
        return {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}

    same_stats(stats("action"), np.stack([step.action for step in steps]), 7, image=False)
    same_stats(stats("frame_index"), np.arange(7).reshape(7, 1), 7, image=False)
    pixels = np.concatenate([step.images["wrist"].reshape(-1, 3) for step in steps])
    same_stats(stats("observation.images.wrist"), pixels / 255, 7, image=True)


def check_pictures(folder: Path, told: dict[int, Told]) -> None:
    """The frame at every row's time, as a reader seeks it, is that step's picture and no other."""
    rows, episodes = rows_of(folder), episodes_of(folder)
    recorded = [step for _, _, step in in_order(told)]
    decoded: dict[Path, list[tuple[float, np.ndarray]]] = {}
    for camera in SHOWN:
        key = f"observation.images.{camera.name}"
        candidates = np.stack([step.images[camera.name] for step in recorded]).astype(np.int16)
        for index, row in enumerate(rows["index"]):
            place = episodes[rows["episode_index"][index]]
            path = folder / Place(place[f"videos/{key}/chunk_index"], place[f"videos/{key}/file_index"]).path(
                "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4", video_key=key
            )
            frames = decoded.setdefault(path, pictures_of(path))
            when = place[f"videos/{key}/from_timestamp"] + rows["timestamp"][index]
            found = [image for time, image in frames if abs(time - when) < 1e-4]
            assert len(found) == 1
            errors = np.abs(candidates - found[0]).mean((1, 2, 3))
            assert errors.argmin() == row and errors[row] < 8
    frames = sum(len(each) for each in decoded.values())
    assert set(decoded) == set(folder.glob("videos/*/*/*.mp4")) and frames == len(SHOWN) * len(recorded)


def test_videos_show_every_rows_picture_at_its_time(dataset: Path, told: dict[int, Told]) -> None:
    check_pictures(dataset, told)


def test_the_dataset_says_where_it_came_from(dataset: Path) -> None:
    facts = read_json(dataset, "handrail.json")
    assert facts["run"] == "first"
    assert facts["left_out"] == {
        "excluded": 1,
        "aborted": 1,
        "shown to a classifier": 1,
        "still running": 1,
    }
    assert [each["episode"] for each in facts["episodes"]] == list(TAKEN)
    assert facts["episodes"][3] | {"labelled_by": "Ada", "label": "failure"} == facts["episodes"][3]
    assert facts["action"][0] == {"name": "dx", "unit": "0.01 m", "frame": "tool"}


def material(run: RunDirectory, index: EpisodeIndex) -> Material:
    index.refresh()
    return Material(run, compose.load(run.config_file), index, select(index, EpisodeFilter()))


def write(run: RunDirectory, folder: Path, limits: FileLimits) -> None:
    with EpisodeIndex(run.index_file, LogReader(run.segments)) as index:
        lerobot.write(material(run, index), folder, lambda steps: None, limits=limits)


def test_small_limits_split_files_and_chunks(
    run: RunDirectory, told: dict[int, Told], tmp_path: Path
) -> None:
    folder = tmp_path / "split"
    write(run, folder, FileLimits(chunk_files=4, data_mb=1e-6, video_mb=1e-6))
    named = [f"chunk-{number // 4:03d}/file-{number % 4:03d}" for number in range(len(TAKEN))]
    for place, suffix in (("data", "parquet"), ("videos/observation.images.wrist", "mp4")):
        found = sorted((folder / place).glob("*/*"))
        assert [path.relative_to(folder / place).as_posix() for path in found] == [
            f"{name}.{suffix}" for name in named
        ]
    assert rows_of(folder)["index"] == list(range(27))
    for number, row in enumerate(episodes_of(folder)):
        assert (row["data/chunk_index"], row["data/file_index"]) == divmod(number, 4)
        assert row["videos/observation.images.wrist/from_timestamp"] == 0.0
    check_pictures(folder, told)


def test_a_file_grows_by_whole_episodes_up_to_its_size(
    run: RunDirectory, dataset: Path, told: dict[int, Told], tmp_path: Path
) -> None:
    whole = max(path.stat().st_size for path in dataset.glob("videos/*/*/*.mp4"))
    data = (dataset / "data/chunk-000/file-000.parquet").read_bytes()
    rows = len(data) - int.from_bytes(data[-8:-4], "little")  # without the footer, which comes last
    limits = FileLimits(data_mb=0.6 * rows / 2**20, video_mb=0.6 * whole / 2**20)
    folder = tmp_path / "split"
    write(run, folder, limits)
    for pattern in ("data/*/*", "videos/observation.images.wrist/*/*"):
        assert 1 < len(list(folder.glob(pattern))) < len(TAKEN)
    check_pictures(folder, told)


def test_a_run_without_cameras_has_no_videos(tmp_path: Path) -> None:
    told = Told()
    run = make_run(tmp_path / "blind", [told])
    assert main(["export", "lerobot", f"run={run.path}", f"to={tmp_path / 'out'}"]) == 0
    info = read_json(tmp_path / "out", "info.json")
    assert info["video_path"] is None and not (tmp_path / "out" / "videos").exists()
    assert not any(each["dtype"] == "video" for each in info["features"].values())
    assert not any(name.startswith("videos/") for name in episodes_of(tmp_path / "out")[0])
    assert rows_of(tmp_path / "out")["next.reward"] == [0.0, 0.0, 0.0, 1.0]


def test_a_rate_that_is_no_whole_number_is_kept(tmp_path: Path) -> None:
    run = make_run(tmp_path / "odd", [Told(), Told()], cameras((32, 32)), hz=12.5)
    assert main(["export", "lerobot", f"run={run.path}", f"to={tmp_path / 'out'}"]) == 0
    info = read_json(tmp_path / "out", "info.json")
    assert info["fps"] == info["features"]["observation.images.wrist"]["info"]["video.fps"] == 12.5
    frames = pictures_of(tmp_path / "out/videos/observation.images.wrist/chunk-000/file-000.mp4")
    assert [time for time, _ in frames] == pytest.approx([number / 12.5 for number in range(8)], abs=1e-6)
    assert episodes_of(tmp_path / "out")[1]["videos/observation.images.wrist/from_timestamp"] == 4 / 12.5


def test_other_cameras_in_a_later_episode_are_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "two", [Told()], cameras((32, 32)))
    other = make_run(tmp_path / "other", [Told(), Told()], cameras((32, 48)))
    with (
        EpisodeIndex(run.index_file, LogReader(run.segments)) as index,
        EpisodeIndex(other.index_file, LogReader(other.segments)) as others,
    ):
        first, rest = material(run, index), material(other, others)
        mixed = _Mixed(first, rest)
        with pytest.raises(LogError, match=r"episode 1 has the images .* export those with the same cameras"):
            lerobot.write(mixed, tmp_path / "out", lambda steps: None)


class _Mixed(Material):
    """The first run's episode 0 and the second run's episode 1, as if they were one run's."""

    def __init__(self, first: Material, rest: Material) -> None:
        self.__dict__.update(first.__dict__)
        self._rest = rest
        self.selection = type(first.selection)((first.selection.rows[0], rest.selection.rows[1]), {})

    def steps(self, row, *, images):
        return (self._rest if row.episode else super()).steps(row, images=images)
