from dataclasses import replace

import numpy as np
import pytest
import torch
from judged import CAMERAS
from trained import CONFIG, show

from handrail.reward_classifier.config import ClassifierConfig
from handrail.reward_classifier.dataset import FramesError, LabelledFrames, gather
from handrail.reward_classifier.features import compute, varied
from handrail.reward_classifier.model import RewardHead, balanced_loss
from handrail.reward_classifier.train import Trained, Training, split, train
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.errors import ConfigError
from handrail.vision.trunk import Trunk, build

Told = list[tuple[str, int, int]]


@pytest.fixture(scope="module")
def trunk() -> Trunk:
    return Trunk("cnn", build("cnn", 0).state_dict())


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> LabelledFrames:
    return gather([show(tmp_path_factory.mktemp("shown"), 7)], CONFIG)


@pytest.fixture(scope="module")
def told() -> Told:
    return []


@pytest.fixture(scope="module")
def trained(frames: LabelledFrames, trunk: Trunk, told: Told) -> Trained:
    before = {name: tensor.clone() for name, tensor in trunk.tensors.items()}
    config = replace(CONFIG, views=2, shift_px=1)
    found = train(frames, config, trunk, lambda *report: told.append(report))
    assert all(torch.equal(tensor, before[name]) for name, tensor in trunk.tensors.items())
    return found


def test_every_part_of_the_head_gets_gradients_and_learns() -> None:
    config = ClassifierConfig(bottleneck=16, spatial_features=4)
    head = RewardHead(2, (32, 4), config, seed=0)
    maps = torch.randn(8, 2, 32, 4, generator=torch.Generator().manual_seed(0)).half()
    truth = torch.tensor([1.0, 0.0] * 4)
    before = {name: each.detach().clone() for name, each in head.named_parameters()}
    optimiser = torch.optim.AdamW(head.parameters(), lr=0.01)
    for _ in range(2):  # the last layer begins at zero, so the first pass reaches only that
        optimiser.zero_grad()
        balanced_loss(head(maps, dropout=True), truth).backward()
        optimiser.step()
    for name, each in head.named_parameters():
        assert each.grad is not None and bool((each.grad != 0).any()), name
        assert not torch.equal(each, before[name]), name
    assert sorted(name.split(".")[1] for name in before if name.startswith("encoder")) == sorted(
        ["kernels", "weights", "affine"] * 2
    )


def test_the_classes_weigh_the_same_however_many_there_are() -> None:
    few, many = torch.tensor([2.0, -1.0]), torch.tensor([2.0, *[-1.0] * 9])
    one = balanced_loss(few, torch.tensor([1.0, 0.0]))
    ten = balanced_loss(many, torch.tensor([1.0, *[0.0] * 9]))
    assert float(one) == pytest.approx(float(ten), rel=1e-5)


def test_folds_are_whole_episodes_and_each_has_successes(frames: LabelledFrames) -> None:
    failures = [
        replace(e, episode=100 + i, labels=np.zeros_like(e.labels)) for i, e in enumerate(frames.episodes)
    ]
    mixed = LabelledFrames(frames.cameras, (*frames.episodes[:4], *failures[:5]))
    parts = split(mixed, 3, seed=0)
    assert sorted(np.concatenate(parts).tolist()) == list(range(9))
    assert [sum(mixed.episodes[i].succeeds for i in part) for part in parts] in (
        [2, 1, 1],
        [1, 2, 1],
        [1, 1, 2],
    )
    assert len(split(mixed, 10, seed=0)) == 4  # not more than episodes with success
    assert all(np.array_equal(a, b) for a, b in zip(parts, split(mixed, 3, seed=0), strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(parts, split(mixed, 3, seed=1), strict=True))


@pytest.mark.parametrize(
    ("kinds", "count"),
    [
        ("bsf", 2),
        ("ssff", 2),
        ("bbsf", 3),
        ("bsssfff", 4),
        ("bbbb", 4),
        ("bb" + "f" * 9, 2),
        ("bsf ", 2),
    ],
)
def test_every_fold_shows_success_and_none(frames: LabelledFrames, kinds: str, count: int) -> None:
    """ "b" an episode that shows both, "s" nothing but success, "f" none, " " nothing that is spoken of."""
    labels = {"b": [0, 1], "s": [1, 1], "f": [0, 0], " ": [-1, -1]}
    episodes = [replace(frames.episodes[0], labels=np.array(labels[kind], np.int8)) for kind in kinds]
    for seed in range(20):
        parts = split(LabelledFrames(frames.cameras, tuple(episodes)), 5, seed)
        assert len(parts) == count
        assert sorted(np.concatenate(parts).tolist()) == list(range(len(kinds)))
        for part in parts:
            assert any(episodes[i].succeeds for i in part) and any(episodes[i].fails for i in part)


def test_episodes_that_show_only_success_can_be_trained_with(frames: LabelledFrames, trunk: Trunk) -> None:
    both, one, other = frames.episodes[:3]
    lit = {"wrist": one.images["wrist"][6:]}
    only = replace(
        one, images=lit, labels=one.labels[6:], coordinates=one.coordinates[6:], forces=one.forces[6:]
    )
    failure = replace(other, labels=np.where(other.labels == 1, -1, 0).astype(np.int8))
    for seed in range(4):
        found = train(
            LabelledFrames(frames.cameras, (both, only, failure)), replace(CONFIG, seed=seed, epochs=2), trunk
        )
        assert found.calibration.episodes == 2 and found.calibration.successes == 2


def test_a_lamp_is_learned_and_judged_by_heads_that_have_not_seen_the_episode(trained: Trained) -> None:
    assert len(trained.held_out) == 7 and len(trained.folds) == 2
    for each in trained.held_out:
        lit, dark = (each.scores[each.frames.labels == label] for label in (1, 0))
        assert lit.min() > dark.max()
    found = trained.calibration
    assert (found.false_positives, found.missed, found.successes) == (0, 0, 7)
    assert not found.supported  # seven episodes show no bound of one in a hundred
    assert trained.seconds > 0.0
    assert set(trained.statistics) == {"wrist"}
    mean, deviation = trained.statistics["wrist"]
    assert mean.shape == deviation.shape == (64, 1) and bool((deviation >= 0.0).all())


def test_held_out_scores_come_from_other_episodes(
    frames: LabelledFrames, trunk: Trunk, trained: Trained
) -> None:
    """An episode with its labels turned round is judged as the others say, not as it says itself."""
    odd = frames.episodes[0]
    turned = replace(odd, labels=(1 - odd.labels).astype(np.int8))
    found = train(LabelledFrames(frames.cameras, (turned, *frames.episodes[1:])), CONFIG, trunk)
    scores = found.held_out[0].scores
    assert scores[odd.labels == 1].mean() > scores[odd.labels == 0].mean()
    assert found.digest != trained.digest


@pytest.mark.parametrize("folds", [2, 3])
def test_what_an_episode_says_of_itself_does_not_reach_its_scores(
    frames: LabelledFrames, trunk: Trunk, folds: int
) -> None:
    """Neither what its head learns nor when that is stopped: the whole fold's labels are turned round."""
    config = replace(CONFIG, folds=folds, epochs=6)
    fold = split(frames, folds, config.seed)[0]
    turned = tuple(
        replace(each, labels=(1 - each.labels).astype(np.int8)) if number in fold else each
        for number, each in enumerate(frames.episodes)
    )
    says, contradicts = (
        train(LabelledFrames(frames.cameras, each), config, trunk) for each in (frames.episodes, turned)
    )
    assert says.folds[0] == contradicts.folds[0]
    for number in fold:
        one, two = (
            found.temperature * np.log(scores / (1.0 - scores))
            for found in (says, contradicts)
            for scores in [found.held_out[number].scores]
        )
        inside = (np.abs(one / says.temperature) < 29.0) & (np.abs(two / contradicts.temperature) < 29.0)
        assert inside.any() and np.allclose(one[inside], two[inside], atol=1e-3)


def test_a_head_is_stopped_when_it_gets_no_better_and_is_the_best_there_was(
    frames: LabelledFrames, trunk: Trunk
) -> None:
    config = replace(CONFIG, epochs=12, patience=4)
    features = compute(frames, config, trunk, lambda *_: None)
    learns = features.episode < 4
    contradicts = replace(features, labels=np.where(learns, features.labels, 1 - features.labels))
    head, told = Training(contradicts, learns, config, seed=5), []
    fold = head.until_best(~learns, told.append)
    assert fold.best == 1 and len(fold.losses) == 1 + config.patience  # the more it learns the worse
    assert told == [1, 2, 3, 4, 5] and min(fold.losses) == fold.losses[0]
    again = Training(contradicts, learns, config, seed=5)
    again.one_pass()
    for mine, best in zip(head.head.parameters(), again.head.parameters(), strict=True):
        assert torch.equal(mine, best)

    long = replace(config, epochs=200, patience=200)
    fold = Training(features, learns, long, seed=5).until_best(~learns, told.append)
    assert len(fold.losses) == fold.best < 200  # nothing was left to gain
    assert fold.losses[-1] < 0.005 < min(fold.losses[:-1])


@pytest.mark.usefixtures("trained")
def test_progress_is_told_to_the_end(told: Told) -> None:
    for what in ("features", "training"):
        reports = [(done, total) for name, done, total in told if name == what]
        assert [done for done, _ in reports] == sorted(done for done, _ in reports)
        assert reports[-1][0] == reports[-1][1]


def test_training_is_repeatable(frames: LabelledFrames, trunk: Trunk) -> None:
    one, two = (train(frames, CONFIG, trunk) for _ in range(2))
    for first, second in zip(one.head.parameters(), two.head.parameters(), strict=True):
        assert torch.equal(first, second)
    assert one.calibration == two.calibration


def test_negatives_are_limited_evenly_and_successes_never(frames: LabelledFrames, trunk: Trunk) -> None:
    features = compute(frames, replace(CONFIG, max_negatives=14, views=3), trunk, lambda *_: None)
    chosen = features.labels[features.chosen]
    assert (chosen == 1).sum() == frames.count(1)
    of = features.episode[features.chosen[chosen == 0]]
    assert np.bincount(of).tolist() == [2] * 7
    assert features.maps.shape == (7 * 12, 1, 64, 1)
    assert features.views.shape == (len(features.chosen), 2, 1, 64, 1)
    picture = torch.from_numpy(frames.episodes[3].images["wrist"][5:6])
    assert torch.allclose(features.maps[3 * 12 + 5, 0].float(), trunk(picture)[0].float(), atol=1e-2)


def test_views_are_shifted_and_differ_in_brightness() -> None:
    images = np.full((40, 32, 32, 3), 100, np.uint8)
    images[:, 16, 16] = 255
    config = ClassifierConfig(shift_px=3, brightness=0.2)
    found = varied(images, config, np.random.default_rng(0))
    ground = found[:, 0, 0, 0].astype(int)
    assert 80 <= ground.min() < 90 and 110 < ground.max() <= 120
    rows = found[..., 0].max(axis=2).argmax(axis=1)
    assert set(rows.tolist()) == set(range(13, 20))
    same = varied(images, replace(config, shift_px=0, brightness=0.0), np.random.default_rng(0))
    assert np.array_equal(same, images)


def test_cameras_of_two_sizes_are_refused(frames: LabelledFrames, trunk: Trunk) -> None:
    other = CameraConfig(name="side", width=64, height=64)
    both = LabelledFrames((*CAMERAS, other), frames.episodes)
    with pytest.raises(ConfigError, match="give them one size"):
        compute(both, CONFIG, trunk, lambda *_: None)


def test_frames_that_teach_nothing_are_refused_before_any_work(frames: LabelledFrames, trunk: Trunk) -> None:
    dull = tuple(replace(e, labels=np.zeros_like(e.labels)) for e in frames.episodes)
    with pytest.raises(FramesError, match="show success"):
        train(LabelledFrames(frames.cameras, dull), CONFIG, trunk)
