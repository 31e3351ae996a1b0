"""What it takes that a file, or a folder's list of files, outlives the machine's power."""

import os
from pathlib import Path


def sync_path(path: Path) -> None:
    """Wait until a file's bytes, or a folder's entries, are on the disk.

    Raises:
        OSError: the disk refused.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
