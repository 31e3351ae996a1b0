"""A learner looks at itself: every figure, at its time, of the right steps, and nothing else changes."""

import itertools
import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from logged import Log
from pictures import CAMERAS, SIDE, episode_records

from handrail.agent.config import ActorConfig, AgentConfig, DiagnosticsConfig, LearnerConfig, RunConfig
from handrail.agent.diagnostics import Findings
from handrail.agent.diagnostics_actor import acting_means
from handrail.agent.diagnostics_cem import cem_gap
from handrail.agent.diagnostics_store import RESTORED, DiagnosticsReader
from handrail.agent.learner import Learner, run_learner
from handrail.agent.link import LogServer, log_address
from handrail.agent.networks.mlp import EnsembleMLP
from handrail.agent.origins import ORIGINS
from handrail.agent.policy import ActorPolicy
from handrail.intervention.log_format import (
    LOG_SCHEMA,
    EpisodeEnd,
    EpisodeStart,
    Event,
    SegmentHeader,
    decode_record,
    encode_record,
)
from handrail.intervention.log_reader import LogReader
from handrail.intervention.log_writer import LogWriter
from handrail.intervention.run_directory import RunDirectory
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.spec import STATE_SPEC
from handrail.vision.config import VisionConfig
from handrail.vision.trunk import build
from handrail.vision.weights import save_weights

EVERY = 2
DEADLINE_S = 60.0
CONFIG = RunConfig(
    agent=AgentConfig(hidden=(16, 16), batch_size=32, clone_updates=5, critics=3, critic_subset=2),
    learner=LearnerConfig(training_starts=10, capacity=1000),
    actor=ActorConfig(demonstrations=2),
    diagnostics=DiagnosticsConfig(every_updates=EVERY, cem=True),
)
ALONE = replace(
    CONFIG,
    agent=replace(CONFIG.agent, clone_updates=0, second_proposal=False, symmetric=False),
    actor=ActorConfig(demonstrations=0, device="none"),
)


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    return RunDirectory(tmp_path / "run").create("", {})


def trained(run: RunDirectory, log: Log, config: RunConfig = CONFIG) -> Learner:
    """A learner with every origin in its memory, ready to update."""
    learner = Learner(run, config)
    for _ in range(2):
        log.episode(20, purpose="demo", label="demo")
    log.feed(learner)
    learner.clone(threading.Event(), lambda _: None)
    log.episode(30)
    log.episode(30, success=False)
    log.episode(20, human=range(1, 15))
    log.feed(learner)
    learner.may_update()
    return learner


def look(learner: Learner) -> Findings:
    """What is found after the next updates."""
    while True:
        learner.update()
        found = learner.diagnostics.after_update(learner.updates)
        if found is not None:
            return found


def test_everything_that_was_asked_for_is_found(run):
    learner = trained(run, Log())
    found = look(learner)
    by_origin = ["rows", "share", "gradient_norm", "cosine", "effective"]
    by_origin += ["td_median", "td_p95", "q_mean", "reward_density"]
    single = ["effective_samples", "q_gap", "above_ceiling", "value_gap", "overestimation", "cem_gap"]
    single += ["entropy", "target_entropy", "temperature", "saturation", "actor_human_distance"]
    single += ["clone_share"]
    expected = {f"{figure}/{origin}" for figure in by_origin for origin in ORIGINS}
    assert set(found.scalars) == expected | {*single, *(f"sigma/{axis}" for axis in range(6))}
    assert all(math.isfinite(value) for value in found.scalars.values())
    assert set(found.snapshots) == {"histogram", "value", "overestimation"}
    assert sum(found.scalars[f"share/{origin}"] for origin in ORIGINS) == pytest.approx(1.0)
    assert sum(found.scalars[f"effective/{origin}"] for origin in ORIGINS) == pytest.approx(1.0)
    assert sum(found.scalars[f"rows/{origin}"] for origin in ORIGINS) == 32
    assert found.scalars["rows/demo"] + found.scalars["rows/intervention"] >= 16  # the half from demo
    assert found.scalars["target_entropy"] == -6.0
    assert learner.diagnostics.notices == []


def test_it_is_time_after_so_many_updates_and_never_where_it_is_off(run, tmp_path):
    learner = trained(run, Log())
    looked = []
    for _ in range(3 * EVERY):
        learner.update()
        looked.append(learner.diagnostics.after_update(learner.updates) is not None)
    assert looked == [False, True] * 3
    other = RunDirectory(tmp_path / "off").create("", {})
    silent = trained(other, Log(), replace(CONFIG, diagnostics=DiagnosticsConfig(every_updates=0)))
    assert all(silent.diagnostics.after_update(n) is None for n in range(10))


# Training is as it would be without it
# ---------------------------------------------------------------------------------------------------


def seen_config(frozen: bool) -> RunConfig:
    return replace(
        CONFIG,
        env=EnvConfig(cameras=tuple(CameraConfig(name, width=SIDE, height=SIDE) for name in CAMERAS)),
        vision=VisionConfig(trunk="cnn", bottleneck=16, frozen=frozen, views=3, dropout=0.1),
    )


def seeing(run: RunDirectory, config: RunConfig) -> Learner:
    """A learner with cameras and every origin but failure in its memory."""
    save_weights(run.trunk_file, "cnn", build("cnn").state_dict(), "random", "a test")
    learner, sequence = Learner(run, config), itertools.count(1)

    def read(number: int, *, label: str | None = None, **episode) -> None:
        size = {"state_size": STATE_SPEC.size, "action_size": 6}
        for record in episode_records(number, 12, **size, **episode):
            learner.ingest(next(sequence), encode_record(record))
        alone = "human" not in episode
        end = EpisodeEnd(number, 12, True, None, alone, 0, 0, 0.0, 0)
        learner.ingest(next(sequence), encode_record(end))
        if label is not None:
            said = Event("label", number, "task", 0, None, label, "")
            learner.ingest(next(sequence), encode_record(said))

    for number in range(2):
        read(number, purpose="demo", label="demo")
    learner.clone(threading.Event(), lambda _: None)
    read(2)
    read(3, human=range(1, 11))
    learner.may_update()
    return learner


def result_of(learner: Learner, updates: int = 5 * EVERY) -> tuple[dict[str, torch.Tensor], list, int]:
    """Weights after some updates, the random states, and how many looks there were."""
    looks = 0
    for _ in range(updates):
        learner.update()
        looks += learner.diagnostics.after_update(learner.updates) is not None
    assert learner.diagnostics.notices == []
    optimizers = {
        f"{name} {i} {key}": value.clone()
        for name, optimizer in learner.agent.optimizers().items()
        for i, state in enumerate(optimizer.state.values())
        for key, value in state.items()
    }
    weights = {name: value.clone() for name, value in learner.agent.weights().items()}
    random = (learner._ahead or learner.sampler).random_state
    states = [random["state"], learner.agent.generator.get_state().tolist()]
    learner.close()
    return weights | optimizers, states, looks


@pytest.mark.parametrize("kind", ["state", "frozen", "trained"])
def test_training_with_it_and_without_it_is_the_same_bit_by_bit(tmp_path, kind):
    config = CONFIG if kind == "state" else seen_config(kind == "frozen")
    found = []
    for every in (EVERY, 0):
        settings = replace(config, diagnostics=replace(config.diagnostics, every_updates=every))
        run = RunDirectory(tmp_path / f"every_{every}").create("", {})
        learner = trained(run, Log(), settings) if kind == "state" else seeing(run, settings)
        found.append(result_of(learner))
    (with_it, its_states, looks), (without, states, none) = found
    assert (looks, none) == (5, 0)
    assert its_states == states
    assert with_it.keys() == without.keys()
    for name, value in with_it.items():
        assert torch.equal(value, without[name]), name


@pytest.mark.parametrize("frozen", [True, False])
def test_cameras_are_looked_through(run, frozen):
    learner = seeing(run, seen_config(frozen))
    found = look(learner)
    assert {"share/demo", "share/online_success", "share/intervention"} <= set(found.scalars)
    assert {"overestimation", "value_gap", "actor_human_distance", "cem_gap"} <= set(found.scalars)
    assert len(found.snapshots["value"]["values"]) == 12
    assert learner.diagnostics.notices == []
    learner.close()


# What there is to look at
# ---------------------------------------------------------------------------------------------------


def test_an_empty_memory_and_no_human_at_all_leave_out_what_cannot_be_had(run):
    log, learner = Log(), Learner(run, ALONE)
    empty = learner.diagnostics.after_update(0)
    assert empty is not None and empty.scalars == {} and empty.snapshots == {}
    log.episode(40, success=False)
    log.feed(learner)
    learner.may_update()
    found = look(learner)
    assert found.scalars["rows/online_failure"] == 32
    assert found.scalars["share/online_failure"] == pytest.approx(1.0)
    assert not {"value_gap", "q_gap", "actor_human_distance", "clone_share"} & set(found.scalars)
    assert "overestimation" in found.scalars
    assert learner.diagnostics.notices == []


def test_demonstrations_that_are_all_taken_back_leave_a_look_at_replay(run):
    log = Log()
    learner = trained(run, log)
    for number in range(2):
        log.event(number, "exclude", old="demo")
    log.event(4, "exclude")  # the interventions too
    log.feed(learner)
    assert len(learner.memory.demo) == 0
    found = learner.diagnostics.after_update(0)
    assert found is not None and found.scalars["rows/demo"] == 0.0
    assert found.scalars["rows/online_success"] + found.scalars["rows/online_failure"] == 32


def test_a_relabel_moves_what_an_episode_was_from_success_to_failure(run):
    log = Log()
    learner = trained(run, log)
    before = look(learner).scalars
    assert before["rows/online_success"] > 0 and before["reward_density/online_success"] >= 0.0
    for episode in (2, 4):
        log.event(episode, "failure", who="reviewer")
    log.feed(learner)
    for _ in range(5):
        after = look(learner).scalars
        assert after["rows/online_success"] == 0.0 and "share/online_success" not in after
        assert after["rows/online_failure"] > 0 and after["reward_density/online_failure"] == 0.0
    log.event(2, "success", old="failure")
    log.feed(learner)
    assert sum(look(learner).scalars["rows/online_success"] for _ in range(5)) > 0


def test_the_value_is_followed_along_the_last_demonstration(run):
    log = Log()
    learner = trained(run, log)
    found = look(learner)
    value = found.snapshots["value"]
    missing = [
        max(0.0, wanted - had) for wanted, had in zip(value["discounted"], value["values"], strict=True)
    ]
    assert found.scalars["value_gap"] == pytest.approx(sum(missing) / 20, abs=1e-4)
    assert value["episode"] == 1 and value["rewards"] == [0.0] * 19 + [1.0]
    gamma = CONFIG.agent.discount
    assert value["discounted"] == pytest.approx([gamma**k for k in range(19, -1, -1)], abs=1e-4)
    columns = learner.memory.gather(np.arange(20, 40), gamma, 1)
    seen = learner.agent.perception(torch.from_numpy(columns["observation"]), None)
    pairs = torch.cat([seen, torch.from_numpy(columns["action"])], -1)
    expected = learner.agent.critic(pairs).squeeze(-1).mean(0)
    assert value["values"] == pytest.approx(expected.tolist(), abs=1e-4)
    log.event(1, "exclude", old="demo")
    log.feed(learner)
    assert look(learner).snapshots["value"]["episode"] == 0


def test_overestimation_is_of_unaided_episodes_once_and_again_when_one_is_relabelled(run):
    log = Log()
    learner = trained(run, log)
    first = look(learner)
    episodes = {each["episode"]: each for each in first.snapshots["overestimation"]["episodes"]}
    assert set(episodes) == {2, 3}  # 4 was helped, 0 and 1 were demonstrated
    for each in episodes.values():
        assert each["overestimation"] == pytest.approx(each["q"] - each["return"], abs=2e-4)
        assert each["steps"] == 30
    assert episodes[3]["return"] == 0.0 < episodes[2]["return"]
    mean = np.mean([each["overestimation"] for each in episodes.values()])  # of episodes of one length
    assert first.scalars["overestimation"] == pytest.approx(mean, abs=1e-3)
    assert "overestimation" not in look(learner).scalars  # nothing new
    log.event(2, "failure")
    log.feed(learner)
    again = look(learner).snapshots["overestimation"]["episodes"]
    assert [each["episode"] for each in again] == [3, 2] and again[1]["return"] == 0.0
    log.event(3, "exclude")
    log.feed(learner)
    assert "overestimation" not in look(learner).scalars


def test_the_actor_is_compared_with_the_human_before_it_learns_from_it(run):
    log = Log()
    learner = trained(run, log)
    look(learner)
    assert "actor_human_distance" not in look(learner).scalars
    first = learner.memory.added
    log.episode(10, human=(2, 3, 4))
    log.feed(learner)
    columns = learner.memory.gather(np.arange(first + 2, first + 5), 0.9, 1)
    acted = acts(learner, CONFIG, columns["observation"])
    expected = np.linalg.norm(acted - columns["action"], axis=-1).mean()
    assert look(learner).scalars["actor_human_distance"] == pytest.approx(float(expected), rel=1e-4)
    assert not {"actor_human_distance", "clone_share"} & set(look(learner).scalars)


def acts(learner: Learner, config: RunConfig, states: np.ndarray) -> np.ndarray:
    """What the control loop does in these states with the learner's weights, without noise."""
    policy = ActorPolicy(config.agent, STATE_SPEC, 6, deterministic=True)
    policy.load({name: value.clone() for name, value in learner.agent.acting_weights().items()}, 1)
    return np.stack([policy.act({"state": state}).action for state in states])


def test_the_action_compared_is_the_one_that_the_control_loop_would_take(run):
    """Actor or clone, whichever the target critics prefer: the same as `ActorPolicy`, step by step."""
    learner = trained(run, Log())
    agent = learner.agent
    with torch.no_grad():  # far enough apart to be told, and each preferred somewhere
        noise = torch.Generator().manual_seed(3)
        for parameter in [*agent.average.parameters(), *agent.target_critic.parameters()]:
            parameter.add_(torch.randn(parameter.shape, generator=noise))
    states = np.random.default_rng(3).normal(size=(80, STATE_SPEC.size)).astype(np.float32)
    action, clones = acting_means(agent, torch.from_numpy(states), None)
    np.testing.assert_allclose(action.numpy(), acts(learner, CONFIG, states), atol=1e-5)
    assert clones is not None and 0.0 < clones.float().mean() < 1.0
    seen = agent.target_perception(torch.from_numpy(states), None)
    own = torch.tanh(agent.average(seen)[0].chunk(2, -1)[0]).detach()
    assert torch.allclose(action[~clones], own[~clones])
    assert not torch.isclose(action[clones], own[clones]).all(-1).any()


def test_the_share_of_the_clone_is_told_only_where_there_is_one(run):
    log = Log()
    learner = Learner(run, ALONE)
    log.episode(40, success=False)
    log.feed(learner)
    learner.may_update()
    look(learner)
    log.episode(10, human=(2, 3, 4))
    log.feed(learner)
    found = look(learner).scalars
    assert "actor_human_distance" in found and "clone_share" not in found


def test_what_a_checkpoint_has_learned_from_is_not_fresh(run):
    log = Log()
    learner = trained(run, log)
    look(learner)
    learner.save()
    again = Learner(run, CONFIG)
    assert again.restore()
    log.feed(again)
    assert "actor_human_distance" not in look(again).scalars
    log.episode(10, human=(1,))
    log.feed(again)
    assert "actor_human_distance" in look(again).scalars


def test_a_search_never_finds_less_than_the_actor_has():
    generator = torch.Generator().manual_seed(0)
    critic = EnsembleMLP(2, 4 + 3, 1, (16, 16), generator=generator)
    observation = torch.randn(8, 4, generator=generator)
    centre = torch.zeros(8, 3)
    found = cem_gap(critic, observation, centre, generator)
    grid = torch.cartesian_prod(*[torch.linspace(-1, 1, 9)] * 3)
    value = torch.stack(
        [critic(torch.cat([row.expand(len(grid), -1), grid], -1)).squeeze(-1).mean(0) for row in observation]
    ).detach()
    best = float((value.amax(1) - value[:, len(grid) // 2]).mean())
    assert 0.5 * best < found < 1.1 * best
    optimum = grid[value.argmax(1)]
    assert 0.0 <= cem_gap(critic, observation, optimum, generator) < 0.3 * found


# When it fails
# ---------------------------------------------------------------------------------------------------


def test_values_that_are_no_numbers_are_left_out_and_told_once(run):
    learner = trained(run, Log())
    with torch.no_grad():
        next(learner.agent.critic.parameters()).fill_(float("nan"))
    found = learner.diagnostics.after_update(EVERY)
    assert found is not None
    assert "share/demo" not in found.scalars and "value" not in found.snapshots
    assert found.scalars["rows/demo"] > 0 and "entropy" in found.scalars
    learner.diagnostics.after_update(2 * EVERY)
    (notice,) = learner.diagnostics.notices
    assert "more are no finite numbers" in notice


def test_a_look_that_fails_is_told_once_and_stops_nothing(run):
    log = Log()
    learner = trained(run, log)
    learner.memory.rewards = None  # type: ignore[assignment]  # every look at rewards fails from here on
    weights = {name: value.clone() for name, value in learner.agent.weights().items()}
    look(learner)
    look(learner)
    told = learner.news()["notices"]
    assert len(told) == 3 and all("training goes on without them" in line for line in told)
    assert any(not torch.equal(value, weights[name]) for name, value in learner.agent.weights().items())
    assert "notices" not in learner.news()


@pytest.mark.parametrize(
    "changes", [{"every_updates": -1}, {"batch": 1}, {"effective_td": 0.0}, {"ceiling_margin": -0.1}]
)
def test_settings_that_mean_nothing_are_refused_by_name(changes):
    (name,) = changes
    with pytest.raises(ConfigError, match=f"diagnostics.{name} is"):
        DiagnosticsConfig(**changes)


# In the process
# ---------------------------------------------------------------------------------------------------


def learn_until(
    run: RunDirectory, config: RunConfig, log: Log, done: Callable[[list[dict]], bool]
) -> list[dict]:
    """The reports of a learner that runs, beside the log that it pulls, until something is true of them.

    The log's last episode comes when training has begun: before, no update is owed.
    """
    header = SegmentHeader(LOG_SCHEMA, run.id, Learner(run, config).schema_hash, STATE_SPEC.size, 6, 0)
    reports: list[dict] = []
    stop = threading.Event()
    with LogWriter(run.segments, header, reserve_bytes=0) as writer:
        waiting = [decode_record(payload) for _, payload in log.records]
        first = next(i for i in reversed(range(len(waiting))) if isinstance(waiting[i], EpisodeStart))
        writer.append(*waiting[:first])
        address = log_address(run.socket_dir())
        reader = LogReader(run.segments)
        server = LogServer(address, reader, lambda: writer.committed, run.id, header.schema_hash)
        thread = threading.Thread(target=run_learner, args=(run, config, stop, reports.append))
        thread.start()
        try:
            end = time.monotonic() + DEADLINE_S
            while not done(reports):
                assert thread.is_alive() and time.monotonic() < end, reports[-1:]
                if first is not None and any(report["phase"] == "train" for report in reports):
                    writer.append(*waiting[first:])
                    first = None
                time.sleep(0.01)
        finally:
            stop.set()
            thread.join()
            server.close()
    return reports


def test_a_run_s_history_goes_on_after_its_learner_is_started_again(run):
    log, reader = Log(), DiagnosticsReader(run.diagnostics_file)
    for _ in range(2):
        log.episode(20, purpose="demo", label="demo")
    log.episode(30)
    log.episode(60, human=(1, 2))
    config = replace(CONFIG, learner=replace(CONFIG.learner, metrics_every=4, slack_steps=1))

    def points(name: str) -> list[tuple[int, float]]:
        return [(point.updates, point.value) for point in reader.series([name])[name]]

    reports = learn_until(
        run, config, log, lambda _: len(points("share/demo")) >= 3 and len(points("learner/critic_loss")) >= 2
    )
    told = {name for report in reports for name in report.get("diagnostics", {})}
    assert {"share/demo", "q_gap", "actor_human_distance"} <= told
    assert reader.snapshot("histogram") is not None and reader.snapshot("value") is not None
    assert points(RESTORED) == [(0, 0.0)]
    before = points("q_gap")

    log.records.clear()  # those are on the disk
    log.episode(200)
    learn_until(
        run, config, log, lambda _: len(points(RESTORED)) == 2 and len(points("q_gap")) > len(before) + 3
    )
    after = points("q_gap")
    saved = points(RESTORED)[1][0]
    assert saved > 0  # the checkpoint that it wrote as it ended
    assert [point for point in after if point[0] <= saved] == [point for point in before if point[0] <= saved]
    assert [updates for updates, _ in after] == sorted({updates for updates, _ in after})
    assert all(updates % EVERY == 0 for updates, _ in after)
