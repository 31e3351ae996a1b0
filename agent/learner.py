"""The learner process: pulls the log, trains, publishes weights.

Its whole state is the log (from which the memory is rebuilt) and a checkpoint (networks, optimisers, random
states, counters, log position). So it may be killed at any time and started again.
"""

from __future__ import annotations

import math
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from handrail.agent.checkpoint import (
    Checkpoint,
    newest_checkpoint,
    optimizer_tensors,
    restore_optimizers,
    save_checkpoint,
)
from handrail.agent.config import RunConfig
from handrail.agent.diagnostics import Diagnostics
from handrail.agent.history import RunHistory
from handrail.agent.limiter import SamplesPerInsertLimiter
from handrail.agent.link import LogPuller, WeightPublisher, log_address, weights_address
from handrail.agent.metrics import Scalars
from handrail.agent.pixels import Pixels
from handrail.agent.prefetch import Prefetcher
from handrail.agent.room import roomy_memory
from handrail.agent.sac import SAC
from handrail.agent.sampling import Sampler
from handrail.agent.sight import sight_of
from handrail.agent.weights import LATEST_FILE, encode_weights, keep_weights
from handrail.intervention.log_format import (
    LABELLING,
    EpisodeEnd,
    EpisodeStart,
    Event,
    FrameRecord,
    StepRecord,
    decode_record,
    transition_from,
)
from handrail.intervention.run_directory import RunDirectory
from handrail.robot_env.errors import HandrailError
from handrail.robot_env.spec import ActionSpec, schema_hash, state_spec

Report = Callable[[dict[str, Any]], None]
_REPORT_EVERY_S = 0.5
_MAX_ROLLBACKS = 3
_KEPT = ("utd", "replay_size", "demo_size", "imitation_weight")
"""Of a status: what is recorded beside the update's own figures."""


class LearnerDiverged(HandrailError):
    """Training produced values that are not finite, again and again."""

    exit_code = 17


class Learner:
    """State of the learner between two updates; `run_learner` drives it. One thread may use it.

    Args:
        run: the run's directory.
        config: the run's configuration.
    """

    def __init__(self, run: RunDirectory, config: RunConfig) -> None:
        self.run, self.config = run, config
        self.boot_id = uuid.uuid4().hex
        cameras = {camera.name: (camera.height, camera.width, 3) for camera in config.env.cameras}
        state = state_spec(config.env)
        self.schema_hash = schema_hash(state, ActionSpec(*config.env.action_scale), cameras)
        action_size = 6
        sight = sight_of(run.path, config)
        self.pixels = Pixels(sight, config) if sight is not None else None
        self.agent = SAC(config.agent, state, action_size, config.seed, sight)
        frames = self.pixels and self.pixels.frames
        self.memory, self.notices = roomy_memory(config, state.size, action_size, frames)
        self.rng = np.random.default_rng([config.seed, 1])
        agent, source = config.agent, self.pixels and self.pixels.source
        self.sampler = Sampler(self.memory, agent.batch_size, agent.discount, agent.n_step, self.rng, source)
        self._draw = self.sampler.symmetric if agent.symmetric else partial(self.sampler.only, "replay")
        trained = sight is not None and not sight.frozen  # its batches are tens of megabytes of images
        self._ahead = Prefetcher(self.sampler, self._draw) if trained else None
        self.diagnostics = Diagnostics(self.agent, self.memory, config, source)
        self.limiter = SamplesPerInsertLimiter(agent.utd, config.learner.slack_steps)
        self.history = RunHistory()
        self.updates = 0
        self.version = 0
        self.restored_steps = 0  # online steps when the networks that were restored last were saved
        self.rollbacks = 0
        self.began_at: int | None = None  # online steps when training began
        self.cloned = agent.clone_updates == 0
        self.catch_up_to = 0
        self._left_out: dict[int, int] = {}  # steps whose images the log lacks, of the episode that is read

    def ingest(self, sequence: int, payload: bytes) -> None:
        """Take one record of the log into memory and counters."""
        record = decode_record(payload)
        self.history.ingest(sequence, record)
        number = None
        match record:
            case EpisodeStart():
                self._tell_left_out()  # of an episode that never ended, too
                self.memory.begin(record.episode, record.purpose)
            case FrameRecord():
                self.memory.add_image(record)
            case StepRecord():
                lost = self.memory.left_out
                number = self.memory.add(transition_from(record), record.frames, record.next_frames)
                if self.memory.left_out > lost:
                    self._left_out[record.episode] = self._left_out.get(record.episode, 0) + 1
            case EpisodeEnd():
                self._tell_left_out()
            case Event() if record.kind in LABELLING:
                self.memory.label(record.episode, record.new, record.step)
        # What a checkpoint has seen has been learned from, or may have been.
        self.diagnostics.take(record, number, fresh=self.cloned and sequence > self.catch_up_to)
        if self._annealed:
            self.agent.imitation_weight = self._imitation_weight()

    def _tell_left_out(self) -> None:
        for episode, steps in self._left_out.items():
            self.notices.append(f"{steps} steps of episode {episode} are left out: the log lacks images")
        self._left_out.clear()

    @property
    def _annealed(self) -> bool:
        return self.config.agent.imitation_weight > 0.0

    def _imitation_weight(self) -> float:
        """λ falls with unaided success: a fixed one would cap performance at the human's."""
        agent = self.config.agent
        return agent.imitation_weight * max(agent.imitation_floor, 1.0 - self.history.unaided_rate())

    def ready_to_clone(self) -> bool:
        """Whether all demonstrations are there and the cloned start is still to be made."""
        return not self.cloned and self.history.demonstrations >= max(1, self.config.actor.demonstrations)

    def clone(self, stop: threading.Event, report: Report) -> None:
        """Behaviour-clone the demonstrations, and freeze the result as second proposal."""
        total = self.config.agent.clone_updates
        reported_s = -math.inf
        for done in range(total):
            if stop.is_set():
                return
            loss = self.agent.update_clone(self.sampler.only("demo"))
            if (now := time.monotonic()) - reported_s > _REPORT_EVERY_S:
                reported_s = now
                report(self._status("clone") | {"clone_progress": done / total, "clone_loss": float(loss)})
        self.agent.freeze_clone()
        self.cloned = True

    @property
    def caught_up(self) -> bool:
        """Whether the log has been read as far as the checkpoint had."""
        return self.history.sequence >= self.catch_up_to

    def may_update(self) -> bool:
        """Whether there is data for another update, and the limiter allows it."""
        if not (self.cloned and self.caught_up):
            return False
        if self.began_at is None:
            enough = self.history.online_steps >= self.config.learner.training_starts
            filled = len(self.memory.demo) > 0 or not self.config.agent.symmetric
            if not (enough and filled and len(self.memory.replay) > 0):
                return False
            self.began_at = self.history.online_steps
        return self.limiter.may_update(self.updates, self.history.online_steps - self.began_at)

    def update(self) -> dict[str, Tensor]:
        """One critic update, and every `cta_ratio`-th time an actor update with it."""
        agent = self.config.agent
        self.diagnostics.before_update()
        batch = self._draw() if self._ahead is None else self._ahead.next()
        self.updates += 1
        with_actor = self.updates % agent.cta_ratio == 0 and self.updates > agent.critic_only_updates
        return self.agent.update(batch, with_actor=with_actor)

    def close(self) -> None:
        """End the learner's threads and sockets."""
        if self._ahead is not None:
            self._ahead.close()
        if self.pixels is not None:
            self.pixels.close()

    def save(self) -> None:
        """Write a checkpoint."""
        state = {
            "updates": self.updates,
            "version": self.version,
            "began_at": self.began_at,
            "cloned": self.cloned,
            "position": self.history.sequence,
            "online_steps": self.history.online_steps,
            "schema_hash": self.schema_hash,
            "numpy_rng": (self._ahead or self.sampler).random_state,
            "torch_rng": self.agent.generator.get_state().tolist(),
        }
        checkpoint = Checkpoint(self.agent.weights(), optimizer_tensors(self.agent.optimizers()), state)
        save_checkpoint(
            self.run.checkpoints, f"{self.updates:010d}", checkpoint, self.config.learner.checkpoints_kept
        )
        keep_weights(self.run.policy / LATEST_FILE, self.weights_frame())

    def restore(self) -> bool:
        """Go back to the newest usable checkpoint, if there is one.

        Raises:
            CheckpointError: there are some, and none can be used.
        """
        checkpoint, refused = newest_checkpoint(self.run.checkpoints)
        self.notices += [f"checkpoint passed over: {line}" for line in refused]
        if checkpoint is None:
            return False
        state = checkpoint.state
        self.agent.load_weights(checkpoint.weights)
        restore_optimizers(self.agent.optimizers(), checkpoint.optimizer)
        self.agent.generator.set_state(torch.tensor(state["torch_rng"], dtype=torch.uint8))
        (self._ahead or self.sampler).random_state = state["numpy_rng"]
        self.updates, self.version = state["updates"], max(self.version, state["version"])
        self.began_at, self.cloned = state["began_at"], state["cloned"]
        self.catch_up_to, self.restored_steps = state["position"], state["online_steps"]
        return True

    @property
    def finite(self) -> bool:
        """Whether every weight is a number; nothing else may be published or saved."""
        return all(bool(torch.isfinite(value).all()) for value in self.agent.weights().values())

    def roll_back(self) -> None:
        """Answer values that are not finite: back to the last good checkpoint, or give up.

        Raises:
            LearnerDiverged: after several times, or without a checkpoint.
        """
        self.rollbacks += 1
        self.notices.append(f"update {self.updates} was not finite: rolled back to the last checkpoint")
        if self.rollbacks > _MAX_ROLLBACKS or not self.restore():
            raise LearnerDiverged(
                f"Training diverged at update {self.updates}, time {self.rollbacks} of {_MAX_ROLLBACKS}; "
                "lower agent.critic_lr, or look at the newest episodes with `handrail review`"
            )

    def weights_frame(self) -> bytes:
        """The acting weights, ready for the wire."""
        self.version += 1
        return encode_weights(
            self.agent.acting_weights(),
            run_id=self.run.id,
            schema_hash=self.schema_hash,
            boot_id=self.boot_id,
            version=self.version,
            updates=self.updates,
            online_steps=self.history.online_steps,
        )

    def _status(self, phase: str) -> dict[str, Any]:
        trained = self.history.online_steps - (self.began_at or 0)
        return {
            "kind": "learner",
            "phase": phase,
            "updates": self.updates,
            "utd": self.updates / trained if self.began_at is not None and trained > 0 else 0.0,
            "env_steps_seen": self.history.online_steps,
            "replay_size": len(self.memory.replay),
            "demo_size": len(self.memory.demo),
            "demonstrations": self.history.demonstrations,
            "imitation_weight": self.agent.imitation_weight,
            "rollbacks": self.rollbacks,
            **(self.pixels.status() if self.pixels is not None else {}),
        }

    def news(self, more: Iterable[str] = ()) -> dict[str, Any]:
        """What is said once: `notices`, with `more`, and the `diagnostics` that are new."""
        notices = [*self.notices, *self.diagnostics.notices, *more]
        self.notices.clear()
        self.diagnostics.notices.clear()
        news: dict[str, Any] = {"notices": notices} if notices else {}
        found = self.diagnostics.news()
        return news | ({"diagnostics": found} if found else {})

    def status(self) -> dict[str, Any]:
        """A report of where training is."""
        return self._status("train" if self.began_at is not None else "waiting")


def run_learner(run: RunDirectory, config: RunConfig, stop: threading.Event, report: Report) -> None:
    """Train until `stop` is set; then write a checkpoint and return.

    Raises:
        RunLocked: another learner trains on this run.
        CheckpointError: none of the run's checkpoints can be used.
        LinkError: the actor runs another configuration.
        LearnerDiverged: see `Learner.roll_back`.
    """
    torch.set_num_threads(config.learner.torch_threads)
    with run.lock("learner"):
        learner = Learner(run, config)
        learner.restore()
        sockets = run.socket_dir()
        puller = LogPuller(log_address(sockets), run.id, learner.schema_hash, learner.boot_id, os.getpid())
        publisher = WeightPublisher(weights_address(sockets))
        if learner.pixels is not None:
            learner.pixels.listen(sockets)
        scalars = Scalars(run.tensorboard / "learner", run.diagnostics_file)
        scalars.restored(learner.restored_steps, learner.updates)
        try:
            _train(learner, puller, publisher, scalars, stop, report)
        finally:
            if learner.cloned and learner.caught_up and learner.finite:
                learner.save()
            report(learner.status() | learner.news(scalars.notices()))
            puller.close()
            publisher.close()
            learner.close()
            scalars.close()


def _train(
    learner: Learner,
    puller: LogPuller,
    publisher: WeightPublisher,
    scalars: Scalars,
    stop: threading.Event,
    report: Report,
) -> None:
    settings, online = learner.config.learner, learner.history
    if learner.cloned:
        publisher.publish(learner.weights_frame())
    saved_s = reported_s = time.monotonic()
    updates_then = learner.updates
    while not stop.is_set():
        began_at = learner.began_at
        busy = learner.may_update()
        if learner.began_at != began_at:  # from here on updates are owed: a restart must know since when
            learner.save()
        for sequence, payload in puller.poll(
            online.sequence,
            updates=learner.updates,
            training=learner.began_at is not None,
            began_at=learner.began_at or 0,
            wait_s=0.0 if busy else 0.01,
        ):
            learner.ingest(sequence, payload)
        if learner.pixels is not None:
            learner.pixels.take(complete=not busy)
            learner.notices += learner.pixels.notices()
        if learner.ready_to_clone():
            learner.clone(stop, report)
            if learner.cloned:  # not when it was interrupted: then it begins anew
                learner.save()
                publisher.publish(learner.weights_frame())
        publisher.repeat()
        if learner.may_update():
            metrics = learner.update()
            publish = learner.updates % settings.publish_every == 0
            if not bool(torch.isfinite(metrics["critic_loss"])) or (publish and not learner.finite):
                learner.roll_back()
                scalars.restored(learner.restored_steps, learner.updates)
                continue
            if publish:
                publisher.publish(learner.weights_frame())
            at = online.online_steps, learner.updates
            if learner.updates % settings.metrics_every == 0:
                status = learner.status()
                figures = {name: float(value) for name, value in metrics.items()}
                scalars.add(*at, "learner", figures | {name: float(status[name]) for name in _KEPT})
            found = learner.diagnostics.after_update(learner.updates)
            if found is not None:
                scalars.add_diagnostics(*at, found.scalars, found.snapshots)
        now = time.monotonic()
        if now - reported_s > _REPORT_EVERY_S:
            rate = (learner.updates - updates_then) / (now - reported_s)
            report(learner.status() | {"updates_per_s": rate} | learner.news(scalars.notices()))
            reported_s, updates_then = now, learner.updates
        # Not while the log is still being read again: that would replace a position by an earlier one.
        due = now - saved_s > settings.checkpoint_every_s and learner.began_at is not None
        if due and learner.caught_up and learner.finite:
            learner.save()
            saved_s = now
