"""Any driver behind an arm server, in a thread of the test's process.

The ages and the watchdog are generous: emulators are slower than real time, machines are busy, and a test
that compiles a cell of its own holds up the server's threads. What they are to be in earnest has tests of its
own.
"""

import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from device_clock import DeviceClock

from benches.bench import JOINT_SPEED, PERIOD_S, Bench
from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.arms.config import ArmConfig, ArmKind, ArmServerConfig
from handrail.robot_env.arms.driver import ArmDriver
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.remote.client import ArmClient
from handrail.robot_env.remote.make import make_server
from handrail.robot_env.remote.server import ArmServer

START_S = 30.0

SERVER = ArmServerConfig(
    watchdog_s=5.0,
    lease_s=3.0,
    command_age_s=4.0,
    reading_age_s=4.0,
    gripper_age_s=2.0,
    require_realtime=False,
)


def served_config(kind: ArmKind, **arm) -> EnvConfig:
    """Settings of a served arm of this kind; `arm` are further fields of `ArmConfig`."""
    arm = {"server": SERVER, "joint_speed": JOINT_SPEED, **arm}
    return EnvConfig(hz=1.0 / PERIOD_S, arm=ArmConfig(kind=kind, **arm))


class RunningServer:
    """An arm server in a thread.

    Args:
        driver: the arm.
        config: its settings; without an address it gets a folder of its own.
    """

    def __init__(self, driver: ArmDriver, config: EnvConfig) -> None:
        self._folder = tempfile.mkdtemp(prefix="arm-")
        if not config.arm.server.address:
            server = replace(config.arm.server, address=f"ipc://{self._folder}")
            config = replace(config, arm=replace(config.arm, server=server))
        self.config = config
        self.server: ArmServer = make_server(config, driver)
        self.failure: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="test-arm-server")
        self._thread.start()
        if not self.server.ready.wait(START_S) or self.failure:
            self.close()
            raise self.failure or AssertionError(f"the arm server was not ready in {START_S} s")

    def close(self) -> None:
        """End the server."""
        self._stop.set()
        self._thread.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self) -> None:
        try:
            self.server.run(self._stop)
        except BaseException as error:
            self.failure = error
            self.server.ready.set()


def serve(
    driver: ArmDriver,
    config: EnvConfig,
    break_it: Callable[[], None],
    repair_it: Callable[[], None],
    close: Callable[[], None] = lambda: None,
    stopped_ns: Callable[[], int] | None = None,
) -> Bench:
    """A bench around a driver.

    Args:
        driver: the arm; not connected yet.
        config: from `served_config`.
        break_it: brings a fault of the robot about; need not wait for it.
        repair_it: takes its cause away.
        close: ends what else there is, after the server has let go of it.
        stopped_ns: when the robot stopped in `break_it`, by its own clock [ns].
    """
    try:
        running = RunningServer(driver, config)
    except BaseException:
        close()
        raise
    client = ArmClient(running.config, "contract suite")

    def break_and_see() -> None:
        break_it()
        assert client.feed.wait(lambda state: state.mode == ArmMode.FAULT.value, 10.0), "it did not break"

    def end() -> None:
        client.close()
        running.close()
        close()

    seated = running.config.task.seated_pose
    if seated is None:
        assert client.scene is not None, "give the bench's config a task.seated_pose"
        seated = client.scene.seated_pose
    return Bench(
        client,
        DeviceClock(client),
        np.array(seated),
        break_and_see,
        repair_it,
        end,
        running.config,
        stopped_ns,
        joint_home=running.config.arm.joint_home,
    )
