"""The command line's overrides, composed with the presets by Hydra, into one checked `RunConfig`.

Hydra does what it is good at: choices (`preset=parity`) and overrides of any key (`env.hz=20`). What
reaches it has been checked before, because its own messages speak of structs; what leaves it is plain data
that `launch/schema.py` turns into dataclasses.

A station or a task of one's own need not live in the package: `HANDRAIL_CONF` names folders that hold more
files of each group (`station/my_cell.yaml`), separated by colons. They may build on those of the package:
`defaults: [franka_cell]`.
"""

from __future__ import annotations

import dataclasses
import importlib.resources
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from handrail.agent.config import RunConfig
from handrail.launch import schema
from handrail.launch.options import nearest
from handrail.robot_env.arms.config import REAL_ARMS
from handrail.robot_env.errors import ConfigError

SEARCH_PATH = "HANDRAIL_CONF"
"""The environment variable with folders of configuration files beside the package's own."""

KEYS = frozenset(schema.to_plain(RunConfig()))
"""The keys at the top of a configuration."""

Missing = Literal["refused", "taught", "ignored"]
"""What becomes of a `???`: refused; let pass where an arm server has no use for it, or it is taught once that
runs; or let pass altogether, by a command that says so itself, or only wants to know where the server is."""

TAUGHT = ("env.task.seated_pose", "env.regrasp.grasp_pose", "env.arm.joint_home", "env.camera_devices[")
"""Facts that an arm server must run without: what is read from the arm itself, and what it never uses."""

_CONF = "handrail.launch.conf"
_PLACE = re.compile(r"\.\d+(?=\.)")  # in a list, as a key has it
_LARGEST_FILE = 1 << 18  # a resolved configuration has a few kilobytes


@dataclass(frozen=True)
class Composed:
    """A configuration and how it came about.

    Attributes:
        config: the checked configuration.
        choices: the choice made in each group, such as {"preset": "parity"}.
        missing: facts that are needed and have no value, where they were let pass.
    """

    config: RunConfig
    choices: dict[str, str]
    missing: tuple[str, ...] = ()


def groups() -> dict[str, tuple[str, ...]]:
    """Every choice there is: group name to the names of its options.

    Raises:
        ConfigError: a folder in `HANDRAIL_CONF` is not there.
    """
    return _groups(tuple(_folders()))


def packaged(group: str) -> tuple[str, ...]:
    """The choices of a group that come with the package."""
    return _groups(())[group]


@cache
def _groups(folders: tuple[Path, ...]) -> dict[str, tuple[str, ...]]:
    found = {
        folder.name: {Path(file.name).stem for file in folder.iterdir() if file.name.endswith(".yaml")}
        for folder in importlib.resources.files(_CONF).iterdir()
        if folder.is_dir() and not folder.name.startswith("_")
    }
    for folder in folders:
        for group, names in found.items():
            names |= {file.stem for file in (folder / group).glob("*.yaml")}
    return {group: tuple(sorted(found[group])) for group in sorted(found)}


def _folders() -> Iterator[Path]:
    """The folders of `HANDRAIL_CONF`."""
    for word in filter(None, os.environ.get(SEARCH_PATH, "").split(":")):
        folder = Path(word).expanduser().absolute()
        if not folder.is_dir():
            raise ConfigError(f"{SEARCH_PATH} names {word}, which is no folder; correct it, or unset it")
        yield folder


def station_pictures(name: str) -> Path | None:
    """Where the pictures of a station's cameras are kept, beside its file; None where it is nobody's own."""
    files = (folder / "station" / f"{name}.yaml" for folder in _folders())
    own = next((file for file in files if file.is_file()), None)
    return None if own is None else pictures_beside(own)


def pictures_beside(station: Path) -> Path:
    """Where the pictures of a station's cameras are kept, whose file this is."""
    return station.with_suffix(".cameras.npz")


def compose(overrides: Sequence[str] = (), missing: Missing = "refused") -> Composed:
    """Compose presets and overrides into a configuration.

    Args:
        overrides: words such as `preset=parity` or `env.hz=20`.
        missing: what becomes of facts that are still `???`.

    Raises:
        ConfigError: a word is malformed, a key unknown, a type wrong, a value refused or a fact of the
        station missing; names it and the nearest.
    """
    choices, words = _check(overrides)
    try:
        GlobalHydra.instance().clear()
        with initialize_config_module(_CONF, version_base="1.3"):
            made = hydra_compose("config", overrides=[*_search(), *words], return_hydra_config=True)
            chosen = OmegaConf.to_container(made.hydra.runtime.choices)
            assert isinstance(chosen, dict)
            del made._content["hydra"]  # pyright: ignore[reportOptionalSubscript, reportIndexIssue]
            for group in groups():
                if group in made and group not in KEYS:
                    raise ConfigError(
                        f"the file of {group}={chosen[group]} sets nothing: its first line must be "
                        "`# @package _global_`"
                    )
            # Merged last, not as Hydra's first: a `???` of a station would vanish behind a default.
            unknown, needed = _require_facts(made, missing)
            known: Any = OmegaConf.to_container(made, resolve=True)
            _forget(known, unknown)
            defaults = OmegaConf.create(schema.to_plain(RunConfig()))
            plain = OmegaConf.to_container(OmegaConf.merge(defaults, known), resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(f"the configuration cannot be composed: {error}") from None
    choices = {group: str(chosen[group]) for group in groups() if group in chosen} | choices
    return Composed(_rooted(schema.from_plain(RunConfig, plain)), choices, needed)


def _rooted(config: RunConfig) -> RunConfig:
    """The same, with folders that mean the same wherever a later command is typed."""
    reward = config.env.reward
    folders = tuple(str(Path(each).expanduser().absolute()) for each in reward.classifier)
    env = dataclasses.replace(config.env, reward=dataclasses.replace(reward, classifier=folders))
    return dataclasses.replace(config, env=env)


def _search() -> list[str]:
    """The word that tells Hydra of the folders in `HANDRAIL_CONF`."""
    places = ["'file://{}'".format(str(folder).replace("'", "\\'")) for folder in _folders()]
    return [f"hydra.searchpath=[{','.join(places)}]"] if places else []


def _require_facts(made: DictConfig, missing: Missing) -> tuple[list[str], tuple[str, ...]]:
    """Refuse what still is `???`, save facts of an arm that is not used, and what `missing` lets pass.

    Returns:
        Every key that has no value; and, as they are typed, those of them that are needed.

    Raises:
        ConfigError: names all of it at once, and both places where it can be said.
    """
    kind = OmegaConf.select(made, "env.arm.kind")
    others = tuple(f"env.arm.{each}." for each in REAL_ARMS if each != kind)
    if kind not in REAL_ARMS:  # a simulated arm's elbow does not drift
        others += ("env.arm.joint_home",)
    unknown = sorted(OmegaConf.missing_keys(made))
    needed = [key for key in unknown if not key.startswith(others)]
    passes = {"refused": (), "taught": TAUGHT, "ignored": ("",)}[missing]
    wanted = [_typed(key) for key in needed if not key.startswith(passes)]
    if wanted:
        raise ConfigError(
            f"no value for {', '.join(wanted)}: facts of your station or task, which nothing can guess. "
            f"Write {wanted[0]}=<value> behind the command, or keep them in a file of your own: "
            f"{SEARCH_PATH}=<folder>, <folder>/station/<name>.yaml, station=<name>"
        )
    return unknown, tuple(_typed(key) for key in needed)


def _typed(key: str) -> str:
    """A key as the command line has it: `a.0.b` for OmegaConf's `a[0].b`."""
    return key.replace("[", ".").replace("]", "")


def _forget(plain: dict[str, Any], unknown: Sequence[str]) -> None:
    """Take out what has no value, and what makes no sense without it."""
    for key in unknown:
        holder, name = _holder(plain, _typed(key))
        del holder[name]
    env = plain.get("env", {})
    if "env.arm.joint_home" in unknown:
        env["arm"]["joint_home_every"] = 0
    if "env.regrasp.grasp_pose" in unknown:
        env["regrasp"], env["regrasp_every"] = None, 0


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
        raise ConfigError(f"{path} is no plain YAML: {' '.join(str(error).split())}") from None
    try:
        return schema.from_plain(RunConfig, plain)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def amend(config: RunConfig, overrides: Sequence[str], allowed: Sequence[str]) -> RunConfig:
    """A stored configuration with a few keys changed.

    Args:
        config: the configuration of a run.
        overrides: words such as `goal.max_env_steps=30000`.
        allowed: the keys that may change, `<n>` for any place in a list.

    Raises:
        ConfigError: another key is named, one counts beyond its list, or a value is refused.
    """
    plain = schema.to_plain(config)
    _, words = _check(overrides)
    for word, override in zip(overrides, OverridesParser.create().parse_overrides(words), strict=True):
        key = override.key_or_group
        if _PLACE.sub(".<n>", key) not in allowed:
            raise ConfigError(
                f"{word}: this run has its configuration already, and only {', '.join(allowed)} may change; "
                "anything else takes a new run"
            )
        holder, name = _holder(plain, key)
        holder[name] = override.value()
    return schema.from_plain(RunConfig, plain)


def _holder(plain: dict[str, Any], key: str) -> tuple[dict[str, Any], str]:
    """The group of settings that has a key, as it is typed, and its name there.

    Raises:
        ConfigError: the key counts beyond a list.
    """
    *above, last = key.split(".")
    place: Any = plain
    for depth, name in enumerate(above):
        if not isinstance(place, list):
            place = place[name]
        elif int(name) < len(place):
            place = place[int(name)]
        else:
            where, there = (
                ".".join(above[:depth]),
                ", ".join(f"{n} {each['name']}" for n, each in enumerate(place)),
            )
            raise ConfigError(f"{key}: {where} has no number {name} (there are: {there or 'none'})")
    return place, last


def dump(config: RunConfig) -> str:
    """The text of `config.yaml`: every key with its value."""
    return OmegaConf.to_yaml(OmegaConf.create(schema.to_plain(config)))


def _check(overrides: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Refuse what Hydra would refuse, or silently accept, by the name of the key.

    Returns:
        The choices, and the words as Hydra is to have them: a key is set whether or not a group has it.
    """
    choices: dict[str, str] = {}
    words = []
    for word in overrides:
        try:
            override = OverridesParser.create().parse_override(word)
        except HydraException:
            raise ConfigError(f"{word!r} is no override; they look like env.hz=20 or preset=parity") from None
        words.append(_check_one(override, choices))
    return choices, words


def _check_one(override: Override, choices: dict[str, str]) -> str:
    key, word = override.key_or_group, override.input_line or ""
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
        return word
    hint = schema.annotation(RunConfig, key)
    if hint is None:
        known = [*schema.keys(RunConfig), *groups()]
        # The nearest full key, or a key with the same last word in another place.
        tail = key.rpartition(".")[2]
        same = [each for each in known if each.rpartition(".")[2] == tail]
        meant = f"; did you mean {same[0]!r}?" if same else nearest(key, known)
        raise ConfigError(f"unknown key {key!r}{meant}")
    if hint is str and isinstance(override.value(), int | float):
        # A serial number is text, whatever it looks like: as a number it would lose its leading zeros.
        word = f"{key}='{word.partition('=')[2]}'"
    return f"++{word}"
