"""The trunk of a run: settled once, when the run begins, and kept in it.

Imported by those who begin runs; whoever takes part in one loads the file (`vision.weights.load_trunk_of`).
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from handrail.agent.cameras import policy_image
from handrail.agent.config import RunConfig
from handrail.intervention.locks import RunLocked
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import pretrain
from handrail.robot_env.errors import ConfigError

META_KEY = "vision"
"""Where `meta.json` keeps the provenance."""
_ROLES = ("supervisor", "learner", "actor")


def store_of(runs_root: str) -> Path:
    """The folder of imported and pretrained weights: `weights` beside the folder of runs."""
    return Path(runs_root).parent / "weights"


def check(config: RunConfig, store: Path, console: Console, *, trains: bool = True) -> None:
    """Refuse cameras or weights that a run could not be begun with, before there is a folder for it.

    Where weights are to be pretrained and are not, they are now. On a real arm that takes frames which only
    the run itself can record: while it does nothing else, it does without.

    Args:
        config: Of the run to be.
        store: Folder of imported and pretrained weights.
        console: Says what happens.
        trains: False for a run that is only to record for now.

    Raises:
        TrunkError: a file of weights cannot be used.
        ConfigError: the settings do not go together.
    """
    if policy_image(config) is None:
        return
    from handrail.vision.weights import resolve  # torch: only where something is to be seen

    if config.vision.weights == "pretrain" and (trains or not config.env.arm.real):
        pretrain.provide(config, store, console)
    resolve(config.vision, None, config.seed, store, trains=trains)


def settle(run: RunDirectory, config: RunConfig, store: Path, *, trains: bool = True) -> None:
    """See to it that a run has its trunk, and that `meta.json` says where its weights come from.

    A run that has one keeps it, save random weights that nothing was trained on yet: where there are better
    ones by now, it takes them.

    Args:
        run: The run.
        config: Its configuration.
        store: Folder of imported and pretrained weights.
        trains: False for a run that is only to record for now.

    Raises:
        TrunkError: a file of weights cannot be used, or the run's own is gone and cannot be made again.
        ConfigError: the settings do not go together.
    """
    if policy_image(config) is None:
        return
    from handrail.vision.weights import TrunkError, keep_in_run, resolve

    noted = run.meta().get(META_KEY)
    there = run.trunk_file.is_file()
    better = noted is not None and _may_improve(run, config, noted, store)
    if trains and noted is not None and not better:
        _require_taught(run, config, noted)
    if there and noted is not None and not better:
        return
    with contextlib.ExitStack() as held:
        try:
            for role in _ROLES:
                held.callback(run.lock(role).release)
        except RunLocked:  # somebody drives it, with the trunk that it has
            return
        own = run.path if noted is None else None
        # One that has its weights already may have had random ones, for recording: to be made again here.
        may_be_random = not trains or (noted is not None and not better)
        trunk, provenance = resolve(
            config.vision, own, config.seed, store, sees=pretrain.sight(config), trains=not may_be_random
        )
        if noted is not None and not better and noted["sha256"] != provenance.sha256:
            raise TrunkError(
                f"{run.trunk_file} is gone, and vision.weights={config.vision.weights} now leads to others "
                f"(SHA-256 {provenance.sha256[:12]}, the run had {noted['sha256'][:12]}): restore the file, "
                "or begin a new run (leave run= out)"
            )
        keep_in_run(run.path, trunk, provenance)
        run.amend_meta(**{META_KEY: provenance.plain()})


def _may_improve(run: RunDirectory, config: RunConfig, noted: dict[str, str], store: Path) -> bool:
    """Whether a run on random weights can still have better ones."""
    from handrail.vision.weights import store_file

    untrained = not any(any(folder.iterdir()) for folder in (run.checkpoints, run.policy))
    better = (
        config.vision.weights in ("auto", "pretrain") and store_file(store, config.vision.trunk).is_file()
    )
    return noted["source"] == "random" and untrained and better


def _require_taught(run: RunDirectory, config: RunConfig, noted: dict[str, str]) -> None:
    """Refuse to train behind a small frozen network's random weights, which served to record.

    Raises:
        ConfigError: says how it is taught.
    """
    if noted["source"] == "random" and config.vision.trunk == "cnn" and config.vision.frozen:
        raise ConfigError(
            f"run {run.id} has recorded with random weights of a frozen cnn, which sees little: teach it "
            f"first, `handrail weights pretrain run={run.id}`, and the run takes what comes out"
        )


def say_warning(run: RunDirectory, console: Console) -> None:
    """Print what is to be said about a run's trunk."""
    if warning := warning_of(run):
        console.print(f"[bold yellow]Warning:[/] {escape(warning)}", soft_wrap=True, highlight=False)


def warning_of(run: RunDirectory) -> str:
    """What is to be said about a run's trunk; "" for nothing."""
    return run.meta().get(META_KEY, {}).get("warning", "")
