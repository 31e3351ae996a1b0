"""The evaluator process: watches the weights, and says when the goal is reached.

It has its own copy of the simulated cell and its own policy, and no operator. Weights are checked from the
"check" starts every so many environment steps; once they pass, the same weights are looked at from the
"final" starts, which nothing was ever selected on. That second figure is the one a run reports. On hardware
there is one arm, so there `handrail evaluate` is run by hand instead (`evaluate_arm`).
"""

from __future__ import annotations

import dataclasses
import json
import math
import threading
import time
from collections.abc import Callable
from typing import Any

import torch

from handrail.agent.config import RunConfig
from handrail.agent.evaluate import EvaluationResult, StartSet, evaluate
from handrail.agent.frozen import FrozenPolicy
from handrail.agent.link import WeightSubscriber, weights_address
from handrail.agent.weights import (
    PASSED_FILE,
    WeightsError,
    WeightsHeader,
    decode_header,
    keep_weights,
)
from handrail.intervention.run_directory import RunDirectory
from handrail.robot_env.judge import RewardConfig
from handrail.robot_env.make import make_env

Report = Callable[[dict[str, Any]], None]
_REPORT_EVERY_S = 1.0


class Evaluator:
    """One evaluation after another, on this process's own simulated cell. One thread may use it.

    Args:
        run: the run's directory.
        config: its configuration, with a simulated arm.
        stop: abandons an evaluation between two steps.
        report: takes the results; must not block.
    """

    def __init__(self, run: RunDirectory, config: RunConfig, stop: threading.Event, report: Report) -> None:
        self.run, self.config, self._stop, self._report = run, config, stop, report
        # What a run is measured by must not be what it has learned from: a simulated cell knows better.
        self.env = make_env(dataclasses.replace(config.env, reward=RewardConfig()))
        self.policy = FrozenPolicy(run, config, self.env)
        self._next_step = config.evaluation.first_step
        self._held = 0
        self._told_s = 0.0

    def due(self, header: WeightsHeader) -> bool:
        """Whether these weights are far enough behind the last that were evaluated."""
        return header.online_steps >= self._next_step

    def check(self, frame: bytes) -> bool:
        """Evaluate one set of weights; True when the run has reached its goal with it."""
        header = self.load(frame)
        self._next_step = header.online_steps + self.config.evaluation.every_steps
        passed = self._evaluate("check", header)
        self._held = self._held + 1 if passed else 0
        if self._held < self.config.goal.hold:
            return False
        self._held = 0
        return self._evaluate("final", header, keep=frame)

    def load(self, frame: bytes) -> WeightsHeader:
        """Make a published set of weights this evaluator's policy."""
        return self.policy.take(frame)

    def tell(self) -> None:
        """Say once a second that the loop goes on: an evaluation takes minutes."""
        now = time.monotonic()
        if now - self._told_s > _REPORT_EVERY_S:
            self._told_s = now
            self._report({"kind": "heartbeat", "role": "evaluator"})

    def _stopped(self) -> bool:
        self.tell()
        return self._stop.is_set()

    def _evaluate(self, which: StartSet, header: WeightsHeader, keep: bytes | None = None) -> bool:
        """Evaluate and record; weights that pass are kept before anybody is told that they did."""
        goal, settings = self.config.goal, self.config.evaluation
        needed = goal.successes if which == "check" and settings.early_stop else None
        result = evaluate(
            self.env,
            self.policy,
            which=which,
            episodes=settings.episodes,
            needed=needed,
            stop=self._stopped,
        )
        if result is None:
            return False
        passed = result.successes >= goal.successes
        if passed and keep is not None:
            keep_weights(self.run.policy / PASSED_FILE, keep)
        record = evaluation_record(result, which, header, passed=passed)
        append_evaluation(self.run, record)
        self._report({"kind": "evaluation", **record})
        return passed


def evaluation_record(
    result: EvaluationResult, which: StartSet, header: WeightsHeader, *, passed: bool
) -> dict[str, Any]:
    """What is kept and reported of an evaluation."""
    return {
        "set": which,
        "env_steps": header.online_steps,
        "updates": header.updates,
        "weights_version": header.version,
        "passed": passed,
        "stopped_early": result.stopped_early,
        "wall_ns": time.time_ns(),
        **dataclasses.asdict(result),
        "mean_steps": None if math.isnan(result.mean_steps) else result.mean_steps,  # JSON has no NaN
    }


def append_evaluation(run: RunDirectory, record: dict[str, Any]) -> None:
    """Add a line to the run's `evaluations.jsonl`."""
    with run.evaluations_file.open("a") as file:
        file.write(json.dumps(record) + "\n")


def run_evaluator(run: RunDirectory, config: RunConfig, stop: threading.Event, report: Report) -> None:
    """Evaluate new weights as they become due, until `stop` is set or the goal is reached."""
    torch.set_num_threads(1)
    evaluator = Evaluator(run, config, stop, report)
    weights = WeightSubscriber(weights_address(run.socket_dir()))
    try:
        while not stop.is_set():
            evaluator.tell()
            frame = weights.newest(wait_s=0.2)
            if frame is None:
                continue
            try:
                if evaluator.due(decode_header(frame)[0]) and evaluator.check(frame):
                    return
            except WeightsError as error:
                report({"kind": "notice", "text": str(error)})
    finally:
        weights.close()
        evaluator.env.close()
