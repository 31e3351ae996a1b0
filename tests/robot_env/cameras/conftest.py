"""What the tests of cameras share."""

from collections.abc import Iterator

import pytest
from emulators.camera import Bench

from handrail.robot_env.cameras.config import CameraDeviceConfig


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(CameraDeviceConfig(name="wrist", serial="S1", width=64, height=48))
    yield made
    while made.stream._users:
        made.stream.close()
