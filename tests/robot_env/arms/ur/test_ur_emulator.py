"""What the emulated UR stands on: the text of the program that ur_rtde uploads, and its own rules."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from emulators.ur import UREmulator
from emulators.ur.hands import Hands

from handrail.robot_env.arms.ur.dashboard import Dashboard
from handrail.robot_env.errors import ArmError

pytest.importorskip("rtde_control")

SCRIPT_SHA256 = "596761a93dfb175355b265245f9b94f8807528bf7ff85a654a61448f82ae8bf8"
"""Of the program that ur_rtde 1.6.5 uploads to PolyScope 5.12, register offset 0."""


@pytest.fixture(scope="module")
def emulator() -> Iterator[UREmulator]:
    with UREmulator(unlock_s=0.3) as emulator:
        yield emulator


def test_the_uploaded_program_is_the_one_that_the_emulator_was_written_from(emulator):
    with Hands(emulator):
        found = emulator.status()["script_sha256"]
    assert found == SCRIPT_SHA256, (
        "ur_rtde uploads another program than the one that tests/support/emulators/ur/script.py imitates. "
        "Read the new text (UREmulator().ask('script') after a connect) against that file: command numbers, "
        "registers, what blocks, what feeds the watchdog; mend it and robot_env/arms/ur/robot.py; then put "
        "the new hash here and the new version into pyproject.toml."
    )


STOCK = """
import os, sys
import rtde_control
control = rtde_control.RTDEControlInterface(sys.argv[1])
print(control.moveJ_IK([2.5, 0.0, 0.3, 3.14, 0.0, 0.0]), control.isProgramRunning(), flush=True)
os._exit(0)
"""
TWICE = """
import os, sys
import rtde_control
first = rtde_control.RTDEControlInterface(sys.argv[1])
try:
    rtde_control.RTDEControlInterface(sys.argv[1])
except RuntimeError as error:
    print(error, flush=True)
os._exit(0)
"""


def stock_client(script: str, emulator: UREmulator) -> str:
    """What a program of the stock client says; in a process of its own, because of how it ends."""
    run = subprocess.run(
        [sys.executable, "-c", script, emulator.host], capture_output=True, text=True, timeout=60
    )
    emulator.let_pass(0.1)
    emulator.ask("end_program")
    return run.stdout


def test_a_pose_out_of_reach_ends_the_stock_clients_program(emulator):
    assert stock_client(STOCK, emulator).endswith("False False\n")
    assert any("runtime exception: no joint angles reach" in event for event in emulator.events())


def test_the_input_registers_have_one_writer(emulator):
    assert "already in use" in stock_client(TWICE, emulator)


def test_what_changes_something_needs_remote_control(emulator):
    emulator.ask("remote", on=False)
    with Dashboard(emulator.host) as dashboard:
        assert "not allowed" in dashboard.ask("stop")
        with pytest.raises(ArmError, match="Remote Control"):
            dashboard.require_ready()
        emulator.ask("remote", on=True)
        dashboard.require_ready()


def test_a_protective_stop_is_unlocked_when_it_is_old_enough(emulator):
    emulator.ask("protective_stop")
    with Dashboard(emulator.host) as dashboard:
        assert dashboard.ask("unlock protective stop").startswith("Cannot unlock")
        assert "protective stop" in dashboard.fault()
        dashboard.clear_protective_stop(10.0)
        assert dashboard.fault() == ""
