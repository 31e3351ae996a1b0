"""The hand at the console: what it may do to the wheel, and what becomes of it when it falls silent."""

import numpy as np
import pytest

from handrail.intervention.arbiter import ArbiterState, Driver, arbitrate
from handrail.intervention.config import ArbiterConfig
from handrail.intervention.console.hand import LOST_S, ConsoleHand, NoDevice, Press, SharedDevice
from handrail.intervention.console.messages import Hand
from handrail.intervention.device import Reading, check_at_rest

MS = 1_000_000
RIGHT = (0.0, -0.5, 0.0, 0.0, 0.0, 0.0)


class Bench:
    """A hand, the clock it goes by, and a device that may be deflected too."""

    def __init__(self, forgives: bool = True) -> None:
        self.now_ns = 1_000 * MS
        self.hand = ConsoleHand(0.15, forgives, lambda: self.now_ns)
        self.twist = np.zeros(6)
        self.episode: int | None = 7
        self.sequence = 0
        self.shared = SharedDevice(self, self.hand, lambda: self.episode)
        self.state = ArbiterState()

    name = "bench"

    def open(self) -> None: ...

    def close(self) -> None: ...

    def read(self, now_ns: int) -> Reading:
        return Reading(self.twist, now_ns)

    def feel(self, twist=RIGHT, drive=True, sequence=None, who="ada", held=(), age_ms=0) -> None:
        self.sequence = self.sequence + 1 if sequence is None else sequence
        self.hand.feel(Hand(who, self.sequence, self.now_ns - age_ms * MS, twist, drive, held))

    def look(self, after_ms: int = 20) -> Reading:
        self.now_ns += after_ms * MS
        # The loop of a simulation has a clock of its own, far from this machine's.
        return self.shared.read(5_000 * MS)

    def drive(self, after_ms: int = 20) -> Driver:
        reading = self.look(after_ms)
        self.state, _ = arbitrate(self.state, reading, np.zeros(6), np.zeros(6), 5_000 * MS, ArbiterConfig())
        return self.state.driver


def test_without_a_hand_the_device_is_untouched() -> None:
    bench = Bench()
    bench.twist = np.full(6, 0.2)
    reading = bench.look()
    assert reading.twist is bench.twist and not reading.console and not reading.buttons


def test_a_hand_with_its_deadman_held_drives_and_says_who() -> None:
    bench = Bench()
    bench.feel()
    reading = bench.look()
    assert reading.console and reading.buttons == {"takeover"}
    assert reading.twist == pytest.approx(RIGHT)
    assert reading.t_ns == 5_000 * MS - 20 * MS  # on the loop's clock, as old as it is
    assert bench.hand.driver == "ada"


def test_a_neutral_takeover_drives_without_moving() -> None:
    bench = Bench()
    bench.feel(twist=(0.0,) * 6)
    assert bench.drive() is Driver.HUMAN


def test_letting_go_gives_the_wheel_back() -> None:
    bench = Bench()
    bench.feel()
    assert bench.drive() is Driver.HUMAN
    bench.feel(twist=(0.0,) * 6, drive=False)
    assert bench.drive() is Driver.POLICY
    assert bench.hand.driver == ""


def test_a_hand_that_falls_silent_while_it_drives_is_held_and_then_forgiven_in_a_simulation() -> None:
    bench = Bench(forgives=True)
    bench.feel()
    assert bench.drive() is Driver.HUMAN
    assert bench.drive(after_ms=160) is Driver.HOLD
    assert not bench.look().twist.any()
    assert bench.drive(after_ms=1000) is Driver.HOLD
    bench.drive(after_ms=round(LOST_S * 1000))
    assert bench.drive() is Driver.POLICY and not bench.state.paused


def test_with_a_real_arm_somebody_has_to_resume_after_a_hand_was_lost() -> None:
    bench = Bench(forgives=False)
    bench.feel()
    bench.drive()
    bench.drive(after_ms=round(LOST_S * 1000) + 200)
    bench.drive()
    assert bench.state.paused


def test_a_hand_that_returns_must_let_go_before_it_drives_again() -> None:
    bench = Bench()
    bench.feel()
    bench.drive()
    assert bench.drive(after_ms=200) is Driver.HOLD
    bench.feel()
    assert bench.drive() is Driver.HOLD
    bench.feel(drive=False, twist=(0.0,) * 6)
    assert bench.drive() is Driver.POLICY
    bench.feel()
    assert bench.drive() is Driver.HUMAN


def test_packets_that_were_queued_on_the_way_are_too_old_to_drive() -> None:
    bench = Bench()
    bench.feel(age_ms=400)
    assert bench.drive() is Driver.HOLD


def test_an_older_packet_that_arrives_late_is_dropped() -> None:
    bench = Bench()
    bench.feel(sequence=5, drive=False)
    bench.feel(sequence=4, drive=True)
    assert not bench.look().console


def test_while_one_drives_another_s_hand_does_not_count() -> None:
    bench, left = Bench(), tuple(-each for each in RIGHT)
    bench.feel(who="ada")
    bench.feel(who="ben", twist=left)
    assert bench.look().twist == pytest.approx(RIGHT) and bench.hand.driver == "ada"
    bench.look(after_ms=200)  # ada is silent: ben may take over from her
    bench.feel(who="ben", twist=left)
    assert bench.look().twist == pytest.approx(left) and bench.hand.driver == "ben"
    bench.feel(who="ben", drive=False)
    bench.feel(who="ada")
    assert bench.hand.driver == "ada"


def test_nonsense_is_dropped_and_too_much_is_clipped() -> None:
    bench = Bench()
    bench.feel(twist=(float("nan"), 0.0, 0.0, 0.0, 0.0, 0.0))
    assert not bench.look().console
    bench.feel(twist=(9.0, -9.0, 0.0, 0.0, 0.0, 0.0))
    assert bench.look().twist.tolist() == [1.0, -1.0, 0.0, 0.0, 0.0, 0.0]


def test_a_press_is_seen_once_beside_the_devices_own_buttons() -> None:
    bench = Bench()
    press = Press("success", "ada")
    bench.hand.press(press)
    assert press.outcome is None
    assert bench.look().buttons == {"success"} and press.outcome == ""
    assert bench.look().buttons == frozenset()


def test_a_verdict_is_no_button_but_a_word_that_is_told_once_when_the_step_is_judged() -> None:
    bench = Bench()
    press = Press("failure", "ada", 7)
    bench.hand.press(press)
    assert bench.look().buttons == frozenset() and press.outcome is None
    assert bench.shared.said() == {"failure"} and press.outcome == ""
    assert bench.shared.said() == frozenset()


def test_a_verdict_never_reaches_another_episode() -> None:
    bench = Bench()
    press = Press("failure", "ada", 6)
    bench.hand.press(press)
    assert not bench.shared.said()
    assert "over already" in str(press.outcome)


def test_a_press_that_nobody_saw_can_be_taken_back() -> None:
    bench = Bench()
    press = Press("failure", "ada", 7)
    bench.hand.press(press)
    bench.hand.withdraw(press, "too late")
    assert not bench.shared.said() and press.outcome == "too late"


def test_of_pause_and_resume_the_later_one_counts() -> None:
    bench = Bench()
    bench.hand.press(Press("hold", "ada"))
    bench.hand.press(Press("resume", "ada"))
    bench.drive()
    assert not bench.state.paused
    bench.hand.press(Press("resume", "ada"))
    bench.hand.press(Press("hold", "ada"))
    bench.drive()
    assert bench.state.paused


def test_a_stop_is_not_undone_by_a_resume_that_was_pressed_beside_it() -> None:
    bench = Bench()
    bench.hand.press(Press("stop", "ada"))
    assert "stop" in bench.hand.press(Press("resume", "bob"))
    assert bench.drive() is Driver.HOLD
    assert bench.state.paused
    assert bench.hand.press(Press("resume", "bob")) == ""
    bench.drive()
    assert not bench.state.paused


def test_pausing_twice_is_pausing_once() -> None:
    bench = Bench()
    for _ in range(2):
        bench.hand.press(Press("hold", "ada"))
        bench.drive()
    assert bench.state.paused
    bench.hand.press(Press("resume", "ada"))
    bench.drive()
    assert not bench.state.paused


def test_a_button_that_is_held_counts_while_it_is_held_and_only_what_may_be_held() -> None:
    bench = Bench()
    bench.feel(drive=False, held=("success", "stop", "nonsense"))
    assert bench.look().buttons == {"success"}
    assert bench.look(after_ms=200).buttons == frozenset()


def test_a_verdict_is_the_operators_by_name_and_the_devices_otherwise() -> None:
    bench = Bench()
    bench.hand.press(Press("hold", "ada"))
    bench.look()
    assert bench.shared.name == "bench"
    bench.hand.press(Press("success", "ada", 7))
    bench.shared.said()
    assert bench.shared.name == "ada"
    bench.shared.episode_started((0, 8))
    assert bench.shared.name == "bench"


def test_without_a_device_the_console_alone_is_heard() -> None:
    device = NoDevice()
    device.open()
    check_at_rest(device, 5)
    assert "page" in str(device)
    device.close()
