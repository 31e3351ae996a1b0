import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from handrail.reward_classifier.calibration import (
    Calibration,
    ScoredEpisode,
    calibrate,
    fit_guard,
    fit_temperature,
    probabilities,
    upper_limit,
)
from handrail.reward_classifier.config import ClassifierConfig
from handrail.reward_classifier.dataset import EpisodeFrames
from handrail.reward_classifier.guard import NO_GUARD, Guard

CONFIG = ClassifierConfig(consecutive=2, false_positives=0.05)
STRICT = replace(CONFIG, tolerated=0.0)
FREE, HIGH = (0.0,) * 6, (0.0, 0.0, 0.02, 0.0, 0.0, 0.0)


def episode(scores: list[float], labels: str, guard: Guard = NO_GUARD, at=FREE) -> ScoredEpisode:
    """Labels as in "..xx": "." no success, "x" success, " " left out."""
    codes = np.array([{"x": 1, ".": 0, " ": -1}[mark] for mark in labels], np.int8)
    poses, forces = np.tile(at, (len(scores), 1)), np.zeros((len(scores), 3))
    return ScoredEpisode(EpisodeFrames("a", 0, "train", {}, codes, poses, forces), np.array(scores), guard)


def many(count: int, *episodes: ScoredEpisode) -> list[ScoredEpisode]:
    quiet = [episode([0.01, 0.02, 0.01, 0.99, 0.99], "...xx") for _ in range(count - len(episodes))]
    return [*quiet, *episodes]


def test_the_limit_is_exact() -> None:
    # Clopper and Pearson's published tables, one-sided 95 %.
    for events, trials, limit in ((0, 10, 0.2589), (0, 100, 0.0295), (1, 20, 0.2161), (3, 50, 0.1478)):
        assert upper_limit(events, trials, 0.95) == pytest.approx(limit, abs=1e-4)
    assert upper_limit(0, 59, 0.95) == pytest.approx(1.0 - 0.05 ** (1 / 59), abs=1e-6)
    assert upper_limit(4, 4, 0.95) == 1.0


@pytest.mark.parametrize(("config", "borne"), [(STRICT, 0), (CONFIG, 1)])
def test_the_bound_holds_for_new_episodes_as_often_as_it_says(config: ClassifierConfig, borne: int) -> None:
    """What is promised of a threshold holds although it was chosen from the same episodes."""
    rng = np.random.default_rng(1)
    kept = 0
    for _ in range(400):
        worst = rng.uniform(0.5, 1.0, 30)
        found = calibrate([episode([w, w, 0.0], "...") for w in worst], config, NO_GUARD)
        true_share = max(0.0, 1.0 - found.threshold) / 0.5
        kept += true_share <= found.bound
    assert found.bound == pytest.approx(upper_limit(borne, 30, 0.95))
    assert 0.92 <= kept / 400 <= 0.99  # 0.95, and three standard deviations


def test_a_bound_that_the_data_do_not_show_is_not_pretended() -> None:
    few = calibrate(many(15), CONFIG, NO_GUARD)
    assert (few.false_positives, few.missed, few.episodes, few.needed) == (0, 0, 15, 59)
    assert not few.supported and few.bound == pytest.approx(0.181, abs=1e-3)
    said = " ".join(few.sentences())
    assert "at most 19 in 100 episodes" in said and "95 %" in said
    assert "do NOT show the wanted bound of 5 in 100" in said and "59 held-out episodes" in said

    enough = calibrate(many(59), CONFIG, NO_GUARD)
    assert enough.supported and enough.bound <= 0.05
    assert "NOT" not in " ".join(enough.sentences())


def test_an_episode_of_nothing_but_success_proves_nothing() -> None:
    only = episode([0.99, 0.99, 0.99], " xx")
    found = calibrate([*many(15), only, only], CONFIG, NO_GUARD)
    assert (found.episodes, found.successes, found.bound) == (
        15,
        17,
        calibrate(many(15), CONFIG, NO_GUARD).bound,
    )


def test_the_promise_names_what_it_is_of() -> None:
    said = calibrate(many(15), CONFIG, NO_GUARD).sentences()[0]
    assert "for heads trained like this one" in said and "`handrail classify check`" in said


def test_one_bad_frame_is_no_verdict_and_two_in_a_row_are() -> None:
    lone = calibrate(many(20, episode([0.98, 0.1, 0.98, 0.1, 0.2], ".....")), CONFIG, NO_GUARD)
    assert lone.threshold == pytest.approx(0.909, abs=0.01)  # half-way, in the logit, from even to 0.99
    twice = calibrate(many(20, episode([0.1, 0.97, 0.98, 0.1, 0.2], ".....")), CONFIG, NO_GUARD)
    assert 0.97 < twice.threshold < 0.99 and twice.false_positives == 0 and twice.missed == 0
    assert twice.frame_false_positives == pytest.approx(0.0)


def test_false_successes_come_before_missed_ones() -> None:
    found = calibrate(many(20, episode([0.1, 0.995, 0.995, 0.1], "....")), STRICT, NO_GUARD)
    assert found.threshold > 0.995 and found.false_positives == 0
    assert found.missed == found.successes == 19


def test_one_episode_out_of_few_does_not_make_it_miss_them_all() -> None:
    found = calibrate(many(20, episode([0.1, 0.995, 0.995, 0.1], "....")), CONFIG, NO_GUARD)
    assert found.missed == 0 and found.false_positives == 1
    assert found.bound == pytest.approx(upper_limit(1, 20, 0.95)) and not found.supported
    assert "1 of 20 held-out episodes had a false success: at most 22 in 100" in " ".join(found.sentences())


def test_many_episodes_bear_a_false_success_and_are_told_so() -> None:
    bad = episode([0.1, 0.999, 0.999, 0.1], "....")
    found = calibrate(many(200, bad), CONFIG, NO_GUARD)
    assert found.false_positives == 1 and found.missed == 0
    assert found.supported and found.bound <= 0.05


def test_what_the_guard_keeps_out_is_no_error() -> None:
    guard = Guard(height_m=0.001)
    bad = episode([0.1, 0.999, 0.999, 0.1], "....", guard, HIGH)
    found = calibrate(many(20, bad), CONFIG, guard)
    assert found.false_positives == 0 and found.missed == 0 and found.guard == guard


def test_left_out_frames_and_the_end_of_a_success_count_for_it() -> None:
    # The verdict would come a frame early, or just after the recorded end: neither is an error.
    early, late = episode([0.1, 0.99, 0.99, 0.99], ".  x"), episode([0.1, 0.1, 0.1, 0.99], "...x")
    found = calibrate(many(20, early, late), CONFIG, NO_GUARD)
    assert (found.false_positives, found.missed, found.successes) == (0, 0, 20)


def test_a_guard_is_drawn_around_the_successes_and_never_wider_than_given() -> None:
    frames = replace(episode([0.0] * 4, "..xx").frames, coordinates=np.zeros((4, 6)))
    frames.coordinates[0] = 1.0  # no success: not looked at
    frames.coordinates[2] = (0.001, -0.0012, 0.0004, 0.0, 0.0, -0.01)
    fitted = vars(fit_guard([frames, episode([0.0], ".").frames], Guard()))
    assert list(fitted.values()) == pytest.approx([0.002, 0.0008, 0.018, 30.0])
    drawn_again = fit_guard([replace(frames, error_m=0.0005, error_rad=0.003)], Guard())
    assert list(vars(drawn_again).values()) == pytest.approx([0.0025, 0.0013, 0.021, 30.0])
    narrow = fit_guard([frames], Guard(0.001, None, 0.08, None))
    assert (narrow.lateral_m, narrow.height_m, narrow.force_n) == (0.001, None, None)


def test_temperature_makes_overconfident_logits_honest() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(0.0, 2.0, 20_000)
    positive = rng.random(20_000) < 1.0 / (1.0 + np.exp(-honest))
    assert fit_temperature(honest, positive) == pytest.approx(1.0, abs=0.1)
    assert fit_temperature(5.0 * honest, positive) == pytest.approx(5.0, rel=0.1)
    p = probabilities(np.array([-1e9, 0.0, 1e9]), 0.1)
    assert 0.0 < p[0] < 1e-9 and p[1] == 0.5 and 1.0 - 1e-9 < p[2] < 1.0


def test_a_calibration_survives_json() -> None:
    found = calibrate(many(15), CONFIG, Guard(height_m=None))
    assert Calibration.from_plain(asdict(found)) == found
    assert math.isfinite(found.threshold)
