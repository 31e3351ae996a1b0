"""`handrail train`: a new run, or an earlier one taken up again, until the policy does the task unaided."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from handrail.agent.config import RunConfig
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import arm_link, compose, run_trunk, runs
from handrail.launch.changeable import CHANGEABLE
from handrail.launch.console.address import Address
from handrail.launch.console.child import alongside
from handrail.launch.display import Display
from handrail.launch.errors import GoalNotReached
from handrail.launch.options import Options
from handrail.launch.supervisor import Interrupt, Outcome, Supervisor, process_specs, view_of
from handrail.robot_env.errors import ConfigError


def main(options: Options, overrides: list[str]) -> int:
    """Train; returns 0 when the goal is reached, or when the run was asked to stop and stopped cleanly.

    On a real arm, where nothing evaluates, the goal is that all steps are taken.

    Raises:
        ConfigError: `console=`, `tls=` or an override is refused.
        GoalNotReached: the budget is spent.
        RunLocked: another supervisor has the run, or another console where an address was asked for.
    """
    console = Console()
    tls = None if options["tls"] is None else Path(options["tls"])
    listening = page(options["console"], tls)
    asked = tls is not None or options["console"] != "on"
    run, config = prepare(options, overrides)
    view = view_of(run, config)
    console.print(f"[bold]Run[/] {run.path}", soft_wrap=True, highlight=False)
    run_trunk.say_warning(run, console)
    if view.reached:
        console.print("It has reached its goal already; `handrail evaluate` looks at its policy again.")
        return 0
    with (
        Interrupt().installed() as interrupt,
        run.lock("supervisor"),  # before an address is printed that nobody would serve
        alongside(run, listening, console, tls, asked=asked) as looking_on,
    ):
        specs = [*process_specs(run, config, arm_link.own_address(run, config)), *looking_on]
        with Display(view, console, options["display"]) as display:
            supervisor = Supervisor(run, view, display, specs)
            outcome = supervisor.supervise(interrupt)
        result = supervisor.result
        if outcome is Outcome.SPENT and view.evaluated:
            raise GoalNotReached(f"the budget is spent and the goal is not reached: {result} ({run.path})")
        _conclude(console, outcome, result, runs.name_of(run))
    return 0


def page(text: str, tls: Path | None) -> Address | None:
    """Where `console=` and `tls=` put the operator's page; None for nowhere.

    Raises:
        ConfigError: one of them is refused.
    """
    if tls is None:
        return Address.parse(text)
    from handrail.launch.console import certificate  # cryptography, for those who use it

    return Address.parse(text, certificate.names_of(tls), secure=True)


def _conclude(console: Console, outcome: Outcome, result: str, name: str) -> None:
    lines = {
        Outcome.REACHED: (
            f"[bold green]Goal reached[/]: {result}.",
            f"Look back: `handrail console run={name}` in a browser, `handrail review run={name}` here",
        ),
        Outcome.SPENT: (
            f"[bold]All steps taken[/]: {result}.",
            f"Try the policy by itself: `handrail evaluate run={name} episodes=20`",
        ),
        Outcome.STOPPED: (
            f"Stopped: {result}. Nothing is lost: `handrail train run={name}` goes on.",
            f"Look back meanwhile: `handrail console run={name}`",
        ),
    }
    for line in lines[outcome]:
        console.print(line, soft_wrap=True, highlight=False)


def prepare(options: Options, overrides: list[str], *, trains: bool = True) -> tuple[RunDirectory, RunConfig]:
    """The run that the command line means: a new one, or an earlier one with its own configuration.

    What an override changes in an earlier run is written by whoever gets hold of it (`runs.keep_config`):
    until then it may be somebody else's. A run in which nothing has happened yet, because no arm server
    answered, say, has nothing to be true to: the same command line begins it anew. A run whose policy looks
    through cameras has its trunk after this.

    Args:
        options: "run", "runs".
        overrides: Of the configuration.
        trains: False for a command that only records: that needs no weights worth training on.

    Raises:
        ConfigError: an override is refused.
        RunError: the run cannot be made, or has another schema.
        RunLocked: an empty run is about to be driven by somebody else.
        TrunkError: weights of the trunk cannot be used.
    """
    store = run_trunk.store_of(options["runs"])
    console = Console(highlight=False, soft_wrap=True)

    def composed() -> compose.Composed:
        made = compose.compose(overrides)
        run_trunk.check(made.config, store, console, trains=trains)
        return made

    run, config = _run_of(options, overrides, composed)
    run_trunk.settle(run, config, store, trains=trains)
    return run, config


def _run_of(
    options: Options, overrides: list[str], composed: Callable[[], compose.Composed]
) -> tuple[RunDirectory, RunConfig]:
    """The run; `composed` makes the configuration of a new one, and checks what it is to see with."""
    name, root = options["run"], options["runs"]
    if name is None or not runs.path_of(name, root).exists():
        made = composed()
        return runs.create(name, root, made, overrides), made.config
    run = runs.find(name, root)
    config = compose.load(run.config_file)
    if not overrides:
        return run, config
    try:
        return run, compose.amend(config, overrides, CHANGEABLE)
    except ConfigError:
        if not runs.empty(run):
            raise
    made = composed()
    runs.remake(run, made, overrides)
    return run, made.config
