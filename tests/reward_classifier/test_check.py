"""A classifier judged on labelled episodes: what it takes for success, misses, and what it had promised."""

import dataclasses
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from judged import picture

from handrail.reward_classifier import artifact
from handrail.reward_classifier.artifact import Classifier
from handrail.reward_classifier.check import Checked, examine
from handrail.reward_classifier.dataset import LEFT_OUT, NEGATIVE, POSITIVE, EpisodeFrames


@pytest.fixture(scope="module")
def classifier(lamp: Path) -> Classifier:
    return artifact.load(lamp)


def episode(number: int, lit: list[bool], labels: list[int], height_m: float = 0.0) -> EpisodeFrames:
    images = np.stack([picture(each, 100 * number + index) for index, each in enumerate(lit)])
    coordinates = np.zeros((len(lit), 6))
    coordinates[:, 2] = height_m
    forces = np.zeros((len(lit), 3))
    return EpisodeFrames(
        "log", number, "train", {"wrist": images}, np.array(labels, np.int8), coordinates, forces
    )


DARK, LIT = [False] * 4, [False] * 2 + [True] * 2


@pytest.mark.parametrize(
    ("lit", "labels", "height_m", "claimed", "false", "missed"),
    [
        (DARK, [NEGATIVE] * 4, 0.0, None, False, False),
        (LIT, [NEGATIVE, NEGATIVE, POSITIVE, POSITIVE], 0.0, 3, False, False),
        (LIT, [NEGATIVE] * 4, 0.0, 3, True, False),
        (LIT, [NEGATIVE, NEGATIVE, LEFT_OUT, LEFT_OUT], 0.0, 3, False, False),  # nobody says that it is wrong
        (DARK, [NEGATIVE, NEGATIVE, NEGATIVE, POSITIVE], 0.0, None, False, True),
        (
            [False, False, False, True],
            [NEGATIVE] * 3 + [POSITIVE],
            0.0,
            3,
            False,
            False,
        ),  # it would have lasted
        ([False, True, False, False], [NEGATIVE] * 4, 0.0, None, False, False),  # one frame is none
        (LIT, [NEGATIVE, NEGATIVE, POSITIVE, POSITIVE], 0.1, None, False, True),  # the guard forbids it
    ],
)
def test_an_episode_is_judged_as_in_the_loop(
    classifier: Classifier,
    lit: list[bool],
    labels: list[int],
    height_m: float,
    claimed: int | None,
    false: bool,
    missed: bool,
) -> None:
    checked = examine(classifier, [episode(0, lit, labels, height_m)])
    (judged,) = checked.episodes
    assert (judged.claimed_step, judged.false, judged.missed) == (claimed, false, missed)
    assert (checked.false_successes, checked.missed) == (int(false), int(missed))
    assert checked.successes == int(POSITIVE in labels)


def test_frames_are_counted_by_themselves_and_looks_are_timed(classifier: Classifier) -> None:
    told: list[int] = []
    lit = [*LIT, True]
    episodes = [
        episode(0, lit, [NEGATIVE, POSITIVE, NEGATIVE, POSITIVE, LEFT_OUT]),
        episode(1, DARK, [NEGATIVE] * 4),
    ]
    checked = examine(classifier, episodes, told.append)
    assert (checked.negatives, checked.false_frames) == (6, 1)
    assert (checked.positives, checked.missed_frames) == (2, 1)
    assert checked.look_ms > 0.0 and told == [1, 2]
    assert checked.version == classifier.version and checked.promised == classifier.calibration.bound


def test_an_episode_of_nothing_but_success_is_no_trial(classifier: Classifier) -> None:
    quiet, only = episode(0, DARK, [NEGATIVE] * 4), episode(1, [True] * 4, [LEFT_OUT, *[POSITIVE] * 3])
    one, both = examine(classifier, [quiet]), examine(classifier, [quiet, only])
    assert (both.trials, both.limit, both.successes) == (1, one.limit, 1)


def test_one_episode_is_held_at_a_time(classifier: Classifier) -> None:
    """An hour of two cameras is a gigabyte or more."""
    held: list[weakref.ref[EpisodeFrames]] = []

    def episodes() -> Iterator[EpisodeFrames]:
        for number in range(4):
            assert sum(each() is not None for each in held) <= 1
            frames = episode(number, DARK, [NEGATIVE] * 4)
            held.append(weakref.ref(frames))
            yield frames
            del frames

    assert examine(classifier, episodes()).negatives == 16


def test_a_long_episode_is_looked_at_in_parts(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    class Counting:
        def __call__(self, images: torch.Tensor) -> torch.Tensor:
            sizes.append(len(images))
            return classifier.trunk(images)

    images = np.stack([picture(index % 3 == 0, index) for index in range(70)])
    counted = dataclasses.replace(classifier, trunk=Counting())  # pyright: ignore[reportArgumentType]
    scores = counted.judge({"wrist": images})
    assert sizes == [32, 32, 6]
    whole = classifier.scores(classifier.trunk(torch.from_numpy(images)).unsqueeze(1))
    assert scores == pytest.approx(whole, abs=1e-2)


@pytest.mark.parametrize(
    ("false", "count", "promised", "keeps"),
    [(0, 5, 0.01, True), (1, 5, 0.02, True), (2, 20, 0.01, False), (5, 5, 0.4, False), (10, 100, 0.1, True)],
)
def test_a_promise_is_broken_only_where_chance_is_no_excuse(
    classifier: Classifier, false: int, count: int, promised: float, keeps: bool
) -> None:
    """Exact binomial: 1 of 5 happens to 2 in 100 with a chance of 10 %, 2 of 20 to 1 in 100 with 2 %."""
    one = examine(classifier, [episode(0, DARK, [NEGATIVE] * 4)])
    checked: Checked = dataclasses.replace(
        one, episodes=one.episodes * count, false_successes=false, promised=promised
    )
    assert checked.keeps_its_promise is keeps
