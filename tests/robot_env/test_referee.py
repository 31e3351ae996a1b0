"""Who says that an episode has succeeded, and what the truth is beside."""

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from painted import Painted

from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.arms.lockstep import LockstepArm
from handrail.robot_env.clock import LockstepClock
from handrail.robot_env.config import CameraConfig, EnvConfig, RewardConfig
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.errors import CameraError, ConfigError, ResetError
from handrail.robot_env.judge import Situation, Verdict
from handrail.robot_env.make import make_env
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.expert import ScriptedExpert
from handrail.robot_env.tasks import RamInsertion

STILL = np.zeros(6)
CLASSIFIED = EnvConfig(
    cameras=(CameraConfig(width=32, height=32),),
    reward=RewardConfig(source="classifier", classifier=("classifiers/ram",)),
)


class Scripted:
    """A judge that gives the verdicts it was given, and keeps what it was shown."""

    threshold = None

    def __init__(self, *verdicts: Verdict | CameraError) -> None:
        self.verdicts = list(verdicts)
        self.begun: list[Mapping[str, np.ndarray]] = []
        self.seen: list[tuple[Mapping[str, np.ndarray], Situation]] = []

    def begin(self, images: Mapping[str, np.ndarray]) -> None:
        self.begun.append(images)

    def judge(self, images: Mapping[str, np.ndarray], situation: Situation) -> Verdict:
        self.seen.append((images, situation))
        verdict = self.verdicts[len(self.seen) - 1]
        if isinstance(verdict, CameraError):
            raise verdict
        return verdict


def make(config: EnvConfig, judge: Scripted | None) -> tuple[RobotEnv, LockstepArm]:
    cell = SimCell(config.sim)
    task = RamInsertion(config.task, cell)
    arm = LockstepArm(cell, config.limits, task.frame(), 0.1)
    cameras = [Painted(90)] if config.cameras else []
    clock = LockstepClock(arm.advance)
    return RobotEnv(arm, task, clock, config, scene=cell, cameras=cameras, judge=judge), arm


def drive(env: RobotEnv, steps: int) -> tuple[float, bool, bool, dict]:
    """Let the expert drive, until the episode ends or so many steps are done."""
    assert isinstance(env.scene, SimCell)
    expert = ScriptedExpert(env.action_spec, period_s=0.1, target_reference=env.config.target_reference)
    expert.reset(np.random.default_rng(0))
    total = 0.0
    for _ in range(steps):
        _, reward, terminated, truncated, info = env.step(expert.act(env.scene.truth()))
        total += reward
        if terminated or truncated:
            break
    return total, terminated, truncated, info


def test_the_judges_verdict_ends_the_episode_and_the_truth_is_told_beside() -> None:
    doubt, sure = Verdict(False, 0.0, 0.25, "abc"), Verdict(True, 1.0, 0.97, "abc")
    judge = Scripted(doubt, sure)
    env, _ = make(CLASSIFIED, judge)
    _, info = env.reset(seed=0)
    assert (info["success"], info["reward"], info["score"], info["classifier"]) == (False, 0.0, None, "")
    assert info["seated"] is False
    _, reward, terminated, truncated, info = env.step(STILL)
    assert (reward, terminated, truncated, info["score"], info["classifier"]) == (
        *(0.0, False, False),
        *(0.25, "abc"),
    )
    _, reward, terminated, truncated, info = env.step(STILL)
    assert (reward, terminated, truncated, info["success"], info["reward"]) == (1.0, True, False, True, 1.0)
    assert (info["score"], info["seated"]) == (0.97, False)  # the judge was wrong, and it shows
    with pytest.raises(ResetError):
        env.step(STILL)


def test_a_judge_sees_the_images_and_knows_pose_force_and_step() -> None:
    judge = Scripted(*[Verdict(False, 0.0)] * 2)
    env, _ = make(CLASSIFIED, judge)
    first, _ = env.reset(seed=0, options={"start": (0.01, 0.0, 0.04, 0.1)})
    assert list(judge.begun[0]) == ["wrist"] and judge.begun[0]["wrist"] is first["wrist"]
    for _ in range(2):
        observation, *_ = env.step(STILL)
    images, situation = judge.seen[1]
    assert list(images) == ["wrist"] and images["wrist"] is observation["wrist"]
    assert [seen.step for _, seen in judge.seen] == [1, 2]
    np.testing.assert_allclose(situation.coordinates, observation["state"][:6], atol=1e-6)
    np.testing.assert_allclose(situation.force, observation["state"][12:15], atol=1e-6)
    assert situation.gripper_width_m == pytest.approx(float(observation["state"][18]))


def test_a_look_is_timed_and_one_beyond_the_budget_counted() -> None:
    class Slow(Scripted):
        def judge(self, images: Mapping[str, np.ndarray], situation: Situation) -> Verdict:
            if situation.step == 2:
                time.sleep(0.5)
            return super().judge(images, situation)

    reward = replace(CLASSIFIED.reward, budget_ms=450.0)
    env, _ = make(replace(CLASSIFIED, reward=reward), Slow(*[Verdict(False, 0.0)] * 2))
    assert env.reset(seed=0)[1]["look_ms"] == 0.0
    looks_ms = [env.step(STILL)[4]["look_ms"] for _ in range(2)]
    assert looks_ms[0] > 0.0 and looks_ms[1] >= 500.0
    assert env.late_looks == sum(each > 450.0 for each in looks_ms)
    assert env.reset(seed=1)[1]["look_ms"] == 0.0


def test_a_stage_is_rewarded_without_an_end() -> None:
    env, _ = make(CLASSIFIED, Scripted(Verdict(False, 1.0, 0.9, "abc"), Verdict(False, 0.0, 0.1, "abc")))
    env.reset(seed=0)
    assert env.step(STILL)[1:4] == (1.0, False, False)
    assert env.step(STILL)[1:4] == (0.0, False, False)


def test_with_a_judge_the_cells_own_knowledge_ends_nothing() -> None:
    env, _ = make(CLASSIFIED, Scripted(*[Verdict(False, 0.0, 0.0, "abc")] * 100))
    env.reset(seed=0)
    total, terminated, truncated, info = drive(env, 60)
    assert info["seated"] is True and info["success"] is False
    assert (total, terminated, truncated) == (0.0, False, False)


def test_left_to_the_operator_nobody_else_says_success() -> None:
    env, _ = make(EnvConfig(reward=RewardConfig(source="operator")), None)
    env.reset(seed=0)
    total, terminated, truncated, info = drive(env, 60)
    assert (total, terminated, truncated, info["seated"]) == (0.0, False, False, True)


def test_by_the_task_the_truth_and_the_verdict_agree() -> None:
    env, _ = make(EnvConfig(), None)
    env.reset(seed=0)
    total, terminated, _, info = drive(env, 100)
    assert (total, terminated, info["success"], info["seated"]) == (1.0, True, True, True)
    _, info = env.reset(seed=1)
    assert info["seated"] is False  # the streak of the episode before is forgotten


def test_without_a_cell_nobody_knows_the_truth() -> None:
    judge = Scripted(Verdict(False, 0.0, 0.5, "abc"))
    config = CLASSIFIED
    cell = SimCell(config.sim)
    task = RamInsertion(config.task, cell)
    arm = LockstepArm(cell, config.limits, task.frame(), 0.1)
    clock = LockstepClock(arm.advance)
    env = RobotEnv(arm, task, clock, config, cameras=[Painted(90)], judge=judge)
    assert env.reset(seed=0)[1]["seated"] is None
    assert env.step(STILL)[4]["seated"] is None


def test_images_that_cannot_be_judged_end_the_episode_and_the_arm_holds() -> None:
    env, arm = make(CLASSIFIED, Scripted(Verdict(False, 0.0), CameraError("camera wrist is frozen")))
    env.reset(seed=0)
    env.step(STILL)
    with pytest.raises(CameraError, match="frozen"):
        env.step(STILL)
    assert arm.state().mode is ArmMode.HOLD
    with pytest.raises(ResetError):
        env.step(STILL)


def test_a_judge_that_refuses_the_first_images_refuses_the_reset() -> None:
    class Refusing(Scripted):
        def begin(self, images: Mapping[str, np.ndarray]) -> None:
            raise CameraError("cameras wrist and wrist_2 are swapped")

    env, arm = make(CLASSIFIED, Refusing())
    with pytest.raises(CameraError, match="swapped"):
        env.reset(seed=0)
    assert arm.state().mode is ArmMode.HOLD


def test_a_judge_is_given_exactly_where_one_is_asked() -> None:
    with pytest.raises(ConfigError, match="'classifier' and no judge was given; load one"):
        make(CLASSIFIED, None)
    with pytest.raises(ConfigError, match="'task' and a judge was given, which it would not ask"):
        make_env(EnvConfig(), judge=Scripted())


def test_a_classifier_needs_cameras() -> None:
    with pytest.raises(ConfigError, match=r"'classifier' and env.cameras is empty"):
        EnvConfig(reward=CLASSIFIED.reward)
