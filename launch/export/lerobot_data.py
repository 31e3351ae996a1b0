"""The rows of a dataset: Parquet files with one row group an episode."""

from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from handrail.launch.export.arrow import load_arrow
from handrail.launch.export.lerobot_features import Layout
from handrail.launch.export.lerobot_files import DATA_PATH, MEGABYTE, FileLimits, Place


class DataFiles:
    """Appends episodes; a context manager, complete when it ends.

    Args:
        folder: the dataset's.
        layout: of the rows.
        limits: how large a file grows.

    Raises:
        MissingExtra: PyArrow is not installed.
    """

    def __init__(self, folder: Path, layout: Layout, limits: FileLimits) -> None:
        self._arrow, self._parquet = load_arrow()
        self._folder = folder
        self._limits = limits
        self._schema = self._arrow.schema(
            [
                (name, self._type(feature))
                for name, feature in layout.features().items()
                if feature["dtype"] != "video"
            ]
        )
        self._place = Place()
        self._file: IO[bytes] | None = None
        self._writer: Any = None
        self._rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def append(self, columns: dict[str, np.ndarray]) -> dict[str, int]:
        """Write an episode's rows.

        Args:
            columns: (N,) or (N, D) by name.

        Returns:
            Its columns of `meta/episodes`: in which file it is.
        """
        rows = len(columns["index"])
        if self._file is not None and self._is_full(self._file.tell(), rows):
            self._close()
            self._place = self._place.next(self._limits.chunk_files)
        if self._file is None:
            path = self._folder / self._place.path(DATA_PATH)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb")
            self._writer = self._parquet.ParquetWriter(self._file, self._schema, compression="snappy")
        self._writer.write_table(self._table(columns))
        self._rows += rows
        return self._place.columns("data")

    def _is_full(self, size: int, rows: int) -> bool:
        """Whether the next episode would not fit, at the size that rows have had so far."""
        return size + size / self._rows * rows >= self._limits.data_mb * MEGABYTE

    def _table(self, columns: dict[str, np.ndarray]) -> Any:
        arrays = []
        for field in self._schema:
            values = columns[field.name]
            flat = self._arrow.array(values.ravel())
            arrays.append(
                self._arrow.FixedSizeListArray.from_arrays(flat, type=field.type) if values.ndim > 1 else flat
            )
        return self._arrow.Table.from_arrays(arrays, schema=self._schema)

    def _type(self, feature: dict[str, Any]) -> Any:
        """LeRobot stores a feature of shape (1,) as a plain column, and (D,) as a list of fixed size."""
        value = {
            "float32": self._arrow.float32(),
            "int64": self._arrow.int64(),
            "bool": self._arrow.bool_(),
        }[feature["dtype"]]
        (size,) = feature["shape"]
        return value if size == 1 else self._arrow.list_(value, size)

    def _close(self) -> None:
        if self._file is not None:
            try:
                self._writer.close()
            finally:
                self._file.close()
        self._file = self._writer = None
        self._rows = 0
