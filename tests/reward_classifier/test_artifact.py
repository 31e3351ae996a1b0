import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from judged import CAMERAS, open_log, picture, write_episode
from trained import CONFIG, show

from handrail.intervention.log_format import Event
from handrail.reward_classifier import artifact
from handrail.reward_classifier.artifact import ClassifierError
from handrail.reward_classifier.calibration import probabilities
from handrail.reward_classifier.dataset import gather
from handrail.reward_classifier.train import Trained, train
from handrail.reward_classifier.versions import make_current
from handrail.vision.trunk import Trunk, build


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    frames = gather([show(tmp_path_factory.mktemp("shown"))], CONFIG)
    return train(frames, CONFIG, Trunk("cnn", build("cnn", 3).state_dict()))


@pytest.fixture
def stored(trained: Trained, tmp_path: Path) -> Path:
    """The folder of a version."""
    return tmp_path / artifact.save(tmp_path, trained, "<p>page</p>", made_wall_ns=5)


def test_what_is_loaded_judges_as_what_was_stored(trained: Trained, stored: Path) -> None:
    found = artifact.load(stored)
    assert found.version == stored.name and len(found.version) == 12
    assert (found.cameras, found.calibration, found.digest) == (CAMERAS, trained.calibration, trained.digest)
    assert (found.threshold, found.consecutive, found.guard) == (
        trained.calibration.threshold,
        2,
        trained.calibration.guard,
    )
    assert (found.parent, found.made_wall_ns, found.temperature) == ("", 5, trained.temperature)
    assert found.trunk is not trained.trunk and found.trunk.key == trained.trunk.key
    for mine, theirs in zip(found.statistics["wrist"], trained.statistics["wrist"], strict=True):
        assert np.array_equal(mine, theirs)
    images = np.stack([picture(lit, seed) for seed, lit in enumerate([True, False] * 3)])
    maps = trained.trunk(torch.from_numpy(images)).unsqueeze(1)
    with torch.inference_mode():
        expected = torch.sigmoid(trained.head(maps) / trained.temperature)
    assert found.scores(maps) == pytest.approx(expected.numpy(), abs=1e-6)
    assert found.score(found.trunk.of({"wrist": images[0]})) == pytest.approx(float(expected[0]), abs=1e-2)
    assert (stored / artifact.REPORT).read_text() == "<p>page</p>"
    settings = json.loads((stored / artifact.SETTINGS).read_text())
    assert settings["trunk"]["key"] == trained.trunk.key and len(settings["trunk"]["sha256"]) == 64


def test_a_run_and_the_calibration_turn_a_logit_into_the_same_probability(stored: Path) -> None:
    """Also where a 32-bit sigmoid is 1: a threshold up there must not let everything through."""
    found = artifact.load(stored)
    found.head.weight.data.zero_()
    found.head.bias.data.fill_(18.0 * found.temperature)
    (score,) = found.scores(torch.zeros(1, 1, found.trunk.channels, 1))
    assert score == pytest.approx(float(probabilities(np.array(18.0), 1.0)), abs=1e-12)
    assert score < float(probabilities(np.array(25.0), 1.0)) < 1.0


def test_two_classifiers_of_one_trunk_share_it(stored: Path) -> None:
    one, two = artifact.load(stored), artifact.load(stored)
    assert one.trunk is two.trunk and one.head is not two.head


def test_a_version_is_its_content_and_a_second_one_knows_its_parent(trained: Trained, stored: Path) -> None:
    folder = stored.parent
    assert artifact.save(folder, trained, "<p>page</p>", made_wall_ns=5) == stored.name
    assert artifact.versions(folder) == [stored.name]
    assert artifact.current(folder) is None
    with pytest.raises(ClassifierError, match=f"holds no classifier in use; it has {stored.name}"):
        artifact.load(folder)
    make_current(folder, stored.name)
    assert artifact.current(folder) == stored.name == artifact.load(folder).version
    later = artifact.save(folder, trained, "", made_wall_ns=6)
    assert later != stored.name and artifact.load(folder / later).parent == stored.name
    assert artifact.load(folder).version == stored.name  # nothing is in use before it is accepted
    assert sorted(path.name for path in folder.iterdir()) == sorted([stored.name, later, "current"])


def test_a_version_knows_the_episodes_it_has_learned_from_and_their_labels(tmp_path: Path) -> None:
    shown = show(tmp_path / "shown")
    with open_log(tmp_path / "shown") as writer:
        write_episode(writer, 6, [False, True], label=("success", "Ada"))
        write_episode(writer, 7, [False, True], classifier="x", label=("success", "classifier x"))
        last = writer.appended
    trained = train(gather([shown], CONFIG), CONFIG, Trunk("cnn", build("cnn", 3).state_dict()))
    found = artifact.load(tmp_path / "lamp" / artifact.save(tmp_path / "lamp", trained, "", made_wall_ns=5))
    at = found.learned["shown"][6]
    assert found.learned == {"shown": {**dict.fromkeys(range(6), 0), 6: at}}  # not by a classifier's word
    assert 0 < at < last
    (label,) = (record for sequence, record in shown.reader.records() if sequence == at)
    assert isinstance(label, Event) and label.who == "Ada"


def test_what_a_killed_training_left_is_removed_a_day_later(trained: Trained, tmp_path: Path) -> None:
    killed, running = tmp_path / ".saving-killed", tmp_path / ".saving-running"
    for path in (killed, running):
        path.mkdir()
        (path / artifact.WEIGHTS).write_bytes(b"half")
    os.utime(killed, (0.0, time.time() - 25 * 3600.0))
    version = artifact.save(tmp_path, trained, "", made_wall_ns=5)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([version, running.name])


def test_what_is_not_there_is_said_in_a_line(stored: Path, tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match="holds no classifier in use, train one and accept it"):
        artifact.load(tmp_path / "nothing")
    with pytest.raises(ClassifierError, match=f"has no version 'other'; it has {stored.name}"):
        make_current(stored.parent, "other")
    (stored.parent / "current").write_text("0123456789ab\n")
    with pytest.raises(ClassifierError, match="0123456789ab cannot be read") as caught:
        artifact.load(stored.parent)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 15


def test_a_disk_that_refuses_leaves_nothing_behind(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "lamp").write_text("a file in the way")
    with pytest.raises(ClassifierError, match="cannot be written"):
        artifact.save(tmp_path / "lamp", trained, "", made_wall_ns=0)


def damage(folder: Path, how: str) -> None:
    weights, settings = folder / artifact.WEIGHTS, folder / artifact.SETTINGS
    match how:
        case "truncated":
            weights.write_bytes(weights.read_bytes()[:-100])
        case "a bit":
            data = bytearray(weights.read_bytes())
            data[-5] ^= 1
            weights.write_bytes(bytes(data))
        case "threshold":
            settings.write_text(settings.read_text().replace('"threshold": 0.', '"threshold": 0.1'))
        case "schema":
            settings.write_text(json.dumps({**json.loads(settings.read_text()), "schema": 9}))
        case "no json":
            settings.write_text("{")
        case "no object":
            settings.write_text("[]")
        case "no weights":
            weights.unlink()


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("truncated", "is damaged: its content is not that of version"),
        ("a bit", "is damaged"),
        ("threshold", "is damaged"),
        ("schema", "has schema 9, this version reads 1"),
        ("no json", "cannot be read"),
        ("no object", "has schema None"),
        ("no weights", "cannot be read"),
    ],
)
def test_a_damaged_folder_is_refused_in_a_line(stored: Path, tmp_path: Path, how: str, says: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(stored, copy)
    damage(copy, how)
    with pytest.raises(ClassifierError) as caught:
        artifact.load(copy)
    assert says in str(caught.value) and "\n" not in str(caught.value) and str(copy) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"calibration": {}}, "cannot be read"),
        (
            {"cameras": [{"name": "", "view": "", "width": 32, "height": 32, "crop": None}]},
            "camera name is ''",
        ),
        ({"trunk": {"name": "vit", "normalisation": "imagenet"}}, "sees with a 'vit'"),
        ({"trunk": {"name": "resnet10", "normalisation": "imagenet"}}, "is no resnet10"),
        ({"head": {"spatial_features": 3, "bottleneck": 8}}, "the head of classifier"),
    ],
)
def test_a_whole_folder_of_another_make_is_refused_in_a_line(
    stored: Path, tmp_path: Path, change: dict, says: str
) -> None:
    settings = {**json.loads((stored / artifact.SETTINGS).read_text()), **change}
    del settings["version"]
    copy = tmp_path / "copy"
    shutil.copytree(stored, copy)
    version = artifact._version((copy / artifact.WEIGHTS).read_bytes(), settings)
    (copy / artifact.SETTINGS).write_text(json.dumps({**settings, "version": version}))
    with pytest.raises(ClassifierError) as caught:
        artifact.load(copy)
    assert says in str(caught.value) and "\n" not in str(caught.value)
