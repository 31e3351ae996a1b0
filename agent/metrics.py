"""Where the learner's figures go: TensorBoard files, and the run's own database of diagnostics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard.writer import SummaryWriter

from handrail.agent.diagnostics_store import DiagnosticsWriter


class Scalars:
    """A thin hold on one folder of event files and one database; threads of theirs do the disk work.

    Args:
        directory: Of the event files.
        database: The file of diagnostics.
    """

    def __init__(self, directory: Path, database: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._writer = SummaryWriter(str(directory), flush_secs=5)
        self._store = DiagnosticsWriter(database)
        self._told = ""

    def add(self, env_steps: int, updates: int, group: str, values: Mapping[str, float]) -> None:
        """Record scalars, each under `<group>/<name>`."""
        named = {f"{group}/{name}": value for name, value in values.items()}
        self._draw(env_steps, named)
        self._store.add(env_steps, updates, named)

    def add_diagnostics(
        self,
        env_steps: int,
        updates: int,
        scalars: Mapping[str, float],
        snapshots: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Record what a look found; in the database under its own names, without a group."""
        self._draw(env_steps, {f"diagnostics/{name}": value for name, value in scalars.items()})
        self._store.add(env_steps, updates, scalars, snapshots)

    def restored(self, env_steps: int, updates: int) -> None:
        """The networks are those of a checkpoint with so many updates; what was said beyond it is void."""
        self._store.restored(env_steps, updates)

    def notices(self) -> Iterator[str]:
        """What keeps figures from being stored, each line once."""
        trouble = self._store.trouble
        if trouble != self._told:
            self._told = trouble
            yield trouble

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()
        self._store.close()

    def _draw(self, env_steps: int, named: Mapping[str, float]) -> None:
        for name, value in named.items():
            self._writer.add_scalar(name, value, env_steps)
