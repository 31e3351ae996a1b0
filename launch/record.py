"""`handrail record`: demonstrations as ordinary episodes, appended to a run's log.

The run can be a new one, which `handrail train run=<id>` then takes up, or an earlier one whose actor is at
rest.
"""

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from handrail.agent.config import RunConfig
from handrail.agent.history import DEMONSTRATION
from handrail.agent.session import Session, held_once
from handrail.intervention.log_format import EpisodeEnd
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import run_trunk, runs
from handrail.launch.judges import make_judge
from handrail.launch.options import Options
from handrail.launch.supervisor import Interrupt
from handrail.launch.train import prepare
from handrail.robot_env.errors import ConfigError

_LONGEST_STREAK = 10  # failures in a row after which something is wrong with the set-up


def main(options: Options, overrides: list[str]) -> int:
    """Record until so many demonstrations have succeeded; stopping early keeps what there is.

    Raises:
        ConfigError: nothing here can demonstrate.
        RunLocked: the run's actor is running.
    """
    wanted = options["demos"]
    if wanted < 1:
        raise ConfigError(f"demos={wanted}: must be at least 1")
    run, config = prepare(options, overrides, trains=False)
    console = Console()
    run_trunk.say_warning(run, console)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Interrupt().installed() as interrupt, Progress(*columns, console=console) as progress:
        task = progress.add_task("demonstrations", total=wanted)
        recorded = record(
            run,
            config,
            wanted,
            stopped=lambda: interrupt.number is not None,
            on_episode=lambda successes, _: progress.update(task, completed=successes),
            announce=progress.console.print,
        )
    console.print(f"{recorded} demonstrations in {run.path}", soft_wrap=True, highlight=False)
    return 0


def record(
    run: RunDirectory,
    config: RunConfig,
    wanted: int,
    *,
    stopped: Callable[[], bool] = lambda: False,
    on_episode: Callable[[int, bool], None] = lambda *_: None,
    announce: Callable[[str], None] = lambda _: None,
) -> int:
    """Record demonstrations; returns how many succeeded.

    Args:
        run: its log receives the episodes.
        config: the run's configuration; `actor.device` names who demonstrates.
        wanted: successes to record.
        stopped: asked after each step; True ends the recording.
        on_episode: told of each episode: successes so far, and whether it was one.
        announce: told what the operator's device is and what its buttons do, and why the session is held.

    Raises:
        ConfigError: no device can demonstrate, or it failed ten times in a row.
        RunLocked: the run's actor is running.
    """
    successes = streak = 0

    def count(end: EpisodeEnd) -> None:
        nonlocal successes, streak
        successes += end.success
        streak = 0 if end.success or end.truncated_by == "stop" else streak + 1
        on_episode(successes, end.success)
        if streak >= _LONGEST_STREAK:
            raise ConfigError(
                f"{streak} demonstrations in a row have failed; see `handrail review`, or give "
                "a better operator, such as operator.level=expert (what succeeded is kept)"
            )

    with Session(run, config, make_judge(config.env, config.seed)) as session:
        runs.keep_config(run, config)
        session.drive(
            None,
            DEMONSTRATION,
            wanted=lambda: successes < wanted and not stopped(),
            between_steps=lambda _: not stopped(),
            after_episode=count,
            on_hold=held_once(announce),
            announce=announce,
        )
    return successes
