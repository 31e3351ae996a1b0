"""A recovery that takes too long: who asked is told that it failed, and that stays true."""

import pytest
from supervised import MS, Cell

from handrail.robot_env.errors import ArmError, ArmFault
from handrail.robot_env.remote.client import SLOW_S
from handrail.robot_env.remote.recovery import RECOVERY_S, SETTLE_NS

LONG_NS = round(RECOVERY_S * 1e9)


@pytest.fixture
def faulted():
    """An arm in a latched fault whose cause has gone, and a driver whose slow work the test ends."""
    cell = Cell(at_once=False).open()
    cell.elsewhere.finish()
    cell.tick(2)
    cell.break_it()
    cell.repair()
    cell.tick()
    assert cell.mode == "FAULT"
    return cell


def give_up(cell):
    """Let a recovery take longer than it may."""
    cell.recover(by="Ada")
    cell.at(cell.now + LONG_NS + MS)
    cell.tick()


def notes(cell):
    return [what for _, what in cell.supervisor.arm.events]


def test_whoever_asks_waits_longer_than_a_recovery_may_take():
    assert RECOVERY_S + SETTLE_NS / 1e9 + 5.0 < SLOW_S


def test_one_that_was_told_to_have_failed_never_ends_in_hold(faulted):
    told = len(faulted.answers)
    give_up(faulted)
    (answer,) = faulted.answers[told:]
    assert isinstance(answer, ArmFault) and "not recovered in 50 s (by Ada)" in str(answer)
    with pytest.raises(ArmError, match=r"given up.*restart the arm server"):
        faulted.recover()
    faulted.elsewhere.finish()
    faulted.tick(200)
    assert faulted.mode == "FAULT" and len(faulted.answers) == told + 1
    assert any("given up has ended; the fault stays" in note for note in notes(faulted))


def test_the_next_one_may_help(faulted):
    give_up(faulted)
    faulted.elsewhere.finish()
    faulted.tick(2)
    faulted.recover(by="Grace")
    faulted.elsewhere.finish()
    faulted.tick(2)
    assert faulted.mode == "HOLD" and faulted.answers[-1] is None
    assert notes(faulted)[-1] == "HOLD: recovered by Grace"


def test_one_that_ends_in_time_is_not_given_up(faulted):
    faulted.recover()
    faulted.at(faulted.now + LONG_NS - 20 * MS)
    faulted.tick()
    assert faulted.mode == "FAULT"
    faulted.elsewhere.finish()
    faulted.tick(2)
    assert faulted.mode == "HOLD" and faulted.answers[-1] is None
