"""The one form that every benchmark reports in, and the machine's speed beside each figure.

An absolute figure drifts with the machine and its neighbours. The rate of a plain matrix product, measured
in the same minute, tells the two apart.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

_MATMUL = """
import time
import numpy as np
a = np.random.default_rng(0).random((1024, 1024), dtype=np.float32)
best = float("inf")
for _ in range(20):
    began = time.perf_counter()
    a @ a
    best = min(best, time.perf_counter() - began)
import sys
sys.stdout.write(str(2 * 1024**3 / best / 1e9))
"""


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        name: what was measured, in snake_case.
        value: its value.
        unit: the unit, such as "steps/s".
    """

    name: str
    value: float
    unit: str


@cache
def matmul_gflops(threads: int = 2) -> float:
    """Best rate of a 1024 x 1024 float32 product over 20 tries [GFLOP/s].

    In a process of its own: the number of BLAS threads is fixed when numpy is first imported.
    """
    variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(variables, str(threads))}
    result = subprocess.run(
        [sys.executable, "-c", _MATMUL],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return float(result.stdout)


def json_line(bench: str, figure: Figure) -> str:
    """The figure as one line of JSON."""
    return json.dumps(
        {
            "bench": bench,
            "name": figure.name,
            "value": float(f"{figure.value:.6g}"),
            "unit": figure.unit,
            "matmul_gflops": round(matmul_gflops(), 1),
        }
    )


def percentiles(name: str, samples: Sequence[float] | np.ndarray, unit: str) -> list[Figure]:
    """The median, the 99th percentile and the largest of some samples."""
    p50, p99, largest = np.percentile(np.asarray(samples), (50.0, 99.0, 100.0))
    return [
        Figure(f"{name}_p50", float(p50), unit),
        Figure(f"{name}_p99", float(p99), unit),
        Figure(f"{name}_max", float(largest), unit),
    ]
