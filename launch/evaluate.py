"""`handrail evaluate`: a run's policy, frozen and unaided, on starts it was never trained or chosen on."""

import dataclasses
import json
import sys
import threading
from pathlib import Path
from typing import Any

from rich.console import Console

from handrail.agent.evaluate import EvaluationResult, evaluate
from handrail.agent.evaluator import Evaluator
from handrail.agent.weights import LATEST_FILE, PASSED_FILE
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import arm_link, compose, runs
from handrail.launch.errors import PolicyMissing
from handrail.launch.judges import make_judge
from handrail.launch.options import Options
from handrail.launch.supervisor import Interrupt
from handrail.robot_env.errors import ConfigError


def main(options: Options, overrides: list[str]) -> int:
    """Evaluate and print; `overrides` is empty (the run has its configuration).

    Raises:
        PolicyMissing: the run has no policy yet.
    """
    run = runs.find(options["run"], options["runs"])
    config = arm_link.for_evaluation(compose.load(run.config_file))
    episodes = config.evaluation.episodes if options["episodes"] is None else options["episodes"]
    if episodes < 1:
        raise ConfigError(f"episodes={episodes}: must be at least 1")
    weights = policy_file(run)
    console = Console(stderr=options["json"], highlight=False, soft_wrap=True)
    judge = make_judge(config.env, config.seed) if config.env.arm.real else None
    evaluator = Evaluator(run, config, threading.Event(), lambda _: None, judge)
    with Interrupt().installed() as interrupt, console.status(f"evaluating {run.id} from {episodes} starts"):
        header = evaluator.load(weights.read_bytes())
        result = evaluate(
            evaluator.env,
            evaluator.policy,
            which=options["set"],
            episodes=episodes,
            stop=lambda: interrupt.number is not None,
        )
    evaluator.env.close()
    if result is None:
        raise KeyboardInterrupt
    about = {
        "run": run.id,
        "set": options["set"],
        "env_steps": header.online_steps,
        "updates": header.updates,
    }
    if options["json"]:
        sys.stdout.write(json.dumps(_plain(result, about)) + "\n")
    else:
        console.print(sentence(result, about))
    return 0


def policy_file(run: RunDirectory) -> Path:
    """The weights that reached the run's goal, or else those of its newest checkpoint.

    Raises:
        PolicyMissing: there are none.
    """
    for path in (run.policy / PASSED_FILE, run.policy / LATEST_FILE):
        if path.is_file():
            return path
    raise PolicyMissing(f"run {run.id} has no policy yet; go on with `handrail train run={run.id}`")


def sentence(result: EvaluationResult, about: dict[str, Any]) -> str:
    """The result in a sentence."""
    share = result.successes / max(1, result.episodes)
    interval = f"95 % interval {result.wilson_low:.0%} to {result.wilson_high:.0%}"
    return (
        f"[bold]{result.successes} of {result.episodes}[/] unaided ({share:.0%}; {interval}), "
        f"{result.mean_steps:.0f} steps on average, peak force {result.peak_force_n:.0f} N; "
        f"{about['set']} starts, weights of step {about['env_steps']}"
    )


def _plain(result: EvaluationResult, about: dict[str, Any]) -> dict[str, Any]:
    values = {**about, **dataclasses.asdict(result)}
    # JSON has no NaN: a mean over no successes is null.
    return {key: None if value != value else value for key, value in values.items()}
