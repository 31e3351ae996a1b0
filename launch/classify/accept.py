"""`handrail classify accept`: put a version in use, and its verdicts into the logs of the runs it rewards."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from handrail.launch.classify import common
from handrail.launch.driven import holds
from handrail.launch.options import Options
from handrail.reward_classifier.accept import Relabelled, StoredRun, accept
from handrail.reward_classifier.versions import newest
from handrail.robot_env.errors import ConfigError


def main(options: Options, overrides: list[str]) -> int:
    """Accept a version: the newest, or the one named.

    Raises:
        ConfigError: there is no classifier, a run sees with other cameras, or it is rewarded in stages.
        ClassifierError: there is no such version.
        RunMissing: there is no such run.
        RunLocked: somebody holds a run's log and takes no labels; the version is not in use.
        LabelError: a control loop has not taken all of them; the version is not in use.
    """
    common.refuse_overrides("accept", overrides)
    folder = common.folder_of(options)
    version = options["version"] or newest(folder)
    known = _rewarded(options, folder, version)
    console = Console(stderr=options["json"], soft_wrap=True, highlight=False, markup=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("episodes", total=None)
        accepted = accept(
            folder,
            version,
            [StoredRun(each.directory, each.config.env) for each in known],
            lambda done, of: progress.update(bar, completed=done, total=of),
        )
    driven = [
        each.directory.id
        for each in known
        if _is_rewarded_by(each, folder, version) and holds(each.directory, "actor")
    ]
    if options["json"]:
        sys.stdout.write(json.dumps({**dataclasses.asdict(accepted), "driven": driven}) + "\n")
        return 0
    before = f" (before: {accepted.previous})" if accepted.previous else ""
    console.print(f"{folder.name} {accepted.version} is in use{before}")
    for each in accepted.runs:
        console.print(_line(each))
    for name in driven:
        console.print(
            f"{name} is being driven: until it is started again it judges with the version that it began "
            "with; accept this one again later, for the episodes in between"
        )
    if not accepted.runs:
        console.print(
            f"No run in {options['runs']} is rewarded by it. A new one is with: env.reward.source=classifier "
            f"'env.reward.classifier=[{folder}]'"
        )
    return 0


def _rewarded(options: Options, folder: Path, version: str) -> list[common.KnownRun]:
    """The runs whose labels are to follow: those named, or all that the classifier rewards.

    Raises:
        ConfigError: a run that is named is rewarded in stages, of which no single one is its success.
    """
    known = common.every_run(options)
    if options["run"] is None:
        known = [each for each in known if _is_rewarded_by(each, folder, version)]
    for each in known:
        if len(each.config.env.reward.classifier) > 1:
            raise ConfigError(
                f"run {each.directory.id} is rewarded in stages, and the classifier of one cannot tell "
                "whether an episode succeeded; leave it out (run=…)"
            )
    return known


def _is_rewarded_by(known: common.KnownRun, folder: Path, version: str) -> bool:
    """Whether a run follows what is in use in `folder`, or stays with this very version."""
    named = [Path(each).expanduser().resolve() for each in known.config.env.reward.classifier]
    return len(named) == 1 and named[0] in (folder.resolve(), (folder / version).resolve())


def _line(relabelled: Relabelled) -> str:
    words = [f"{relabelled.judged} episodes judged again"]
    for what, episodes in (
        ("now success", relabelled.to_success),
        ("now failure", relabelled.to_failure),
        ("left as they are (an image is missing)", relabelled.unreadable),
    ):
        if episodes:
            words.append(f"{len(episodes)} {what} ({_numbers(episodes)})")
    if relabelled.persons:
        words.append(f"{relabelled.persons} left as a person called them")
    return f"{relabelled.run}: {', '.join(words)}"


def _numbers(episodes: Sequence[int]) -> str:
    first = ", ".join(map(str, episodes[:10]))
    return f"{first}, …" if len(episodes) > 10 else first
