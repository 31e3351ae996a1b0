"""A session on an arm in real time, whose cameras were exchanged since its run began, stores nothing."""

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from benches.served import RunningServer, served_config
from emulators.camera import Still

from handrail.agent import session as session_module
from handrail.agent.config import ActorConfig, RunConfig
from handrail.agent.session import Session
from handrail.intervention.config import OperatorConfig
from handrail.intervention.log_format import EpisodeEnd, EpisodeStart
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.arms.sim import SimDriver
from handrail.robot_env.cameras import make
from handrail.robot_env.cameras.config import CameraConfig, CameraDeviceConfig
from handrail.robot_env.errors import CameraError
from handrail.robot_env.remote.operator import ArmOperator
from handrail.robot_env.sim.cell import SimCell

pytest.importorskip("cv2", reason="needs the extra 'opencv'")
DEVICES = tuple(CameraDeviceConfig(name, serial=name, width=64, height=48) for name in ("left", "right"))
IMAGES = tuple(CameraConfig(device.name, width=32, height=32) for device in DEVICES)


@pytest.fixture
def config() -> Iterator[RunConfig]:
    """An arm server, and a station with two cameras at it."""
    served = served_config("sim_server")
    # Nobody measures time here: images that a busy machine delays are images.
    devices = tuple(dataclasses.replace(device, max_age_s=2.0) for device in DEVICES)
    task = dataclasses.replace(served.task, max_steps=3)
    actor = ActorConfig(device="synthetic", countdown_s=0.0)
    made = RunConfig(operator=OperatorConfig(level="expert"), actor=actor)
    made = dataclasses.replace(made, log=dataclasses.replace(made.log, reserve_bytes=0))
    running = RunningServer(SimDriver(SimCell()), served)
    try:
        yield dataclasses.replace(
            made,
            env=dataclasses.replace(
                running.config, task=task, cameras=IMAGES, camera_devices=devices, camera_skew_s=1.0
            ),
        )
    finally:
        running.close()


def session(run: RunDirectory, config: RunConfig, patch: pytest.MonkeyPatch, places: dict[str, int]) -> int:
    """Drive one demonstration with cameras before scenes of these numbers; how many episodes it became."""
    ends: list[EpisodeEnd] = []
    with ExitStack() as stack:

        def driver(device: CameraDeviceConfig) -> object:
            blocks = np.random.default_rng(places[device.name]).integers(0, 256, (6, 8), np.uint8)
            shown = blocks.repeat(8, 0).repeat(8, 1)[..., None].repeat(3, 2)
            return stack.enter_context(Still(device, shown)).driver

        patch.setattr(make, "make_driver", driver)
        with Session(run, config) as open_session:
            open_session.drive(
                None, "demo", wanted=lambda: not ends, between_steps=lambda _: True, after_episode=ends.append
            )
    return len(ends)


def episodes(run: RunDirectory) -> int:
    return sum(isinstance(record, EpisodeStart) for _, record in LogReader(run.segments).records())


def test_exchanged_cameras_are_refused_before_an_episode_begins(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDirectory(tmp_path / "run").create("", {})
    assert session(run, config, monkeypatch, {"left": 0, "right": 1}) == 1
    assert session(run, config, monkeypatch, {"left": 0, "right": 1}) == 1
    assert episodes(run) == 2
    monkeypatch.setattr(session_module, "MOST_INCIDENTS", 1)
    with pytest.raises(CameraError, match=r"left \(left\) and right \(right\) look exchanged"):
        session(run, config, monkeypatch, {"left": 1, "right": 0})
    assert episodes(run) == 2
    with ArmOperator(config.env) as watch:
        assert watch.feed.wait(lambda state: state.mode == ArmMode.HOLD.value, 10.0)
