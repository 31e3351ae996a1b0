"""Putting an environment together, and telling Gymnasium how.

This module imports neither Gymnasium nor the simulator until it is asked for an environment: naming a
setting must not load a physics engine, and a Gymnasium that loads plug-ins calls `register_envs` while it is
itself being imported. Where it loads none, import `handrail.robot_env` first, or name the module in the id:
`gymnasium.make("handrail.robot_env:handrail/RamInsertion-v0")`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from handrail.robot_env.config import CameraConfig, EnvConfig
from handrail.robot_env.errors import RenderingUnavailable

if TYPE_CHECKING:
    from handrail.robot_env.env import RobotEnv
    from handrail.robot_env.judge import Judge
    from handrail.robot_env.sim.config import ArmName

ENVIRONMENTS: Mapping[str, "ArmName"] = {
    "handrail/RamInsertion-v0": "panda",
    "handrail/RamInsertionUR-v0": "ur5e",
}
"""Registered environments and the arm in each."""

OVERVIEW = CameraConfig(name="overview", width=640, height=480)


def make_env(
    config: EnvConfig | None = None, render_mode: str | None = None, judge: "Judge | None" = None
) -> "RobotEnv":
    """An environment on the arm that `config.arm` names: simulated in lockstep, or behind an arm server.

    Args:
        config: what to build; the default is RAM insertion with the Panda at 10 Hz, from the state alone.
        render_mode: "rgb_array" to show the cell with `render`; None needs no graphics library.
        judge: what judges the images; for `config.reward.source` "classifier" only, and needed there.

    Raises:
        ConfigError: a setting is refused.
        ArmError: no arm server answers.
        RenderingUnavailable: cameras or rendering are asked for and no graphics library can draw here.
    """
    config = config or EnvConfig()
    build = _served if config.arm.served else _in_lockstep
    return build(config, render_mode, judge)


def _in_lockstep(config: EnvConfig, render_mode: str | None, judge: "Judge | None") -> "RobotEnv":
    """Arm, cell and clock in this process: time passes only while the environment waits."""
    from handrail.robot_env.arms.lockstep import LockstepArm
    from handrail.robot_env.clock import LockstepClock
    from handrail.robot_env.env import RobotEnv
    from handrail.robot_env.sim.cell import SimCell
    from handrail.robot_env.tasks import RamInsertion

    cell = SimCell(config.sim)
    task = RamInsertion(config.task, cell)
    arm = LockstepArm(
        cell, config.limits, task.frame(), period_s=1.0 / config.hz, joint_speed=config.arm.joint_speed
    )
    cameras, overview = [], None
    if config.cameras or render_mode is not None:
        from handrail.robot_env.cameras.mujoco import MujocoCamera

        cameras = [MujocoCamera(cell, c) for c in config.cameras]
        overview = MujocoCamera(cell, OVERVIEW) if render_mode is not None else None
    return RobotEnv(
        arm,
        task,
        LockstepClock(arm.advance, cell.time_ns),
        config,
        scene=cell,
        cameras=cameras,
        render_camera=overview,
        render_mode=render_mode,
        judge=judge,
    )


def _served(config: EnvConfig, render_mode: str | None, judge: "Judge | None") -> "RobotEnv":
    """The arm of an arm server, in real time."""
    if render_mode is not None and config.arm.real:
        raise RenderingUnavailable(
            f"render_mode is {render_mode!r}, but nobody can draw the {config.arm.kind} arm, which is real; "
            "leave render_mode out, the station's cameras are in the observation"
        )
    from handrail.robot_env.cameras.make import make_cameras
    from handrail.robot_env.clock import MonotonicClock
    from handrail.robot_env.env import RobotEnv
    from handrail.robot_env.remote.client import ArmClient
    from handrail.robot_env.tasks import RamInsertion

    arm = ArmClient(config)
    try:
        task = RamInsertion(config.task, arm.scene)
        overview = None
        if render_mode is not None and arm.scene is not None:
            from handrail.robot_env.cameras.mirror import MirrorCamera, MirrorCell

            overview = MirrorCamera(MirrorCell(config.sim, arm.scene), OVERVIEW)
        return RobotEnv(
            arm,
            task,
            MonotonicClock(),
            config,
            scene=arm.scene,
            cameras=make_cameras(config, arm.scene),
            render_camera=overview,
            render_mode=render_mode,
            judge=judge,
        )
    except BaseException:
        arm.close()
        raise


def make_registered(
    arm: "ArmName",
    config: EnvConfig | None = None,
    render_mode: str | None = None,
    judge: "Judge | None" = None,
) -> "RobotEnv":
    """Entry point of the registered environments: `config` with the arm that the id names."""
    config = config or EnvConfig()
    return make_env(replace(config, sim=replace(config.sim, arm=arm)), render_mode, judge)


def register_envs() -> None:
    """Make `gymnasium.make("handrail/RamInsertion-v0")` work. Safe to call any number of times."""
    from gymnasium.envs.registration import register, registry

    for name, arm in ENVIRONMENTS.items():
        if name not in registry:
            # Resets move the arm, and so end within a tolerance: a seed fixes every draw, not every digit.
            register(
                name, "handrail.robot_env.make:make_registered", kwargs={"arm": arm}, nondeterministic=True
            )
