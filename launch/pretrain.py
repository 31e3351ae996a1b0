"""`handrail weights pretrain`: teach a trunk to see, on the simulated cell's frames and on a run's own.

Without `run=`, the simulated cell of the configuration renders them, and its socket's true place is the
label. With `run=`, the frames that the run has recorded are used, the label being where its arm was; a run on
a simulated arm adds as many of the cell's. What comes out goes into the store, where `vision.weights=auto`
finds it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from handrail.agent.config import RunConfig
from handrail.launch import compose, runs
from handrail.launch.options import Option, Options
from handrail.launch.supervisor import Interrupt
from handrail.robot_env.arms.config import REAL_ARMS
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.spec import state_spec

if TYPE_CHECKING:
    from handrail.intervention.run_directory import RunDirectory
    from handrail.vision.frames import PoseFrames

OPTIONS = (
    Option("frames", int, "pretrain: frames of each source at most", 8000),
    Option("minutes", int, "pretrain: minutes of training at most", 10),
)
"""Options of the command beside `run` and `runs`."""

_LARGEST = 200_000  # frames; two 128x128 cameras take 98 KB each


def pretrain(options: Options, overrides: list[str], store: Path, console: Console) -> int:
    """Train and store; Ctrl-C ends it early with the best weights so far.

    Args:
        options: "run", "runs", "frames", "minutes".
        overrides: Of the configuration; with a run, its own with these.
        store: Folder of the user's weights.
        console: Says what happens.

    Raises:
        ConfigError: An option is refused, or there are no cameras, or no frames.
        PretrainDiverged: The loss is no longer a number.
        RunMissing: There is no such run.
    """
    from handrail.vision.pretrain import PretrainConfig, Stage
    from handrail.vision.pretrain import pretrain as train
    from handrail.vision.weights import save_weights, store_file

    _check(options)
    run, config = _configured(options, overrides)
    cameras = _cameras(config)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[now]}"))
    with Interrupt().installed() as interrupt, Progress(*columns, console=console) as bars:
        frames, described = _frames(run, config, cameras, options["frames"], bars)
        bar = bars.add_task(f"training the {config.vision.trunk}", total=1.0, now="")

        def show(stage: Stage) -> None:
            now = f"loss {stage.loss:.2f}" if stage.error is None else f"loss {stage.loss:.2f}; {stage.error}"
            bars.update(bar, completed=stage.share, now=now)

        result = train(
            config.vision.trunk,
            frames,
            PretrainConfig(minutes=options["minutes"]),
            config.seed,
            progress=show,
            stopped=lambda: interrupt.number is not None,
        )
        bars.update(bar, completed=1.0)
    origin = f"{described}; {result.updates} updates in {result.seconds:.0f} s; error {result.error}"
    path = store_file(store, config.vision.trunk)
    save_weights(path, config.vision.trunk, result.tensors, "pretrained", origin)
    console.print(f"Error on frames held out: {result.error}", soft_wrap=True, highlight=False)
    console.print(f"{path} (a new run takes it: vision.weights=auto)", soft_wrap=True, highlight=False)
    return 0


def _check(options: Options) -> None:
    for name, most in (("frames", _LARGEST), ("minutes", 24 * 60)):
        if not 1 <= options[name] <= most:
            raise ConfigError(f"{name}={options[name]}: must be between 1 and {most}")


def _configured(options: Options, overrides: list[str]) -> tuple[RunDirectory | None, RunConfig]:
    """The run that is meant, if any, and the configuration.

    Raises:
        ConfigError: An override is refused, or one is given beside a run, which has its own.
        RunMissing: There is no such run.
    """
    if options["run"] is None:
        return None, compose.compose(overrides, missing="ignored").config
    run = runs.find(options["run"], options["runs"])
    if overrides:
        raise ConfigError(f"{overrides[0]} beside run={run.id}, which has a configuration; leave one of them out")
    return run, compose.load(run.config_file)


def _cameras(config: RunConfig) -> list[str]:
    """The cameras that the policy sees through."""
    every = [camera.name for camera in config.env.cameras]
    return every if config.vision.cameras is None else list(config.vision.cameras)


def _frames(
    run: RunDirectory | None, config: RunConfig, cameras: list[str], count: int, bars: Progress
) -> tuple[PoseFrames, str]:
    """The frames of every source, and what they are, in words."""
    from handrail.vision.frames import joined, recorded, simulated

    sources: list[PoseFrames] = []
    words: list[str] = []

    def told(what: str) -> Callable[[int, int], None]:
        bar = bars.add_task(what, total=None, now="")
        return lambda done, of: bars.update(bar, completed=done, total=of, now=f"{done} of {of}")

    if run is not None:
        spec = state_spec(config.env)
        read = told("reading the run's frames")
        sources.append(recorded(run.segments, spec, cameras, count, progress=read))
        words.append(f"{len(sources[-1])} frames of run {run.id}")
    if config.env.arm.kind not in REAL_ARMS:
        drawn = told("rendering the simulated cell")
        sources.append(simulated(config.env, cameras, count, config.seed, progress=drawn))
        words.append(f"{len(sources[-1])} frames of the simulated cell")
    if not sources:
        raise ConfigError(
            f"env.arm.kind is {config.env.arm.kind!r}, which has no simulated cell to render; "
            "give run=<id>, whose frames are to be used"
        )
    return joined(sources), " and ".join(words)
