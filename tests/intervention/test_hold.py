"""Pauses and incidents: nothing moves between episodes until the operator says so."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from handrail.intervention.config import ArbiterConfig, MappingConfig
from handrail.intervention.device import Reading
from handrail.intervention.hold import RESUME, Hold, Reason
from handrail.intervention.rollout import Rollout
from handrail.intervention.transition import Source
from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.arms.lockstep import LockstepArm
from handrail.robot_env.clock import LockstepClock
from handrail.robot_env.config import EnvConfig, TargetReference, TaskConfig
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.errors import ConfigError, ResetError
from handrail.robot_env.geometry import pose_distance
from handrail.robot_env.regrasp import STOPPED, RegraspPhase, RegraspStep
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.tasks import RamInsertion


class RealTime:
    """A lockstep clock that the environment takes for a real one: time passes only while it waits."""

    def __init__(self, arm: LockstepArm) -> None:
        self._clock = LockstepClock(arm.advance)
        self.now_ns, self.wait_until, self.stalled_ns = (
            self._clock.now_ns,
            self._clock.wait_until,
            self._clock.stalled_ns,
        )


@dataclass
class Hand:
    """A device whose deflection and buttons a test sets, by the number of the look."""

    twist: dict[int, float] = field(default_factory=dict)
    buttons: dict[int, set] = field(default_factory=dict)
    unplugged_from: int = 10**9
    lost_at: int = -1
    looks: int = -1
    name: str = "hand"

    def open(self) -> None: ...

    def close(self) -> None: ...

    def read(self, now_ns: int) -> Reading:
        self.looks += 1
        x = max((k for k in self.twist if k <= self.looks), default=None)
        deflection = np.array([0.0 if x is None else self.twist[x], 0, 0, 0, 0, 0])
        connected = self.looks < self.unplugged_from and self.looks != self.lost_at
        return Reading(deflection, now_ns, frozenset(self.buttons.get(self.looks, ())), connected)


class Told(list):
    """What somebody at the device is told."""

    def append(self, said: object) -> None:
        super().append(str(said))


def station(
    hand: Hand, max_steps: int = 6, reference: TargetReference = "measured"
) -> tuple[RobotEnv, Rollout, Told]:
    config = EnvConfig(task=TaskConfig(max_steps=max_steps), target_reference=reference)
    cell = SimCell(config.sim)
    task = RamInsertion(config.task, cell)
    arm = LockstepArm(cell, config.limits, task.frame(), 0.1)
    clock = RealTime(arm)
    env = RobotEnv(arm, task, clock, config, scene=cell)
    mapping = MappingConfig(dead_zone=0.0, smoothing_s=0.0)
    rollout = Rollout(env, hand, ArbiterConfig(takeover_samples=1), mapping, None, clock.now_ns)
    return env, rollout, Told()


def drive(rollout: Rollout) -> list:
    steps: list = []

    def keep(step) -> bool:
        steps.append(step)
        return True

    rollout.run_episode(None, episode=0, seed=(0,), between_steps=keep)
    return steps


def test_a_hand_is_followed_within_the_step_and_stored_as_what_it_summed_to():
    # Looks: one at the reset, one a step, and six within each step that the human drives.
    hand = Hand(twist={1: 0.4, 5: 0.8})
    _, rollout, _ = station(hand, max_steps=2)
    first, second = drive(rollout)
    assert first.source is second.source is Source.HUMAN
    # Within the first step the hand asks three times for 0.4 and three times for 0.8.
    assert first.action[0] == pytest.approx(0.6)
    assert second.action[0] == pytest.approx(0.8)


def test_a_hand_whose_goals_add_up_moves_the_arm_as_far_as_what_is_stored_of_it():
    hand = Hand(twist={1: 0.3, 22: 0.0})  # three steps of 3 mm, then the arm comes to rest
    env, rollout, _ = station(hand, max_steps=12, reference="commanded")
    poses = []
    rollout.run_episode(
        None,
        episode=0,
        seed=(0,),
        between_steps=lambda _: poses.append(env.last_arm_state.pose) or True,
        after_reset=lambda _: poses.append(env.last_arm_state.pose),
    )
    assert pose_distance(poses[0], poses[-1])[0] == pytest.approx(0.009, abs=0.0005)


def test_a_device_lost_within_a_step_asks_for_nothing_from_there_on_and_the_arm_holds():
    hand = Hand(twist={1: 0.6}, unplugged_from=5)
    _, rollout, _ = station(hand, max_steps=3)
    first, second, _ = drive(rollout)
    assert first.action[0] == pytest.approx(0.3)  # three of six looks
    assert second.source is Source.SCRIPT and not second.action.any()


def test_a_verdict_pressed_within_a_step_is_heard_at_its_end():
    hand = Hand(twist={1: 0.3}, buttons={4: {"success"}})
    _, rollout, _ = station(hand)
    steps = drive(rollout)
    assert len(steps) == 1 and steps[-1].terminated and steps[-1].reward == 1.0


def test_a_pause_holds_the_next_reset_until_it_is_pressed_again():
    hand = Hand(buttons={0: {"pause"}, 3: {"pause"}})
    env, rollout, told = station(hand)
    hold = Hold(env, rollout, lambda: True, lambda: True, told.append)
    assert hold.until_resumed()
    assert hand.looks == 3 and told == ["paused by the operator; resume with the pause or success button"] * 3


def test_an_incident_holds_until_the_arm_is_well_and_the_person_resumes_after_that(monkeypatch):
    # Pressed while the arm is lost (1) and in its fault (3), the button is no word to go on.
    hand = Hand(buttons={1: {"pause"}, 3: {"pause"}, 7: {"pause"}})
    env, rollout, told = station(hand)
    modes = [(ArmMode.DISARMED, "silent")] * 2 + [(ArmMode.FAULT, "reflex")] * 3 + [(ArmMode.HOLD, "")] * 9
    monkeypatch.setattr(env, "arm_mode", lambda: modes.pop(0))
    hold = Hold(env, rollout, lambda: True, lambda: True, told.append)
    hold.begin("camera wrist is frozen")
    assert hold.until_resumed() and hand.looks == 7
    assert told[0] == "camera wrist is frozen"
    assert told[1:3] == ["silent; see to it, or wait for it"] * 2
    assert all("reflex" in line and "recover by=" in line for line in told[3:6])
    assert all("camera wrist is frozen; resume with" in line for line in told[6:]) and len(told) == 8


def test_the_success_button_resumes_too_but_not_while_it_is_still_down_from_the_verdict():
    down = {"success"}
    hand = Hand(buttons={0: down, 1: down, 3: down})
    env, rollout, told = station(hand)
    hold = Hold(env, rollout, lambda: True, lambda: True, told.append)
    rollout.pause()
    assert hold.until_resumed() and hand.looks == 3 and not rollout.paused


def test_a_press_before_the_arm_was_well_does_not_resume(monkeypatch):
    hand = Hand(buttons={1: {"success"}, 2: {"success"}, 4: {"success"}})
    env, rollout, told = station(hand)
    modes = [(ArmMode.FAULT, "reflex")] * 2 + [(ArmMode.HOLD, "")] * 9
    monkeypatch.setattr(env, "arm_mode", lambda: modes.pop(0))
    hold = Hold(env, rollout, lambda: True, lambda: True, told.append)
    hold.begin("the arm is in a latched fault")
    assert hold.until_resumed() and hand.looks == 4


def test_without_a_person_a_simulated_arm_goes_on_once_it_is_well(monkeypatch):
    env, rollout, told = station(Hand())
    modes = [(ArmMode.FAULT, "reflex"), (ArmMode.HOLD, "")]
    monkeypatch.setattr(env, "arm_mode", lambda: modes.pop(0))
    hold = Hold(env, rollout, lambda: False, lambda: True, told.append)
    hold.begin("the arm is in a latched fault")
    assert hold.until_resumed() and len(told) == 2


def test_an_arm_that_was_never_connected_is_tried_again():
    env, rollout, told = station(Hand(buttons={2: {"pause"}}))
    assert env.arm_mode() == (ArmMode.HOLD, "")
    hold = Hold(env, rollout, lambda: True, lambda: True, told.append)
    hold.begin("another program commands the arm")
    assert hold.until_resumed() and "another program commands the arm; resume with" in told[-1]


@pytest.mark.parametrize("button", ["pause", "stop"])
def test_a_pause_or_a_stop_ends_a_reset_where_it_is(button):
    hand = Hand(buttons={4: {button}})
    env, rollout, told = station(hand)
    hold = Hold(env, rollout, lambda: True, lambda: True, told.append)
    env.interrupt = hold.interruption
    with pytest.raises(ResetError, match="paused by the operator"):
        env.reset(seed=0)
    assert env.arm_mode()[0] is ArmMode.HOLD and rollout.paused and hand.looks == 4


def test_a_session_that_ends_ends_its_reset():
    env, rollout, told = station(Hand())
    env.interrupt = Hold(env, rollout, lambda: True, lambda: False, told.append).interruption
    with pytest.raises(ResetError, match="the session ends"):
        env.reset(seed=0)


def test_a_stop_clicked_during_the_reset_or_in_the_last_step_is_not_lost():
    # Look 0 follows the reset; with two steps by hand, looks 1 to 14 are theirs.
    for look in (0, 13):
        _, rollout, _ = station(Hand(twist={1: 0.3}, buttons={look: {"stop"}}), max_steps=2)
        drive(rollout)
        rollout.look()
        assert rollout.paused, look


def test_a_deadman_let_go_of_asks_for_nothing_until_the_next_step():
    held = {look: {"takeover"} for look in range(1, 5)}
    _, rollout, _ = station(Hand(twist={1: 0.6}, buttons=held), max_steps=1)
    (step,) = drive(rollout)
    assert step.source is Source.HUMAN and step.action[0] == pytest.approx(0.3)


def test_a_device_that_was_lost_for_a_moment_within_a_step_holds_the_next():
    hand = Hand(twist={1: 0.6})
    hand.lost_at = 4
    _, rollout, _ = station(hand, max_steps=2)
    first, second = drive(rollout)
    assert first.action[0] < 0.6 and second.source is Source.SCRIPT and not second.action.any()


def test_a_held_device_is_waited_for(monkeypatch):
    hand = Hand(twist={0: 0.5, 3: 0.0})
    env, rollout, told = station(hand)
    Hold(env, rollout, lambda: True, lambda: True, told.append).until_at_rest(hand)
    assert len(told) == 3 and "not at rest" in told[0]


def test_waiting_ends_when_nobody_wants_it_any_longer():
    env, rollout, told = station(Hand(buttons={0: {"pause"}}))
    wanted = iter([True, True, False])
    assert not Hold(env, rollout, lambda: True, lambda: next(wanted), told.append).until_resumed()
    assert len(told) == 2


class Procedure:
    """Stands in for a regrasp whose second prompt wants an acknowledgement."""

    def __init__(self) -> None:
        self.acknowledged, self.cancelled = [], False

    def step(self, acknowledged: bool) -> RegraspStep:
        self.acknowledged.append(acknowledged)
        return RegraspStep(RegraspPhase.PLACE, "place a module", acknowledged)

    def cancel(self) -> None:
        self.cancelled = True


def test_a_regrasp_is_acknowledged_with_the_success_button(monkeypatch):
    env, rollout, told = station(Hand(buttons={3: {"success"}}))
    procedure = Procedure()
    monkeypatch.setattr(env, "regrasp", lambda answered: procedure)
    assert Hold(env, rollout, lambda: True, lambda: True, told.append).regrasp(told.append)
    assert procedure.acknowledged == [False, False, False, True]
    assert told == ["place a module"] * 3 and not procedure.cancelled


@pytest.mark.parametrize("buttons, looks", [({2: {"pause"}}, 100), ({}, 3)], ids=["paused", "unwanted"])
def test_a_regrasp_that_is_paused_or_no_longer_wanted_is_cancelled(monkeypatch, buttons, looks):
    hand = Hand(buttons=buttons)
    env, rollout, told = station(hand)
    procedure = Procedure()
    monkeypatch.setattr(env, "regrasp", lambda answered: procedure)
    hold = Hold(env, rollout, lambda: True, lambda: hand.looks < looks, told.append)
    assert not hold.regrasp(told.append)
    assert procedure.cancelled


def test_a_regrasp_ends_where_somebody_else_stops_the_arm(monkeypatch):
    stops = iter([0, 0, 1])
    monkeypatch.setattr(RobotEnv, "stops", property(lambda _: next(stops)))
    env, rollout, told = station(Hand())
    procedure = Procedure()
    monkeypatch.setattr(env, "regrasp", lambda answered: procedure)
    assert not Hold(env, rollout, lambda: True, lambda: True, told.append).regrasp(told.append)
    assert procedure.cancelled and len(procedure.acknowledged) == 2
    assert rollout.paused and told[-1] == STOPPED


def test_a_stop_that_was_answered_is_the_pasts(monkeypatch):
    stops = [1]
    monkeypatch.setattr(RobotEnv, "stops", property(lambda _: stops[0]))
    env, rollout, told = station(Hand())
    hold = Hold(env, rollout, lambda: True, lambda: True, told.append, answered=1)
    assert hold.until_resumed() and hold.interruption() == "" and told == []
    stops[0] = 2
    assert hold.interruption() == STOPPED and rollout.paused and hold.answered == 1
    rollout.resume()
    assert hold.until_resumed() and hold.answered == 2


def test_a_regrasp_is_told_which_stops_have_been_seen(monkeypatch):
    monkeypatch.setattr(RobotEnv, "stops", property(lambda _: 1))
    env, rollout, told = station(Hand(buttons={0: {"success"}}))
    given: list[int] = []

    def regrasp(answered: int) -> Procedure:
        given.append(answered)
        return Procedure()

    monkeypatch.setattr(env, "regrasp", regrasp)
    assert Hold(env, rollout, lambda: True, lambda: True, told.append, answered=1).regrasp(told.append)
    assert given == [1]


def test_why_it_holds_has_a_kind_whatever_the_words(monkeypatch):
    stops = [0]
    monkeypatch.setattr(RobotEnv, "stops", property(lambda _: stops[0]))
    env, rollout, _ = station(Hand(buttons={look: {"pause"} for look in (0, 2, 4, 6)}))
    told: list[Reason] = []

    def kinds() -> list[str]:
        assert Hold(env, rollout, lambda: True, lambda: True, told.append).until_resumed()
        return [reason.kind for reason in told]

    assert kinds() == ["pause", "pause"]
    assert [reason.remedy for reason in told] == [RESUME] * 2
    told.clear()
    stops[0] = 1
    assert set(kinds()) == {"stop"}
    told.clear()
    hold = Hold(env, rollout, lambda: True, lambda: True, told.append, answered=1)
    hold.begin("camera wrist is frozen")
    assert [reason.kind for reason in told] == ["incident"] and str(told[0]) == "camera wrist is frozen"


def test_no_regrasp_without_a_holder_to_take_from():
    env, _, _ = station(Hand())
    with pytest.raises(ConfigError, match=r"env\.regrasp is not configured"):
        env.regrasp()
