"""An encoder is a guest in this process: it changes neither its priority nor what it prints."""

import io
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from handrail.launch.export.video import Encoding, dataset_encoding, film_encoding, open_video

av = pytest.importorskip("av")


def schedules() -> set[int]:
    """The scheduling policies of this process's threads."""
    return {os.sched_getscheduler(int(task.name)) for task in Path("/proc/self/task").iterdir()}


@pytest.mark.parametrize(
    "encoding", [film_encoding(), dataset_encoding(64, 64)], ids=lambda each: each.encoder
)
def test_an_encoder_takes_no_real_time_priority(encoding: Encoding) -> None:
    """SVT-AV1 makes itself SCHED_FIFO where it may, which root may."""
    before, file = schedules(), io.BytesIO()
    with open_video(file, encoding, Fraction(10), 64, 64) as video:
        video.add(np.zeros((64, 64, 3), np.uint8))
        assert schedules() == before
    assert schedules() == before
    file.seek(0)
    with av.open(file) as container:
        assert sum(1 for _ in container.decode(video=0)) == 1


def test_an_encoder_prints_nothing() -> None:
    code = (
        "import io, numpy as np; from fractions import Fraction\n"
        "from handrail.launch.export.video import dataset_encoding, open_video\n"
        "with open_video(io.BytesIO(), dataset_encoding(64, 64), Fraction(10), 64, 64) as video:\n"
        "    video.add(np.zeros((64, 64, 3), np.uint8))\n"
        "raise SystemExit('SVT_LOG' in __import__('os').environ)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == done.stderr == ""


@pytest.mark.parametrize("shape", [(48, 64), (33, 31), (16, 16)])
def test_every_size_of_picture_can_be_encoded(shape: tuple[int, int]) -> None:
    file = io.BytesIO()
    with open_video(file, dataset_encoding(*shape), Fraction(10), *shape) as video:
        video.add(np.full((*shape, 3), 77, np.uint8))
    file.seek(0)
    with av.open(file) as container:
        (frame,) = container.decode(video=0)
    assert frame.to_ndarray(format="rgb24").shape == (*shape, 3)
