"""`handrail classify train`, `check`, `inbox` and `accept`, as a person meets them.

What the classifier looks at is a lamp (`judged`): success is when it is lit.
"""

import dataclasses
import json
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
from dictated import dictated
from judged import CAMERAS, open_log, write_episode
from trained import show

from handrail.agent.config import RunConfig
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose, runs
from handrail.launch.cli import main
from handrail.launch.compose import Composed
from handrail.reward_classifier import artifact
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.judge import RewardConfig
from handrail.vision.trunk import build
from handrail.vision.weights import save_weights

QUICK = [
    *("views=1", "folds=2", "epochs=15", "spatial_features=2", "bottleneck=8", "dropout=0.0", "margin=0"),
    "learning_rate=0.02",
]
V0 = "0123456789ab"
FALSE_SUCCESS = [False] * 6
TRUE_SUCCESS = [False] * 4 + [True] * 4


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder in which somebody has shown the lamp, only the dark, and one from a larger camera."""
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        show(new_run("shown").segments)
        with open_log(new_run("dark").segments) as writer:
            for episode in range(3):
                write_episode(writer, episode, FALSE_SUCCESS, purpose="classify")
        large = CameraConfig(name="wrist", width=64, height=64)
        show(new_run("large", cameras=[large]).segments)
    save_weights(folder / "cnn.safetensors", "cnn", build("cnn", 0).state_dict(), "pretrained", "a test")
    return folder


@pytest.fixture(scope="module")
def trained(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with a classifier in use."""
    folder = tmp_path_factory.mktemp("trained") / "world"
    shutil.copytree(world, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert train() == 0
        assert main(["classify", "accept", "name=lamp"]) == 0
    return folder


@pytest.fixture(autouse=True)
def here(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, to work in."""
    shutil.copytree(world, tmp_path / "world")
    monkeypatch.chdir(tmp_path / "world")
    return tmp_path / "world"


@pytest.fixture
def lamp(trained: Path, here: Path) -> str:
    """The version that is in use."""
    shutil.copytree(trained / "classifiers", here / "classifiers")
    (version,) = versions()
    return version


@cache
def config() -> RunConfig:
    return compose.compose().config


def new_run(
    name: str, reward: RewardConfig | None = None, cameras: Sequence[CameraConfig] = CAMERAS
) -> RunDirectory:
    env = dataclasses.replace(config().env, cameras=tuple(cameras), reward=reward or RewardConfig())
    return runs.create(name, "runs", Composed(dataclasses.replace(config(), env=env), {}), ())


def train(*words: str, name: str = "lamp", run: str = "shown") -> int:
    quick = [f"classifier.{word}" for word in QUICK]
    sees = ["vision.trunk=cnn", "vision.weights=cnn.safetensors"]
    return main(["classify", "train", f"name={name}", f"run={run}", *quick, *sees, *words])


def versions() -> list[str]:
    return artifact.versions(Path("classifiers/lamp"))


def test_training_stores_a_version_and_says_what_is_known_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert train() == 0
    out = capsys.readouterr().out
    (version,) = versions()
    assert "36 frames of success and 36 others, of 6 episodes in shown" in out
    assert "It sees with a cnn of pretrained weights: a test" in out
    assert "of 6 held-out episodes had a false success: at most" in out
    assert "do NOT show the wanted bound of 1 in 100" in out  # six episodes cannot
    assert f"classifiers/lamp/{version}/report.html" in out
    assert "held-out" in Path(f"classifiers/lamp/{version}/report.html").read_text()
    assert artifact.current(Path("classifiers/lamp")) is None  # nobody has looked at it yet


def test_accepting_takes_the_newest_and_tells_what_was_before(
    lamp: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("classifier.seed=1") == 0
    (newer,) = set(versions()) - {lamp}
    assert artifact.load(Path("classifiers/lamp") / newer).parent == lamp
    capsys.readouterr()
    assert main(["classify", "accept", "name=lamp", "--json"]) == 0
    accepted = json.loads(capsys.readouterr().out)
    assert accepted == {"version": newer, "previous": lamp, "runs": [], "driven": []}
    assert main(["classify", "accept", "name=lamp", f"version={lamp}"]) == 0
    assert f"lamp {lamp} is in use (before: {newer})" in capsys.readouterr().out
    assert artifact.current(Path("classifiers/lamp")) == lamp


def test_its_verdicts_reach_the_runs_that_it_rewards_and_no_other(
    lamp: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rewarded = new_run("rewarded", RewardConfig("classifier", ("classifiers/lamp",)))
    other = new_run("other")
    for run in (rewarded, other):
        with open_log(run.segments) as writer:
            write_episode(writer, 0, FALSE_SUCCESS, classifier=V0, label=("success", f"classifier {V0}"))
            write_episode(writer, 1, TRUE_SUCCESS, classifier=V0)
            write_episode(writer, 2, FALSE_SUCCESS, classifier=V0, label=("success", "Ada"))
    assert main(["classify", "accept", "name=lamp"]) == 0
    assert labels(rewarded) == {0: "failure", 1: "success", 2: "success"}
    assert labels(other) == {0: "success", 1: None, 2: "success"}
    out = capsys.readouterr().out
    assert "rewarded: 2 episodes judged again, 1 now success (1), 1 now failure (0)" in out
    assert "1 left as a person called them" in out
    assert main(["classify", "accept", "name=lamp", "run=other"]) == 0  # where it is asked for
    assert labels(other) == labels(rewarded)


def test_a_run_that_is_driven_follows_at_once_and_judges_on_as_it_began(
    lamp: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rewarded = new_run("rewarded", RewardConfig("classifier", ("classifiers/lamp",)))
    with open_log(rewarded.segments) as writer:
        write_episode(writer, 0, FALSE_SUCCESS, classifier=V0, label=("success", f"classifier {V0}"))
    with dictated(rewarded):
        assert main(["classify", "accept", "name=lamp"]) == 0
        assert labels(rewarded) == {0: "failure"}
        assert "rewarded is being driven: until it is started again" in capsys.readouterr().out
        assert main(["classify", "accept", "name=lamp", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["driven"] == ["rewarded"]


def test_a_run_stays_with_the_version_that_it_names(
    lamp: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pinned = new_run("pinned", RewardConfig("classifier", (f"classifiers/lamp/{lamp}",)))
    with open_log(pinned.segments) as writer:
        write_episode(writer, 0, FALSE_SUCCESS, classifier=V0, label=("success", f"classifier {V0}"))
    assert train("classifier.seed=1") == 0
    assert main(["classify", "accept", "name=lamp"]) == 0
    assert labels(pinned) == {0: "success"}
    assert "No run in runs is rewarded by it" in capsys.readouterr().out
    assert main(["classify", "accept", "name=lamp", f"version={lamp}"]) == 0
    assert labels(pinned) == {0: "failure"}


def test_a_run_s_classifier_is_found_from_everywhere_and_behind_a_link(
    lamp: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("linked").symlink_to("classifiers")
    words = ["env.reward.source=classifier", "env.reward.classifier=[linked/lamp]"]
    named = compose.compose([*words, "task=ram_insertion_cameras"]).config.env.reward
    assert named.classifier == (str(here / "linked/lamp"),)
    run = new_run("rewarded", named)
    with open_log(run.segments) as writer:
        write_episode(writer, 0, FALSE_SUCCESS, classifier=V0, label=("success", f"classifier {V0}"))
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert main(["classify", "accept", "name=lamp", "classifiers=../classifiers", "runs=../runs"]) == 0
    assert labels(run) == {0: "failure"}


def test_a_run_that_cannot_be_read_is_in_nobody_s_way(lamp: str, capsys: pytest.CaptureFixture[str]) -> None:
    broken = new_run("broken")
    broken.config_file.write_text("env: [")
    assert main(["classify", "inbox"]) == 0
    error = capsys.readouterr().err
    assert "run broken is left out: " in error and error.count("\n") == 1
    assert main(["classify", "accept", "name=lamp"]) == 0
    assert main(["classify", "inbox", "run=broken"]) == 2


@pytest.mark.parametrize("settings", ["{", "[]", "{}", "null"])
def test_a_damaged_version_is_refused_in_a_line_and_another_one_can_be_named(
    lamp: str, settings: str, capsys: pytest.CaptureFixture[str]
) -> None:
    torn = Path("classifiers/lamp/torn")
    torn.mkdir()
    (torn / artifact.SETTINGS).write_text(settings)
    assert main(["classify", "accept", "name=lamp"]) == 15
    error = capsys.readouterr().err
    assert "classifiers/lamp/torn cannot be read" in error and error.count("\n") == 1
    assert main(["classify", "accept", "name=lamp", f"version={lamp}"]) == 0


def labels(run: RunDirectory) -> dict[int, str | None]:
    with EpisodeIndex(run.index_file, LogReader(run.segments)) as index:
        index.refresh()
        return {row.episode: row.label for row in index.episodes()}


def test_a_run_in_stages_is_not_judged_by_one_of_them(lamp: str, capsys: pytest.CaptureFixture[str]) -> None:
    new_run("staged", RewardConfig("classifier", ("classifiers/lamp", "classifiers/lamp")))
    assert main(["classify", "accept", "name=lamp"]) == 0  # it is not among those that it rewards
    assert main(["classify", "accept", "name=lamp", "run=staged"]) == 2
    assert "rewarded in stages" in capsys.readouterr().err


def test_a_check_is_on_episodes_that_it_has_not_learned_from(
    lamp: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", "check", "name=lamp", "run=shown"]) == 2
    assert "has learned from every labelled episode in shown" in capsys.readouterr().err
    later = new_run("later")
    with open_log(later.segments) as writer:
        write_episode(writer, 0, TRUE_SUCCESS, label=("success", "Ada"))
        write_episode(writer, 1, FALSE_SUCCESS, label=("failure", "Ada"))
    assert main(["classify", "check", "name=lamp", "run=shown,later", "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert [(each["run"], each["episode"]) for each in checked["episodes"]] == [("later", 0), ("later", 1)]
    assert (checked["version"], checked["false_successes"], checked["missed"]) == (lamp, 0, 0)
    assert checked["successes"] == 1 and checked["keeps_its_promise"] and checked["look_ms"] > 0.0
    assert main(["classify", "check", "name=lamp", "run=shown,later", "--all"]) == 0
    out = capsys.readouterr().out
    assert "0 of 8 episodes had a false success" in out and "0 of 7 successes were missed" in out


def test_a_check_fails_where_a_promise_is_broken(lamp: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Lit lamps that a person calls no success: the promise was at most 40 in 100."""
    bad = new_run("bad")
    with open_log(bad.segments) as writer:
        for episode in range(8):
            write_episode(writer, episode, TRUE_SUCCESS, label=("failure", "Ada"))
        write_episode(writer, 8, FALSE_SUCCESS, label=("success", "Ada"))
    assert main(["classify", "check", "name=lamp", "run=bad"]) == 23
    captured = capsys.readouterr()
    assert "false success in 8 of 9 episodes" in captured.err
    assert (
        "8 of 9 episodes had a false success" in captured.out
        and "1 of 1 successes were missed" in captured.out
    )
    assert captured.out.count("│ false success") == 8 and captured.out.count("│ missed") == 1


def test_the_inbox_lists_disagreements_and_knows_what_is_news(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", "inbox"]) == 0
    assert "0 disagreements: nothing to learn from them" in capsys.readouterr().out
    run = new_run("first", RewardConfig("classifier", ("classifiers/lamp",)))
    with open_log(run.segments) as writer:
        write_episode(
            writer, 0, FALSE_SUCCESS, scores=[0.9] * 6, classifier=V0, label=("success", f"classifier {V0}")
        )
        write_episode(writer, 1, TRUE_SUCCESS, scores=[0.1] * 8, classifier=V0)
    for episode, label in ((0, "failure"), (1, "success")):
        assert main(["review", "run=first", f"episode={episode}", f"label={label}", "why=[b]looked"]) == 0
    capsys.readouterr()
    assert main(["classify", "inbox"]) == 0
    out = capsys.readouterr().out
    assert "2 disagreements" in out and "train" in out and "[b]looked" in out and V0 in out
    assert main(["classify", "inbox", "run=first", "--json"]) == 0
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(e["episode"], e["kind"], e["step"]) for e in entries] == [(0, "vetoed", 5), (1, "missed", 7)]

    assert main(["classify", "inbox", "pictures=seen"]) == 0
    names = ["first-0-5-vetoed-wrist.png", "first-1-7-missed-wrist.png"]
    assert sorted(path.name for path in Path("seen").iterdir()) == names
    assert all((Path("seen") / name).read_bytes().startswith(b"\x89PNG") for name in names)
    assert main(["classify", "inbox", "pictures=cnn.safetensors"]) == 2
    assert "cannot be written" in capsys.readouterr().err

    assert train(run="shown,first") == 0  # the next training takes them in
    assert "of 8 episodes in shown, first" in capsys.readouterr().out
    assert main(["classify", "accept", "name=lamp"]) == 0
    capsys.readouterr()
    assert main(["classify", "inbox", "name=lamp"]) == 0
    assert "0 disagreements" in capsys.readouterr().out
    assert train("classifier.seed=1") == 0  # later, and without them
    assert main(["classify", "accept", "name=lamp"]) == 0
    capsys.readouterr()
    assert main(["classify", "inbox", "name=lamp"]) == 0
    assert "2 disagreements" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "parts"),
    [
        (["train", "run=shown"], 2, ["which classifier?"]),
        (["train", "name=lamp"], 2, ["which run?", "Give run=<id>"]),
        (["train", "name=lamp", "run=shwon"], 20, ["no run 'shwon'", "did you mean 'shown'"]),
        (["train", "name=lamp", "run=shown,shown"], 2, ["repeat a name"]),
        (["train", "name=lamp", "run=shown", "classifier.epoch=3"], 2, ["did you mean 'classifier.epochs'"]),
        (["train", "name=lamp", "run=shown", "classifier=3"], 2, ["unknown key 'classifier'"]),
        (["train", "name=lamp", "run=shown", "classifier.folds=1"], 2, ["classifier.folds is 1"]),
        (["train", "name=lamp", "run=shown", "epochs 3"], 2, ["no override"]),
        (["train", "name=lamp", "run=shown", "vision.weights=none.st"], 15, ["none.st"]),
        (["train", "name=lamp", "run=dark"], 17, ["0 frames of 0 episodes show success"]),
        (["train", "name=lamp", "run=shown,large"], 2, ["wrist", "64"]),
        (["check", "name=lamp", "run=shown"], 15, ["no classifier in use"]),
        (["check", "name=lamp", "run=shown", "threshold=1"], 2, ["'threshold=1'"]),
        (["accept", "name=lamp"], 2, ["holds no classifier", "classify train name=lamp"]),
        (["accept", "name=lamp", "version=abc"], 15, ["abc"]),
        (["inbox", "run=nowhere"], 20, ["nowhere"]),
        (["inbox", "name=lamp"], 15, ["no classifier in use"]),
    ],
)
def test_refusals_are_one_line_and_store_nothing(
    words: list[str], code: int, parts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", *words]) == code
    error = capsys.readouterr().err
    assert error.startswith("handrail: ") and error.count("\n") == 1
    for part in parts:
        assert part in error
    assert not Path("classifiers").exists()
