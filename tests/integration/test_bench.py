"""The benchmarks that start processes of their own, kept so short that only their form means anything."""

import json
from pathlib import Path

import pytest

from handrail.agent.config import AgentConfig
from handrail.launch.bench.learner import update_flops
from handrail.launch.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def figures(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, float]:
    assert main(["bench", *words, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(list(line) == ["bench", "name", "value", "unit", "matmul_gflops"] for line in lines)
    assert {line["bench"] for line in lines} == {words[0]}
    return {line["name"]: line["value"] for line in lines}


def test_the_learner_s_figures(capsys: pytest.CaptureFixture[str]) -> None:
    found = figures(capsys, "learner", "threads=1", "stretch_ms=50", "repeats=3")
    rates = [f"{kind}_{name}" for kind in ("full", "critic_only") for name in ("2_critics", "10_critics")]
    assert {"full_preset", "sample_p50", "action_p50", "action_p99", *rates} <= set(found)
    assert all(found[name] > 0.0 and found[f"{name}_matmul_share"] > 0.0 for name in rates)
    assert found["critic_only_10_critics"] > found["full_10_critics"]
    assert 0.0 < found["diagnostics_share"] < 1.0 and found["diagnostics_look_p50"] > 0.0


@pytest.mark.realtime
def test_the_loop_s_figures(capsys: pytest.CaptureFixture[str]) -> None:
    found = figures(capsys, "loop", "seconds=2")
    assert found["steps"] >= 40
    assert 0.0 <= found["overruns"] <= 100.0 and 0.0 <= found["host_stalls"] <= 100.0
    assert 0.0 < found["work_p50"] <= found["work_p99"]
    assert found["learner_rss"] + found["actor_rss"] <= 1500.0


def test_the_link_s_figures(capsys: pytest.CaptureFixture[str]) -> None:
    found = figures(capsys, "link", "records=2000", "requests=20", "weights=10")
    assert found["pull_records_per_s"] > 0.0 and found["request_p50"] > 0.0
    assert 0.0 < found["weights_received_p50"] <= found["weights_in_use_p50"]


def test_the_operations_of_an_update_are_counted_by_hand() -> None:
    """One hidden layer of 3, two inputs, batch of 2: every product is small enough to count."""
    agent = AgentConfig(
        hidden=(3,), batch_size=2, critics=2, clone_updates=0, second_proposal=False, imitation_weight=0.0
    )
    actor_forward = 2 * 2 * (4 * 3 + 3 * 2)  # 4 inputs, 2 outputs: 72
    critic_forward = 2 * 2 * (5 * 3 + 3 * 1)  # 5 inputs, 1 output: 72
    target = actor_forward + 2 * critic_forward
    critic_step = 2 * (3 * critic_forward - 2 * 2 * 5 * 3)
    actor_step = 3 * actor_forward - 2 * 2 * 4 * 3 + 2 * 2 * critic_forward
    assert update_flops(agent, 4, 5, 2, with_actor=False) == target + critic_step
    assert update_flops(agent, 4, 5, 2, with_actor=True) == target + critic_step + actor_step


def test_the_classifier_s_figures(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    short = ("positives=20", "negatives=40", "episodes=8", "fresh=3", "epochs=3", f"keep={tmp_path}")
    found = figures(capsys, "classifier", *short, "vision.trunk=cnn", "vision.frozen=false")
    assert found["timed_positives"] >= 20 and found["timed_negatives"] >= 20 and found["episodes"] == 8
    assert found["training"] > 0.0 and 0.0 < found["look_p50"] <= found["look_p99"] <= found["look_max"]
    assert 0.0 < found["bound"] <= 100.0 and 0.5 <= found["threshold"] < 1.0
    assert found["fresh_reached"] in range(4)
    for error in ("fresh_false_positives", "near_miss_false_positives"):  # whole episodes of three
        assert 3 * found[error] / 100.0 == pytest.approx(round(3 * found[error] / 100.0), abs=1e-6)
    assert 0.0 <= found["fresh_missed"] <= 100.0
    assert len(list(tmp_path.glob("classifier/*/report.html"))) == 1


@pytest.mark.realtime
def test_the_arm_s_figures(capsys: pytest.CaptureFixture[str]) -> None:
    found = figures(capsys, "arm", "seconds=2", "kills=1", "load=none")
    for name in ("command_to_set_point", "state_age", "report_to_command"):
        assert 0.0 < found[f"{name}_p50"] <= found[f"{name}_p99"] <= found[f"{name}_max"]
        assert found[f"{name}_p99_of_target"] > 0.0
    assert found["server_ticks"] >= 200
    # Never early: the arm goes on until the watchdog's time has passed.
    assert found["watchdog"] == 125.0 <= found["command_to_hold_max"]
    assert found["command_to_hold_max_of_limit"] > 0.8
