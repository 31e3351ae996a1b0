"""The Robotiq gripper of a UR, against the emulated URCap."""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from benches.served import RunningServer
from benches.ur import ur_config
from emulators.ur import UREmulator
from emulators.ur.hands import Hands

from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.arms.ur.driver import URDriver
from handrail.robot_env.errors import ArmError, ArmFault
from handrail.robot_env.gripper import Gripper
from handrail.robot_env.make import make_env
from handrail.robot_env.remote.client import ArmClient

pytest.importorskip("rtde_control")

SEVERAL_S = 10.0


def wait_for(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + SEVERAL_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_it_opens_closes_on_what_is_there_and_moves_between_without_waiting():
    with UREmulator(jaws=100) as emulator, Hands(emulator, gripper="robotiq", gripper_force_n=40.0) as hands:
        gripper = hands.driver.gripper
        assert gripper is not None and gripper.width_m == pytest.approx(0.085)
        gripper.close()
        assert gripper.width_m > 0.06  # nobody has waited for it
        wait_for(lambda: abs(gripper.width_m - 0.085 * 128 / 225) < 1e-3)  # something is between the jaws
        gripper.move(0.06, 20.0)
        wait_for(lambda: abs(gripper.width_m - 0.06) < 1e-3)
        assert hands.driver.read().gripper_width_m == pytest.approx(0.06, abs=1e-3)
        gripper.open()
        wait_for(lambda: gripper.width_m > 0.084)
        assert emulator.status()["gripper"] == [
            "SET POS 255 SPE 255 FOR 24 GTO 1",
            "SET POS 69 SPE 255 FOR 0 GTO 1",
            "SET POS 3 SPE 255 FOR 0 GTO 1",
        ]
        gripper.close()
        hands.driver.close()
        assert hands.driver.gripper is None
        assert not [thread for thread in threading.enumerate() if thread.name == "robotiq"]


def test_one_that_is_not_activated_is_left_to_people():
    with UREmulator() as emulator:
        emulator.ask("gripper", active=False)
        hands = Hands(emulator, gripper="robotiq")
        with pytest.raises(ArmError, match="activate it at the pendant"):
            hands.driver.connect()
        assert emulator.status()["gripper"] == []
        with pytest.raises(ArmError, match="not connected"):
            hands.driver.read()


def refuses(gripper: Gripper, words: str) -> bool:
    try:
        gripper.open()
    except ArmError as error:
        assert words in str(error)
        return True
    return False


def test_one_that_loses_its_activation_or_its_cable_refuses_commands_until_it_is_well():
    with UREmulator() as emulator, Hands(emulator, gripper="robotiq") as hands:
        gripper = hands.driver.gripper
        assert gripper is not None
        emulator.ask("gripper", active=False)
        wait_for(lambda: refuses(gripper, "is not activated"))
        emulator.ask("gripper", active=True)
        wait_for(lambda: not refuses(gripper, "is not activated"))
        emulator.ask("gripper_cable", plugged=False)  # the URCap says "POS ?"
        wait_for(lambda: refuses(gripper, "does not answer"))
        emulator.ask("gripper_cable", plugged=True)
        wait_for(lambda: not refuses(gripper, "does not answer"))
        gripper.close()
        wait_for(lambda: gripper.width_m < 1e-3)


@pytest.fixture
def station():
    """An emulated UR with a gripper, and the arm server in front of it."""
    with UREmulator() as emulator:
        config = ur_config(emulator)
        ur = replace(config.arm.ur, gripper="robotiq")
        config = replace(config, arm=replace(config.arm, ur=ur))
        running = RunningServer(URDriver(ur), config)
        try:
            yield emulator, running.config
        finally:
            running.close()


def test_a_width_is_as_old_as_its_last_answer():
    with UREmulator(jaws=100) as emulator, Hands(emulator, gripper="robotiq") as hands:
        first = hands.driver.read()
        assert first.gripper_stroke_m == 0.085 and 0 < first.gripper_ns <= time.monotonic_ns()
        wait_for(lambda: hands.driver.read().gripper_ns > first.gripper_ns)
        emulator.ask("gripper_cable", plugged=False)
        gripper = hands.driver.gripper
        assert gripper is not None
        wait_for(lambda: refuses(gripper, "does not answer"))
        stale = hands.driver.read()
        wait_for(lambda: hands.driver.read().t_ns > stale.t_ns)
        assert hands.driver.read().gripper_ns == stale.gripper_ns
        emulator.ask("gripper_cable", plugged=True)
        wait_for(lambda: hands.driver.read().gripper_ns > stale.gripper_ns)


def test_a_width_that_has_grown_old_is_a_fault_until_the_gripper_is_heard_again(station):
    emulator, config = station
    client = ArmClient(config)
    try:
        client.connect()
        client.start()
        emulator.ask("gripper_cable", plugged=False)
        assert client.feed.wait(lambda state: state.mode == ArmMode.FAULT.value, SEVERAL_S)
        assert "the gripper was last heard" in client.state().fault
        with pytest.raises(ArmFault, match="the gripper was last heard"):
            client.recover(by="somebody in haste")
        emulator.ask("gripper_cable", plugged=True)
        fault_ns = client.newest.gripper_ns
        assert client.feed.wait(lambda state: state.gripper_ns > fault_ns, SEVERAL_S)
        client.recover(by="somebody who looked")
        client.start()
        assert client.state().mode is ArmMode.RUN
    finally:
        client.close()


def test_an_episode_ends_with_it_and_none_begins(station):
    emulator, config = station
    env = make_env(config)
    try:
        env.reset(seed=0)
        emulator.ask("gripper_cable", plugged=False)
        with pytest.raises(ArmFault, match="the gripper was last heard"):
            for _ in range(200):
                env.step(env.action_space.sample() * 0)
        with pytest.raises(ArmFault, match="the gripper was last heard"):
            env.reset()
    finally:
        env.close()


def test_one_that_is_not_there_names_the_setting(monkeypatch):
    with UREmulator() as emulator:
        with socket.create_server(("127.0.0.1", 0)) as free:
            nobody = free.getsockname()[1]
        monkeypatch.setattr("handrail.robot_env.arms.ur.gripper.PORT", nobody)
        hands = Hands(emulator, gripper="robotiq")
        with pytest.raises(ArmError, match=r"cannot be reached.*env\.arm\.ur\.gripper to none"):
            hands.driver.connect()
