"""The Robotiq gripper of a UR, against the emulated URCap."""

import socket
import threading
import time
from collections.abc import Callable

import pytest
from emulators.ur import UREmulator
from emulators.ur.hands import Hands

from handrail.robot_env.errors import ArmError
from handrail.robot_env.gripper import Gripper

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


def test_one_that_is_not_there_names_the_setting(monkeypatch):
    with UREmulator() as emulator:
        with socket.create_server(("127.0.0.1", 0)) as free:
            nobody = free.getsockname()[1]
        monkeypatch.setattr("handrail.robot_env.arms.ur.gripper.PORT", nobody)
        hands = Hands(emulator, gripper="robotiq")
        with pytest.raises(ArmError, match=r"cannot be reached.*env\.arm\.ur\.gripper to none"):
            hands.driver.connect()
