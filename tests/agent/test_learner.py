"""The learner's bookkeeping: what enters memory, what may be updated when, and coming back exactly."""

import dataclasses
import threading

import numpy as np
import pytest
import torch
from logged import Log

from handrail.agent.config import ActorConfig, AgentConfig, LearnerConfig, RunConfig
from handrail.agent.history import RunHistory
from handrail.agent.learner import Learner, LearnerDiverged
from handrail.intervention.log_format import EpisodeStart, decode_record
from handrail.intervention.run_directory import RunDirectory
from handrail.robot_env.errors import ConfigError

CONFIG = RunConfig(
    agent=AgentConfig(hidden=(16, 16), batch_size=16, clone_updates=5, utd=2, cta_ratio=2),
    learner=LearnerConfig(training_starts=10, capacity=1000),
    actor=ActorConfig(demonstrations=2),
)


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    return RunDirectory(tmp_path / "run").create("", {})


def demonstrated(log: Log, count: int = 2) -> None:
    for _ in range(count):
        log.episode(20, purpose="demo", label="demo")


def test_demonstrations_are_selected_by_label(run):
    log, learner = Log(), Learner(run, CONFIG)
    log.episode(20, purpose="demo", label="demo")
    log.episode(30, purpose="demo", success=False)
    log.episode(7, purpose="demo", ended=False)  # the process died here
    log.episode(25, purpose="demo", label="demo")
    log.episode(10, human=(3, 4))
    log.feed(learner)
    assert len(learner.memory.replay) == 20 + 25 + 10
    assert len(learner.memory.demo) == 20 + 25 + 2
    assert (learner.history.demonstrations, learner.history.online_steps) == (2, 10)
    assert learner.history.demonstration_steps == 82


def test_an_evaluation_is_neither_learned_from_nor_counted(run):
    log, learner, without = Log(), Learner(run, CONFIG), RunHistory()
    demonstrated(log)
    log.episode(10, human=(3, 4))
    first = log.episode(30, purpose="evaluate", label="success")
    log.episode(30, purpose="evaluate", human=(1, 2), success=False)
    log.event(first, "failure", old="success")
    log.episode(12, success=False)
    log.feed(learner)
    apart: set[int] = set()
    for sequence, payload in log.records:
        record = decode_record(payload)
        if isinstance(record, EpisodeStart) and record.purpose == "evaluate":
            apart.add(record.episode)
        if getattr(record, "episode", None) not in apart:
            without.ingest(sequence, record)
    assert len(learner.memory.replay) == 20 + 20 + 10 + 12
    assert len(learner.memory.demo) == 20 + 20 + 2
    history = learner.history
    for name in ("online_steps", "demonstration_steps", "demonstrations", "human_steps", "takeovers"):
        assert getattr(history, name) == getattr(without, name)
    assert (history.finished, history.next_episode) == (without.finished, without.next_episode)
    assert history.robot_ns < without.robot_ns  # nor is their time the training's
    assert history.finished == [(True, False), (False, True)]


def test_cloning_waits_for_all_demonstrations_and_happens_once(run):
    log, learner = Log(), Learner(run, CONFIG)
    demonstrated(log, 1)
    log.feed(learner)
    assert not learner.ready_to_clone()
    demonstrated(log, 1)
    log.feed(learner)
    assert learner.ready_to_clone()
    learner.clone(threading.Event(), lambda _: None)
    assert learner.agent.clone is not None and not learner.ready_to_clone()


def trained(run, log: Log, steps: int = 40) -> Learner:
    learner = Learner(run, CONFIG)
    demonstrated(log)
    log.feed(learner)
    learner.clone(threading.Event(), lambda _: None)
    log.episode(10)
    log.feed(learner)
    assert learner.may_update() is False  # training begins here, nothing is paid for yet
    log.episode(steps - 10, human=(1, 2, 3))
    log.feed(learner)
    return learner


def test_updates_stand_in_the_configured_ratio_to_steps(run):
    log = Log()
    learner = trained(run, log)
    done = 0
    while learner.may_update():
        learner.update()
        done += 1
    assert done == learner.updates == 2 * 30
    log.episode(10)
    log.feed(learner)
    while learner.may_update():
        learner.update()
    assert learner.updates == 2 * 40


def test_a_restored_learner_goes_on_exactly(run):
    log = Log()
    learner = trained(run, log)
    for _ in range(20):
        learner.update()
    learner.save()
    for _ in range(10):
        learner.update()

    again = Learner(run, CONFIG)
    assert again.restore()
    assert again.updates == 20
    assert not again.may_update()  # the memory is not rebuilt yet
    log.feed(again)
    for _ in range(10):
        assert again.may_update()
        again.update()
    for (name, a), (_, b) in zip(learner.agent.weights().items(), again.agent.weights().items(), strict=True):
        assert torch.equal(a, b), name
    assert again.updates == learner.updates == 30


def test_an_update_that_is_not_finite_goes_back_to_the_last_checkpoint_then_gives_up(run):
    learner = trained(run, Log())
    for _ in range(4):
        learner.update()
    learner.save()
    good = {name: value.clone() for name, value in learner.agent.weights().items()}
    for time in range(3):
        with torch.no_grad():
            next(learner.agent.critic.parameters()).fill_(float("nan"))
        assert not torch.isfinite(learner.update()["critic_loss"])
        learner.roll_back()
        assert learner.updates == 4 and learner.rollbacks == time + 1
        assert all(torch.equal(value, good[name]) for name, value in learner.agent.weights().items())
    with pytest.raises(LearnerDiverged, match="critic_lr"):
        learner.roll_back()


def test_weights_that_are_not_numbers_are_told_from_those_that_are(run):
    learner = trained(run, Log())
    assert learner.finite
    with torch.no_grad():
        next(learner.agent.actor.parameters())[0, 0, 0] = float("inf")
    assert not learner.finite


def test_a_label_counts_once_and_only_for_the_episode_it_names(run):
    log, learner = Log(), Learner(run, CONFIG)
    first = log.episode(10, purpose="demo", label="demo")
    log.episode(12, purpose="demo", ended=False)  # pending when the first is labelled again
    log.event(first, "demo", old="demo")
    log.feed(learner)
    assert learner.history.demonstrations == 1
    assert len(learner.memory.replay) == 10
    log.event(first, "exclude", old="demo")
    log.feed(learner)
    assert learner.history.demonstrations == 0


def test_without_a_checkpoint_divergence_is_an_error_at_once(run):
    learner = trained(run, Log())
    with pytest.raises(LearnerDiverged):
        learner.roll_back()


def test_a_review_reaches_rewards_and_views(run):
    log, learner = Log(), Learner(run, CONFIG)
    wrong, missed, bad = log.episode(5), log.episode(5, success=False), log.episode(5, human=(0,))
    log.event(wrong, "failure")
    log.event(missed, "success")
    log.event(bad, "exclude")
    log.feed(learner)
    columns = learner.memory.gather(np.arange(10), 0.9, 1)
    assert columns["reward"].tolist() == [0.0] * 9 + [1.0]
    assert columns["discount"][[4, 9]].tolist() == pytest.approx([0.9, 0.0])
    assert len(learner.memory.replay) == 10
    assert len(learner.memory.demo) == 0


def test_a_demonstration_relabelled_is_no_demonstration_any_more(run):
    log, learner = Log(), Learner(run, CONFIG)
    kept, taken_back = (log.episode(10, purpose="demo", label="demo") for _ in range(2))
    log.event(taken_back, "failure", old="demo")
    log.feed(learner)
    assert len(learner.memory.demo) == 10 and len(learner.memory.replay) == 20
    episodes = learner.memory.gather(np.arange(20), 0.9, 1)
    assert episodes["reward"].tolist() == [0.0] * 9 + [1.0] + [0.0] * 10
    assert kept != taken_back


def test_imitation_falls_with_unaided_success(run):
    log, learner = Log(), Learner(run, CONFIG)
    log.feed(learner)
    full = CONFIG.agent.imitation_weight
    log.episode(5, success=False)
    log.feed(learner)
    assert learner.agent.imitation_weight == full
    for _ in range(10):
        log.episode(5)
    log.feed(learner)
    assert learner.agent.imitation_weight == pytest.approx(0.5 * full)
    for _ in range(20):
        log.episode(5)
    log.feed(learner)
    assert learner.agent.imitation_weight == pytest.approx(CONFIG.agent.imitation_floor * full)


def test_history_counts_robot_time_with_resets_and_without_restarts():
    log, history = Log(), RunHistory()
    log.episode(11)
    log._t_ns += 2_000_000_000  # a reset
    log.episode(11)
    log._t_ns = 0  # another process, another clock
    log.episode(11)
    for sequence, payload in log.records:
        history.ingest(sequence, decode_record(payload))
    assert history.online_steps == 33
    assert history.robot_ns == 1_000_000_000 + 100_000_000 + 2_000_000_000 + 1_000_000_000 + 1_000_000_000


def test_the_same_seed_and_log_give_the_same_networks(run, tmp_path):
    first = trained(run, Log())
    other = trained(RunDirectory(tmp_path / "other").create("", {}), Log())
    for learner in (first, other):
        for _ in range(10):
            learner.update()
    assert all(torch.equal(a, other.agent.weights()[name]) for name, a in first.agent.weights().items())
    different = Learner(run, dataclasses.replace(CONFIG, seed=1))
    assert not torch.equal(different.agent.weights()["actor.weight0"], first.agent.weights()["actor.weight0"])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"actor": ActorConfig(demonstrations=0)}, "actor.demonstrations is 0: it must be at least 1"),
        ({"actor": ActorConfig(device="none")}, "actor.demonstrations is 20: it must be 0 while nobody"),
        (
            {
                "actor": ActorConfig(demonstrations=0, device="none"),
                "agent": AgentConfig(clone_updates=0, second_proposal=False),
            },
            "agent.symmetric is True: it must be false",
        ),
    ],
)
def test_a_run_that_would_wait_for_ever_is_refused(changes, named):
    with pytest.raises(ConfigError, match=named):
        RunConfig(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature_max": 0.0},
        {"gradient_clip": -1.0},
        {"hidden": (0,)},
        {"imitation_weight": -1.0},
        {"target_clip": (0.5, 0.6)},
    ],
)
def test_zero_and_inverted_limits_are_refused_by_name(changes):
    (name,) = changes
    with pytest.raises(ConfigError, match=f"agent.{name} is"):
        AgentConfig(**changes)


def test_a_clone_that_was_interrupted_is_neither_saved_nor_frozen(run):
    log, learner = Log(), Learner(run, CONFIG)
    demonstrated(log)
    log.feed(learner)
    stop = threading.Event()
    stop.set()
    learner.clone(stop, lambda _: None)
    assert not learner.cloned and learner.agent.clone is None and learner.ready_to_clone()
