"""PyArrow, where it is installed (the extra `handrail[export]`)."""

from typing import Any

from handrail.robot_env.errors import MissingExtra


def load_arrow() -> tuple[Any, Any]:
    """Import `pyarrow` and `pyarrow.parquet`.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra("export") from error
    return pyarrow, pyarrow.parquet
