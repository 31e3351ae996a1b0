"""When a UR stops, is stopped, falls silent or dies: what the driver says and does, and how it goes on."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from emulators.ur import UREmulator
from emulators.ur.hands import Hands, control_processes

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.errors import ArmError, ArmFault
from handrail.robot_env.geometry import pose_distance

pytest.importorskip("rtde_control")
pytestmark = pytest.mark.realtime


@pytest.fixture(scope="module")
def shared() -> Iterator[UREmulator]:
    with UREmulator(unlock_s=0.5) as emulator:
        yield emulator


@pytest.fixture
def emulator(shared) -> UREmulator:
    shared.reset()
    return shared


def clear_fault_s(hands: Hands) -> float:
    """Clear the fault; how long that took, by the controller's time [s]."""
    began_s = hands.emulator.time_s
    hands.driver.clear_fault()
    return hands.emulator.time_s - began_s


def settled(hands: Hands, count: Callable[[], int]) -> int:
    """A count once it has stood still for a while: what was on its way has arrived."""
    before = -1
    while (now := count()) != before:
        before = now
        hands.run(0.05)
    return now


def event_s(emulator: UREmulator, what: str) -> float:
    """When something happened, by the controller's time [s]."""
    return next(time_s for time_s, event in emulator.status()["events"] if what in event)


def test_a_protective_stop_is_recovered_without_a_jump_to_the_old_target(emulator, figure):
    with Hands(emulator) as hands:
        driver = hands.driver
        driver.engage(Gains())
        hands.run(0.2, hands.above(x=0.03))  # still on its way there
        emulator.ask("protective_stop")
        reading = hands.until(lambda reading: bool(reading.fault), "in a fault")
        assert "protective stop" in reading.fault and not reading.engaged and not reading.estop
        seen_s = reading.device_ns / 1e9 - event_s(emulator, "protective stop")
        figure("UR protective stop: to the driver's fault, its own time", 1e3 * seen_s, "ms", limit=100.0)
        assert seen_s < 0.1 + 0.5  # the controller's time goes on while this machine is busy
        writes = settled(hands, lambda: emulator.status()["writes_while_stopped"])
        stopped = hands.run(0.1, hands.above(x=0.03)).pose
        assert emulator.status()["writes_while_stopped"] == writes
        with pytest.raises(ArmFault, match="protective stop"):
            driver.engage(Gains())

        driver.disengage()  # as the arm server does
        took_s = clear_fault_s(hands)
        figure("UR protective stop: recovery, unlocked at 0.5 s of age", took_s, "s")
        events = emulator.events()
        order = ["protective stop:", "program ended: dashboard stop", "protective stop unlocked", "script of"]
        last = [max(i for i, event in enumerate(events) if event.startswith(what)) for what in order]
        assert last == sorted(last) and "program resumed" not in events
        reading = hands.run(0.3)
        assert not reading.fault and not reading.engaged and pose_distance(reading.pose, stopped)[0] < 1e-3
        driver.engage(Gains())
        assert pose_distance(hands.run(0.3).pose, stopped)[0] < 1e-3
        driver.disengage()
        hands.works()


def test_what_is_carried_is_still_known_after_a_recovery(emulator):
    with Hands(emulator, payload_kg=1.0) as hands:
        hands.driver.set_load(0.8, (0.0, 0.0, 0.05))
        carried = emulator.status()["payload"]
        assert carried[0] == pytest.approx(1.8)
        emulator.ask("protective_stop")
        hands.until(lambda reading: bool(reading.fault), "in a fault")
        hands.driver.disengage()
        hands.driver.clear_fault()
        assert emulator.status()["uploads"] == 2
        np.testing.assert_allclose(emulator.status()["payload"], carried, atol=1e-6)
        hands.works()


def test_nobody_can_resume_a_stopped_program_behind_the_drivers_back(emulator):
    with Hands(emulator, watchdog_hz=10.0) as hands:
        hands.driver.engage(Gains())
        hands.run(0.2, hands.above(x=0.03))
        emulator.ask("protective_stop")
        stopped = hands.until(lambda reading: bool(reading.fault), "in a fault").pose
        emulator.let_pass(0.6)
        assert emulator.ask("unlock") and emulator.ask("play")  # before anybody could disengage
        reading = hands.run(0.5, hands.above(x=0.03))
        assert "control program" in reading.fault and not reading.engaged
        assert emulator.events()[-1] == "program ended: RTDE watchdog"
        assert pose_distance(reading.pose, stopped)[0] < 0.02  # a tenth of a second of the old command
        hands.driver.clear_fault()
        hands.works()


def test_a_protective_stop_that_the_robot_will_not_unlock_stays_a_fault_and_blocks_nobody():
    with UREmulator(unlock_s=1e6) as emulator, Hands(emulator, unlock_s=0.8) as hands:
        emulator.ask("protective_stop")
        hands.until(lambda reading: bool(reading.fault), "in a fault")
        refused: list[ArmFault] = []

        def recover() -> None:
            try:
                hands.driver.clear_fault()
            except ArmFault as fault:
                refused.append(fault)

        worker = threading.Thread(target=recover)
        worker.start()
        readings = 0
        while worker.is_alive():
            hands.run(0.02)  # reading goes on
            readings += 1
        worker.join()
        assert "not unlocked in 0.8 s" in str(refused[0]) and "5s after" in str(refused[0])
        assert readings > 5 and "protective stop" in hands.driver.read().fault


def test_software_does_not_clear_an_emergency_stop(emulator):
    with Hands(emulator) as hands:
        driver = hands.driver
        driver.engage(Gains())
        hands.run(0.1, hands.above())
        emulator.ask("emergency_stop", pressed=True)
        reading = hands.until(lambda reading: reading.estop, "stopped")
        assert "emergency stop" in reading.fault and not reading.engaged
        with pytest.raises(ArmFault, match="release the button"):
            driver.clear_fault()
        emulator.ask("emergency_stop", pressed=False)
        reading = hands.until(lambda reading: not reading.estop, "released")
        with pytest.raises(ArmFault, match="switched off"):
            driver.clear_fault()
        assert "switched off" in driver.read().fault and emulator.status()["uploads"] == 1
        emulator.ask("power_on")
        driver.clear_fault()
        hands.works()


def test_the_robots_own_watchdog_ends_the_program_when_the_drivers_process_freezes(emulator, figure):
    with Hands(emulator, watchdog_hz=10.0, silence_s=0.5) as hands:
        hands.driver.engage(Gains())
        hands.run(0.2, hands.above(x=0.03))
        (process,) = control_processes()
        os.kill(process, signal.SIGSTOP)
        why, _ = hands.lost()
        assert "control process has been silent" in why
        emulator.let_pass(0.2)
        last_s = emulator.ask("writes")[-1][1]
        ended_s = event_s(emulator, "RTDE watchdog") - last_s
        figure("UR driver frozen: last command to the robot's own stop", 1e3 * ended_s, "ms", limit=105.0)
        assert ended_s == pytest.approx(0.1, abs=0.005)
        assert emulator.status()["force"] == []
        hands.driver.clear_fault()
        hands.works()


def test_it_lets_go_when_the_arm_server_freezes(emulator):
    with Hands(emulator, silence_s=0.2) as hands:
        hands.driver.engage(Gains())
        hands.run(0.2, hands.above(x=0.03))
        emulator.until(lambda status: status["force"] == [])  # nobody reads, nobody writes
        emulator.let_pass(0.1)
        reading = hands.driver.read()
        assert "arm server fell silent" in reading.fault and not reading.engaged
        hands.driver.clear_fault()
        hands.works()


KILLED = """
import sys, time
from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.arms.ur.config import URConfig
from handrail.robot_env.arms.ur.driver import URDriver
driver = URDriver(URConfig(host=sys.argv[1], silence_s=2.0))
driver.connect()
driver.engage(Gains())
print("engaged", flush=True)
time.sleep(60)
"""


def test_it_stops_the_arm_when_the_arm_server_is_killed(emulator):
    command = [sys.executable, "-c", KILLED, emulator.host]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and server.stdout.readline() == "engaged\n"
        server.kill()
    emulator.until(lambda status: status["events"][-1][1].startswith("program ended: "))
    assert emulator.status()["force"] == []
    with Hands(emulator) as hands:
        hands.works()


@pytest.mark.parametrize("frozen_s", [1.0, 4.5])
def test_a_frozen_controller_is_noticed_at_once_and_recovered_when_it_is_back(emulator, frozen_s, figure):
    with Hands(emulator, stale_s=0.1) as hands:
        hands.driver.engage(Gains())
        hands.run(0.2, hands.above(x=0.02))
        emulator.freeze()
        frozen_at_s = time.monotonic()
        why, after_s = hands.lost()
        assert "silent for" in why and "limit 100 ms" in why and after_s < 1.0
        figure("UR controller frozen: to the driver's fault", 1e3 * after_s, "ms", limit=1000.0)
        with pytest.raises(ArmError, match="silent for"):
            hands.driver.zero_ft()
        if frozen_s > 3.0:
            with pytest.raises(ArmFault, match="does not answer"):
                hands.driver.clear_fault()
            with pytest.raises(ArmError, match="silent for"):
                hands.driver.read()
        hands.driver.disengage()  # never raises
        time.sleep(max(0.0, frozen_at_s + frozen_s - time.monotonic()))
        emulator.thaw()
        figure("UR controller back: recovery", clear_fault_s(hands), "s")
        hands.works()


def test_a_controller_that_dies_is_noticed_and_its_successor_taken_up(emulator, figure):
    with Hands(emulator, stale_s=0.1) as hands:
        hands.driver.engage(Gains())
        hands.run(0.2, hands.above())
        emulator.kill()
        why, after_s = hands.lost()
        assert "look at its cable and its controller" in why and after_s < 1.0
        figure("UR controller dead: to the driver's fault", 1e3 * after_s, "ms", limit=1000.0)
        with pytest.raises(ArmFault, match=r"does not answer.*env\.arm\.ur\.host"):
            hands.driver.clear_fault()
        emulator.restart()
        emulator.let_pass(0.1)
        figure("UR controller started again: recovery", clear_fault_s(hands), "s")
        hands.works()


def test_a_control_process_that_dies_of_its_sdk_takes_nobody_with_it(emulator, figure):
    with Hands(emulator) as hands:
        hands.driver.engage(Gains())
        os.kill(control_processes()[0], signal.SIGSEGV)
        why, after_s = hands.lost()
        assert "control process has ended" in why
        figure("UR control process dead: to the driver's fault", 1e3 * after_s, "ms")
        figure("UR control process dead: recovery", clear_fault_s(hands), "s")
        hands.works()


def test_a_program_that_ends_in_a_joint_motion_is_a_fault(emulator):
    with Hands(emulator) as hands:
        start = hands.driver.read().q

        def end() -> None:
            hands.until(lambda reading: bool(np.abs(reading.q - start).max() > 0.01), "moving")
            emulator.ask("end_program")

        ending = threading.Thread(target=end)
        ending.start()
        with pytest.raises(ArmFault, match="control program on the robot has ended"):
            hands.driver.move_joints(start + 0.2, 0.05)
        ending.join()
        with pytest.raises(ArmFault, match="control program"):
            hands.driver.engage(Gains())
        hands.driver.clear_fault()
        hands.works()


def test_clearing_no_fault_changes_nothing(emulator):
    with Hands(emulator) as hands:
        hands.driver.clear_fault()
        assert emulator.status()["uploads"] == 1


def test_a_stopped_robot_is_reached_read_and_recovered(emulator):
    emulator.ask("protective_stop")
    with Hands(emulator) as hands:
        reading = hands.driver.read()
        assert "protective stop" in reading.fault and np.isfinite(reading.pose).all()
        with pytest.raises(ArmFault, match="protective stop"):
            hands.driver.engage(Gains())
        hands.driver.clear_fault()
        hands.works()


def test_a_second_driver_is_refused_and_the_first_goes_on(emulator):
    with Hands(emulator) as first:
        first.driver.engage(Gains())
        second = Hands(emulator)
        with pytest.raises(ArmError, match="a program is running"):
            second.driver.connect()
        assert first.run(0.1).engaged


def test_a_robot_in_local_control_is_refused_with_what_to_do(emulator):
    emulator.ask("remote", on=False)
    hands = Hands(emulator)
    with pytest.raises(ArmError, match="Remote Control"):
        hands.driver.connect()
    with pytest.raises(ArmError, match="not connected"):
        hands.driver.read()


def test_a_setting_that_the_robot_does_not_take_is_named(emulator):
    hands = Hands(emulator, payload_kg=20.0, payload_com_m=(0.0, 0.0, 0.06))
    with pytest.raises(ArmError) as caught:
        hands.driver.connect()
    said = str(caught.value)
    assert "the UR refused env.arm.ur.payload_kg=20 at payload_com_m=[0.0, 0.0, 0.06]" in said
    assert not any(words in said for words in ("lost", "ur_rtde", "recover()", "cable"))


def test_an_address_where_no_robot_is_says_so():
    with UREmulator() as emulator:
        hands = Hands(emulator)
    with pytest.raises(ArmError, match=r"does not answer on port 29999.*env\.arm\.ur\.host"):
        hands.driver.connect()
