"""The command line's overrides, composed with the presets by Hydra, into one checked `RunConfig`.

Hydra does what it is good at: choices (`preset=parity`) and overrides of any key (`env.hz=20`). What
reaches it has been checked before, because its own messages speak of structs; what leaves it is plain data
that `launch/schema.py` turns into dataclasses.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from handrail.agent.config import RunConfig
from handrail.launch import schema
from handrail.launch.options import nearest
from handrail.robot_env.errors import ConfigError

_CONF = "handrail.launch.conf"
_LARGEST_FILE = 1 << 18  # a resolved configuration has a few kilobytes


@dataclass(frozen=True)
class Composed:
    """A configuration and how it came about.

    Attributes:
        config: the checked configuration.
        choices: the choice made in each group, such as {"preset": "parity"}.
    """

    config: RunConfig
    choices: dict[str, str]


@cache
def groups() -> dict[str, tuple[str, ...]]:
    """Every choice there is: group name to the names of its options."""
    return {
        folder.name: tuple(
            sorted(Path(file.name).stem for file in folder.iterdir() if file.name.endswith(".yaml"))
        )
        for folder in sorted(importlib.resources.files(_CONF).iterdir(), key=lambda each: each.name)
        if folder.is_dir() and not folder.name.startswith("_")
    }


def compose(overrides: Sequence[str] = ()) -> Composed:
    """Compose presets and overrides into a configuration.

    Args:
        overrides: words such as `preset=parity` or `env.hz=20`.

    Raises:
        ConfigError: a word is malformed, a key unknown, a type wrong or a value refused; names it and the
        nearest.
    """
    choices = _check(overrides)
    ConfigStore.instance().store(name="schema", node=schema.to_plain(RunConfig()))
    try:
        GlobalHydra.instance().clear()
        with initialize_config_module(_CONF, version_base="1.3"):
            composed = hydra_compose("config", overrides=list(overrides), return_hydra_config=True)
            made = OmegaConf.to_container(composed.hydra.runtime.choices)
            del composed._content["hydra"]  # pyright: ignore[reportOptionalSubscript, reportIndexIssue]
            plain = OmegaConf.to_container(composed, resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(f"the configuration cannot be composed: {error}") from None
    assert isinstance(made, dict)
    choices = {group: str(made[group]) for group in groups() if group in made} | choices
    return Composed(schema.from_plain(RunConfig, plain), choices)


def load(path: Path) -> RunConfig:
    """The configuration in a run's `config.yaml`.

    Raises:
        ConfigError: it is missing, no YAML, has tags, anchors or unknown keys, or is refused.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ConfigError(
                f"{path} has {path.stat().st_size} bytes, more than {_LARGEST_FILE}: not a configuration"
            )
        text = path.read_text()
        # An alias can make a few lines stand for gigabytes, and a resolved configuration has none.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise ConfigError(f"{path} uses a YAML alias (*name); write the value out")
        plain = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{path} is no plain YAML: {error}") from None
    try:
        return schema.from_plain(RunConfig, plain)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def amend(config: RunConfig, overrides: Sequence[str], allowed: Sequence[str]) -> RunConfig:
    """A stored configuration with a few keys changed.

    Args:
        config: the configuration of a run.
        overrides: words such as `goal.max_env_steps=30000`.
        allowed: the keys that may change without making it another experiment.

    Raises:
        ConfigError: another key is named, or a value is refused.
    """
    _check(overrides)
    plain = schema.to_plain(config)
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.key_or_group
        if key not in allowed:
            raise ConfigError(
                f"{override.input_line}: this run has its configuration already, and only "
                f"{', '.join(allowed)} may change; for anything else start a new run (leave run= out)"
            )
        *groups_above, last = key.split(".")
        place = plain
        for name in groups_above:
            place = place[name]
        place[last] = override.value()
    return schema.from_plain(RunConfig, plain)


def dump(config: RunConfig) -> str:
    """The text of `config.yaml`: every key with its value."""
    return OmegaConf.to_yaml(OmegaConf.create(schema.to_plain(config)))


def _check(overrides: Sequence[str]) -> dict[str, str]:
    """Refuse what Hydra would refuse, or silently accept, by the name of the key; returns the choices."""
    choices: dict[str, str] = {}
    for word in overrides:
        try:
            override = OverridesParser.create().parse_override(word)
        except HydraException:
            raise ConfigError(f"{word!r} is no override; they look like env.hz=20 or preset=parity") from None
        _check_one(override, choices)
    return choices


def _check_one(override: Override, choices: dict[str, str]) -> None:
    key, word = override.key_or_group, override.input_line
    if override.is_sweep_override():
        raise ConfigError(f"{word}: gives several values; give one (a list is written [1, 2, 3])")
    if override.is_add() or override.is_delete():
        raise ConfigError(f"{word}: keys can neither be added (+) nor removed (~), only set")
    if key in groups():
        choice = str(override.value())
        if choice not in groups()[key]:
            known = groups()[key]
            raise ConfigError(f"no {key} {choice!r}{nearest(choice, known)} (there are: {', '.join(known)})")
        choices[key] = choice
        return
    known = [*schema.keys(RunConfig), *groups()]
    if key not in known:
        # The nearest full key, or a key with the same last word in another place.
        tail = key.rpartition(".")[2]
        same = [each for each in known if each.rpartition(".")[2] == tail]
        hint = f"; did you mean {same[0]!r}?" if same else nearest(key, known)
        raise ConfigError(f"unknown key {key!r}{hint}")
