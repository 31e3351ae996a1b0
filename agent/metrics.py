"""TensorBoard files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard.writer import SummaryWriter


class Scalars:
    """A thin hold on one folder of event files; the writer thread does the disk work."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._writer = SummaryWriter(str(directory), flush_secs=5)

    def add(self, step: int, group: str, values: Mapping[str, float]) -> None:
        """Record scalars at an environment step."""
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()
