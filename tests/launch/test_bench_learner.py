"""`handrail bench learner cameras=2`: what it measures is the product's own, and complete."""

import pytest

from handrail.agent.feature_cache import FeatureCache
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose
from handrail.launch.bench import learner_cameras
from handrail.launch.bench.experience import filled_learner, observations, seeing, transitions
from handrail.launch.cli import main
from handrail.launch.errors import BenchSilent
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.spec import STATE_SPEC, StateSpec

SMALL = ["agent.batch_size=16", "agent.hidden=[16,16]", "learner.capacity=1000", "vision.bottleneck=16"]


def config(cameras: int):
    return seeing(compose.compose(SMALL).config, cameras)


def test_batches_of_a_filled_learner_come_from_the_cache(tmp_path):
    run = RunDirectory(tmp_path / "run").create("", {})
    learner = filled_learner(run, config(2), 130)
    batch = learner.sampler.symmetric()
    cache = learner.pixels.source
    assert isinstance(cache, FeatureCache)
    assert batch.pixels.shape == batch.next_pixels.shape == (16, 2, *cache.shape[1:])
    assert cache.computed == 0
    assert learner.memory.frames.added == 130 + 3  # three episodes
    metrics = learner.update()
    assert metrics["critic_loss"].isfinite()


def test_no_two_observations_in_a_row_share_an_image():
    seen = observations(config(2))
    first, second = next(seen), next(seen)
    assert sorted(first) == ["state", "wrist", "wrist_2"]
    assert (first["wrist"] != second["wrist"]).any() and (first["wrist"] != first["wrist_2"]).any()


def test_a_log_with_images_is_written_and_reloaded_over_the_wire():
    found = {figure.name: figure.value for figure in learner_cameras.measure_log(config(1), 150)}
    assert set(found) == {
        "append_p50",
        "append_p99",
        "append_max",
        "log_step",
        "log_hour",
        "reload",
        "refill",
    }
    image = 128 * 128 * 3
    assert image < found["log_step"] < 1.05 * image
    assert found["log_hour"] == pytest.approx(found["log_step"] * 36_000 / 1e9)


def test_made_up_states_have_the_layout_they_are_asked_for():
    spec = StateSpec(STATE_SPEC.fields[:2])
    (first, *_) = transitions(3, spec)
    assert first.observation.shape == first.next_observation.shape == (spec.size,)


def test_the_camera_task_as_it_is_shipped_can_be_measured(tmp_path):
    """Its trunk is a frozen small one that a run has taught first; a benchmark needs its form alone."""
    shipped = compose.compose([*SMALL, "task=ram_insertion_cameras"]).config
    learner = filled_learner(RunDirectory(tmp_path / "run").create("", {}), shipped, 70)
    assert learner.pixels.source.computed == 0
    assert learner.update()["critic_loss"].isfinite()


def test_a_measurement_that_is_refused_says_so_in_one_line(capsys):
    """The policy's cameras are looked at in the process that measures."""
    words = ["task=ram_insertion_cameras", "env.cameras=[{name: wrist, width: 16, height: 16}]"]
    assert main(["bench", "learner", *words, "vision.shift_px=20", "vision.views=2"]) == BenchSilent.exit_code
    said = " ".join(capsys.readouterr().err.split())
    assert "updates cannot be measured" in said and "shift_px" in said and "report it" not in said


def test_a_number_of_cameras_that_there_is_not_is_refused(capsys):
    assert main(["bench", "learner", "cameras=3"]) == ConfigError.exit_code
    assert "cameras=3: choose one of 0, 1, 2" in " ".join(capsys.readouterr().err.split())
