"""`handrail classify check`: how a classifier does on labelled episodes that it has not learned from."""

import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import chain

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from handrail.launch.classify import common
from handrail.launch.errors import CheckFailed
from handrail.launch.options import Options
from handrail.reward_classifier import artifact, dataset
from handrail.reward_classifier.artifact import Classifier
from handrail.reward_classifier.check import Checked, JudgedEpisode, examine
from handrail.reward_classifier.config import ClassifierConfig
from handrail.reward_classifier.dataset import EpisodeFrames
from handrail.reward_classifier.watch import check_views
from handrail.robot_env.errors import ConfigError

_SHOWN = 20


def main(options: Options, overrides: list[str]) -> int:
    """Judge the episodes that the classifier has not learned from, or with `all=true` every labelled one.

    Raises:
        ConfigError: there are no such episodes, or they were recorded with other cameras.
        ClassifierError: there is no such classifier.
        RunMissing: there is no such run.
        CheckFailed: it has more false successes than it promised.
    """
    common.refuse_overrides("check", overrides)
    folder = common.folder_of(options)
    classifier = artifact.load(folder / options["version"] if options["version"] else folder)
    known = common.named_runs(options)
    for each in known:
        check_views(classifier.cameras, each.config.env.cameras, str(classifier.folder))
    episodes = _episodes(classifier, known, every=options["all"])
    console = Console(stderr=options["json"], soft_wrap=True, highlight=False, markup=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("episodes", total=None)
        checked = examine(classifier, episodes, lambda done: progress.update(bar, completed=done))
    if options["json"]:
        plain = {**dataclasses.asdict(checked), "keeps_its_promise": checked.keeps_its_promise}
        sys.stdout.write(json.dumps(plain) + "\n")
    else:
        _show(console, checked)
    if not checked.keeps_its_promise:
        raise CheckFailed(
            f"classifier {checked.version} had a false success in {checked.false_successes} of "
            f"{checked.trials} episodes and promised at most {100 * checked.promised:.1f} in 100; "
            "train it anew with these episodes among its runs"
        )
    return 0


def _episodes(
    classifier: Classifier, known: Sequence[common.KnownRun], *, every: bool
) -> Iterator[EpisodeFrames]:
    """The labelled episodes of some runs, with their frames, one loaded after another.

    Raises:
        ConfigError: there are none.
    """
    cameras = [camera.name for camera in classifier.cameras]

    def wanted(run: common.KnownRun) -> Iterator[EpisodeFrames]:
        learned = {} if every else classifier.learned.get(run.directory.id, {})
        settings = ClassifierConfig()
        return dataset.read(run.recording, cameras, settings, lambda start: start.episode not in learned)

    found = chain.from_iterable(map(wanted, known))
    first = next(found, None)
    if first is None:
        where = ", ".join(each.directory.id for each in known)
        if every:
            raise ConfigError(f"no labelled episode in {where}; collect or label some")
        raise ConfigError(
            f"the classifier has learned from every labelled episode in {where}; collect or label some, or "
            "give all=true, which flatters it"
        )
    return chain([first], found)


def _show(console: Console, checked: Checked) -> None:
    wrong = [each for each in checked.episodes if each.false or each.missed]
    if wrong:
        console.print(_table(wrong[:_SHOWN]))
    if len(wrong) > _SHOWN:
        console.print(f"… and {len(wrong) - _SHOWN} more")
    console.print(
        f"{checked.false_successes} of {checked.trials} episodes had a false success (at most "
        f"{100 * checked.limit:.1f} in 100, with {100 * checked.confidence:g} % confidence; promised "
        f"{100 * checked.promised:.1f}), {checked.missed} of {checked.successes} successes were missed."
    )
    console.print(
        f"Frame by frame: {checked.false_frames} of {checked.negatives} without success count as one, "
        f"{checked.missed_frames} of {checked.positives} with success do not. "
        f"A look takes {checked.look_ms:.1f} ms."
    )


def _table(episodes: Sequence[JudgedEpisode]) -> Table:
    table = Table("run", "episode", "purpose", "wrong", "called at step", "highest score without success")
    for each in episodes:
        table.add_row(
            each.run,
            str(each.episode),
            each.purpose,
            "false success" if each.false else "missed",
            "-" if each.claimed_step is None else str(each.claimed_step),
            "-" if each.highest_score is None else f"{each.highest_score:.2f}",
        )
    return table
