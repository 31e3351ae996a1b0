"""`handrail evaluate`: a run's policy, frozen, on starts it was never trained or chosen on.

In simulation it is alone, in a cell of its own. A real arm moves in real time, with the run's device and
whoever is at it, and its episodes go into the run's log.
"""

import dataclasses
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from handrail.agent.config import RunConfig
from handrail.agent.evaluate import EvaluationResult, StartSet, evaluate
from handrail.agent.evaluate_arm import ArmEvaluation, check_attended
from handrail.agent.evaluator import Evaluator, append_evaluation, evaluation_record
from handrail.agent.frozen import FrozenPolicy
from handrail.agent.session import Session
from handrail.agent.weights import LATEST_FILE, PASSED_FILE, WeightsHeader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import arm_link, compose, runs
from handrail.launch.errors import PolicyMissing
from handrail.launch.judges import make_judge
from handrail.launch.options import Options
from handrail.launch.supervisor import Interrupt
from handrail.robot_env.errors import ConfigError

Evaluated = tuple[EvaluationResult, WeightsHeader]


def main(options: Options, overrides: list[str]) -> int:
    """Evaluate and print; `overrides` is empty (the run has its configuration).

    Raises:
        ConfigError: the number of episodes is none, or nobody would be beside a real arm.
        PolicyMissing: the run has no policy yet.
        RunLocked: the run's actor is running, and the arm is a real one.
    """
    run = runs.find(options["run"], options["runs"])
    config = compose.load(run.config_file)
    episodes = config.evaluation.episodes if options["episodes"] is None else options["episodes"]
    if episodes < 1:
        raise ConfigError(f"episodes={episodes}: must be at least 1")
    weights = policy_file(run)
    console = Console(stderr=options["json"], highlight=False, soft_wrap=True)
    how = on_arm if config.env.arm.real else in_simulation
    with Interrupt().installed() as interrupt:
        result, header = how(
            run,
            config,
            weights,
            options["set"],
            episodes,
            stopped=lambda: interrupt.number is not None,
            console=console,
        )
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


def in_simulation(
    run: RunDirectory,
    config: RunConfig,
    weights: Path,
    which: StartSet,
    episodes: int,
    *,
    stopped: Callable[[], bool],
    console: Console,
) -> Evaluated:
    """Evaluate in a simulated cell of its own, as fast as it goes.

    Raises:
        KeyboardInterrupt: it was stopped; of a simulation a part of the result is worth nothing.
    """
    evaluator = Evaluator(run, arm_link.for_evaluation(config), threading.Event(), lambda _: None)
    try:
        with console.status(f"evaluating {run.id} from {episodes} starts"):
            header = evaluator.load(weights.read_bytes())
            result = evaluate(evaluator.env, evaluator.policy, which=which, episodes=episodes, stop=stopped)
    finally:
        evaluator.env.close()
    if result is None:
        raise KeyboardInterrupt
    return result, header


def on_arm(
    run: RunDirectory,
    config: RunConfig,
    weights: Path,
    which: StartSet,
    episodes: int,
    *,
    stopped: Callable[[], bool],
    console: Console,
) -> Evaluated:
    """Evaluate on the run's own arm, with a person beside it; what there is when it is stopped is the result.

    It is kept in `evaluations.jsonl`, also when it breaks off.

    Raises:
        ConfigError: nobody would be beside it.
        RunLocked: the run's actor is running.
        HandrailError: it broke off; the bar says how far it came.
    """
    check_attended(config)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        Session(run, config, make_judge(config.env, config.seed)) as session,
        ArmEvaluation(run, session, which, episodes) as evaluation,
        Progress(*columns, console=console) as progress,
    ):
        bar = progress.add_task("evaluating", total=episodes)

        def show(result: EvaluationResult) -> None:
            said = f"{result.successes} of {result.episodes} unaided"
            progress.update(bar, completed=result.episodes, description=said)

        def say(line: str) -> None:
            progress.console.print(line, soft_wrap=True, highlight=False, markup=False)

        policy = FrozenPolicy(run, config, session.env)
        header = policy.take(weights.read_bytes())
        try:
            evaluation.drive(policy, stopped=stopped, on_episode=show, announce=say)
        finally:  # what there is counts, also when it breaks off
            result = evaluation.result()
            if result.episodes:
                record = evaluation_record(result, which, header, passed=has_passed(result, config))
                append_evaluation(run, record)
    return result, header


def has_passed(result: EvaluationResult, config: RunConfig) -> bool:
    """Whether a result is the run's goal, which is of `evaluation.episodes` starts, no more and no fewer."""
    whole = result.episodes == result.asked == config.evaluation.episodes
    return whole and result.successes >= config.goal.successes


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
    stopped = f"Stopped after {result.episodes} of {result.asked} starts: " if result.stopped_early else ""
    steps = f"{result.mean_steps:.0f} steps on average, " if result.successes else ""
    aided = f"{result.aided} with help, which are no successes; " if result.aided else ""
    without = f"{result.without_result} more without a result; " if result.without_result else ""
    return (
        f"{stopped}[bold]{result.successes} of {result.episodes}[/] unaided ({share:.0%}; {interval}), "
        f"{steps}peak force {result.peak_force_n:.0f} N; {aided}{without}"
        f"{about['set']} starts, weights of step {about['env_steps']}"
    )


def _plain(result: EvaluationResult, about: dict[str, Any]) -> dict[str, Any]:
    values = {**about, **dataclasses.asdict(result)}
    # JSON has no NaN: a mean over no successes is null.
    return {key: None if value != value else value for key, value in values.items()}
