"""`handrail weights pretrain`: teach a trunk to see, on the simulated cell's frames and on a run's own.

Without `run=`, the simulated cell of the configuration renders them, and its socket's true place is the
label. With `run=`, the frames that the run has recorded are used, the label being where its arm was; a run on
a simulated arm adds as many of the cell's. What comes out goes into the store, where `vision.weights=auto`
finds it. Training begins with random weights, or with the file that `vision.weights` names.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from handrail.agent.cameras import policy_cameras, policy_image
from handrail.agent.config import RunConfig
from handrail.intervention.locks import FileLock, RunLocked
from handrail.launch import compose, runs
from handrail.launch.options import Options
from handrail.launch.supervisor import Interrupt
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.spec import state_spec
from handrail.vision.config import SETTINGS

if TYPE_CHECKING:
    from handrail.intervention.run_directory import RunDirectory
    from handrail.vision.frames import PoseFrames
    from handrail.vision.weights import Provenance

OF_A_RUN = ("seed", "vision.trunk", "vision.cameras", "vision.weights")
"""What may be said otherwise than the run has it."""
_RANGES = {"frames": (20, 200_000), "minutes": (1, 24 * 60), "updates": (1, 10_000_000)}
_FRAMES, _UPDATES = 6000, 2000  # of what a run teaches its trunk before it begins
_WAIT_S = 1.0  # between two looks whether another run has made the weights
_COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    TimeElapsedColumn(),
    TextColumn("{task.fields[now]}"),
)


def pretrain(options: Options, overrides: list[str], store: Path, console: Console) -> int:
    """Train and store; Ctrl-C ends the training early, with the best weights so far.

    Args:
        options: "run", "runs", "frames", "minutes", "updates", "json".
        overrides: Of the configuration; a run has its own, of which only `OF_A_RUN` may differ.
        store: Folder of the user's weights.
        console: Says what happens.

    Raises:
        ConfigError: An option is refused, or there are no cameras, or no frames.
        PretrainDiverged: The loss is no longer a number.
        RunMissing: There is no such run.
        TrunkError: The weights to begin with cannot be used.
    """
    budget = _budget(options)
    run, config = _configured(options, overrides)
    kept = _teach(run, config, budget, options["frames"], store, console, quiet=options["json"])
    if options["json"]:
        sys.stdout.write(json.dumps(kept.plain()) + "\n")
        return 0
    name = config.vision.trunk
    if Path(kept.file) == _store_file(config, store):
        console.print(f"{kept.file}: new runs with vision.trunk={name} take it (vision.weights=auto).")
    else:
        console.print(
            f"{kept.file}: interrupted before its first test, so new runs take it only where told to, "
            f"vision.weights={kept.file}."
        )
    return 0


def provide(config: RunConfig, store: Path, console: Console) -> None:
    """Where a run is to have pretrained weights (`vision.weights=pretrain`) and there are none: make them.

    Of several runs that are begun together one teaches, and the others wait for it.

    Raises:
        ConfigError: There is no simulated cell whose frames they could be taught on.
        KeyboardInterrupt: Ctrl-C; what was half taught is not kept, for later runs would take it.
        TrunkError: The store cannot be written.
    """
    name, file = config.vision.trunk, _store_file(config, store)
    if file.is_file():
        return
    if config.env.arm.real:
        raise ConfigError(
            f"vision.weights is 'pretrain', there is no {file} yet, and a real arm has no simulated cell: "
            "`handrail record run=<id>` first, then `handrail weights pretrain run=<id>`, then train it"
        )
    with _alone(file, console):
        if file.is_file():
            return
        console.print(
            f"No weights of a {name} in {store} yet: teaching it on the simulated cell, once, for a few "
            "minutes."
        )
        _teach(None, config, {"updates": _UPDATES}, _FRAMES, store, console, half_taught=False)


@contextlib.contextmanager
def _alone(file: Path, console: Console) -> Iterator[None]:
    """Be the only one to make a file of the store; whoever else does is waited for.

    Raises:
        TrunkError: The store cannot be written.
    """
    from handrail.vision.weights import TrunkError

    told = False
    while True:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            held = FileLock(file.with_name(f".{file.stem}.lock"), "pretraining")
            break
        except RunLocked:
            if not told:
                console.print(f"Another run is making {file}: waiting for it (Ctrl-C ends the wait).")
            told = True
            time.sleep(_WAIT_S)
        except OSError as error:
            raise TrunkError(f"{file} cannot be made: {error}") from None
    with held:
        yield


def _store_file(config: RunConfig, store: Path) -> Path:
    """What `vision.weights=auto` finds."""
    from handrail.vision.weights import store_file

    return store_file(store, config.vision.trunk)


def sight(config: RunConfig) -> dict[str, str]:
    """What a run's policy is shown, as far as weights depend on it (`Provenance.taught_on`)."""
    wanted = policy_cameras(config)
    cameras = [
        f"{each.name} {each.height}x{each.width}{f' of {each.crop}' if each.crop else ''}"
        for each in config.env.cameras
        if each.name in wanted
    ]
    found = {"cameras": ", ".join(cameras), "arm": config.env.arm.kind}
    if not config.env.arm.real:
        varied = config.env.randomization
        seen = {name: getattr(varied, name) for name in ("hidden", "visible")}
        seen |= {name: varied.look or getattr(varied, name) for name in ("light", "texture", "camera_pose")}
        found["randomization"] = ", ".join(name for name, on in seen.items() if on) or "none"
    return found


def _teach(
    run: RunDirectory | None,
    config: RunConfig,
    limits: dict[str, int],
    count: int,
    store: Path,
    console: Console,
    *,
    quiet: bool = False,
    half_taught: bool = True,
) -> Provenance:
    """Train and store; what was kept."""
    from handrail.vision.pretrain import PretrainConfig, Stage
    from handrail.vision.pretrain import pretrain as train
    from handrail.vision.weights import load_weights, save_in_store

    if policy_image(config) is not None:  # of one size: they go through the trunk together
        _require_room(run, config, count)
    budget = PretrainConfig(**limits)
    name, given = config.vision.trunk, None
    if config.vision.weights not in SETTINGS:
        given = load_weights(Path(config.vision.weights).expanduser(), name).tensors
    with Progress(*_COLUMNS, console=console, disable=quiet) as bars:
        frames, described = _frames(run, config, count, bars)
        bar = bars.add_task(f"training the {name}", total=1.0, now="")

        def show(stage: Stage) -> None:
            now = f"loss {stage.loss:.2f}" if stage.error is None else f"loss {stage.loss:.2f}; {stage.error}"
            bars.update(bar, completed=stage.share, now=now)

        with Interrupt().installed() as interrupt:
            result = train(
                name,
                frames,
                budget,
                config.seed,
                tensors=given,
                progress=show,
                stopped=lambda: interrupt.number is not None,
            )
    if interrupt.number is not None and not half_taught:
        raise KeyboardInterrupt
    origin = f"{described}; {result.updates} updates in {result.seconds:.0f} s; error {result.error}"
    seen = sight(config)
    origin = "; ".join([origin, *(f"{key} {value}" for key, value in seen.items())])
    kept = save_in_store(store, name, result.tensors, "pretrained", origin, seen, default=not result.untested)
    if not quiet:
        console.print(f"Error on frames held out: {result.error}")
    return kept


def _budget(options: Options) -> dict[str, int]:
    """What the command line says of the budget.

    Raises:
        ConfigError: It is beyond reason.
    """
    for name, (least, most) in _RANGES.items():
        if options[name] is not None and not least <= options[name] <= most:
            raise ConfigError(f"{name}={options[name]}: must be between {least} and {most}")
    return {name: options[name] for name in ("minutes", "updates") if options[name] is not None}


def _configured(options: Options, overrides: list[str]) -> tuple[RunDirectory | None, RunConfig]:
    """The run that is meant, if any, and the configuration.

    Raises:
        ConfigError: An override is refused.
        RunMissing: There is no such run.
    """
    if options["run"] is None:
        return None, compose.compose(overrides, missing="ignored").config
    run = runs.find(options["run"], options["runs"])
    return run, compose.amend(compose.load(run.config_file), overrides, OF_A_RUN)


def _require_room(run: RunDirectory | None, config: RunConfig, count: int) -> None:
    """Refuse more frames than there is memory for.

    Raises:
        ConfigError: Says how many there is memory for.
    """
    height, width = policy_image(config) or (0, 0)
    frame = len(policy_cameras(config)) * height * width * 3
    # A run's own beside the cell's: both, and both again while they are joined.
    copies = 4 if run is not None and not config.env.arm.real else 1
    room = _available_bytes()
    if room is not None and count * frame * copies > room:
        raise ConfigError(
            f"frames={count}: takes {count * frame * copies / 1e6:.0f} MB of memory, {room / 1e6:.0f} MB are "
            f"free; at most frames={room // (frame * copies)}"
        )


def _available_bytes() -> int | None:
    """Memory that can be had without swapping; None where the system does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _frames(
    run: RunDirectory | None, config: RunConfig, count: int, bars: Progress
) -> tuple[PoseFrames, str]:
    """The frames of every source, and what they are, in words."""
    from handrail.vision.frames import joined, recorded, simulated

    cameras = policy_cameras(config)
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
    if not config.env.arm.real:
        drawn = told("rendering the simulated cell")
        sources.append(simulated(config.env, cameras, count, config.seed, progress=drawn))
        words.append(f"{len(sources[-1])} frames of the simulated cell")
    if not sources:
        raise ConfigError(
            f"env.arm.kind is {config.env.arm.kind!r}, which has no simulated cell to render; "
            "give run=<id>, whose frames are to be used"
        )
    return joined(sources), " and ".join(words)
