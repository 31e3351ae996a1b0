"""What a rig tells the console beside its feed: a small file in the run's private folder of sockets."""

import contextlib
from pathlib import Path

import msgspec

from handrail.intervention.run_directory import write_durably
from handrail.robot_env.unpacking import Malformed, unpack

SCRATCH = ".rig"
"""The folder under `runs=` for a station that belongs to no run."""
_FILE = "rig.json"


class RigAbout(msgspec.Struct, frozen=True):
    """What is set up.

    Attributes:
        seated_pose: (7,) tool pose with the module seated, base frame, from which the workspace counts; ()
            where nobody has taught it yet.
        pictures: width and height of each camera's whole picture [pixels], by camera.
        guided: whether the arm follows the operator's hand; otherwise it is guided by its own hand-guiding.
    """

    seated_pose: tuple[float, ...]
    pictures: dict[str, tuple[int, int]]
    guided: bool


_about = msgspec.json.Decoder(RigAbout)


def tell(socket_dir: Path, about: RigAbout) -> None:
    """Leave word for the console.

    Raises:
        OSError: the disk refused.
    """
    write_durably(socket_dir / _FILE, msgspec.json.encode(about).decode())


def forget(socket_dir: Path) -> None:
    """Take it back."""
    (socket_dir / _FILE).unlink(missing_ok=True)


def read(socket_dir: Path) -> RigAbout | None:
    """What the rig says of itself; None without one. One that was killed may leave its word behind."""
    with contextlib.suppress(OSError, Malformed):
        return unpack(_about, (socket_dir / _FILE).read_bytes())
    return None
