"""The real pyspacemouse and easyhid; only the C library below them is emulated."""

import contextlib
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from collections.abc import Mapping as Named
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from easyhid import easyhid
from emulators.hidapi import (
    COMPACT,
    ENTERPRISE,
    PRO_WIRELESS,
    RECEIVER,
    RING,
    UNHEARD_OF,
    HidApi,
    Model,
    Node,
)
from figures import Figure

from handrail.intervention.arbiter import ArbiterState, Driver, arbitrate
from handrail.intervention.config import ArbiterConfig, ButtonsConfig, MappingConfig
from handrail.intervention.device import DeviceError, Reading, check_at_rest
from handrail.intervention.mapping import Mapping
from handrail.intervention.policy import PolicyStep
from handrail.intervention.rollout import Rollout
from handrail.intervention.spacemouse import SpaceMouse
from handrail.intervention.transition import Source, Transition
from handrail.robot_env.errors import ConfigError, MissingExtra

NODE, OTHER = "/dev/hidraw3", "/dev/hidraw4"
MS = 1_000_000
# More patient than a control loop: a machine that is busy elsewhere must not look like a silent device.
ARBITER = ArbiterConfig(stale_s=0.5)
TOO_OLD_MS = 501


class Clock:
    """Monotonic time that a test can let run ahead."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def __call__(self) -> int:
        return time.monotonic_ns() + self.ahead_ns

    def skip(self, ms: int) -> None:
        self.ahead_ns += ms * MS


class Desk:
    """A desk with emulated devices on it."""

    def __init__(self, api: HidApi, cleanup: contextlib.ExitStack) -> None:
        self.api, self.clock, self._cleanup = api, Clock(), cleanup

    def mouse(self, path: str = "", **buttons: str) -> SpaceMouse:
        mouse = SpaceMouse(path, ButtonsConfig(**buttons), stale_s=ARBITER.stale_s, clock=self.clock)
        self._cleanup.callback(mouse.close)
        mouse.open()
        return mouse

    def read(self, mouse: SpaceMouse) -> Reading:
        return mouse.read(self.clock())

    def until(self, mouse: SpaceMouse, holds: Callable[[Reading], bool]) -> Reading:
        deadline = time.monotonic() + 10.0
        while not holds(reading := self.read(mouse)):
            assert time.monotonic() < deadline, f"still {reading}, {mouse.problem}"
            time.sleep(0.001)
        return reading


@pytest.fixture
def desk() -> Iterator[Desk]:
    with HidApi().installed() as api, contextlib.ExitStack() as cleanup:
        yield Desk(api, cleanup)


@contextlib.contextmanager
def holding(node: Node, **deflection: float) -> Iterator[None]:
    """A hand on the cap: like the real thing, it reports as long as it is deflected."""
    let_go = threading.Event()

    def push() -> None:
        while not let_go.wait(0.005):
            node.push(**deflection)

    hand = threading.Thread(target=push)
    hand.start()
    try:
        yield
    finally:
        let_go.set()
        hand.join()


def moved(reading: Reading) -> bool:
    return bool(reading.twist.any())


def still(reading: Reading) -> bool:
    return reading.connected and not moved(reading)


class Loop:
    """The control loop's part: mapping and arbiter, a policy that always wants the same."""

    POLICY = np.full(6, 0.5)

    def __init__(self, desk: Desk, mouse: SpaceMouse) -> None:
        self.desk, self.mouse = desk, mouse
        self.state, self.mapping = ArbiterState(), Mapping(MappingConfig())

    def step(self) -> tuple[Driver, np.ndarray]:
        now_ns = self.desk.clock()
        reading = self.mouse.read(now_ns)
        asked = self.mapping.apply(reading)
        self.state, decision = arbitrate(self.state, reading, asked, self.POLICY, now_ns, ARBITER)
        return self.state.driver, decision.action

    def until(self, driver: Driver) -> np.ndarray:
        deadline = time.monotonic() + 10.0
        while (now := self.step())[0] is not driver:
            assert time.monotonic() < deadline, f"{now}, not {driver}"
            time.sleep(0.002)
        return now[1]


@pytest.mark.parametrize("model", [COMPACT, PRO_WIRELESS], ids=lambda model: model.name)
@pytest.mark.parametrize("axis", range(6))
def test_the_axes_are_right_away_up_and_right_handed_turns(desk: Desk, model: Model, axis: int) -> None:
    node = desk.api.plug(NODE, model)
    mouse = desk.mouse()
    node.push(**{("x", "y", "z", "rx", "ry", "rz")[axis]: 0.4})
    expected = np.where(np.arange(6) == axis, 0.4, 0.0)
    assert desk.until(mouse, moved).twist == pytest.approx(expected)


def test_whatever_is_reported_a_reading_is_finite_and_within_bounds(desk: Desk) -> None:
    node, rng = desk.api.plug(NODE), random.Random(5)
    mouse = desk.mouse()
    node.push(x=1.2, rz=-1.2)
    assert desk.until(mouse, moved).twist.tolist() == [1.0, 0, 0, 0, 0, -1.0]
    for _ in range(300):
        before = mouse.reports
        node.report(bytes([rng.randrange(5)]) + rng.randbytes(rng.randrange(1, 13)))
        desk.until(mouse, lambda _, before=before: mouse.reports > before)
        twist = desk.read(mouse).twist
        assert np.isfinite(twist).all() and (np.abs(twist) <= 1.0).all()


def test_a_backlog_hides_no_release(desk: Desk) -> None:
    node = desk.api.plug(NODE, PRO_WIRELESS)
    mouse = desk.mouse()
    with desk.api.starved():
        for _ in range(RING - 1):
            node.push(x=0.9)
        node.push()
        seen = mouse.reports
        ended_ns = desk.clock()
    readings = [desk.read(mouse)]
    while readings[-1].t_ns <= ended_ns:
        readings.append(desk.read(mouse))
    assert mouse.reports - seen == RING and not any(map(moved, readings))


def test_a_release_that_the_kernel_lost_is_a_stale_deflection(desk: Desk) -> None:
    node = desk.api.plug(NODE, PRO_WIRELESS)
    mouse = desk.mouse()
    with desk.api.starved():
        for _ in range(RING):
            node.push(x=0.9)
        node.push()  # the ring is full
    last = desk.until(mouse, moved)
    desk.clock.skip(TOO_OLD_MS)
    reading = desk.read(mouse)
    assert reading.connected and not moved(reading) and reading.t_ns <= last.t_ns + MS


def test_a_deflection_that_falls_silent_holds_until_it_is_seen_at_rest(desk: Desk) -> None:
    node = desk.api.plug(NODE)
    loop = Loop(desk, desk.mouse())
    with holding(node, y=0.8):
        loop.until(Driver.HUMAN)
    desk.clock.skip(TOO_OLD_MS)
    for _ in range(3):
        driver, action = loop.step()
        assert driver is Driver.HOLD and not action.any()
    node.push(y=0.8)
    desk.until(loop.mouse, moved)
    assert loop.step()[0] is Driver.HOLD
    node.push()
    assert loop.until(Driver.POLICY) is Loop.POLICY


@pytest.mark.parametrize("axis", ["x", "y", "z", "rx", "ry", "rz"])
def test_unplugged_while_deflected_nothing_moves_until_it_is_back_and_at_rest(
    desk: Desk, axis: str, figure: Figure
) -> None:
    node = desk.api.plug(NODE)
    loop = Loop(desk, desk.mouse())
    with holding(node, **{axis: 0.7}):
        loop.until(Driver.HUMAN)
        unplugged_s = time.monotonic()
        desk.api.unplug(NODE)
        assert not loop.until(Driver.HOLD).any()
        took_ms = 1e3 * (time.monotonic() - unplugged_s)
        figure("SpaceMouse unplugged while deflected: to zero and HOLD", took_ms, "ms", limit=100.0)
        assert took_ms < 1000.0
    lost = desk.read(loop.mouse)
    assert not lost.connected and not moved(lost) and "unplugged" in loop.mouse.problem
    node = desk.api.plug(OTHER, PRO_WIRELESS, at_once=False)  # another port, another model
    with holding(node, **{axis: 0.7}):
        desk.api.nodes[OTHER] = node
        desk.until(loop.mouse, lambda reading: reading.connected)
        for _ in range(5):
            driver, action = loop.step()
            assert driver is Driver.HOLD and not action.any()
    node.push()
    loop.until(Driver.POLICY)
    assert loop.mouse.problem == ""


class Still(gymnasium.Env):
    """An environment in which nothing happens, at a step's length of real time."""

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Dict(
            {"state": gymnasium.spaces.Box(-1, 1, (1,), np.float32)}
        )
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (6,), np.float32)
        self.executed: list[np.ndarray] = []
        self.executed_s: list[float] = []

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        return {"state": np.zeros(1, np.float32)}, {"t_ns": time.monotonic_ns()}

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict]:
        self.executed.append(action)
        self.executed_s.append(time.monotonic())
        time.sleep(0.01)
        return {"state": np.zeros(1, np.float32)}, 0.0, False, False, {"t_ns": time.monotonic_ns()}


class Eager:
    def act(self, observation: Named[str, np.ndarray]) -> PolicyStep:
        return PolicyStep(np.full(6, 0.5, np.float32), 1)


def test_in_a_rollout_the_last_deflection_is_never_executed_again(desk: Desk, figure: Figure) -> None:
    node = desk.api.plug(NODE)
    env, mouse, phases, unplugged_s = Still(), desk.mouse(), [], []
    rollout = Rollout(env, mouse, ARBITER, MappingConfig(), None, desk.clock)

    def watch(transition: Transition) -> bool:
        phases.append(transition.source)
        if transition.source is Source.HUMAN and NODE in desk.api.nodes:
            unplugged_s.append(time.monotonic())
            desk.api.unplug(NODE)
        return phases.count(Source.SCRIPT) < 10

    with holding(node, x=0.8):
        rollout.run_episode(Eager(), episode=0, seed=(1,), between_steps=watch)
    assert Source.POLICY in phases and Source.HUMAN in phases
    assert phases[-10:] == [Source.SCRIPT] * 10
    assert not np.any(env.executed[-10:])
    zero_s = next(
        at
        for at, action in zip(env.executed_s, env.executed, strict=True)
        if at > unplugged_s[0] and not action.any()
    )
    figure(
        "SpaceMouse unplugged in a rollout: to a step of zero",
        1e3 * (zero_s - unplugged_s[0]),
        "ms",
        limit=100.0,
    )


def test_a_driver_that_is_not_run_is_stale_even_at_rest(desk: Desk) -> None:
    desk.api.plug(NODE)
    loop = Loop(desk, desk.mouse())
    assert loop.step()[0] is Driver.POLICY
    with desk.api.starved():
        desk.clock.skip(TOO_OLD_MS)
        assert loop.step()[0] is Driver.HOLD
    assert loop.until(Driver.POLICY) is Loop.POLICY


def test_a_device_that_is_held_when_it_is_opened_is_refused(desk: Desk) -> None:
    node = desk.api.plug(NODE)
    with holding(node, rz=-0.3), pytest.raises(DeviceError, match=r"axis rz reads -0\.30"):
        check_at_rest(desk.mouse(), desk.clock())
    node.push()
    again = desk.mouse()
    check_at_rest(again, desk.clock())


def test_a_worn_cap_that_rests_beside_zero_is_at_rest(desk: Desk) -> None:
    node = desk.api.plug(NODE)
    loop = Loop(desk, desk.mouse())
    node.push(x=0.02)
    desk.until(loop.mouse, moved)
    desk.clock.skip(1000)
    check_at_rest(loop.mouse, desk.clock())
    assert loop.until(Driver.POLICY) is Loop.POLICY


def test_the_interface_that_moves_is_chosen(desk: Desk) -> None:
    desk.api.plug(NODE, RECEIVER, usage=(0xFF00, 1))
    node = desk.api.plug(OTHER, RECEIVER)
    mouse = desk.mouse()
    node.push(z=0.5)
    assert desk.until(mouse, moved).twist[2] == pytest.approx(0.5)
    assert desk.api.opened == [OTHER]
    with pytest.raises(DeviceError, match=f"{NODE}, where no SpaceMouse moves; connected: .*{OTHER}"):
        desk.mouse(NODE)


def test_an_hidapi_that_knows_no_usages_is_got_along_with(desk: Desk) -> None:
    desk.api.plug(NODE, COMPACT, usage=(0, 0))
    assert desk.read(desk.mouse()).connected
    desk.api.plug(OTHER, RECEIVER, usage=(0, 0))
    with pytest.raises(DeviceError, match="2 SpaceMice"):
        desk.mouse()


def test_of_two_one_must_be_named(desk: Desk, tmp_path: Path) -> None:
    left, right = desk.api.plug(NODE), desk.api.plug(OTHER, PRO_WIRELESS)
    with pytest.raises(
        DeviceError, match=f"Compact at {NODE}, SpaceMouse Pro Wireless at {OTHER}; say which"
    ):
        desk.mouse()
    link = tmp_path / "spacemouse-right"
    link.symlink_to(OTHER)
    mice = desk.mouse(NODE), desk.mouse(str(link))
    left.push(x=0.5)
    right.push(y=-0.5)
    assert desk.until(mice[0], moved).twist[:2].tolist() == [0.5, 0.0]
    assert desk.until(mice[1], moved).twist[:2].tolist() == [0.0, -0.5]
    desk.api.unplug(NODE)
    assert not desk.until(mice[0], lambda reading: not reading.connected).twist.any()
    assert desk.read(mice[1]).connected


def test_a_second_one_plugged_in_does_not_take_the_place_of_a_lost_one(desk: Desk) -> None:
    desk.api.plug(NODE)
    mouse = desk.mouse(NODE)
    desk.api.unplug(NODE)
    desk.until(mouse, lambda reading: not reading.connected)
    desk.api.plug(OTHER)
    deadline = time.monotonic() + 10.0
    while "where no SpaceMouse moves" not in mouse.problem and time.monotonic() < deadline:
        time.sleep(0.01)
    assert OTHER in mouse.problem and not desk.read(mouse).connected
    desk.api.plug(NODE)
    desk.until(mouse, lambda reading: reading.connected)


@pytest.mark.parametrize(
    ("model", "openable", "message"),
    [
        (None, True, "no SpaceMouse is connected"),
        (
            UNHEARD_OF,
            True,
            r"SpaceMouse Next \(256f:c6ff\) at /dev/hidraw3 is there, but pyspacemouse does not",
        ),
        (COMPACT, False, "SpaceMouse Compact at /dev/hidraw3 cannot be opened"),
    ],
)
def test_what_cannot_be_opened_is_refused_in_one_line(
    desk: Desk, model: Model | None, openable: bool, message: str
) -> None:
    if model is not None:
        desk.api.plug(NODE, model).openable = openable
    with pytest.raises(DeviceError, match=message) as refusal:
        desk.mouse()
    assert "\n" not in str(refusal.value)


def test_a_node_without_permission_is_told_apart(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.api.plug("/dev/null", COMPACT).openable = False
    monkeypatch.setattr("os.access", lambda path, mode: str(path) != "/dev/null")
    with pytest.raises(DeviceError, match="may not be opened by this user; add a udev rule"):
        desk.mouse()


@pytest.mark.parametrize(
    ("model", "bit", "button"),
    [
        (COMPACT, (1, 0), "success"),
        (COMPACT, (1, 1), "failure"),
        (PRO_WIRELESS, (2, 4), "success"),
        (PRO_WIRELESS, (2, 6), "discard"),
        (PRO_WIRELESS, (3, 6), "pause"),
        (ENTERPRISE, (2, 5), "failure"),
        (RECEIVER, (1, 1), "failure"),  # the right button of a two-button mouse behind the receiver
    ],
)
def test_buttons_mean_what_their_names_say(
    desk: Desk, model: Model, bit: tuple[int, int], button: str
) -> None:
    node = desk.api.plug(NODE, model)
    mouse = desk.mouse()
    node.press(bit)
    assert desk.until(mouse, lambda reading: bool(reading.buttons)).buttons == {button}
    node.press()
    desk.until(mouse, lambda reading: not reading.buttons)


def test_buttons_are_assigned_by_name(desk: Desk) -> None:
    node = desk.api.plug(NODE, PRO_WIRELESS)
    mouse = desk.mouse(success="FIT", pause="none", stop="esc")
    assert str(mouse).endswith("BTN_2 failure, BTN_3 discard, FIT success, ESC stop")
    node.press((1, 1), (2, 4))
    assert desk.until(mouse, lambda reading: bool(reading.buttons)).buttons == {"success"}


def test_a_button_the_device_does_not_have_is_refused_with_those_it_has(desk: Desk) -> None:
    desk.api.plug(NODE, COMPACT)
    with pytest.raises(ConfigError, match=r"buttons.pause is 'MENU': SpaceMouseCompact .* has LEFT, RIGHT"):
        desk.mouse(pause="MENU")
    assert desk.api.opened == []


def test_a_click_shorter_than_a_step_is_seen_once(desk: Desk) -> None:
    node = desk.api.plug(NODE)
    mouse = desk.mouse()
    with desk.api.starved():
        node.press((1, 1))
        node.press()
    assert desk.until(mouse, lambda reading: bool(reading.buttons)).buttons == {"failure"}
    assert not desk.read(mouse).buttons


def test_with_a_deadman_it_is_dead_unless_held(desk: Desk, figure: Figure) -> None:
    node = desk.api.plug(NODE)
    loop = Loop(desk, desk.mouse(success="none", takeover="LEFT"))
    for _ in range(5):
        with holding(node, x=0.9):
            before = loop.mouse.reports
            while loop.mouse.reports < before + 6:
                assert loop.step()[0] is Driver.POLICY
            node.press((1, 0))
            loop.until(Driver.HUMAN)
            let_go_s = time.monotonic()
            node.press()  # let go of, and still deflected
            assert not loop.until(Driver.HOLD).any()
            took_ms = 1e3 * (time.monotonic() - let_go_s)
            figure("SpaceMouse's deadman released while deflected: to zero and HOLD", took_ms, "ms", 100.0)
            assert took_ms < 1000.0
        node.push()
        loop.until(Driver.POLICY)


def test_one_report_has_one_stamp_on_the_loops_own_clock(desk: Desk) -> None:
    node = desk.api.plug(NODE)
    mouse = desk.mouse()
    node.push(x=0.5)
    desk.until(mouse, moved)
    first = mouse.read(5_000 * MS)  # a loop in simulated time
    second = mouse.read(5_030 * MS)
    node.push(x=0.5)
    third = mouse.read(5_060 * MS)
    deadline = time.monotonic() + 10.0
    while third.t_ns == first.t_ns and time.monotonic() < deadline:
        third = mouse.read(5_060 * MS)
    assert first.t_ns == second.t_ns < third.t_ns <= 5_060 * MS


def test_closing_ends_the_thread_and_opening_again_works(desk: Desk) -> None:
    desk.api.plug(NODE)
    mouse = desk.mouse()
    mouse.open()  # harmless
    mouse.close()
    mouse.close()
    assert not desk.read(mouse).connected and desk.api.opened == []
    assert not any(thread.name == "spacemouse-device" for thread in threading.enumerate())
    mouse.open()
    assert desk.read(mouse).connected


@pytest.mark.parametrize("missing", ["pyspacemouse", "easyhid", "libhidapi"])
def test_what_is_not_installed_is_named_with_its_system_package(missing: str, monkeypatch: Any) -> None:
    if missing == "libhidapi":
        monkeypatch.setattr(easyhid, "hidapi", object())
    else:
        monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtra, match=r"'spacemouse' .*apt-get install libhidapi-hidraw0"):
        SpaceMouse()
