import dataclasses
import math

import numpy as np
import pytest

from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.arms.lockstep import LockstepArm
from handrail.robot_env.cameras.camera import Frame, check_skew
from handrail.robot_env.clock import NS_PER_MS, LockstepClock
from handrail.robot_env.config import (
    ArmConfig,
    CameraConfig,
    EnvConfig,
    LimitsConfig,
    RandomizationConfig,
    SimConfig,
    TaskConfig,
)
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.errors import (
    ActionError,
    ArmError,
    ArmFault,
    CameraError,
    ConfigError,
    RenderingUnavailable,
    ResetEnded,
    ResetError,
)
from handrail.robot_env.gate import GateFlag, GateLimits
from handrail.robot_env.geometry import pose_compose, pose_distance
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.expert import ScriptedExpert
from handrail.robot_env.tasks import RamInsertion, Start

STILL = np.zeros(6, dtype=np.float32)
DOWN = np.array([0, 0, 1, 0, 0, 0], dtype=np.float32)  # along the tool's z, which points down


class NotingArm(LockstepArm):
    """Notes what the gate let through.

    Attributes:
        goal: (7,) the last of it, base frame.
    """

    def set_target(self, pose, twist=None):
        self.goal = super().set_target(pose, twist)
        return self.goal


@dataclasses.dataclass
class Rig:
    """An environment with its parts at hand."""

    env: RobotEnv
    cell: SimCell
    arm: NotingArm
    clock: LockstepClock


def rig(config=None) -> Rig:
    config = config or EnvConfig()
    cell = SimCell(config.sim)
    task = RamInsertion(config.task, cell)
    arm = NotingArm(cell, config.limits, task.frame(), 1.0 / config.hz)
    clock = LockstepClock(arm.advance)
    return Rig(RobotEnv(arm, task, clock, config, scene=cell), cell, arm, clock)


@pytest.fixture
def panda():
    return rig()


def test_observations_and_actions_are_what_the_spaces_say(panda):
    observation, _ = panda.env.reset(seed=0)
    assert observation in panda.env.observation_space
    assert panda.env.action_space.shape == (6,) and observation["state"].shape == (19,)
    for _ in range(5):
        observation, reward, terminated, truncated, info = panda.env.step(panda.env.action_space.sample())
        assert observation in panda.env.observation_space
        assert reward == 0.0 and isinstance(reward, float)
        assert terminated is False and truncated is False and info["truncated_by"] is None


def test_nothing_is_touched_before_the_first_reset():
    parts = rig()
    assert parts.cell.time_ns == 0 and parts.cell.on_chunk is None
    with pytest.raises(ResetError, match="call reset"):
        parts.env.step(STILL)
    with pytest.raises(ResetError, match="call reset"):
        _ = parts.env.last_arm_state
    parts.env.close()


@pytest.mark.parametrize("hz", [10.0, 20.0])
@pytest.mark.parametrize("arm", ["panda", "ur5e"])
def test_a_step_is_one_tick_on_either_arm_at_either_rate(arm, hz):
    parts = rig(EnvConfig(hz=hz, sim=SimConfig(arm=arm)))
    _, before = parts.env.reset(seed=1)
    _, _, _, _, after = parts.env.step(STILL)
    assert after["t_ns"] - before["t_ns"] == round(1e9 / hz)
    assert parts.env.period_s == 1.0 / hz


@pytest.mark.parametrize("reference", ["commanded", "measured"])
@pytest.mark.parametrize("arm", ["panda", "ur5e"])
@pytest.mark.parametrize("hz", [10.0, 20.0])
def test_an_expert_seats_the_module(arm, reference, hz):
    parts = rig(EnvConfig(hz=hz, sim=SimConfig(arm=arm), target_reference=reference))
    expert = ScriptedExpert(parts.env.action_spec, period_s=1.0 / hz, target_reference=reference)
    for seed in range(2):
        parts.env.reset(seed=seed)
        expert.reset(np.random.default_rng(seed))
        terminated = truncated = False
        while not terminated and not truncated:
            _, reward, terminated, truncated, info = parts.env.step(expert.act(parts.cell.truth()))
        assert terminated and not truncated and reward == 1.0
        assert info["success"] is True and info["truncated_by"] is None
        with pytest.raises(ResetError):
            parts.env.step(STILL)


def test_an_action_moves_along_the_tools_own_axes(panda):
    panda.env.reset(seed=0, options={"start": (0.0, 0.0, 0.045, 0.15)})
    for _ in range(4):
        observation, *_ = panda.env.step(DOWN * 0.5)
    x, y, z = observation["state"][:3]
    assert (x, y) == pytest.approx((0, 0), abs=1e-3) and z < 0.04
    panda.env.reset(seed=0, options={"start": (0.0, 0.0, 0.045, 0.15)})
    for _ in range(4):
        observation, *_ = panda.env.step([0.5, 0, 0, 0, 0, 0])
    observation, *_ = panda.env.step(STILL)
    x, y = observation["state"][:2]
    assert math.atan2(y, x) == pytest.approx(0.15, abs=0.03)  # the tool was turned by 0.15 rad


def test_the_two_references_differ_as_documented():
    """A held still arm is one step from the goal when measured, and up to the leash when commanded."""
    lead = {}
    for reference in ("commanded", "measured"):
        parts = rig(EnvConfig(target_reference=reference))
        parts.env.reset(seed=0, options={"start": (0.0, 0.01, 0.03, 0.0)})
        for _ in range(12):
            parts.env.step(DOWN)  # onto the board beside the slot
        lead[reference] = parts.env.last_arm_state.pose[2] - parts.arm.goal[2]
    assert lead["measured"] == pytest.approx(0.010, abs=2e-3)
    assert lead["commanded"] == pytest.approx(LimitsConfig().motion.leash_m, abs=1e-3)


@pytest.mark.parametrize("bad", [np.full(6, np.nan), [0, 0, math.inf, 0, 0, 0], np.zeros(7), 1.0, None])
def test_what_is_no_action_commands_nothing(panda, bad):
    _, info = panda.env.reset(seed=0)
    goal = panda.arm.goal
    with pytest.raises(ActionError, match="nothing was commanded"):
        panda.env.step(bad)
    assert panda.clock.now_ns() == info["t_ns"]
    np.testing.assert_array_equal(panda.arm.goal, goal)
    panda.env.step(STILL)  # the episode goes on


def test_an_action_outside_the_range_is_clipped_and_flagged():
    states = []
    for action in (3.0 * DOWN, DOWN):
        parts = rig()
        parts.env.reset(seed=0)
        observation, _, _, _, info = parts.env.step(action)
        assert bool(info["gate_flags"] & GateFlag.ACTION) == (action[2] > 1)
        states.append(observation["state"])
    np.testing.assert_array_equal(*states)


def test_a_time_limit_truncates_and_does_not_terminate():
    parts = rig(EnvConfig(task=TaskConfig(max_steps=3)))
    parts.env.reset(seed=0)
    ends = [parts.env.step(STILL)[2:] for _ in range(3)]
    assert [e[1] for e in ends] == [False, False, True]
    assert not any(e[0] for e in ends) and ends[-1][2]["truncated_by"] == "time_limit"


def test_a_force_trip_truncates():
    parts = rig(EnvConfig(limits=LimitsConfig(force_limit_n=6.0, force_samples=2)))
    parts.env.reset(seed=0, options={"start": (0.0, 0.01, 0.03, 0.0)})
    for _ in range(30):
        _, reward, terminated, truncated, info = parts.env.step(DOWN)
        if truncated:
            break
    assert truncated and not terminated and reward == 0.0
    assert info["truncated_by"] == "force" and info["gate_flags"] & GateFlag.FORCE
    assert parts.env.last_arm_state.mode is ArmMode.HOLD


def test_an_operators_stop_truncates(panda):
    panda.env.reset(seed=0)
    panda.arm.stop()
    _, _, terminated, truncated, info = panda.env.step(DOWN)
    assert truncated and not terminated
    assert info["truncated_by"] == "stopped" and info["gate_flags"] & GateFlag.HOLD
    panda.env.reset(seed=1)  # and the next episode is an ordinary one
    assert panda.env.step(STILL)[4]["truncated_by"] is None


def test_a_reset_that_is_to_end_does_not_even_begin(panda, monkeypatch):
    panda.env.reset(seed=0)
    began_ns, started = panda.clock.now_ns(), []
    monkeypatch.setattr(panda.arm, "start", lambda *_: started.append(True))
    panda.env.interrupt = lambda: "somebody is in the way"
    with pytest.raises(ResetEnded, match="'begin' was ended: somebody is in the way"):
        panda.env.reset(seed=1)
    assert not started and panda.clock.now_ns() == began_ns
    assert panda.arm.state().mode is ArmMode.HOLD


def test_a_reset_looks_for_a_reason_to_end_before_each_command_and_when_it_is_there(panda, monkeypatch):
    done, set_target = [], panda.arm.set_target

    def commanded(pose):
        done.append("command")
        return set_target(pose)

    monkeypatch.setattr(panda.arm, "set_target", commanded)
    panda.env.interrupt = lambda: done.append("look") or ""
    panda.env.reset(seed=0)
    commands = done.count("command")
    assert done == ["look", *["look", "command"] * commands, "look"]


def test_three_overruns_in_a_row_hold_the_arm(panda):
    panda.env.reset(seed=0)
    for expected in (None, None, "overrun"):
        panda.clock.wait_until(panda.clock.now_ns() + 250 * NS_PER_MS)  # a policy that thinks too long
        info = panda.env.step(STILL)[4]
        assert info["truncated_by"] == expected
    assert panda.env.tick_counts.overruns == 3
    assert panda.arm.state().mode is ArmMode.HOLD


def test_a_fault_of_the_arm_is_raised_and_ends_the_episode(panda):
    panda.env.reset(seed=0)
    panda.cell.data.qvel[:] = np.nan
    with pytest.raises(ArmFault, match="diverged"):
        panda.env.step(STILL)
    with pytest.raises(ResetError, match="no episode"):
        panda.env.step(STILL)
    with pytest.raises(ArmFault, match="recover"):  # only an operator clears a fault
        panda.env.reset(seed=0)


def test_a_seed_determines_the_start_and_everything_hidden_whatever_came_before(panda):
    first, _ = panda.env.reset(seed=7)
    draw, goal = panda.cell.episode, panda.arm.goal
    rng = np.random.default_rng(0)
    for seed in (8, 9):
        panda.env.reset(seed=seed)
        assert panda.cell.episode != draw
        for _ in range(15):
            panda.env.step(rng.uniform(-1, 1, 6))
    again, _ = panda.env.reset(seed=7)
    assert panda.cell.episode == draw
    np.testing.assert_array_equal(panda.arm.goal, goal)
    np.testing.assert_allclose(again["state"][:3], first["state"][:3], atol=2 * TaskConfig().settle_m)
    np.testing.assert_allclose(again["state"][3:6], first["state"][3:6], atol=2 * TaskConfig().settle_rad)
    fresh = rig()
    alike, _ = fresh.env.reset(seed=7)
    np.testing.assert_array_equal(alike["state"], first["state"])  # same history: same digits


def test_two_fresh_environments_play_the_same_episode():
    episodes = []
    for _ in range(2):
        parts = rig()
        observation, _ = parts.env.reset(seed=3)
        rng = np.random.default_rng(0)
        states = [observation["state"]]
        for _ in range(20):
            states.append(parts.env.step(rng.uniform(-1, 1, 6))[0]["state"])
        episodes.append(states)
    np.testing.assert_array_equal(*episodes)


def test_starts_cover_their_range_and_stay_in_it(panda):
    c = TaskConfig()
    starts = np.array([panda.env.reset(seed=s)[0]["state"] for s in range(12)])
    assert np.abs(starts[:, :2]).max() <= c.start_xy_m + c.settle_m
    assert (np.abs(starts[:, 2] - c.start_height_m) <= c.start_z_m + c.settle_m).all()
    assert np.abs(starts[:, 5]).max() <= c.start_yaw_rad + c.settle_rad
    assert np.ptp(starts[:, 0]) > c.start_xy_m and np.ptp(starts[:, 5]) > c.start_yaw_rad


def test_the_hidden_displacement_is_hidden(panda):
    """Above the socket nothing in the observation tells one displacement from another."""
    bare = rig(EnvConfig(randomization=RandomizationConfig(hidden=False)))
    for seed in range(2):
        with_it, _ = panda.env.reset(seed=seed)
        without, _ = bare.env.reset(seed=seed)
        assert any(panda.cell.episode.hidden) and not any(bare.cell.episode.hidden)
        assert pose_distance(panda.cell.truth().T_base_socket, bare.cell.truth().T_base_socket)[0] > 1e-4
        np.testing.assert_array_equal(with_it["state"], without["state"])
        for _ in range(3):
            np.testing.assert_array_equal(panda.env.step(STILL)[0]["state"], bare.env.step(STILL)[0]["state"])


def test_a_visible_displacement_moves_what_the_state_is_relative_to():
    shown = RandomizationConfig(hidden=False, visible=True, visible_xy_m=0.005)
    parts = rig(EnvConfig(randomization=shown))
    observation, _ = parts.env.reset(seed=0, options={"start": (0.01, 0.0, 0.04, 0.0)})
    assert pose_distance(parts.cell.nominal_socket, parts.cell.truth().T_base_socket)[0] < 1e-9
    assert any(parts.cell.episode.visible)
    np.testing.assert_allclose(observation["state"][:3], (0.01, 0.0, 0.04), atol=1e-3)
    np.testing.assert_allclose(observation["state"][3:6], 0.0, atol=5e-3)


def test_reset_options_fix_the_start_and_switch_the_randomisation_off(panda):
    start = Start(0.01, -0.015, 0.045, 0.1)
    observation, _ = panda.env.reset(seed=4, options={"start": start})
    np.testing.assert_allclose(observation["state"][:3], (0.01, -0.015, 0.045), atol=6e-4)
    fixed = panda.cell.episode
    panda.env.reset(seed=4)
    assert panda.cell.episode == fixed  # the start takes nothing from the other draws
    panda.env.reset(seed=4, options={"randomize": False})
    assert not any(panda.cell.episode.hidden)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stat": 1}, "'stat' is unknown"),
        ({"start": (0, 0, 0.04)}, "four finite numbers"),
        ({"start": (0, 0, math.nan, 0)}, "four finite numbers"),
        ({"start": (0, 0, 0.0, 0)}, "below task.clearance_m"),
    ],
)
def test_bad_reset_options_are_refused_before_anything_moves(panda, options, words):
    with pytest.raises(ConfigError, match=words):
        panda.env.reset(seed=0, options=options)
    assert panda.cell.time_ns == 0


@pytest.mark.parametrize("arm", ["panda", "ur5e"])
def test_no_set_point_leaves_the_workspace_on_any_path(arm):
    """Hostile actions and the resets between them, every set-point that reaches the driver."""
    parts = rig(EnvConfig(sim=SimConfig(arm=arm), task=TaskConfig(max_steps=40)))
    frame = RamInsertion(TaskConfig(), parts.cell).frame()
    limits = GateLimits.build(LimitsConfig(), frame, LimitsConfig().motion, 0.1)
    low, high = np.array(limits.low) - 1e-9, np.array(limits.high) + 1e-9
    written = []
    write = parts.cell.set_setpoint

    def record(pose):
        written.append(np.array(pose))
        write(pose)

    parts.cell.set_setpoint = record
    rng = np.random.default_rng(0)
    for seed in range(3):
        parts.env.reset(seed=seed)
        hostile = rng.choice([-1.0, 1.0], 6)
        truncated = False
        while not truncated:
            if rng.random() < 0.1:
                hostile = rng.uniform(-5, 5, 6)
            _, _, terminated, truncated, _ = parts.env.step(hostile)
            truncated = truncated or terminated
    points = np.array([frame.coordinates(pose) for pose in written])
    assert len(points) > 1000
    assert (points >= low).all() and (points <= high).all()


def test_a_reset_lifts_the_module_straight_out_before_it_moves_aside(panda):
    expert = ScriptedExpert(panda.env.action_spec)
    panda.env.reset(seed=0)
    terminated = False
    while not terminated:
        _, _, terminated, _, _ = panda.env.step(expert.act(panda.cell.truth()))
    seated = panda.env.last_arm_state.pose
    path = []
    tick = panda.cell.on_chunk

    def watch(t_ns):
        tick(t_ns)
        path.append(panda.cell.read().pose)

    panda.cell.on_chunk = watch
    _, info = panda.env.reset(seed=1)
    low = np.array([p for p in path if p[2] - seated[2] < 0.02])
    assert len(low) > 3
    assert np.abs(low[:, :2] - seated[:2]).max() < 2e-3
    assert info["reset_s"] < 2.0 and info["peak_force_n"] == 0.0


def test_a_reset_tares_the_force(panda):
    observation, _ = panda.env.reset(seed=0)
    np.testing.assert_allclose(observation["state"][12:18], 0.0, atol=1e-6)


def test_a_reset_that_cannot_arrive_is_an_error_and_begins_no_episode(panda):
    panda.env.reset(seed=0)
    panda.cell.model.dof_damping[:] = 1e5  # a blocked joint
    with pytest.raises(ResetError, match=r"reset leg .* from its goal after 5.0 s; free the arm"):
        panda.env.reset(seed=1)
    assert panda.arm.state().mode is ArmMode.HOLD
    with pytest.raises(ResetError, match="no episode"):
        panda.env.step(STILL)


def test_closing_stops_the_arm_and_can_be_done_twice(panda):
    panda.env.reset(seed=0)
    panda.env.close()
    panda.env.close()
    assert panda.cell.on_chunk is None
    observation, _ = panda.env.reset(seed=0)  # and it can be opened again
    assert observation in panda.env.observation_space


def test_cameras_must_match_the_configuration():
    parts = rig()
    config = EnvConfig(cameras=(CameraConfig(),))
    with pytest.raises(ConfigError, match="match them"):
        RobotEnv(parts.arm, RamInsertion(TaskConfig(), parts.cell), parts.clock, config)


def test_rendering_needs_a_mode_and_a_camera(panda):
    assert panda.env.render() is None
    config = EnvConfig()
    task = RamInsertion(TaskConfig(), panda.cell)
    env = RobotEnv(panda.arm, task, panda.clock, config, render_mode="rgb_array")
    with pytest.raises(RenderingUnavailable, match="make_env"):
        env.render()
    with pytest.raises(ConfigError, match="'human'"):
        RobotEnv(panda.arm, task, panda.clock, config, render_mode="human")


def test_without_a_scene_nothing_is_a_success(panda):
    """On hardware the reward comes from elsewhere; the seated pose is then a setting."""
    seated = tuple(panda.cell.seated_pose.tolist())
    config = EnvConfig(task=TaskConfig(seated_pose=seated, max_steps=2))
    env = RobotEnv(panda.arm, RamInsertion(config.task), panda.clock, config)
    env.reset(seed=0)
    env.step(STILL)
    assert env.step(STILL)[2:4] == (False, True)
    with pytest.raises(ConfigError, match="teach the tool pose"):
        RamInsertion(TaskConfig())


@pytest.mark.parametrize("hz", [10.0, 20.0])
@pytest.mark.parametrize("reference", ["commanded", "measured"])
def test_a_steady_hand_is_one_action(reference, hz):
    """Also step after step, where the goal of one is what the next begins at."""
    by_step, by_hand = (rig(EnvConfig(target_reference=reference, hz=hz)) for _ in range(2))
    for each in (by_step, by_hand):
        each.env.reset(seed=3, options={"start": (0.0, 0.0, 0.045, 0.0)})
    action = np.array([0.15, -0.12, 0.1, 0.05, 0, -0.1], dtype=np.float32)  # too slow for the leash to matter
    for _ in range(4):
        by_step.env.step(action)
        *_, info = by_hand.env.step_by_hand(lambda: action)
        np.testing.assert_allclose(info["action"], action, atol=1e-6)
        apart_m, apart_rad = pose_distance(by_hand.arm.goal, by_step.arm.goal)
        assert apart_m < 1e-4 and apart_rad < 1e-3
    moved_m = pose_distance(by_hand.env.last_arm_state.pose, by_step.env.last_arm_state.pose)[0]
    assert moved_m < 2e-4


@pytest.mark.parametrize("reference", ["commanded", "measured"])
def test_a_hand_that_asks_for_three_millimetres_gets_three_millimetres(reference):
    parts = rig(EnvConfig(target_reference=reference, human_hz=200.0))
    parts.env.reset(seed=3)
    began = parts.arm.goal if reference == "commanded" else parts.env.last_arm_state.pose
    parts.env.step_by_hand(lambda: [0.3, 0, 0, 0, 0, 0])
    assert pose_distance(parts.arm.goal, began)[0] == pytest.approx(0.003, abs=1e-5)


@pytest.mark.parametrize("reference", ["commanded", "measured"])
def test_the_action_of_a_moving_hand_is_its_mean_and_leads_to_the_same_goal(reference):
    parts = rig(EnvConfig(target_reference=reference))
    env = parts.env
    env.reset(seed=3)
    looks = round(env.config.human_hz / env.config.hz)
    for first, last in ((0.0, 1.0), (0.4, -0.8)):
        began = parts.arm.goal if reference == "commanded" else env.last_arm_state.pose
        asked = iter(np.linspace(first, last, looks))
        *_, info = env.step_by_hand(lambda asked=asked: [next(asked), 0, 0, 0, 0, 0])
        assert next(asked, None) is None  # it was looked at exactly so many times
        np.testing.assert_allclose(info["action"], [(first + last) / 2, 0, 0, 0, 0, 0], atol=1e-6)
        wanted = pose_compose(began, env.action_spec.delta_pose(info["action"]))
        assert pose_distance(parts.arm.goal, wanted)[0] < 1e-8


def test_a_hand_that_asks_for_too_much_or_for_nonsense_is_clipped_or_refused(panda):
    panda.env.reset(seed=3)
    *_, info = panda.env.step_by_hand(lambda: [7, 0, 0, 0, 0, -3])
    np.testing.assert_array_equal(info["action"], [1, 0, 0, 0, 0, -1])
    with pytest.raises(ActionError, match="not finite"):
        panda.env.step_by_hand(lambda: [np.nan, 0, 0, 0, 0, 0])


def test_a_step_that_ends_in_a_fault_raises_and_holds(panda, monkeypatch):
    panda.env.reset(seed=0)
    state = panda.arm.state()
    faulty = dataclasses.replace(state, mode=ArmMode.FAULT, fault="reflex: cartesian")
    monkeypatch.setattr(panda.arm, "state", lambda: faulty)
    with pytest.raises(ArmFault, match=r"reflex: cartesian.*recover"):
        panda.env.step(STILL)
    assert panda.env.arm_mode() == (ArmMode.FAULT, "reflex: cartesian")
    with pytest.raises(ResetError, match="no episode"):
        panda.env.step(STILL)


class Frozen:
    """A camera that gives two good frames and then none."""

    name, width, height = "wrist", 32, 32

    def __init__(self) -> None:
        self.reads = 0

    def open(self) -> None: ...

    def close(self) -> None: ...

    def read(self) -> Frame:
        self.reads += 1
        if self.reads > 2:
            raise CameraError("camera wrist is frozen")
        return Frame(np.full((32, 32, 3), 90, np.uint8), self.reads, self.reads)


def test_a_frozen_camera_ends_the_episode_and_the_arm_holds():
    config = EnvConfig(cameras=(CameraConfig(width=32, height=32),))
    cell = SimCell(config.sim)
    task = RamInsertion(config.task, cell)
    arm = LockstepArm(cell, config.limits, task.frame(), 0.1)
    env = RobotEnv(arm, task, LockstepClock(arm.advance), config, scene=cell, cameras=[Frozen()])
    env.reset(seed=0)
    env.step(STILL)
    with pytest.raises(CameraError, match="frozen"):
        env.step(DOWN)
    assert arm.state().mode is ArmMode.HOLD
    with pytest.raises(ResetError):
        env.step(STILL)


def test_images_of_different_moments_are_no_observation():
    image = np.zeros((4, 4, 3), np.uint8)
    frames = {"wrist": Frame(image, 0, 0), "side": Frame(image, 60 * NS_PER_MS, 0)}
    check_skew(frames, 0.07)
    with pytest.raises(CameraError, match=r"wrist is 60 ms behind camera side, limit 50 ms"):
        check_skew(frames, 0.05)


def test_a_joint_reset_is_made_as_often_as_asked(panda, monkeypatch):
    q = tuple(panda.cell.kinematics.solve(panda.cell.home_pose))
    config = EnvConfig(arm=ArmConfig(joint_home=q, joint_home_every=2))
    env = RobotEnv(panda.arm, RamInsertion(config.task, panda.cell), panda.clock, config, scene=panda.cell)
    moved, move = [], panda.arm.move_joints

    def move_joints(angles, interrupt, stops):
        assert panda.arm.state().mode is ArmMode.HOLD
        move(angles, interrupt, stops)
        moved.append(tuple(angles))
        np.testing.assert_allclose(panda.cell.joints()[0], q, atol=6e-3)

    monkeypatch.setattr(panda.arm, "move_joints", move_joints)
    counts = []
    for seed in range(5):
        env.reset(seed=seed)
        counts.append(len(moved))
    assert counts == [0, 0, 1, 1, 2]  # never the first, which nobody has seen the arm reach
    assert set(moved) == {q}


@pytest.mark.parametrize("moment", ["during", "after"])
def test_whoever_may_end_a_reset_may_end_its_joint_motion(panda, monkeypatch, moment):
    """He is asked all the while, and once more before the arm follows set-points again."""
    q = panda.cell.joints()[0] + [0.2, 0.0, -0.2, 0.0, 0.0, 0.0, 0.1]
    config = EnvConfig(arm=ArmConfig(joint_home=tuple(q), joint_home_every=1))
    env = RobotEnv(panda.arm, RamInsertion(config.task, panda.cell), panda.clock, config, scene=panda.cell)
    env.reset(seed=0)
    pressed, move = [], panda.arm.move_joints

    def move_joints(angles, interrupt, stops):
        if moment == "during":
            pressed.append(panda.cell.time_ns)
        move(angles, interrupt, stops)
        pressed.append(panda.cell.time_ns)

    monkeypatch.setattr(panda.arm, "move_joints", move_joints)
    env.interrupt = lambda: "paused by the operator" if pressed else ""
    with pytest.raises(ResetError, match="leg 'joints' was ended: paused by the operator"):
        env.reset(seed=1)
    assert panda.arm.state().mode is ArmMode.HOLD and len(pressed) == 1
    assert panda.cell.time_ns - pressed[0] < 0.5e9
    pressed.clear()
    env.interrupt = None
    env.reset(seed=2)
    assert panda.arm.state().mode is ArmMode.RUN and len(pressed) >= 1


def test_a_command_that_a_running_arm_did_not_take_is_not_stored_as_executed(panda, monkeypatch):
    panda.env.reset(seed=0)

    def drop(pose):
        raise ArmError("the command was dropped: 300 ms old")

    monkeypatch.setattr(panda.arm, "set_target", drop)
    with pytest.raises(ArmError, match="300 ms old"):
        panda.env.step(DOWN)
    assert panda.arm.state().mode is ArmMode.HOLD
