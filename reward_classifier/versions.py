"""The versions of a classifier in `classifiers/<name>`: which there are, which is in use, what is known.

Their settings only: no weights are read here and torch is not loaded, so that whoever shows them stays small.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from handrail.intervention.run_directory import write_durably
from handrail.reward_classifier.calibration import Calibration
from handrail.robot_env.errors import ConfigError, HandrailError

SETTINGS, REPORT, CURRENT = "classifier.json", "report.html", "current"

LARGEST_REPORT = 32 << 20
"""So many bytes a report may have: 24 pairs of pictures and 60 curves take a tenth of it."""

T = TypeVar("T")


class ClassifierError(HandrailError):
    """A folder holds no classifier that this version can use; nothing was changed."""

    exit_code = 15


def current(folder: Path) -> str | None:
    """The version of `classifiers/<name>` that is in use; None for none."""
    try:
        return (folder / CURRENT).read_text(encoding="utf-8").strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None


def versions(folder: Path) -> list[str]:
    """The versions in `classifiers/<name>`, by name."""
    return sorted(path.parent.name for path in folder.glob(f"[!.]*/{SETTINGS}"))


def newest(folder: Path) -> str:
    """The version that was trained last.

    Raises:
        ConfigError: there is none.
        ClassifierError: one of them cannot be read, so that nobody can tell.
    """
    found = versions(folder)
    if not found:
        raise ConfigError(
            f"{folder} holds no classifier; `handrail classify train name={folder.name}` makes one"
        )
    return max(found, key=lambda version: _known(folder / version, lambda it: int(it["made_wall_ns"])))


def calibration(folder: Path) -> Calibration:
    """What held-out episodes say of a version, `classifiers/<name>/<version>`.

    Raises:
        ClassifierError: its settings cannot be read.
    """
    return _known(folder, lambda settings: Calibration.from_plain(settings["calibration"]))


def report(folder: Path) -> str:
    """The page that a version's training has written, `classifiers/<name>/<version>`.

    Raises:
        ClassifierError: it is not there, is too large for one of ours, or cannot be read.
    """
    try:
        with (folder / REPORT).open("rb") as file:
            data = file.read(LARGEST_REPORT + 1)
        if len(data) > LARGEST_REPORT:
            raise ValueError(f"more than {LARGEST_REPORT >> 20} MB")
        return data.decode()
    except (OSError, ValueError) as error:
        raise ClassifierError(
            f"report {folder / REPORT} cannot be read ({type(error).__name__}: {one_line(error)}); "
            "train a version anew"
        ) from None


def make_current(folder: Path, version: str) -> None:
    """Put a version in use.

    Raises:
        ClassifierError: there is no such version, or the disk refuses.
    """
    if version not in versions(folder):
        raise ClassifierError(f"{folder} has no version {version!r}; it has {listed(folder)}")
    try:
        write_durably(folder / CURRENT, version + "\n")
    except OSError as error:
        raise ClassifierError(f"{folder / CURRENT} cannot be written: {error}; check the disk") from error


def listed(folder: Path) -> str:
    """The versions in words."""
    return ", ".join(versions(folder)) or "none"


def one_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())


def _known(folder: Path, read: Callable[[dict[str, Any]], T]) -> T:
    try:
        return read(json.loads((folder / SETTINGS).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClassifierError(
            f"classifier {folder} cannot be read ({type(error).__name__}: {one_line(error)}); "
            "remove that folder, or name a version"
        ) from None
