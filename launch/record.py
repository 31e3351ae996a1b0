"""`handrail record`: demonstrations as ordinary episodes, appended to a run's log.

The run can be a new one, which `handrail train run=<id>` then takes up, or an earlier one whose actor is at
rest.
"""

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from handrail.agent.config import RunConfig
from handrail.agent.devices import make_device
from handrail.intervention.device import Device, check_at_rest
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.keyboard import HELP, Keyboard
from handrail.intervention.labels import mark_aborted
from handrail.intervention.log_format import LOG_SCHEMA, SegmentHeader
from handrail.intervention.log_reader import LogReader
from handrail.intervention.log_writer import LogWriter
from handrail.intervention.rollout import Rollout
from handrail.intervention.run_directory import RunDirectory
from handrail.intervention.transition import Transition
from handrail.launch.options import Options
from handrail.launch.supervisor import Interrupt
from handrail.launch.train import prepare
from handrail.robot_env.clock import NS_PER_S, MonotonicClock, Ticker
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.make import make_env

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
    run, config = prepare(options, overrides)
    console = Console()
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
        announce: told how to hold the device.

    Raises:
        ConfigError: no device can demonstrate, or it failed ten times in a row.
        RunLocked: the run's actor is running.
    """
    env = make_env(config.env)
    header = SegmentHeader(
        schema=LOG_SCHEMA,
        run_id=run.id,
        schema_hash=env.schema_hash,
        state_size=env.state_spec.size,
        action_size=env.action_spec.size,
        created_wall_ns=time.time_ns(),
    )
    reader = LogReader(run.segments)
    successes = streak = 0
    with (
        run.lock("actor"),
        LogWriter(
            run.segments,
            header,
            segment_bytes=config.log.segment_bytes,
            reserve_bytes=config.log.reserve_bytes,
            sync_interval_s=config.log.sync_interval_s,
        ) as writer,
        EpisodeIndex(run.index_file, reader) as index,
    ):
        mark_aborted(writer, reader)
        index.refresh()
        episode = index.totals().next_episode
        device, mapping = make_device(config, env, demonstrate=True)
        pace = _pace(config, device)
        device.open()
        try:
            if isinstance(device, Keyboard):
                announce(HELP)
            check_at_rest(device, time.monotonic_ns())
            rollout = Rollout(env, device, config.arbiter, mapping, writer)
            while successes < wanted and not stopped():
                end = rollout.run_episode(
                    None,
                    episode=episode,
                    seed=(config.seed, episode),
                    purpose="demo",
                    between_steps=lambda transition: pace(transition) and not stopped(),
                )
                episode += 1
                successes += end.success
                streak = 0 if end.success or end.truncated_by == "stop" else streak + 1
                on_episode(successes, end.success)
                if streak >= _LONGEST_STREAK:
                    raise ConfigError(
                        f"{streak} demonstrations in a row have failed; see `handrail review`, or give "
                        "a better operator, such as operator.level=expert (what succeeded is kept)"
                    )
        finally:
            device.close()
            env.close()
    return successes


def _pace(config: RunConfig, device: Device) -> Callable[[Transition], bool]:
    """A person needs real time; the simulated operator does not."""
    if not isinstance(device, Keyboard):
        return lambda _: True
    ticker = Ticker(MonotonicClock(), round(NS_PER_S / config.env.hz))

    def pace(transition: Transition) -> bool:
        if transition.step == 0:
            ticker.restart()
        ticker.wait()
        return True

    return pace
