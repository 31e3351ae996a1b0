"""`handrail classify collect`: somebody shows what success looks like, and what only resembles it.

Every step is in the log before the next one is taken, with the success button beside it: what is killed has
lost nothing, and the same command goes on where it stopped. The episodes are ordinary ones, of the purpose
"classify"; neither learner nor statistics take them for training.
"""

from collections.abc import Callable
from dataclasses import replace

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from handrail.agent.config import RunConfig
from handrail.agent.devices import make_device
from handrail.agent.session import Session, held_once
from handrail.intervention.collector import Latched, Posture, SyntheticCollector
from handrail.intervention.config import MappingConfig
from handrail.intervention.device import Device
from handrail.intervention.episode import Purpose
from handrail.intervention.log_format import EpisodeEnd
from handrail.intervention.log_reader import LogReader
from handrail.intervention.operator import SYNTHETIC_MAPPING
from handrail.intervention.run_directory import RunDirectory
from handrail.intervention.transition import Transition
from handrail.launch import compose, runs
from handrail.launch.classify.tally import NEXT, PROMPTS, Fresh, Tally, Wanted
from handrail.launch.options import Options
from handrail.launch.supervisor import Interrupt
from handrail.launch.train import prepare
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.judge import RewardConfig

CLASSIFY: Purpose = "classify"
_LONGEST_STREAK = 10  # episodes in a row that should show success, and do not


def main(options: Options, overrides: list[str]) -> int:
    """Collect until there is enough; stopping early keeps what there is, and the same line goes on.

    Raises:
        ConfigError: there is no camera, or nobody to show anything.
        RunLocked: the run's actor is running.
    """
    wanted = Wanted(options["positives"], options["negatives"], options["longest_s"])
    run, config = prepare(options, overrides, trains=False)
    console = Console()
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Interrupt().installed() as interrupt, Progress(*columns, console=console) as progress:
        success = progress.add_task("success", total=wanted.positives)
        other = progress.add_task("no success", total=wanted.negatives)

        def show(positives: int, negatives: int) -> None:
            progress.update(success, completed=positives)
            progress.update(other, completed=negatives)

        tally = collect(
            run,
            config,
            wanted,
            stopped=lambda: interrupt.number is not None,
            on_step=show,
            announce=lambda text: progress.console.print(text, soft_wrap=True, highlight=False, markup=False),
        )
    console.print(
        f"{tally.positives} examples of success and {tally.negatives} others, of {tally.episodes} episodes, "
        f"in {run.path}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
    return 0


def collect(
    run: RunDirectory,
    config: RunConfig,
    wanted: Wanted,
    *,
    stopped: Callable[[], bool] = lambda: False,
    on_step: Callable[[int, int], None] = lambda *_: None,
    announce: Callable[[str], None] = lambda _: None,
) -> Tally:
    """Drive episodes until as much as `wanted` is in the run's log; returns what it holds then.

    Args:
        run: its log receives the episodes.
        config: the run's configuration; `actor.device` names who shows, and stays the run's own.
        wanted: how much.
        stopped: asked after each step; True ends the collection.
        on_step: told the examples of success, and the others, that are there now.
        announce: told what to show next, and why the session is held.

    Raises:
        ConfigError: there is no camera, nobody to show anything, or ten times in a row no success was shown.
        RunLocked: the run's actor is running.
    """
    _check(config)
    tally, reader = Tally(), LogReader(run.segments)
    tally.read(reader)
    counts = [0, 0]
    posture, prompted = Posture.SEATED, set[Posture]()
    fresh = Fresh()
    streak = 0

    with Session(run, _showing(config, wanted)) as session:
        runs.keep_config(run, _of_the_run(run, config))
        device, mapping = _hand(config, session.env)

        def prompt() -> None:
            nonlocal fresh, posture
            fresh, posture = Fresh(), wanted.next_posture(tally)
            if isinstance(device, SyntheticCollector):
                device.posture = posture
            words = "" if posture in prompted else f": {PROMPTS[posture]} {NEXT}"
            prompted.add(posture)
            announce(f"{tally.episodes + 1}. {posture.upper()}{words}")
            counts[:] = tally.negatives, tally.positives

        def count(transition: Transition) -> bool:
            if fresh.shows(transition.reward, transition.source, transition.t_ns):
                counts[transition.reward > 0.0] += 1
            on_step(counts[1], counts[0])
            return not stopped()

        def note(end: EpisodeEnd) -> None:
            nonlocal streak
            before = tally.positives
            tally.read(reader)
            on_step(tally.positives, tally.negatives)
            if posture is Posture.SEATED and end.truncated_by != "stop":
                streak = streak + 1 if tally.positives == before else 0
            if streak >= _LONGEST_STREAK:
                raise ConfigError(
                    f"{streak} episodes in a row have shown no success; hold the success button while the "
                    "module is seated (`handrail doctor device` shows whether it is heard)"
                )

        on_step(tally.positives, tally.negatives)
        session.drive(
            None,
            CLASSIFY,
            hand=(device, mapping),
            wanted=lambda: not (wanted.are_there(tally) or stopped()),
            between_steps=count,
            before_reset=prompt,
            after_episode=note,
            on_hold=held_once(announce),
            announce=announce,
        )
    tally.read(reader)
    return tally


def _check(config: RunConfig) -> None:
    if not config.env.cameras:
        raise ConfigError(
            "env.cameras is empty, and a reward classifier looks at images; choose a task or a station with "
            "cameras, such as task=ram_insertion_cameras"
        )
    if config.actor.device == "none":
        raise ConfigError(
            "actor.device is 'none', which can show nothing; choose device=synthetic, spacemouse, gamepad "
            "or keyboard"
        )


def _showing(config: RunConfig, wanted: Wanted) -> RunConfig:
    """The configuration to collect with: nobody but the operator says success, and there is time for it."""
    task = replace(config.env.task, max_steps=max(1, round(wanted.longest_s * config.env.hz)))
    return replace(config, env=replace(config.env, task=task, reward=RewardConfig("operator")))


def _of_the_run(run: RunDirectory, config: RunConfig) -> RunConfig:
    """What stays of the configuration: who shows examples is not who drives the run afterwards."""
    device = compose.load(run.config_file).actor.device
    return replace(config, actor=replace(config.actor, device=device))


def _hand(config: RunConfig, env: RobotEnv) -> tuple[Device, MappingConfig]:
    """Who shows: the script at the simulated cell, or a person's device."""
    if config.actor.device == "synthetic" and env.scene is not None:
        scene = env.scene
        collector = SyntheticCollector(
            scene.truth, scene.success, env.action_spec, env.period_s, env.config.target_reference
        )
        return collector, SYNTHETIC_MAPPING
    device, mapping = make_device(config, env, demonstrate=True)
    return (Latched(device) if config.actor.device == "keyboard" else device), mapping
