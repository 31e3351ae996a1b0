"""The live view and the device's check, on emulated devices below the real vendor libraries."""

import contextlib
import io
import json
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from emulators.gamepad import VirtualPad, sdl
from emulators.hidapi import PRO_WIRELESS, HidApi, Node
from rich.console import Console

from handrail.agent.config import RunConfig
from handrail.agent.devices import make_operator_device
from handrail.intervention.device import DeviceError
from handrail.intervention.gamepad import Gamepad
from handrail.intervention.keyboard import Keyboard
from handrail.intervention.spacemouse import SpaceMouse
from handrail.launch import compose, doctor_device
from handrail.launch.cli import main
from handrail.robot_env.errors import ConfigError

NODE = "/dev/hidraw3"


def config(*words: str) -> RunConfig:
    return compose.compose(words).config


@pytest.fixture
def node() -> Iterator[Node]:
    with HidApi().installed() as api:
        yield api.plug(NODE, PRO_WIRELESS)


@contextlib.contextmanager
def holding(node: Node, *pressed: tuple[int, int], **deflection: float) -> Iterator[None]:
    let_go = threading.Event()

    def push() -> None:
        while not let_go.wait(0.005):
            node.push(**deflection)
            node.press(*pressed)
        node.push()

    hand = threading.Thread(target=push)
    hand.start()
    yield
    let_go.set()
    hand.join()


def test_each_kind_is_made_as_configured() -> None:
    made = {kind: type(make_operator_device(config(f"device={kind}"))) for kind in ("spacemouse", "gamepad")}
    made["keyboard"] = type(make_operator_device(config("device=keyboard", "device.key_s=0.5")))
    assert made == {"spacemouse": SpaceMouse, "gamepad": Gamepad, "keyboard": Keyboard}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("device=synthetic",), "actor.device is 'synthetic', which is nobody's hand"),
        (("device=keyboard", "device.buttons.success=q"), "a keyboard's keys are fixed"),
    ],
)
def test_what_is_no_device_is_refused(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_operator_device(config(*words))


@pytest.mark.parametrize(
    ("hand", "asked"),
    [
        ({"y": 1}, [1, 0, 0, 0, 0, 0]),  # pushed away from the operator: away from the base
        ({"x": -1}, [0, 1, 0, 0, 0, 0]),  # to the left
        ({"z": 1}, [0, 0, 1, 0, 0, 0]),  # lifted
        ({"ry": 1}, [0, 0, 0, 1, 0, 0]),  # right edge down: about the axis that leads away
        ({"rx": -1}, [0, 0, 0, 0, 1, 0]),  # far edge down: about the axis to the left
        ({"rz": 1}, [0, 0, 0, 0, 0, 1]),  # anticlockwise
    ],
)
def test_the_preset_of_a_spacemouse_follows_the_hand_in_the_base_frame(
    node: Node, hand: dict[str, float], asked: list[float]
) -> None:
    settings = config("device=spacemouse")
    device = make_operator_device(settings)
    device.open()
    try:
        with holding(node, **hand):
            samples = doctor_device.watch(device, settings, None)
            sample = next(each for each in samples if any(each.twist))
            samples.close()  # type: ignore[attr-defined]
    finally:
        device.close()
    assert settings.mapping.frame == "base"
    assert np.allclose(sample.action, asked)


def test_a_gamepad_and_a_spacemouse_are_mapped_alike() -> None:
    one, other = config("device=gamepad").mapping, config("device=spacemouse").mapping
    assert (one.axes, one.gain, one.frame) == (other.axes, other.gain, other.frame)


def test_as_json_it_prints_its_samples_and_nothing_else(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    with holding(node, (2, 4), x=0.6):
        assert main(["doctor", "device", "--json", "seconds=1", "device=spacemouse"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["device"] == "spacemouse" and NODE in report["description"]
    samples = report["samples"]
    assert len(samples) > 5 and all(sample["connected"] for sample in samples)
    assert {sample["driver"] for sample in samples} >= {"human"}
    assert samples[-1]["twist"] == pytest.approx([0.6, 0, 0, 0, 0, 0], abs=0.01)
    assert samples[-1]["buttons"] == ["success"]
    assert samples[-1]["reports_hz"] > 0 and samples[-1]["age_ms"] < 1000


def test_the_live_view_draws_axes_buttons_and_who_drives(node: Node) -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    with holding(node, z=-0.5):
        assert doctor_device.live(config("device=spacemouse"), 0.5, console=console) == 0
    drawn = console.file.getvalue()  # type: ignore[attr-defined]
    for part in (
        "SpaceMouse Pro Wireless at /dev/hidraw3",
        "██████",
        "-0.50",
        "dz",
        "human",
        "age",
        "reports",
    ):
        assert part in drawn, part


def test_a_device_that_is_lost_is_shown_as_lost(node: Node) -> None:
    settings = config("device=spacemouse")
    device = make_operator_device(settings)
    device.open()
    node.api.unplug(NODE)
    samples = doctor_device.watch(device, settings, None)
    lost = next(sample for sample in samples if not sample.connected)
    samples.close()  # type: ignore[attr-defined]
    console = Console(file=io.StringIO(), width=120)
    console.print(doctor_device.picture(device, settings, lost))
    device.close()
    assert lost.driver == "hold" and "unplugged" in lost.problem
    assert "not connected" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_missing_device_is_one_line_and_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with HidApi().installed():
        assert main(["doctor", "device", "device=spacemouse"]) == DeviceError.exit_code
    assert "no SpaceMouse is connected" in capsys.readouterr().err


def test_a_device_that_moves_and_comes_back_passes(node: Node) -> None:
    said, hand = [], contextlib.ExitStack()

    def move(line: str) -> None:
        said.append(line)
        hand.enter_context(holding(node, x=0.8, rz=-0.4))
        threading.Timer(1.0, hand.close).start()

    verdict, text = doctor_device.check_device(config("device=spacemouse"), ask=move)
    assert verdict == "ok" and "moved x +0.00 to +0.80, rz -0.40 to +0.00, and back to rest" in text
    assert said == ["move spacemouse in each direction and let go, within 10 s"]


def test_a_gamepads_check_says_what_to_hold() -> None:
    with sdl():
        pad, said = VirtualPad(), []
        verdict, text = doctor_device.check_device(config("device=gamepad"), True, 0.3, said.append)
        pad.unplug()
    assert verdict == "fail" and "moved nothing within 0.3 s" in text
    assert said == ["move gamepad in each direction, holding rightshoulder, and let go, within 0.3 s"]


@pytest.mark.parametrize(
    ("words", "by_hand", "verdict", "part"),
    [
        (("device=synthetic",), True, "ok", "synthetic operator"),
        (("device=spacemouse",), False, "ok", "at rest"),
        (("device=spacemouse", "device.path=/dev/hidraw9"), True, "fail", "where no SpaceMouse moves"),
        (("device=spacemouse", "device.buttons.stop=HALT"), True, "fail", "has no such button"),
    ],
)
def test_a_check_without_a_hand(
    node: Node, words: tuple[str, ...], by_hand: bool, verdict: str, part: str
) -> None:
    found, text = doctor_device.check_device(config(*words), by_hand, ask=lambda _: None)
    assert found == verdict and part in text


def test_a_device_that_stays_deflected_fails(node: Node) -> None:
    stuck = contextlib.ExitStack()
    try:
        verdict, text = doctor_device.check_device(
            config("device=spacemouse"), True, 0.5, lambda _: stuck.enter_context(holding(node, y=0.7))
        )
    finally:
        stuck.close()
    assert verdict == "fail" and "does not come back to rest: axis y reads +0.70" in text
