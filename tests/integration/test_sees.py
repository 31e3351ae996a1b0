"""A run whose policy sees: actor, learner and evaluator with cameras, and the same run taken up again.

Everything is real but small: 32×32 images, a small frozen trunk of random weights. What it learns in so few
steps is nothing; that the parts fit, and that nothing of the images is lost over a restart, is what counts.
"""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from handrail.agent.actor import run_actor
from handrail.agent.feature_link import FeatureReceiver, features_address
from handrail.agent.learner import Learner
from handrail.agent.link import LogPuller, WeightPublisher, log_address, weights_address
from handrail.agent.sight import sight_of
from handrail.intervention.log_format import FrameRecord, StepRecord
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose
from handrail.vision.trunk import build
from handrail.vision.weights import save_weights

GOAL_NOT_REACHED = 21
SMALL = (
    "task=ram_insertion_cameras",
    "env.cameras=[{name: wrist, width: 32, height: 32}, {name: wrist_2, width: 32, height: 32}]",
    "vision.views=2",
    "agent.hidden=[32,32]",
    "agent.batch_size=32",
    "agent.clone_updates=20",
    "actor.demonstrations=2",
    "operator.level=expert",
    "learner.training_starts=20",
    "evaluation.episodes=1",
    "goal.successes=1",
    "evaluation.first_step=1000",
)


def train(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    options = ("run=seen", "display=plain", "console=off")
    command = [sys.executable, "-m", "handrail.launch.cli", "train", *options, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=150, check=False)


def remembered(run: RunDirectory) -> Learner:
    """A learner that has read the whole log."""
    learner = Learner(run, compose.load(run.config_file))
    for sequence, payload in LogReader(run.segments).read(0, 1_000_000):
        learner.ingest(sequence, payload)
    return learner


@pytest.mark.slow
def test_a_policy_that_sees_trains_stops_and_goes_on(tmp_path: Path) -> None:
    weights = tmp_path / "small.safetensors"
    save_weights(weights, "cnn", build("cnn", 1).state_dict(), "imported", "a test")
    done = train(tmp_path, *SMALL, f"vision.weights={weights}", "goal.max_env_steps=60")
    assert done.returncode == GOAL_NOT_REACHED, done.stdout + done.stderr
    run = RunDirectory(tmp_path / "runs" / "seen")
    weights.unlink()  # the run has its own
    first = len(list(run.checkpoints.iterdir()))
    done = train(tmp_path, "goal.max_env_steps=100")
    assert done.returncode == GOAL_NOT_REACHED, done.stdout + done.stderr

    summary = json.loads((run.path / "summary.json").read_text())
    assert summary["env_steps"] == 100 and summary["updates"] > 100 and first >= 1
    newest = max(path for path in run.checkpoints.iterdir() if not path.name.startswith("."))
    with safe_open(newest / "weights.safetensors", "pt") as file:
        parts = {name.split(".")[0] for name in file.keys()}  # noqa: SIM118  (no mapping)
    assert {"perception", "target_perception", "clone_perception"} <= parts

    learner = remembered(run)
    assert learner.pixels is not None and learner.memory.left_out == 0
    assert len(learner.memory.replay) == len(learner.memory.demo) + sum_of_policy_steps(learner)
    stored = {
        record.frame_id: record.pixels
        for _, record in LogReader(run.segments).records()
        if isinstance(record, FrameRecord)
    }
    assert len(stored) > 2 * 100
    for frame_id, pixels in stored.items():
        place = learner.pixels.frames.locate(frame_id)
        assert place is not None
        assert learner.pixels.frames.images(place[0])[place[1]].tobytes() == pixels


def test_the_maps_that_the_actor_hands_on_are_of_the_pictures_it_names(tmp_path: Path) -> None:
    """What arrives under an image's id is what the trunk makes of that image, of its camera and moment."""
    words = [*SMALL, "actor.demonstrations=0", "agent.clone_updates=0", "agent.second_proposal=false"]
    config = compose.compose([*words, "goal.max_env_steps=25"]).config
    run = RunDirectory(tmp_path / "runs" / "seen").create(compose.dump(config), {})
    save_weights(run.trunk_file, "cnn", build("cnn", 1).state_dict(), "imported", "a test")
    sight = sight_of(run.path, config)
    assert sight is not None
    sockets, learner = run.socket_dir(), Learner(run, config)
    receiver = FeatureReceiver(features_address(sockets), sight.trunk.key, sight.pixels.map_shape)
    publisher = WeightPublisher(weights_address(sockets))
    publisher.publish(learner.weights_frame())
    puller = LogPuller(log_address(sockets), run.id, learner.schema_hash, "boot", os.getpid())
    maps: dict[int, np.ndarray] = {}
    ended = threading.Event()

    def learn() -> None:
        """A learner's wires, without updates."""
        while not ended.is_set():
            publisher.repeat()
            for sequence, payload in puller.poll(
                learner.history.sequence, updates=0, training=False, began_at=0, wait_s=0.01
            ):
                learner.ingest(sequence, payload)
            maps.update(receiver.arrived())

    thread = threading.Thread(target=learn)
    thread.start()
    try:
        run_actor(run, config, threading.Event(), lambda _: None)
    finally:
        ended.set()
        thread.join()
        maps.update(receiver.arrived())
        for wire in (receiver, publisher, puller, learner):
            wire.close()

    assert receiver.rejected == 0 and learner.memory.added == 25
    named = [
        record.frames[camera]
        for _, record in LogReader(run.segments).records()
        if isinstance(record, StepRecord) and record.frames is not None
        for camera in sight.pixels.cameras
    ]
    assert len(named) == 2 * 25 and sorted(maps) == sorted(named)
    assert learner.pixels is not None
    frames = learner.pixels.frames
    places = [frames.locate(frame_id) for frame_id in named]
    images = np.stack([frames.images(place[0])[place[1]] for place in places if place is not None])
    expected = sight.trunk(torch.from_numpy(images)).float()
    found = torch.from_numpy(np.stack([maps[frame_id] for frame_id in named])).float()
    apart = torch.cdist(found.flatten(1), expected.flatten(1))
    assert torch.equal(apart.argmin(1), torch.arange(len(named)))  # not its neighbours' in time or place


def sum_of_policy_steps(learner: Learner) -> int:
    """Steps of training episodes that no human drove."""
    return learner.history.online_steps - learner.history.human_steps
