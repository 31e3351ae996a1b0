from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from judged import CAMERAS, ENV, open_log, picture, write_episode

from handrail.intervention.index import EpisodeIndex
from handrail.intervention.labels import append_label
from handrail.intervention.log_format import EpisodeStart
from handrail.intervention.log_reader import LogReader
from handrail.reward_classifier import dataset
from handrail.reward_classifier.config import ClassifierConfig
from handrail.reward_classifier.dataset import FramesError, LabelledFrames, Recording, check, gather
from handrail.reward_classifier.stored import images_after
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.observation import BLACK

CONFIG = ClassifierConfig(margin=2, success_frames=2)


class Shelf:
    """A log to fill and to gather from."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.writer = open_log(folder)

    def show(self, episode: int, held: str) -> None:
        """A recorded one: "x" a step with the success key held, "." one without."""
        marks = [mark == "x" for mark in held]
        write_episode(self.writer, episode, marks, purpose="classify", rewards=[float(m) for m in marks])

    def live(self, episode: int, steps: int, label: str, who: str = "task", purpose: str = "train") -> None:
        """A lived one; in a success the lamp is lit at its last two steps."""
        success = label in ("success", "demo")
        lit = [success and number >= steps - 2 for number in range(steps)]
        write_episode(self.writer, episode, lit, label=(label, who), purpose=purpose)

    def says(self, episode: int, label: str, step: int | None = None) -> None:
        with EpisodeIndex(self.folder / "index.db", LogReader(self.folder)) as index:
            append_label(self.writer, index, episode, label, who="Ada", step=step)

    def gathered(self, config: ClassifierConfig = CONFIG) -> LabelledFrames:
        return gather([Recording("shown", LogReader(self.folder), ENV)], config)


@pytest.fixture
def shelf(tmp_path: Path):
    shelf = Shelf(tmp_path / "segments")
    yield shelf
    shelf.writer.close()


def drawn(frames: LabelledFrames) -> dict[int, str]:
    """Labels by episode: "x" success, "." none, " " left out."""
    return {e.episode: "".join({1: "x", 0: ".", -1: " "}[v] for v in e.labels) for e in frames.episodes}


def test_a_recorded_episode_is_labelled_step_by_step_with_room_beside_the_key(shelf: Shelf) -> None:
    shelf.show(0, "......xxxx......")
    shelf.show(1, "xxx.....")
    shelf.show(2, "........")
    assert drawn(shelf.gathered()) == {0: "....  xxxx  ....", 1: "xxx  ...", 2: "........"}


def test_a_labelled_episode_teaches_its_end_and_what_led_to_it(shelf: Shelf) -> None:
    shelf.live(0, 8, "success")
    shelf.live(1, 8, "demo", who="SpaceMouse")
    shelf.live(2, 5, "failure", who="SpaceMouse")
    frames = shelf.gathered()
    assert drawn(frames) == {0: "....  xx", 1: "....  xx", 2: "....."}
    assert frames.count(1) == 4
    assert np.array_equal(frames.episodes[0].images["wrist"][7], picture(True, 8))  # what step 7 led to
    assert frames.digest == shelf.gathered().digest


def test_the_newest_label_counts_with_the_step_that_it_names(shelf: Shelf) -> None:
    for number in range(3):
        shelf.live(number, 8, "success")
    before = shelf.gathered().digest
    shelf.says(1, "failure")
    shelf.says(2, "success", step=5)
    frames = shelf.gathered()
    # Whoever points out a frame means that one: what follows it is not known.
    assert drawn(frames) == {0: "....  xx", 1: "........", 2: "...  x  "}
    assert frames.digest != before


def test_a_picture_that_cannot_be_read_names_its_episode_and_what_to_do(shelf: Shelf) -> None:
    for number in range(3):
        shelf.live(number, 8, "success")
    shelf.writer.close()
    (segment,) = shelf.folder.glob("*.seg*")
    log = bytearray(segment.read_bytes())
    log[log.index(picture(False, 1005).tobytes()) + 7] ^= 1
    segment.write_bytes(log)
    with pytest.raises(FramesError) as caught:
        shelf.gathered()
    said = str(caught.value)
    assert "episode 1 of shown cannot be read" in said and said.endswith("label it exclude")
    assert "\n" not in said


def test_excluded_unlabelled_and_open_episodes_and_a_classifiers_own_word_teach_nothing(shelf: Shelf) -> None:
    shelf.live(0, 8, "success")
    shelf.live(1, 8, "demo")
    shelf.live(2, 8, "success", who="classifier 0123456789ab")
    shelf.live(3, 8, "exclude", who="SpaceMouse")
    write_episode(shelf.writer, 4, [False] * 8)
    shelf.writer.append(EpisodeStart(5, (0, 5), "train", 0, 0, -1))
    assert list(drawn(shelf.gathered())) == [0, 1]
    shelf.says(2, "failure")  # a person's veto is the best of examples
    assert list(drawn(shelf.gathered())) == [0, 1, 2]
    shelf.live(6, 8, "success", who="classifier 0123456789ab")
    assert list(drawn(shelf.gathered())) == [0, 1, 2]
    shelf.says(6, "success")  # a success that a person has confirmed teaches as well
    assert list(drawn(shelf.gathered())) == [0, 1, 2, 6]


def test_of_lived_episodes_the_newest_are_taken_and_of_recorded_ones_all(shelf: Shelf) -> None:
    shelf.show(0, "...xxx")
    for number in range(1, 6):
        shelf.live(number, 6, "success")
    assert list(drawn(shelf.gathered(replace(CONFIG, max_episodes=2)))) == [0, 4, 5]


def test_an_evaluation_is_no_example_and_may_check_what_was_learned(shelf: Shelf) -> None:
    for number in range(3):
        shelf.live(number, 6, "success", who="Ada", purpose="evaluate" if number == 1 else "train")
    assert list(drawn(shelf.gathered())) == [0, 2]
    recording = Recording("shown", LogReader(shelf.folder), ENV)
    assert [each.episode for each in dataset.read(recording, ["wrist"], CONFIG)] == [0, 1, 2]


def test_the_limit_is_one_over_all_runs(shelf: Shelf, tmp_path: Path) -> None:
    other = Shelf(tmp_path / "other")
    for number in range(4):
        (other if number % 2 else shelf).live(number, 6, "success")
    other.live(4, 6, "success")
    recordings = [Recording(name, LogReader(each.folder), ENV) for name, each in (("b", other), ("a", shelf))]
    frames = gather(recordings, replace(CONFIG, max_episodes=3))
    other.writer.close()
    assert [(each.recording, each.episode) for each in frames.episodes] == [("b", 3), ("b", 4), ("a", 2)]


def test_episodes_that_are_not_wanted_are_not_loaded(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        shelf.live(number, 6, "success")
    loaded: list[int] = []

    def images(reader: LogReader, after: int, episode: int) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        loaded.append(episode)
        return images_after(reader, after, episode)

    monkeypatch.setattr(dataset, "images_after", images)
    recording = Recording("shown", LogReader(shelf.folder), ENV)
    found = dataset.read(recording, ["wrist"], CONFIG, lambda start: start.episode > 0)
    assert next(found).episode == 1 and loaded == [1]  # one at a time
    assert next(found).episode == 2 and loaded == [1, 2]


@pytest.mark.parametrize(
    ("episodes", "says"),
    [
        (["......", "......"], "0 frames of 0 episodes show success"),
        (["xxxxxx", "xxxxxx"], "0 frames of 0 episodes show no success"),
        (["....xx", "......"], "2 frames of 1 episodes show success, at least 2 episodes are needed"),
    ],
)
def test_an_empty_class_is_refused_in_a_line(shelf: Shelf, episodes: list[str], says: str) -> None:
    for number, held in enumerate(episodes):
        shelf.show(number, held)
    with pytest.raises(FramesError) as caught:
        shelf.gathered()
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert caught.value.exit_code == 17


def test_the_same_picture_with_two_labels_is_refused_by_episode_and_step(shelf: Shelf) -> None:
    shelf.show(0, "....xx")
    shelf.show(1, "....xx")
    frames = shelf.gathered()
    first, second = frames.episodes
    frozen = {"wrist": second.images["wrist"].copy()}
    frozen["wrist"][5] = first.images["wrist"][1]
    stands = LabelledFrames(frames.cameras, (first, replace(second, images=frozen)))
    with pytest.raises(FramesError, match="step 5 of episode 1 of shown and step 1 of episode 0 of shown"):
        check(stands)


def test_a_black_picture_is_refused_by_episode_and_step(shelf: Shelf) -> None:
    shelf.show(0, "....xx")
    shelf.show(1, "....xx")
    frames = shelf.gathered()
    first, second = frames.episodes
    dark = {"wrist": second.images["wrist"].copy()}
    dark["wrist"][0] = BLACK - 1
    with pytest.raises(FramesError, match="camera wrist is black in episode 1 of shown, step 0"):
        check(LabelledFrames(frames.cameras, (first, replace(second, images=dark))))
    dark["wrist"][0] = BLACK  # an arm is driven with such a picture, so it may be learned from
    check(LabelledFrames(frames.cameras, (first, replace(second, images=dark))))


@pytest.mark.parametrize(
    ("held", "label", "says"),
    [
        (
            "...xx.",
            "failure",
            "episode 0 of shown is labelled failure, and the success key was held at step 3",
        ),
        ("......", "success", "the success key was not held up to step 5"),
    ],
)
def test_a_review_that_contradicts_the_key_is_refused(shelf: Shelf, held: str, label: str, says: str) -> None:
    shelf.show(0, held)
    shelf.says(0, label)
    with pytest.raises(FramesError, match=says):
        shelf.gathered()


def test_recordings_must_show_the_same_pictures(shelf: Shelf) -> None:
    shelf.show(0, "....xx")
    reader = LogReader(shelf.folder)
    cropped = replace(ENV, cameras=(replace(CAMERAS[0], crop=(0, 0, 32, 32)),))
    with pytest.raises(ConfigError, match=r"'wrist' was recorded as 32x32 of crop None in a and as .* in b"):
        gather([Recording("a", reader, ENV), Recording("b", reader, cropped)], CONFIG)
    with pytest.raises(ConfigError, match="a was recorded without camera 'side', it has wrist"):
        gather([Recording("a", reader, ENV)], replace(CONFIG, cameras=("side",)))
    with pytest.raises(ConfigError, match="recorded with a camera"):
        gather([Recording("a", reader, replace(ENV, cameras=()))], CONFIG)
    with pytest.raises(ConfigError, match="repeat a name"):
        gather([Recording("a", reader, ENV), Recording("a", reader, ENV)], CONFIG)
    two = replace(ENV, cameras=(*CAMERAS, CameraConfig(name="wrist_2", width=32, height=32)))
    shelf.show(1, "....xx")
    chosen = gather([Recording("a", LogReader(shelf.folder), two)], replace(CONFIG, cameras=("wrist",)))
    assert chosen.cameras == CAMERAS
    with pytest.raises(FramesError, match="episode 0 of a has no images of camera wrist_2"):
        gather([Recording("a", LogReader(shelf.folder), two)], CONFIG)


def test_settings_are_refused_in_a_line() -> None:
    for wrong in ({"views": 0}, {"folds": 1}, {"confidence": 1.0}, {"cameras": ()}, {"false_positives": 0.0}):
        with pytest.raises(ConfigError) as caught:
            ClassifierConfig(**wrong)  # pyright: ignore[reportArgumentType]
        assert "classifier." in str(caught.value) and "\n" not in str(caught.value)
