"""A trained classifier in the loop, on pictures of a lamp."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from judged import CAMERAS, picture

from handrail.reward_classifier import artifact
from handrail.reward_classifier.predictor import ClassifierJudge
from handrail.robot_env.errors import CameraError, ConfigError
from handrail.robot_env.judge import RewardConfig, Situation

LOOKS = 400


def config(folder: Path, **changes: object) -> RewardConfig:
    return replace(RewardConfig("classifier", (str(folder),)), **changes)


def judge(folder: Path, seed: int = 0, **changes: object) -> ClassifierJudge:
    return ClassifierJudge(artifact.load(folder), CAMERAS, config(folder, **changes), seed)


def at(height_m: float = 0.0, force_n: float = 0.0) -> Situation:
    return Situation(np.array([0.0, 0.0, height_m, 0.0, 0.0, 0.0]), np.array([force_n, 0.0, 0.0]), 0.0, 1)


def view(lit: bool, seed: int) -> dict[str, np.ndarray]:
    return {"wrist": picture(lit, 10_000 + seed)}


def test_success_takes_k_looks_within_the_guard(lamp: Path) -> None:
    found = judge(lamp)
    found.begin(view(False, 0))
    dark = found.judge(view(False, 1), at())
    lit = found.judge(view(True, 2), at())
    assert dark.score is not None and lit.score is not None
    assert dark.score < found.classifier.threshold <= lit.score
    assert (lit.success, lit.reward, lit.version) == (False, 0.0, artifact.current(lamp))
    assert not found.judge(view(True, 3), at(height_m=0.02)).success  # lit, but up in the air
    assert not found.judge(view(True, 4), at(force_n=50.0)).success  # or jammed
    assert not found.judge(view(True, 5), at()).success
    last = found.judge(view(True, 6), at())
    assert (last.success, last.reward) == (True, 1.0)


def test_a_new_episode_starts_counting_anew(lamp: Path) -> None:
    found = judge(lamp)
    found.begin(view(False, 0))
    found.judge(view(True, 1), at())
    found.begin(view(False, 2))
    assert not found.judge(view(True, 3), at()).success
    assert found.judge(view(True, 4), at()).success


def test_k_and_guard_can_be_overruled_for_experiments(lamp: Path) -> None:
    found = judge(lamp, consecutive=1, guard=False)
    found.begin(view(False, 0))
    assert found.judge(view(True, 1), at(height_m=0.05)).success


def successes(folder: Path, seed: int, **changes: object) -> list[bool]:
    """Verdicts on dark pictures only."""
    found = judge(folder, seed, **changes)
    found.begin(view(False, 0))
    pictures = [view(False, look) for look in range(1, 4)]  # few, so that few go through the trunk
    return [found.judge(pictures[look % 3], at()).success for look in range(LOOKS)]


def test_injected_false_positives_come_at_their_rate_and_repeat_with_the_seed(lamp: Path) -> None:
    bare = {"consecutive": 1, "guard": False}
    assert sum(successes(lamp, 0, **bare)) == 0
    first = successes(lamp, 0, false_positive_rate=0.05, **bare)
    assert 8 <= sum(first) <= 36  # 20 expected, with a deviation of 4.4
    assert first == successes(lamp, 0, false_positive_rate=0.05, **bare)
    assert first != successes(lamp, 1, false_positive_rate=0.05, **bare)
    assert sum(successes(lamp, 0, false_positive_rate=0.05)) <= 5  # two in a row: 1 expected


def test_episodes_of_one_seed_have_different_errors(lamp: Path) -> None:
    found = judge(lamp, consecutive=1, guard=False, false_positive_rate=0.3)
    seen = []
    for _ in range(2):
        found.begin(view(False, 0))
        seen.append([found.judge(view(False, look), at()).success for look in range(1, 40)])
    assert seen[0] != seen[1]
    assert all(any(each) and not all(each) for each in seen)


def test_a_restart_repeats_no_errors_and_the_same_pictures_do(lamp: Path) -> None:
    def errors(first: int) -> list[bool]:
        found = judge(lamp, consecutive=1, guard=False, false_positive_rate=0.3)
        found.begin(view(False, first))
        return [found.judge(view(False, 500 + look), at()).success for look in range(40)]

    assert errors(0) == errors(0) != errors(1)


def test_the_score_beside_an_injected_error_is_the_classifier_s_own(lamp: Path) -> None:
    found = judge(lamp, consecutive=1, guard=False, false_positive_rate=1.0)
    found.begin(view(False, 0))
    verdict = found.judge(view(False, 1), at())
    assert verdict.success and verdict.score is not None
    assert verdict.score == pytest.approx(found.score(view(False, 1)))
    assert verdict.score < found.classifier.threshold


def test_other_cameras_than_those_trained_on_are_refused_at_once(lamp: Path) -> None:
    wide = (replace(CAMERAS[0], width=64),)
    with pytest.raises(ConfigError, match=r"was trained on width 32 of camera 'wrist', env.cameras has 64"):
        ClassifierJudge(artifact.load(lamp), wide, config(lamp))


def test_images_that_cannot_be_judged_are_refused(lamp: Path) -> None:
    found = judge(lamp)
    with pytest.raises(CameraError, match="black"):
        found.begin({"wrist": np.zeros((32, 32, 3), np.uint8)})
    found.begin(view(False, 0))
    for height_m in (0.05, 0.04):
        found.judge(view(False, 1), at(height_m))
    with pytest.raises(CameraError, match="same picture 3 times"):
        found.judge(view(False, 1), at(0.03))


def test_a_look_within_the_budget_passes_and_one_beyond_it_is_refused(lamp: Path) -> None:
    found = judge(lamp)
    torch.set_num_threads(2)
    took_ms = found.warm_up(budget_ms=1000.0)
    assert torch.get_num_threads() == 1  # as many as an actor has
    assert 0.0 < took_ms < 1000.0
    with pytest.raises(ConfigError, match=r"takes .* ms a look, env.reward.budget_ms is 0.0001"):
        found.warm_up(budget_ms=1e-4)


def test_one_pass_through_the_trunk_serves_policy_and_classifier(lamp: Path) -> None:
    found, again = judge(lamp), artifact.load(lamp)
    assert again.trunk is found.classifier.trunk
    image = view(True, 1)
    maps = found.classifier.trunk.of(image)
    found.begin(image)
    assert found.classifier.trunk.of({"eye": image["wrist"].copy()})["eye"] is maps["wrist"]
