"""`handrail train`: a new run, or an earlier one taken up again, until the policy does the task unaided."""

from rich.console import Console

from handrail.agent.config import RunConfig
from handrail.intervention.run_directory import RunDirectory, write_durably
from handrail.launch import compose, runs
from handrail.launch.display import Display, clock
from handrail.launch.errors import GoalNotReached
from handrail.launch.options import Options
from handrail.launch.supervisor import Interrupt, Outcome, Supervisor, process_specs, view_of

CHANGEABLE = (
    "goal.max_env_steps",
    "goal.max_wall_s",
    "goal.successes",
    "goal.hold",
    "evaluation.every_steps",
    "learner.torch_threads",
    "actor.device",
)
"""What may change when a run is taken up again; anything else would make it another experiment."""


def main(options: Options, overrides: list[str]) -> int:
    """Train; returns 0 when the goal is reached, or when the run was asked to stop and stopped cleanly.

    Raises:
        GoalNotReached: the budget is spent.
    """
    console = Console()
    run, config = prepare(options, overrides)
    view = view_of(run, config)
    console.print(f"[bold]Run[/] {run.path}", soft_wrap=True, highlight=False)
    if view.reached:
        console.print("It has reached its goal already; `handrail evaluate` looks at its policy again.")
        return 0
    with Interrupt().installed() as interrupt:
        with Display(view, console, options["display"]) as display:
            supervisor = Supervisor(run, view, display, process_specs(run, config))
            outcome = supervisor.supervise(interrupt)
        final = view.final
        score = f"{final['successes']} of {final['episodes']} unaided" if final else "no evaluation yet"
        minutes = f"{view.robot_minutes:.1f} robot minutes"
        cost = f"{view.env_steps} steps, {minutes}, {clock(supervisor.wall_s)} in all"
        if outcome is Outcome.SPENT:
            raise GoalNotReached(
                f"the budget is spent and the goal is not reached: {score} after {cost} ({run.path})"
            )
        if outcome is Outcome.STOPPED:
            console.print(
                f"Stopped: {score} after {cost}. Nothing is lost: "
                f"`handrail train run={_name(run, options)}` goes on.",
                soft_wrap=True,
                highlight=False,
            )
        else:
            console.print(
                f"[bold green]Goal reached[/]: {score} after {cost}.", soft_wrap=True, highlight=False
            )
            console.print(
                f"Look back: `handrail review run={_name(run, options)}`", soft_wrap=True, highlight=False
            )
    return 0


def prepare(options: Options, overrides: list[str]) -> tuple[RunDirectory, RunConfig]:
    """The run that the command line means: a new one, or an earlier one with its own configuration.

    Raises:
        ConfigError: an override is refused.
        RunError: the run cannot be made, or has another schema.
    """
    name, root = options["run"], options["runs"]
    if name is None or not runs.path_of(name, root).exists():
        composed = compose.compose(overrides)
        return runs.create(name, root, composed, overrides), composed.config
    run = runs.find(name, root)
    config = compose.load(run.config_file)
    if overrides:
        config = compose.amend(config, overrides, CHANGEABLE)
        write_durably(run.config_file, compose.dump(config))
    return run, config


def _name(run: RunDirectory, options: Options) -> str:
    """The run as a person would name it in the next command."""
    return run.id if options["runs"] == "runs" and run.path.parent.name == "runs" else str(run.path)
