"""`handrail classify train`: a classifier from the labelled frames of runs, with a report on its errors."""

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from handrail.launch.classify import common
from handrail.launch.options import Options
from handrail.launch.run_trunk import META_KEY, store_of
from handrail.reward_classifier import artifact, dataset
from handrail.reward_classifier.report import page
from handrail.reward_classifier.train import train
from handrail.vision import weights
from handrail.vision.trunk import Trunk


def main(options: Options, overrides: list[str]) -> int:
    """Train and store a new version; it is not in use before it is accepted.

    Raises:
        ConfigError: a setting is refused, or the runs were recorded with different cameras.
        FramesError: the runs' labels teach nothing, or contradict each other.
        RunMissing: there is no such run.
        ClassifierError: the disk refuses.
        TrunkError: the trunk's weights cannot be used.
    """
    folder = common.folder_of(options)
    known = common.named_runs(options)
    config = common.training_config(overrides, known[0].config.vision)
    console = Console(soft_wrap=True, highlight=False, markup=False)
    frames = dataset.gather([each.recording for each in known], config.classifier)
    console.print(
        f"{frames.count(dataset.POSITIVE)} frames of success and {frames.count(dataset.NEGATIVE)} others, of "
        f"{len(frames.episodes)} episodes in {', '.join(each.directory.id for each in known)}"
    )
    trunk, about = _trunk(known, config, store_of(options["runs"]))
    console.print(about)
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bars = {what: progress.add_task(what, total=None) for what in ("features", "training")}
        trained = train(
            frames,
            config.classifier,
            trunk,
            lambda what, done, of: progress.update(bars[what], completed=done, total=of),
        )
    version = artifact.save(folder, trained, page(trained), made_wall_ns=time.time_ns())
    for sentence in trained.calibration.sentences():
        console.print(sentence)
    name = options["name"]
    console.print(f"Report: {folder / version / artifact.REPORT} (made in {trained.seconds:.0f} s)")
    console.print(f"Put it in use with: handrail classify accept name={name} version={version}")
    return 0


def _trunk(known: Sequence[common.KnownRun], config: common.TrainingConfig, store: Path) -> tuple[Trunk, str]:
    """What to see with, and what to say of it.

    A trained trunk of the runs, so that policy and classifier share one pass over each picture; else what
    `vision.weights` leads to, random weights last.
    """
    abouts = [each.directory.meta().get(META_KEY) for each in known]
    own = [
        (about["source"], each.directory.path)
        for each, about in zip(known, abouts, strict=True)
        if about is not None and about["trunk"] == config.vision.trunk
    ]
    better = [path for source, path in own if source != "random"]
    if not better and not weights.store_file(store, config.vision.trunk).is_file():
        better = [path for _, path in own]
    seed = config.classifier.seed
    trunk, about = weights.resolve(config.vision, next(iter(better), None), seed, store)
    caution = (
        "" if about.source != "random" else "; pretrained or imported ones see better (`handrail weights`)"
    )
    return trunk, f"It sees with a {about.trunk} of {about.source} weights: {about.origin}{caution}"
