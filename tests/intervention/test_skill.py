import numpy as np
import pytest

from handrail.intervention.skill import SKILLS, Hand, Skill, expected
from handrail.robot_env.geometry import pose_compose, pose_relative, quat_angle, quat_from_rotvec
from handrail.robot_env.sim.truth import RamTruth
from handrail.robot_env.spec import ActionSpec

STEP_NS = 100_000_000


def truth(tcp: np.ndarray, setpoint: np.ndarray | None = None) -> RamTruth:
    tip = pose_compose(tcp, np.array([0.001, 0, 0.03, 0, 0, 0, 1.0]))
    return RamTruth(
        t_ns=0,
        T_base_tcp=tcp,
        T_base_tip=tip,
        T_base_socket=np.array([0, 0, 0, 0, 0, 0, 1.0]),
        T_base_setpoint=tcp if setpoint is None else setpoint,
        depth=0.0,
        lateral_m=np.zeros(2),
        yaw_rad=0.0,
        peak_force_n=0.0,
    )


START = np.array([0.3, 0.1, 0.2, 1.0, 0, 0, 0])
GOAL = np.array(
    [0.31, 0.1, 0.19, *pose_compose(START, np.array([0, 0, 0, *quat_from_rotvec((0, 0, 0.1))]))[3:]]
)


def test_a_hand_that_saw_everything_expects_what_is() -> None:
    now = truth(START)
    assert expected([(0, now)]).T_base_tcp.tolist() == START.tolist()


def test_the_tool_is_expected_to_follow_its_setpoint() -> None:
    past, commanded = truth(START), truth(START, GOAL)
    soon = expected([(0, past), (STEP_NS, commanded)])
    settled = expected([(0, past), (20 * STEP_NS, commanded)])
    share = 1.0 - np.exp(-1.0)
    assert soon.T_base_tcp[:3] == pytest.approx(START[:3] + share * (GOAL[:3] - START[:3]))
    assert settled.T_base_tcp[:3] == pytest.approx(GOAL[:3])
    assert quat_angle(settled.T_base_tcp[3:], GOAL[3:]) < 1e-6


def test_the_module_stays_where_it_is_in_the_hand() -> None:
    past = truth(START)
    later = expected([(0, past), (STEP_NS, truth(START, GOAL))])
    before = pose_relative(past.T_base_tcp, past.T_base_tip)
    assert pose_relative(later.T_base_tcp, later.T_base_tip) == pytest.approx(before, abs=1e-9)


def test_what_happened_within_the_delay_is_not_seen() -> None:
    def action(surprise: float) -> np.ndarray:
        hand = Hand(Skill(0.3, 0, 0, 0, 0, 0), ActionSpec(), 0.1, "commanded")
        hand.take(np.random.default_rng(0), 0.25)
        for n in range(6):
            moved = START.copy()
            moved[0] += surprise if n >= 4 else 0.0
            hand.watch(truth(moved, START), n * STEP_NS, np.zeros(6))
        return hand.drive()

    assert np.array_equal(action(0.0), action(0.02))


def test_the_tremor_has_its_deviation_and_its_memory() -> None:
    hand = Hand(Skill(0.3, 0, 0, 0.2, 0, 0), ActionSpec(), 0.1, "commanded")
    rng = np.random.default_rng(0)
    seen = []
    for n in range(3000):
        hand.watch(truth(START), n * STEP_NS, rng.standard_normal(6))
        seen.append(hand._tremor)
    seen = np.array(seen)
    assert seen.std() == pytest.approx(0.2, rel=0.1)
    assert np.mean(seen[1:] * seen[:-1]) / np.mean(seen**2) == pytest.approx(np.exp(-0.1 / 0.45), abs=0.05)


def test_reactions_are_lognormal_about_their_median() -> None:
    hand = Hand(SKILLS["good"], ActionSpec(), 0.1, "commanded")
    assert hand.reaction_s(0.0) == 0.35
    assert hand.reaction_s(1.0) * hand.reaction_s(-1.0) == pytest.approx(0.35**2)
