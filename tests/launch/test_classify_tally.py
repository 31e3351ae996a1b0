"""What counts as an example for a classifier: looking at an arm that rests is not showing anything."""

from pathlib import Path

import numpy as np
import pytest
from judged import open_log, state

from handrail.intervention.log_format import EpisodeStart, step_record
from handrail.intervention.log_reader import LogReader
from handrail.intervention.transition import Source, Transition
from handrail.launch.classify.tally import Tally

PERIOD_NS = 100_000_000
STEPS = 30


def write(folder: Path, episodes: list[tuple[Source, float]]) -> LogReader:
    """A log of episodes of three seconds, each with (who drove, whether success was held)."""
    rest = np.zeros(6, np.float32)
    with open_log(folder) as writer:
        for number, (source, reward) in enumerate(episodes):
            writer.append(EpisodeStart(number, (0, number), "classify", 0, 0, -1))
            for step in range(STEPS):
                looked = Transition(
                    episode=number,
                    step=step,
                    observation=state(),
                    action=rest,
                    policy_action=rest,
                    reward=reward,
                    terminated=False,
                    truncated=False,
                    next_observation=state(),
                    source=source,
                    t_ns=step * PERIOD_NS,
                    wall_ns=0,
                    weights_version=-1,
                )
                writer.append(step_record(looked, {}, {}))
    return LogReader(folder)


@pytest.mark.parametrize(
    ("source", "reward", "counted"),
    [
        (Source.SCRIPT, 0.0, (0, 3)),  # nobody drives: one picture a second
        (Source.HUMAN, 0.0, (0, STEPS)),
        (Source.SCRIPT, 1.0, (STEPS, 0)),  # somebody holds the button
    ],
)
def test_an_arm_that_nobody_drives_shows_one_example_a_second(
    tmp_path: Path, source: Source, reward: float, counted: tuple[int, int]
) -> None:
    tally = Tally()
    tally.read(write(tmp_path / "log", [(source, reward)]))
    assert (tally.positives, tally.negatives) == counted


def test_each_episode_begins_with_an_example(tmp_path: Path) -> None:
    tally = Tally()
    tally.read(write(tmp_path / "log", [(Source.SCRIPT, 0.0), (Source.SCRIPT, 0.0)]))
    assert (tally.negatives, tally.episodes) == (6, 2)
