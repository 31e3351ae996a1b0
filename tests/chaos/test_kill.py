"""`kill -9` of actor and learner at random moments: nothing committed is lost, nothing comes twice.

Four kills of each keep the suite short. The whole exercise, twenty of each, with another seed if wanted:

    HANDRAIL_CHAOS_KILLS=20 HANDRAIL_CHAOS_SEED=1 python -m pytest tests/chaos/test_kill.py
"""

import json
import os

import numpy as np
import pytest

from handrail.agent.checkpoint import newest_checkpoint
from handrail.launch import compose
from handrail.launch.errors import GoalNotReached

KILLS = int(os.environ.get("HANDRAIL_CHAOS_KILLS", "4"))
SEED = int(os.environ.get("HANDRAIL_CHAOS_SEED", "0"))
STARTING = 0.25  # share of the kills that hit a process which is still starting
UTD = compose.compose().config.agent.utd


@pytest.mark.slow
@pytest.mark.timeout(180 + 30 * KILLS)
@pytest.mark.parametrize("seed", [SEED])  # a parameter, so that a failure names it
def test_kills_at_random_moments_lose_nothing_and_repeat_nothing(run, seed):
    rng = np.random.default_rng(seed)
    run.start("learner")
    run.start("actor")
    run.until_training()
    for number, role in enumerate(rng.permutation(["actor", "learner"] * KILLS)):
        if rng.random() >= STARTING:
            run.until(lambda role=role: role in run.phases, f"the {role} before kill {number}")
        run.listen(rng.uniform(0.0, 1.0))
        run.kill(role)
        run.check_log()
        check_checkpoint(run)
        run.start(role)
    run.until_training()
    for role in ("actor", "learner"):
        run.kill(role)
    run.check_log()
    run.check_episodes(last_may_be_open=True)

    before = run.history()
    target = before.online_steps + 100
    train = run.supervise(f"goal.max_env_steps={target}")
    assert train.returncode == GoalNotReached.exit_code, train.stderr
    run.check_log()
    run.check_episodes()
    assert run.history().online_steps == target
    check_summary(run)


def check_checkpoint(run) -> None:
    """The newest checkpoint is whole, and counts exactly what the log says up to its position."""
    checkpoint, refused = newest_checkpoint(run.directory.checkpoints)
    assert not refused
    assert checkpoint is not None
    state = checkpoint.state
    counted = run.history(upto=state["position"])
    assert (counted.sequence, counted.online_steps) == (state["position"], state["online_steps"])
    if state["began_at"] is not None:
        assert state["updates"] <= UTD * (state["online_steps"] - state["began_at"])


def check_summary(run) -> None:
    """`summary.json`, the log and the checkpoint agree to the last step and update."""
    summary = json.loads(run.directory.summary_file.read_text())
    counted = run.history()
    for name in ("human_steps", "takeovers", "demonstration_steps"):
        assert summary[name] == getattr(counted, name)
    assert (summary["env_steps"], summary["committed"]) == (counted.online_steps, counted.sequence)
    checkpoint, _ = newest_checkpoint(run.directory.checkpoints)
    assert checkpoint is not None
    state = checkpoint.state
    assert (state["online_steps"], state["updates"]) == (counted.online_steps, summary["updates"])
    assert state["updates"] == UTD * (state["online_steps"] - state["began_at"])
