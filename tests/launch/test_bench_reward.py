"""What the benchmark of a classifier's reward counts, on episodes whose truth the test knows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judged import ENV, open_log, write_episode
from trained import make_version, show

from handrail.intervention.run_directory import RunDirectory
from handrail.launch.bench.reward import OPTIONS, errors_of, measure
from handrail.launch.bench.reward_sweep import Looks, looks_of, sweep
from handrail.launch.compose import compose
from handrail.launch.options import split
from handrail.reward_classifier import artifact
from handrail.reward_classifier.versions import make_current
from handrail.robot_env.errors import ConfigError

V1 = "0123456789ab"
BY = f"classifier {V1}"
SEEN = [True] * 8


@pytest.fixture(scope="module")
def lamp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a classifier in use."""
    folder = tmp_path_factory.mktemp("classifiers")
    make_current(folder / "lamp", make_version(folder / "lamp", show(folder / "shown")))
    return folder / "lamp"


def test_errors_are_counted_by_what_the_cell_knew(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run").create("", {})
    with open_log(run.segments) as writer:

        def judged(episode: int, seated: list[bool], **changes: Any) -> None:
            write_episode(writer, episode, SEEN, classifier=V1, seated=seated, **changes)

        right = [False] * 6 + [True] * 2
        judged(0, right, label=("success", BY))
        judged(1, [False] * 8, label=("success", BY))  # a false success
        judged(2, [False] + [True] * 7)  # seated for long, and nobody said so
        judged(3, [False] * 8)
        judged(4, [False] * 8, label=("success", "Ada"))  # a person's mistake is none of the classifier's
        judged(6, [False] + [True] * 7, label=("success", BY))  # late, but not missed
        write_episode(writer, 5, SEEN, seated=[False] * 8, label=("success", "task"))  # nobody asked it
    assert errors_of(run) == {"episodes": 6, "false_positives": 1, "missed": 1}


def test_the_rules_hold_back_errors_that_are_added_to_a_run_s_looks() -> None:
    looks = 50
    far = np.arange(looks) < 40  # the guard lets no success be there
    scores = np.where(np.arange(looks) < 48, 0.1, 0.9)
    episode = Looks(scores, ~far, np.arange(looks) >= 48)
    found = {figure.name: figure.value for figure in sweep([episode] * 50, (0.0, 0.01, 0.1), 0.5, 2)}

    def per_100(rate: float, rules: str) -> float:
        return found[f"replayed_rate_{rate:g}_{rules}_false_positives"]

    assert all(per_100(0.0, rules) == 0.0 for rules in ("neither", "guard", "2_in_a_row", "both"))
    # 48 looks without success, of which 8 are within the guard, each wrong once in a hundred.
    assert abs(per_100(0.01, "neither") - 100.0 * (1.0 - 0.99**48)) < 5.0
    assert abs(per_100(0.01, "guard") - 100.0 * (1.0 - 0.99**8)) < 3.0
    assert per_100(0.01, "2_in_a_row") < 3.0
    assert per_100(0.1, "both") < per_100(0.1, "2_in_a_row") < per_100(0.1, "neither")


def test_the_looks_of_a_run_are_read_as_the_loop_saw_them(lamp: Path, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run").create("", {})
    with open_log(run.segments) as writer:
        scores, seated = [0.1] * 6 + [0.9] * 2, [False] * 6 + [True] * 2
        heights_m = [0.05] * 4 + [0.0] * 4
        write_episode(writer, 0, SEEN, scores=scores, classifier=V1, seated=seated, heights_m=heights_m)
        write_episode(writer, 1, SEEN)  # nobody judged it
    (found,) = looks_of(run, ENV, artifact.load(lamp))
    assert found.scores.tolist() == scores
    assert found.seated.tolist() == seated
    assert found.allowed.tolist() == [False] * 4 + [True] * 4


def test_rates_that_are_no_numbers_are_refused() -> None:
    options, _ = split(["rates=0,some"], OPTIONS)
    with pytest.raises(ConfigError, match="rates=0,some: give numbers"):
        next(measure(options, compose().config))
