import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handrail.intervention.arbiter import ArbiterState, Driver, arbitrate
from handrail.intervention.config import ArbiterConfig
from handrail.intervention.device import Reading
from handrail.intervention.transition import Source
from handrail.robot_env.errors import ActionError

CONFIG = ArbiterConfig()
POLICY = np.full(6, 0.5)
STEP_NS = 100_000_000


def reading(x: float, t_ns: int, *buttons: str, connected: bool = True) -> Reading:
    return Reading(np.array([x, 0, 0, 0, 0, 0.0]), t_ns, frozenset(buttons), connected)  # type: ignore[arg-type]


class Loop:
    """Steps the arbiter at a steady rate."""

    def __init__(self, step_ns: int = STEP_NS) -> None:
        self.state, self.now_ns, self.step_ns = ArbiterState(), 0, step_ns

    def step(self, x: float, *buttons: str, age_ns: int = 0, connected: bool = True):
        self.now_ns += self.step_ns
        self.reading = reading(x, self.now_ns - age_ns, *buttons, connected=connected)
        self.state, decision = arbitrate(
            self.state, self.reading, self.reading.twist, POLICY, self.now_ns, CONFIG
        )
        return decision


def test_the_policy_drives_a_device_at_rest() -> None:
    decision = Loop().step(0.0)
    assert decision.source is Source.POLICY and decision.action is POLICY and not decision.holding


def test_two_deflected_samples_take_over_and_one_does_not() -> None:
    loop = Loop()
    assert loop.step(0.2).source is Source.POLICY
    assert loop.step(0.0).source is Source.POLICY
    assert loop.step(0.2).source is Source.POLICY
    decision = loop.step(0.3)
    assert decision.source is Source.HUMAN and decision.action[0] == 0.3


def test_the_same_reading_twice_is_one_sample() -> None:
    loop = Loop(step_ns=10_000_000)
    loop.step(0.2)
    assert loop.step(0.2, age_ns=10_000_000).source is Source.POLICY
    assert loop.step(0.2).source is Source.HUMAN


def test_the_wheel_goes_back_after_the_hand_is_off_for_long_enough() -> None:
    loop = Loop()
    loop.step(0.5)
    loop.step(0.5)
    assert loop.step(0.05).source is Source.HUMAN  # between the thresholds the human keeps it
    assert [loop.step(0.0).source for _ in range(4)] == [Source.HUMAN] * 3 + [Source.POLICY]


def test_a_short_pause_of_the_hand_keeps_the_wheel() -> None:
    loop = Loop()
    loop.step(0.5)
    loop.step(0.5)
    loop.step(0.0)
    loop.step(0.0)
    loop.step(0.5)
    assert [loop.step(0.0).source for _ in range(3)] == [Source.HUMAN] * 3


@pytest.mark.parametrize("fault", [{"age_ns": 151_000_000}, {"connected": False}])
def test_a_lost_hand_holds_until_a_fresh_neutral_reading(fault: dict) -> None:
    loop = Loop()
    loop.step(0.9)
    loop.step(0.9)
    decision = loop.step(0.9, **fault)
    assert decision.holding and decision.source is Source.SCRIPT and not decision.action.any()
    assert loop.step(0.9).holding and loop.step(0.05).holding  # back, but still deflected
    assert loop.step(0.0, **fault).holding  # neutral, but not to be trusted
    assert loop.step(0.0).source is Source.POLICY


def test_a_reading_that_is_not_finite_holds() -> None:
    assert Loop().step(float("nan")).holding


def test_the_deadman_takes_and_gives_the_wheel_at_once() -> None:
    loop = Loop()
    assert loop.step(0.0, "takeover").source is Source.HUMAN
    assert loop.step(0.7, "takeover").action[0] == 0.7
    assert loop.step(0.0).source is Source.POLICY


def test_a_deadman_released_under_deflection_holds() -> None:
    loop = Loop()
    loop.step(0.7, "takeover")
    assert loop.step(0.7).holding
    assert loop.step(0.7, "takeover").holding
    assert loop.step(0.0).source is Source.POLICY


def test_the_pause_button_toggles_on_its_edge_and_the_human_may_drive_meanwhile() -> None:
    loop = Loop()
    assert loop.step(0.0, "pause").holding and loop.step(0.0, "pause").holding and loop.step(0.0).holding
    loop.step(0.5)
    assert loop.step(0.5).source is Source.HUMAN
    for _ in range(4):
        decision = loop.step(0.0)
    assert decision.holding
    assert loop.step(0.0, "pause").source is Source.POLICY


def test_the_stop_button_halts_whoever_drives_and_only_the_pause_button_resumes() -> None:
    loop = Loop()
    loop.step(0.5)
    assert loop.step(0.5).source is Source.HUMAN
    assert loop.step(0.5, "stop").holding and loop.step(0.5).holding
    assert loop.step(0.0).holding and loop.step(0.0, "stop").holding and loop.step(0.0).holding
    assert loop.step(0.0, "pause").source is Source.POLICY
    assert loop.step(0.0, "stop", "pause").holding and loop.step(0.0).holding


def test_a_hold_outlives_the_episode_and_a_take_over_does_not() -> None:
    assert ArbiterState(driver=Driver.HOLD).next_episode().driver is Driver.HOLD
    assert ArbiterState(driver=Driver.HUMAN, deadman=True).next_episode() == ArbiterState()


def test_a_policy_that_is_not_finite_is_refused_whoever_drives() -> None:
    bad = np.array([0, 0, np.nan, 0, 0, 0])
    for driver in Driver:
        with pytest.raises(ActionError, match="not finite"):
            arbitrate(ArbiterState(driver=driver), reading(0.0, 0), np.zeros(6), bad, 0, CONFIG)


samples = st.tuples(
    st.floats(-1, 1) | st.sampled_from([0.0, 0.02, 0.05, 0.2, float("nan")]),
    st.sets(st.sampled_from(["takeover", "pause", "stop"])),
    st.integers(-50, 400),  # age [ms]
    st.integers(1, 300),  # time since the previous step [ms]
    st.booleans() | st.just(True),
)


@given(st.lists(samples, min_size=1, max_size=60))
def test_whatever_a_device_does_a_stale_twist_is_never_executed(history: list) -> None:
    state, now_ns = ArbiterState(), 0
    held = False
    for x, buttons, age_ms, gap_ms, connected in history:
        now_ns += gap_ms * 1_000_000
        given_reading = reading(x, now_ns - age_ms * 1_000_000, *buttons, connected=connected)
        human_action = np.full(6, 7.0)  # larger than any policy action: it would be seen
        state, decision = arbitrate(state, given_reading, human_action, POLICY, now_ns, CONFIG)
        usable = connected and age_ms <= 150 and np.isfinite(x) and "stop" not in buttons
        assert np.abs(decision.action).max() <= 1.0
        assert decision.holding == (not decision.action.any())
        if not usable:
            assert decision.holding and decision.source is Source.SCRIPT
        if decision.source is Source.HUMAN:
            assert usable and (decision.action == 1.0).all()
        if decision.source is Source.POLICY:
            assert decision.action is POLICY
            if held:  # the policy resumes only after a fresh neutral reading
                assert usable and given_reading.deflection < CONFIG.release
        held = state.driver is Driver.HOLD


@given(st.lists(st.floats(0.031, 0.099), min_size=1, max_size=40), st.booleans())
def test_between_the_thresholds_the_wheel_never_changes_hands(history: list[float], human: bool) -> None:
    loop = Loop()
    if human:
        loop.step(1.0)
        loop.step(1.0)
    for x in history:
        assert loop.step(x).source is (Source.HUMAN if human else Source.POLICY)
