import os
import pty
import select
import subprocess
import sys
import termios
from collections.abc import Iterator

import numpy as np
import pytest

from handrail.intervention.arbiter import ArbiterState, Driver, arbitrate
from handrail.intervention.config import ArbiterConfig
from handrail.intervention.device import DeviceError
from handrail.intervention.keyboard import HELP, Keyboard, TerminalKeys

MS = 1_000_000


class Terminal:
    """A real pseudo-terminal: the keyboard holds one end, the test types at the other."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.keyboard = Keyboard(TerminalKeys(self.slave))

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())
        select.select([self.slave], [], [], 5.0)  # the line discipline hands it over


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    terminal.keyboard.open()
    yield terminal
    terminal.keyboard.close()
    for fd in (terminal.master, terminal.slave):
        os.close(fd)


def test_a_key_deflects_its_axis_and_ages_out(terminal: Terminal) -> None:
    terminal.type("w")
    assert terminal.keyboard.read(0).twist.tolist() == [0.5, 0, 0, 0, 0, 0]
    assert terminal.keyboard.read(249 * MS).twist[0] == 0.5
    assert not terminal.keyboard.read(250 * MS).twist.any()


def test_keys_combine_and_the_newest_of_an_axis_counts(terminal: Terminal) -> None:
    terminal.type("wsauf")
    assert terminal.keyboard.read(0).twist.tolist() == [-0.5, 0.5, -0.5, 0, 0, 0.5]


@pytest.mark.parametrize("keys", ["wdr ", " wdr"])
def test_space_stops_at_once(terminal: Terminal, keys: str) -> None:
    terminal.type(keys)
    reading = terminal.keyboard.read(0)
    assert not reading.twist.any() and reading.buttons == {"stop"}


def test_space_halts_whoever_drives_and_only_p_resumes(terminal: Terminal) -> None:
    state, now_ns = ArbiterState(), 0

    def step(keys: str = "") -> tuple[Driver, bool]:
        nonlocal state, now_ns
        now_ns += 50 * MS
        if keys:
            terminal.type(keys)
        reading = terminal.keyboard.read(now_ns)
        state, decision = arbitrate(state, reading, reading.twist, np.full(6, 0.5), now_ns, ArbiterConfig())
        return state.driver, bool(decision.action.any())

    assert step() == (Driver.POLICY, True)
    assert step(" ") == (Driver.HOLD, False)
    assert step(" ") == (Driver.HOLD, False)  # and never resumes by accident
    assert step() == (Driver.POLICY, False)  # the policy would have the wheel, and is paused
    step("w")
    assert step("w") == (Driver.HUMAN, True)
    assert step(" ") == (Driver.HOLD, False)
    assert step() == (Driver.POLICY, False)
    assert step("p") == (Driver.POLICY, True)
    assert step() == (Driver.POLICY, True)
    assert step("p") == (Driver.POLICY, False)
    assert step("p") == (Driver.POLICY, False)  # a key that is held repeats: one press
    assert step("  p ") == (Driver.HOLD, False)  # with a stop among them, it stops


@pytest.mark.parametrize(
    ("key", "button"), [("y", "success"), ("n", "failure"), ("x", "discard"), ("p", "pause")]
)
def test_a_button_is_reported_once(terminal: Terminal, key: str, button: str) -> None:
    terminal.type(key)
    assert terminal.keyboard.read(0).buttons == {button}
    assert terminal.keyboard.read(1).buttons == frozenset()


def test_unknown_keys_and_bytes_mean_nothing(terminal: Terminal) -> None:
    terminal.type("\x1b[A§Q9")
    reading = terminal.keyboard.read(0)
    assert reading.connected and not reading.twist.any() and not reading.buttons


def test_it_explains_its_keys_in_one_line(terminal: Terminal) -> None:
    line = str(terminal.keyboard)
    assert line == f"keyboard: {HELP}" and "\n" not in line and len(line) < 140


def test_the_terminal_is_given_back_as_it_was() -> None:
    terminal = Terminal()
    before = termios.tcgetattr(terminal.slave)
    terminal.keyboard.open()
    assert not termios.tcgetattr(terminal.slave)[3] & (termios.ICANON | termios.ECHO)
    terminal.keyboard.close()
    assert termios.tcgetattr(terminal.slave) == before
    assert not terminal.keyboard.read(0).connected
    for fd in (terminal.master, terminal.slave):
        os.close(fd)


@pytest.mark.parametrize("ending", ["pass", "sys.exit(3)", "raise RuntimeError"])
def test_a_process_that_ends_without_closing_gives_the_terminal_back(ending: str) -> None:
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    program = (
        "import sys, termios\n"
        "from handrail.intervention.keyboard import TerminalKeys\n"
        "keys = TerminalKeys()\n"
        "keys.open()\n"
        "assert not termios.tcgetattr(0)[3] & termios.ICANON\n"
        f"{ending}\n"
    )
    process = subprocess.run([sys.executable, "-c", program], stdin=slave, capture_output=True, timeout=60)
    assert process.returncode == {"pass": 0, "sys.exit(3)": 3}.get(ending, 1), process.stderr
    assert termios.tcgetattr(slave) == before
    for fd in (master, slave):
        os.close(fd)


def test_a_terminal_that_goes_away_is_a_lost_device() -> None:
    terminal = Terminal()
    terminal.keyboard.open()
    terminal.type("w")
    os.close(terminal.master)
    reading = terminal.keyboard.read(0)
    assert not reading.connected and not reading.twist.any()
    os.close(terminal.slave)
    terminal.keyboard.close()  # there is nothing to give back any more


def test_without_a_terminal_the_device_is_refused() -> None:
    read_end, write_end = os.pipe()
    with pytest.raises(DeviceError, match="needs a terminal"):
        Keyboard(TerminalKeys(read_end)).open()
    for fd in (read_end, write_end):
        os.close(fd)


def test_a_reading_cannot_change_afterwards(terminal: Terminal) -> None:
    terminal.type("w")
    first = terminal.keyboard.read(0)
    terminal.type("s")
    terminal.keyboard.read(1)
    assert np.array_equal(first.twist, [0.5, 0, 0, 0, 0, 0])
