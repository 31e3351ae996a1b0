"""An emulated UR behind the arm server: the server outlives what takes ur_rtde down."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from benches.served import RunningServer
from benches.ur import ur_config
from device_clock import DeviceClock
from emulators.ur import UREmulator
from emulators.ur.hands import control_processes

from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.arms.config import ArmServerConfig
from handrail.robot_env.arms.ur.driver import URDriver
from handrail.robot_env.remote.client import ArmClient

pytest.importorskip("rtde_control")
pytestmark = pytest.mark.realtime

SEVERAL_S = 10.0


@pytest.fixture
def emulator() -> Iterator[UREmulator]:
    with UREmulator() as emulator:
        yield emulator


@pytest.fixture
def client(emulator) -> Iterator[ArmClient]:
    config = ur_config(emulator)
    driver = URDriver(replace(config.arm.ur, stale_s=0.1))
    running = RunningServer(driver, config)
    client = ArmClient(running.config)
    try:
        client.connect()
        client.start()
        yield client
    finally:
        client.close()
        running.close()


@pytest.mark.parametrize("accident", ["segmentation fault", "frozen controller"])
def test_it_faults_goes_on_publishing_and_is_recovered(client, emulator, accident, figure):
    mend: Callable[[], None] = lambda: None  # noqa: E731 - the accident of a process mends itself
    began_ns = time.monotonic_ns()
    if accident == "segmentation fault":
        os.kill(control_processes()[0], signal.SIGSEGV)
    else:
        emulator.freeze()
        mend = emulator.thaw
    assert client.feed.wait(lambda state: state.mode == "fault", SEVERAL_S)
    fault = client.newest
    took_ms = (fault.mode_ns - began_ns) / 1e6
    figure(f"UR behind the arm server, {accident}: to FAULT", took_ms, "ms")
    assert "cannot be read" in fault.fault
    assert client.feed.wait(lambda state: state.tick > fault.tick + 20, SEVERAL_S)  # it goes on publishing
    mend()
    client.recover(by="somebody who looked")
    assert client.state().mode is ArmMode.HOLD
    client.start()
    clock, target = DeviceClock(client), client.state().pose.copy()
    target[0] += 0.005
    for _ in range(10):
        client.set_target(target)
        clock.wait_until(clock.now_ns() + 100_000_000)
    assert client.state().mode is ArmMode.RUN
    assert client.state().pose[0] == pytest.approx(target[0], abs=1e-3)


def test_a_gripper_that_falls_silent_is_a_fault_in_time(emulator, figure):
    config = ur_config(emulator)
    ur = replace(config.arm.ur, gripper="robotiq")
    server = replace(config.arm.server, gripper_age_s=ArmServerConfig().gripper_age_s)
    running = RunningServer(URDriver(ur), replace(config, arm=replace(config.arm, ur=ur, server=server)))
    client = ArmClient(running.config)
    try:
        client.connect()
        began_ns = time.monotonic_ns()
        emulator.ask("gripper_cable", plugged=False)
        assert client.feed.wait(lambda state: state.mode == "fault", SEVERAL_S)
        took_ms = (client.newest.mode_ns - began_ns) / 1e6
        figure("UR gripper silent: to FAULT", took_ms, "ms")
        assert took_ms < 1000 * server.gripper_age_s + 100 and "gripper" in client.newest.fault
    finally:
        client.close()
        running.close()
