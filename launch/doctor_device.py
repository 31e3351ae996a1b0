"""`handrail doctor device`: the operator's device live, as it would drive an arm, with no arm in sight."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from handrail.agent.config import HAND_DEVICES, RunConfig
from handrail.agent.devices import make_operator_device
from handrail.intervention.arbiter import ArbiterState, arbitrate
from handrail.intervention.device import AXES, Device, Reading, check_at_rest
from handrail.intervention.mapping import Mapping
from handrail.intervention.polled import PolledDevice
from handrail.launch import compose
from handrail.launch.options import Option, Options, split
from handrail.robot_env.clock import NS_PER_MS, NS_PER_S
from handrail.robot_env.errors import HandrailError

SECONDS = Option("seconds", int, "how long; without it until Ctrl-C, as JSON for 5 seconds")

_RATE_HZ = 20.0
_JSON_S = 5
_HALF = 12  # characters from the middle of a bar to its end
_ALIGNED = np.array([0.0, 0.0, 0.0, 1.0])
_MOVED = 0.3
_LOOK_S = 0.01


@dataclass(frozen=True)
class Sample:
    """One look at the device.

    Attributes:
        t_s: time since the first [s].
        connected: whether it is there.
        twist: deflection (6,) in [-1, 1], in the device's axes: x right, y away, z up, turns about them.
        action: what that asks for, (6,) in [-1, 1], in the frame that `mapping.frame` names.
        buttons: what is pressed.
        age_ms: age of the reading [ms].
        reports_hz: reports a second since the sample before; None where the device does not count.
        driver: who would drive: "policy", "human" or "hold".
        paused: whether the operator has paused the policy.
        problem: why it is not connected; "" while it is.
    """

    t_s: float
    connected: bool
    twist: tuple[float, ...]
    action: tuple[float, ...]
    buttons: tuple[str, ...]
    age_ms: float
    reports_hz: float | None
    driver: str
    paused: bool
    problem: str


def main(options: Options, overrides: Sequence[str]) -> int:
    """Show the device that the configuration names.

    Args:
        options: those of `handrail doctor`; `json` counts.
        overrides: of the configuration, and `seconds=<n>`.

    Raises:
        ConfigError: the configuration names no device.
        DeviceError: the device is missing, busy or not permitted.
    """
    own, rest = split(overrides, (SECONDS,))
    return live(compose.compose(rest).config, own["seconds"], bool(options["json"]))


def live(
    config: RunConfig, seconds: float | None = None, as_json: bool = False, console: Console | None = None
) -> int:
    """Show the device until `seconds` are over or Ctrl-C is pressed; returns 0.

    Args:
        config: names the device (`actor.device`, `device`), and how it is mapped and arbitrated.
        seconds: how long [s]; None: until Ctrl-C, or for 5 s as JSON.
        as_json: print one JSON object with all samples at the end, and nothing else.
        console: where the picture goes.

    Raises:
        ConfigError: `actor.device` names no person's device.
        DeviceError: the device is missing, busy or not permitted.
    """
    device = make_operator_device(config)
    device.open()
    try:
        if as_json:
            samples = list(watch(device, config, _JSON_S if seconds is None else seconds))
            report = {"device": device.name, "description": str(device), "samples": samples}
            sys.stdout.write(json.dumps(report, default=asdict) + "\n")
            return 0
        with Live(console=console or Console(), auto_refresh=False) as display:
            for sample in watch(device, config, seconds):
                display.update(picture(device, config, sample), refresh=True)
    finally:
        device.close()
    return 0


def watch(device: Device, config: RunConfig, seconds: float | None) -> Iterator[Sample]:
    """Look at an open device 20 times a second; ends after `seconds` or on Ctrl-C.

    The arbiter and the mapping are the ones that drive an arm. The tool is taken to be aligned with the base.
    """
    arbiter, mapping, nothing = ArbiterState(), Mapping(config.mapping), np.zeros(6)
    began_ns = last_ns = time.monotonic_ns()
    reports = getattr(device, "reports", None)
    try:
        while seconds is None or time.monotonic_ns() - began_ns < seconds * NS_PER_S:
            time.sleep(1.0 / _RATE_HZ)
            now_ns = time.monotonic_ns()
            reading = device.read(now_ns)
            action = mapping.apply(reading, _ALIGNED)
            arbiter, _ = arbitrate(arbiter, reading, action, nothing, now_ns, config.arbiter)
            counted = getattr(device, "reports", None)
            rate_hz = None
            if reports is not None and counted is not None:
                rate_hz = (counted - reports) * NS_PER_S / (now_ns - last_ns)
            reports, last_ns = counted, now_ns
            yield Sample(
                (now_ns - began_ns) / NS_PER_S,
                reading.connected,
                tuple(reading.twist.tolist()),
                tuple(action.tolist()),
                tuple(sorted(reading.buttons)),
                (now_ns - reading.t_ns) / NS_PER_MS,
                rate_hz,
                arbiter.driver.value,
                arbiter.paused,
                getattr(device, "problem", ""),
            )
    except KeyboardInterrupt:
        return


def picture(device: Device, config: RunConfig, sample: Sample) -> RenderableType:
    """A sample as a table: a line an axis, and one for the state."""
    table = Table(box=None, pad_edge=False)
    table.add_column("axis")
    table.add_column("deflection")
    table.add_column("", justify="right")
    table.add_column(f"asks for ({config.mapping.frame.replace('_', ' ')})", justify="right")
    for axis, value, asked in zip(AXES, sample.twist, sample.action, strict=True):
        component = axis if axis.startswith("r") else f"d{axis}"
        table.add_row(axis, _bar(value), f"{value:+.2f}", f"{component} {asked:+.2f}")
    there = (
        "[green]connected[/]" if sample.connected else f"[bold red]not connected[/] {escape(sample.problem)}"
    )
    rate = "" if sample.reports_hz is None else f"  reports {sample.reports_hz:4.0f}/s"
    driver = f"{sample.driver}{', paused' if sample.paused else ''}"
    state = (
        f"{there}  age {sample.age_ms:3.0f} ms{rate}  drives: [bold]{driver}[/]  "
        f"buttons: [bold]{', '.join(sample.buttons) or 'none'}[/]"
    )
    return Group(Text(str(device)), table, Text.from_markup(state))


def check_device(
    config: RunConfig,
    by_hand: bool = True,
    within_s: float = 10.0,
    ask: Callable[[str], object] = lambda line: sys.stderr.write(f"      {line}\n"),
) -> tuple[Literal["ok", "fail"], str]:
    """Whether the operator's device is there, at rest, moves, and comes back to rest.

    Args:
        config: names the device.
        by_hand: whether somebody is there to move it; without, it only has to be there and at rest.
        within_s: how long one may take to move it and let go [s].
        ask: told what to do.

    Returns:
        "ok" or "fail", and one line that says what was found and, after a failure, what to do.
    """
    kind = config.actor.device
    if kind not in HAND_DEVICES:
        return "ok", "synthetic operator" if kind == "synthetic" else "none"
    try:
        device = make_operator_device(config)
        device.open()
    except HandrailError as error:
        return "fail", str(error)
    try:
        check_at_rest(device, time.monotonic_ns())
        if kind == "keyboard" or not by_hand:
            return "ok", f"{device!s}; at rest"
        return _moved_and_back(device, config, within_s, ask)
    except HandrailError as error:
        return "fail", str(error)
    finally:
        device.close()


def _moved_and_back(
    device: Device, config: RunConfig, within_s: float, ask: Callable[[str], object]
) -> tuple[Literal["ok", "fail"], str]:
    holding = _deadman(device)
    ask(f"move {device.name} in each direction{holding} and let go, within {within_s:g} s")
    low, high = np.zeros(6), np.zeros(6)
    deadline_ns = time.monotonic_ns() + round(within_s * NS_PER_S)
    reading, rest_ns = None, 0
    while (now_ns := time.monotonic_ns()) < deadline_ns:
        reading = device.read(now_ns)
        low, high = np.minimum(low, reading.twist), np.maximum(high, reading.twist)
        moved = max(high.max(), -low.min()) >= _MOVED
        rest_ns = 0 if not _quiet(reading, config) else rest_ns or now_ns
        if moved and rest_ns and now_ns - rest_ns >= config.arbiter.release_s * NS_PER_S:
            return "ok", f"{device!s}; moved {_extremes(low, high)}, and back to rest"
        time.sleep(_LOOK_S)
    if reading is None or not reading.connected:
        return "fail", f"{device.name} was lost: {getattr(device, 'problem', '')}"
    if max(high.max(), -low.min()) < _MOVED:
        return "fail", (
            f"{device!s}; moved {_extremes(low, high) or 'nothing'} within {within_s:g} s; "
            f"move it further{holding}, or name another with device.path"
        )
    worst = int(np.argmax(np.abs(reading.twist)))
    held = f", {', '.join(sorted(reading.buttons))} pressed" if reading.buttons else ""
    return "fail", (
        f"{device.name} does not come back to rest: axis {AXES[worst]} reads {reading.twist[worst]:+.2f}"
        f"{held}; let go of it, or plug it in again with nobody touching it"
    )


def _quiet(reading: Reading, config: RunConfig) -> bool:
    return reading.connected and not reading.buttons and reading.deflection < config.arbiter.release


def _extremes(low: np.ndarray, high: np.ndarray) -> str:
    """Such as "x -0.80 to +0.91, rz 0.00 to +0.40"; axes that did not move are left out."""
    moved = [i for i in range(6) if high[i] - low[i] > 0.05]
    return ", ".join(f"{AXES[i]} {low[i]:+.2f} to {high[i]:+.2f}" for i in moved)


def _deadman(device: Device) -> str:
    """What has to be held for the device to count."""
    if isinstance(device, PolledDevice):
        held = [name for name, button in device.meanings.items() if button == "takeover"]
        if held:
            return f", holding {held[0]},"
    return ""


def _bar(value: float) -> str:
    """A bar that grows from the middle to either side."""
    size = round(_HALF * min(1.0, abs(value)))
    left = (" " * (_HALF - size) + "█" * size) if value < 0.0 else " " * _HALF
    right = ("█" * size + " " * (_HALF - size)) if value >= 0.0 else " " * _HALF
    return f"[cyan]{left}[/]│[cyan]{right}[/]"
