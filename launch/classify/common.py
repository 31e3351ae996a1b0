"""What the words of `handrail classify` share: which runs, which classifier, which settings."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from rich.console import Console

from handrail.agent.config import RunConfig
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose, runs, schema
from handrail.launch.options import Options, nearest
from handrail.reward_classifier.config import ClassifierConfig
from handrail.reward_classifier.dataset import Recording
from handrail.reward_classifier.versions import versions
from handrail.robot_env.errors import ConfigError, HandrailError
from handrail.vision.config import VisionConfig


class KnownRun(NamedTuple):
    """A run and its configuration."""

    directory: RunDirectory
    config: RunConfig

    @property
    def recording(self) -> Recording:
        """Its log, as a source of labelled frames."""
        return Recording(self.directory.id, LogReader(self.directory.segments), self.config.env)


@dataclass(frozen=True)
class TrainingConfig:
    """What may be set of a classifier's training, as `classifier.epochs=20` or `vision.weights=<file>`."""

    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    vision: VisionConfig = field(default_factory=VisionConfig)


def named_runs(options: Options) -> list[KnownRun]:
    """The runs that `run=` names, separated by commas.

    Raises:
        ConfigError: none is named.
        RunMissing: there is none of a name.
    """
    names = (options["run"] or "").split(",")
    found = [runs.find(name.strip() or None, options["runs"]) for name in names]
    return [KnownRun(run, compose.load(run.config_file)) for run in found]


def every_run(options: Options) -> list[KnownRun]:
    """The runs that `run=` names, or every one that can be read; of each other one a line tells."""
    if options["run"] is not None:
        return named_runs(options)
    found = []
    for name in runs.existing(options["runs"]):
        try:
            run = runs.find(name, options["runs"])
            found.append(KnownRun(run, compose.load(run.config_file)))
        except HandrailError as error:
            told = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
            told.print(f"run {name} is left out: {error}")
    return found


def folder_of(options: Options) -> Path:
    """The folder of the classifier that `name=` names: under `classifiers=`, or a path when it has a slash.

    Raises:
        ConfigError: none is named.
    """
    name, root = options["name"], Path(options["classifiers"])
    if name in (None, ".", ".."):
        there = sorted(each.name for each in root.glob("*") if versions(each))
        raise ConfigError(f"which classifier? Give name=<name> (in {root}: {', '.join(there) or 'none yet'})")
    return Path(name) if os.sep in name else root / name


def training_config(overrides: Sequence[str], vision: VisionConfig | None = None) -> TrainingConfig:
    """The settings that a command line asks for.

    Args:
        overrides: Its words.
        vision: What is seen with unless they say otherwise.

    Raises:
        ConfigError: a word is malformed, a key unknown, or a value refused.
    """
    known = list(schema.keys(TrainingConfig))
    plain = schema.to_plain(TrainingConfig(vision=vision or VisionConfig()))
    for word in overrides:
        try:
            override = OverridesParser.create().parse_override(word)
        except HydraException:
            raise ConfigError(f"{word!r} is no override; they look like classifier.epochs=20") from None
        key = override.key_or_group
        if key not in known or "." not in key:
            raise ConfigError(f"unknown key {key!r}{nearest(key, known)}")
        *groups, last = key.split(".")
        place = plain
        for name in groups:
            place = place[name]
        place[last] = override.value()
    return schema.from_plain(TrainingConfig, plain)


def refuse_overrides(verb: str, overrides: Sequence[str]) -> None:
    """Refuse words of a command that takes none.

    Raises:
        ConfigError: there are any.
    """
    if overrides:
        raise ConfigError(f"`handrail classify {verb}` does not understand {overrides[0]!r}; see `--help`")
