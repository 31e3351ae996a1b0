"""An export appears whole or not at all: it is made aside, and takes its name when it is complete."""

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from handrail.intervention.durable import sync_path
from handrail.launch.errors import ExportError
from handrail.robot_env.errors import ConfigError


@contextmanager
def draft(target: Path) -> Iterator[Path]:
    """Give a path to write to, a file or a folder; at the end it becomes `target`.

    Whatever goes wrong meanwhile, Ctrl-C and SIGTERM included, nothing is left.

    Raises:
        ConfigError: `target` is there already.
        ExportError: the disk refused.
    """
    refuse_existing(target)
    path = target.with_name(f".{target.name}.{os.getpid()}.part")
    made = [parent for parent in (target.parent, *target.parent.parents) if not parent.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _interruptible():
            yield path
            for each in [path, *path.rglob("*")]:
                sync_path(each)
            refuse_existing(target)
            path.rename(target)
            sync_path(target.parent)
    except BaseException as error:
        _remove(path)
        with suppress(OSError):  # of a folder that has something else in it by now
            for parent in made:
                parent.rmdir()
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            why = error.strerror or str(error)
            raise ExportError(
                f"{target} cannot be written: {why}; make room, or choose another place"
            ) from error
        raise


def refuse_existing(target: Path) -> None:
    """Refuse to write where there is something.

    Raises:
        ConfigError: there is.
    """
    if target.exists() or target.is_symlink():
        raise ConfigError(f"to={target}: is there already; choose another name, or remove it")


def size_bytes(path: Path) -> int:
    """What a file, or all files of a folder, take [bytes]."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(each.stat().st_size for each in files)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):  # it never was
            path.unlink()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM unwind the stack as Ctrl-C does, so that drafts are removed; in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
