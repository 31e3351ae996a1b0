"""The real SDL with pads of its virtual joystick driver; and the control loop's arbiter above it."""

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from emulators.gamepad import BUTTONS, VirtualPad, sdl

from handrail.intervention.arbiter import ArbiterState, Driver, arbitrate
from handrail.intervention.config import ArbiterConfig, ButtonsConfig
from handrail.intervention.device import DeviceError, Reading, check_at_rest
from handrail.intervention.gamepad import Gamepad
from handrail.robot_env.errors import ConfigError, MissingExtra

ARBITER = ArbiterConfig(stale_s=0.5)


class Desk:
    """Pads that are plugged in, and the device that is looked at."""

    def __init__(self, cleanup: contextlib.ExitStack) -> None:
        self._cleanup = cleanup

    def plug(self, **options: object) -> VirtualPad:
        pad = VirtualPad(**options)  # type: ignore[arg-type]
        self._cleanup.callback(pad.unplug)
        return pad

    def open(self, path: str = "", dead_zone: float = 0.15, **buttons: str) -> Gamepad:
        device = Gamepad(path, ButtonsConfig(**buttons), dead_zone=dead_zone, stale_s=ARBITER.stale_s)
        self._cleanup.callback(device.close)
        device.open()
        return device

    def until(self, device: Gamepad, holds: Callable[[Reading], bool]) -> Reading:
        deadline = time.monotonic() + 10.0
        while not holds(reading := device.read(time.monotonic_ns())):
            assert time.monotonic() < deadline, f"still {reading}, {device.problem}"
            time.sleep(0.001)
        return reading

    def next(self, device: Gamepad) -> Reading:
        """A reading that knows of all that was done before the call."""
        before = device.reports
        return self.until(device, lambda _: device.reports >= before + 2)


@pytest.fixture
def desk() -> Iterator[Desk]:
    with sdl(), contextlib.ExitStack() as cleanup:
        yield Desk(cleanup)


@pytest.mark.parametrize(
    ("axes", "buttons", "expected"),
    [
        ({"leftx": 1}, (), [1, 0, 0, 0, 0, 0]),
        ({"lefty": -1}, (), [0, 1, 0, 0, 0, 0]),  # pushed away from the operator
        ({"righttrigger": 1}, (), [0, 0, 1, 0, 0, 0]),
        ({"lefttrigger": 1}, (), [0, 0, -1, 0, 0, 0]),
        ({"righty": 1}, (), [0, 0, 0, 1, 0, 0]),
        ({}, ("dpright",), [0, 0, 0, 0, 0.5, 0]),
        ({}, ("dpleft",), [0, 0, 0, 0, -0.5, 0]),
        ({"rightx": 1}, (), [0, 0, 0, 0, 0, -1]),
        ({"leftx": 0.575, "rightx": -0.14}, (), [0.5, 0, 0, 0, 0, 0]),  # the dead zone, and what lies beyond
    ],
)
def test_sticks_triggers_and_cross_are_six_axes(
    desk: Desk, axes: dict, buttons: tuple, expected: list[float]
) -> None:
    pad = desk.plug()
    device = desk.open()
    pad.press("rightshoulder", *buttons)
    pad.move(**axes)
    reading = desk.next(device)
    assert reading.twist == pytest.approx(expected, abs=1e-3) and "takeover" in reading.buttons


def test_without_its_shoulder_button_held_it_is_dead(desk: Desk) -> None:
    pad = desk.plug()
    device = desk.open()
    pad.move(leftx=0.9)
    reading = desk.next(device)
    assert reading.connected and not reading.twist.any() and not reading.buttons
    check_at_rest(device, time.monotonic_ns())
    pad.press("rightshoulder")
    assert desk.next(device).twist[0] > 0.8
    with pytest.raises(DeviceError, match=r"gamepad is not at rest"):
        check_at_rest(device, time.monotonic_ns())


def test_let_go_of_under_deflection_the_wheel_is_held_until_the_stick_is_centred(desk: Desk) -> None:
    pad = desk.plug()
    device, state = desk.open(), ArbiterState()

    def step() -> Driver:
        nonlocal state
        reading = desk.next(device)
        now_ns = time.monotonic_ns()
        state, decision = arbitrate(state, reading, reading.twist, np.full(6, 0.5), now_ns, ARBITER)
        assert decision.action.any() == (state.driver is not Driver.HOLD)
        return state.driver

    assert step() is Driver.POLICY
    pad.press("rightshoulder")
    pad.move(lefty=-0.8)
    assert step() is Driver.HUMAN
    pad.release("rightshoulder")
    assert [step(), step()] == [Driver.HOLD] * 2
    pad.move(lefty=0)
    assert step() is Driver.POLICY
    pad.move(lefty=-0.8)
    assert step() is Driver.POLICY


def test_without_a_deadman_assigned_the_sticks_count_by_themselves(desk: Desk) -> None:
    pad = desk.plug()
    device = desk.open(takeover="none")
    pad.move(leftx=-1)
    assert desk.next(device).twist[0] == -1.0


@pytest.mark.parametrize(
    ("name", "meaning"),
    [("a", "success"), ("b", "failure"), ("x", "discard"), ("start", "pause"), ("back", "stop")],
)
def test_buttons_mean_what_their_names_say(desk: Desk, name: str, meaning: str) -> None:
    pad = desk.plug()
    device = desk.open()
    pad.press(name)
    assert desk.next(device).buttons == {meaning}
    pad.release(name)
    desk.until(device, lambda reading: not reading.buttons)


def test_a_click_shorter_than_a_step_is_seen_once(desk: Desk) -> None:
    pad = desk.plug()
    device = desk.open()
    pad.press("a")
    before = device.reports
    while device.reports < before + 2:
        time.sleep(0.001)
    pad.release("a")
    while device.reports < before + 5:
        time.sleep(0.001)
    assert [device.read(time.monotonic_ns()).buttons for _ in range(2)] == [{"success"}, frozenset()]


def test_buttons_are_assigned_by_sdls_names(desk: Desk) -> None:
    pad = desk.plug()
    device = desk.open(success="Y", takeover="leftshoulder", stop="none")
    pad.press("y", "leftshoulder", "a", "back", "rightshoulder")
    assert desk.next(device).buttons == {"success", "takeover"}
    with pytest.raises(
        ConfigError, match=r"device.buttons.pause is 'menu': Emulated pad .* it has a, b, x, y, "
    ) as no:
        desk.open(pause="menu")
    assert all(name in str(no.value) for name in BUTTONS)
    with pytest.raises(ConfigError, match=r"device.buttons.pause is 'dpleft'"):
        desk.open(pause="dpleft")  # the cross steers


def test_unplugged_it_reads_zero_and_plugged_in_again_it_is_back_at_rest(desk: Desk) -> None:
    pad = desk.plug()
    device = desk.open()
    pad.press("rightshoulder")
    pad.move(leftx=1)
    assert desk.next(device).twist[0] == 1.0
    pad.unplug()
    lost = desk.until(device, lambda reading: not reading.connected)
    assert not lost.twist.any() and not lost.buttons and "unplugged" in device.problem
    desk.plug(product=0x02EA, name="Another pad")
    back = desk.until(device, lambda reading: reading.connected)
    assert not back.twist.any() and device.problem == "" and device.description.startswith("Another pad")


def test_of_two_one_must_be_named(desk: Desk) -> None:
    pads = desk.plug(name="Left pad"), desk.plug(product=0x02EA, name="Right pad")
    with pytest.raises(DeviceError, match=r"2 gamepads are connected: Left pad .*, Right pad .*; say which"):
        desk.open()
    with pytest.raises(
        DeviceError, match=r"device.path is nowhere, where there is no gamepad; connected: Left"
    ):
        desk.open("nowhere")
    by_number, by_guid = desk.open(str(pads[0].index)), desk.open(pads[1].guid)
    for pad, value in zip(pads, (0.5, -1), strict=True):
        pad.press("rightshoulder")
        pad.move(leftx=value)
    assert desk.next(by_number).twist[0] > 0.0 > desk.next(by_guid).twist[0]
    pads[0].unplug()  # the other one has this number now
    desk.until(by_number, lambda reading: not reading.connected)
    deadline = time.monotonic() + 10.0
    while "there is no gamepad" not in by_number.problem and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "there is no gamepad" in by_number.problem and desk.next(by_guid).connected


def test_nothing_to_open_is_refused(desk: Desk) -> None:
    with pytest.raises(DeviceError, match=r"no gamepad is connected"):
        desk.open()
    assert not any(thread.name == "gamepad-device" for thread in threading.enumerate())


def test_without_its_extra_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sdl2", None)
    with pytest.raises(
        MissingExtra, match=r"'gamepad' is not installed; run `pip install 'handrail\[gamepad\]'`"
    ):
        Gamepad()


def test_sdl_is_ended_with_the_device_and_leaves_signals_and_video_alone() -> None:
    """In a process of its own: SDL takes over signals that nobody handles, for as long as it runs."""
    program = """
import os, signal, sys
sys.path.insert(0, "tests/support")
from emulators.gamepad import VirtualPad, sdl, sdl2
from handrail.intervention.gamepad import Gamepad
def term_is_caught():
    caught = next(line for line in open("/proc/self/status") if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
device = Gamepad()
try:
    device.open()
except Exception as refusal:
    print(type(refusal).__name__)
assert sdl2.SDL_WasInit(0) == 0
with sdl(hint=False):
    pad = VirtualPad()
    device.open()
    assert not term_is_caught()
    assert not sdl2.SDL_WasInit(sdl2.SDL_INIT_VIDEO)
    device.close()
    pad.unplug()
assert sdl2.SDL_WasInit(0) == 0
assert not {"DISPLAY", "SDL_VIDEODRIVER"} & set(os.environ)
"""
    environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout.strip()) == (0, "DeviceError"), done.stderr
