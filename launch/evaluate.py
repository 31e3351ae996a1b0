"""`handrail evaluate`: a run's policy, frozen, on starts it was never trained or chosen on.

In simulation it is alone, in a cell of its own. A real arm moves in real time, with the run's device and
whoever is at it, and its episodes go into the run's log.
"""

import dataclasses
import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
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
from handrail.launch.changeable import HARDWARE
from handrail.launch.errors import PolicyMissing
from handrail.launch.judges import make_judge
from handrail.launch.options import Options
from handrail.launch.supervisor import Interrupt
from handrail.robot_env.errors import ConfigError

Evaluated = tuple[EvaluationResult, WeightsHeader]


@dataclass(frozen=True)
class Asked:
    """What is to be evaluated.

    Attributes:
        run: whose policy.
        config: the run's configuration, with the hardware that is used.
        weights: the file of the policy's weights.
        which: the fixed starts.
        episodes: from how many of them.
    """

    run: RunDirectory
    config: RunConfig
    weights: Path
    which: StartSet
    episodes: int


def main(options: Options, overrides: list[str]) -> int:
    """Evaluate and print.

    Raises:
        ConfigError: the number of episodes is none, an override is refused, or nobody would be beside a real
            arm.
        PolicyMissing: the run has no policy yet.
        RunLocked: the run's actor is running, and the arm is a real one.
    """
    run = runs.find(options["run"], options["runs"])
    config = _with_hardware(compose.load(run.config_file), overrides)
    episodes = config.evaluation.episodes if options["episodes"] is None else options["episodes"]
    if episodes < 1:
        raise ConfigError(f"episodes={episodes}: must be at least 1")
    asked = Asked(run, config, policy_file(run), options["set"], episodes)
    console = Console(stderr=options["json"], highlight=False, soft_wrap=True)
    evaluate_it = on_arm if config.env.arm.real else in_simulation
    with Interrupt().installed() as interrupt:
        result, header = evaluate_it(asked, console, lambda: interrupt.number is not None)
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


def _with_hardware(config: RunConfig, overrides: list[str]) -> RunConfig:
    """The run's configuration with other hardware, for this evaluation alone.

    Raises:
        ConfigError: an override says something else, or there is no hardware to choose.
    """
    if overrides and not config.env.arm.real:
        raise ConfigError(
            f"{overrides[0]}: this run's arm is simulated, and its policy is evaluated in a cell of its own, "
            "without device, cameras or arm server; leave it out"
        )
    return compose.amend(config, overrides, HARDWARE)


def in_simulation(asked: Asked, console: Console, stopped: Callable[[], bool]) -> Evaluated:
    """Evaluate in a simulated cell of its own, as fast as it goes.

    Args:
        asked: what.
        console: shows that it goes on.
        stopped: asked after each step; True abandons it.

    Raises:
        KeyboardInterrupt: it was stopped; of a simulation a part of the result is worth nothing.
    """
    run, which, episodes = asked.run, asked.which, asked.episodes
    evaluator = Evaluator(run, arm_link.for_evaluation(asked.config), threading.Event(), lambda _: None)
    try:
        with console.status(f"evaluating {run.id} from {episodes} starts"):
            header = evaluator.load(asked.weights.read_bytes())
            result = evaluate(evaluator.env, evaluator.policy, which=which, episodes=episodes, stop=stopped)
    finally:
        evaluator.env.close()
    if result is None:
        raise KeyboardInterrupt
    return result, header


def on_arm(asked: Asked, console: Console, stopped: Callable[[], bool]) -> Evaluated:
    """Evaluate on the run's own arm, with a person beside it; what there is when it is stopped is the result.

    It is kept in `evaluations.jsonl`, also when it breaks off.

    Args:
        asked: what.
        console: shows how far it has come.
        stopped: asked after each step; True ends it.

    Raises:
        ConfigError: nobody would be beside it.
        RunLocked: the run's actor is running.
        HandrailError: it broke off; the bar says how far it came.
    """
    run, config, which, episodes = asked.run, asked.config, asked.which, asked.episodes
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
        header = policy.take(asked.weights.read_bytes())
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
