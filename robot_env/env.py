"""The environment: command, wait for the tick, read the state. The same code for every arm and every clock.

`RobotEnv` is made of parts that are given to it and owns no hardware, keyboard, reward model or thread. A
policy's action is a step in the end-effector frame; it is added to a reference pose and sent through the
arm's safety gate.

A success is *terminated*. A time limit, a force trip, an operator's stop or a loop that cannot keep its beat
is *truncated*, never terminated: the value of what would have followed is not zero.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

from handrail.robot_env.arms.arm import Arm, ArmMode, ArmState
from handrail.robot_env.cameras.camera import Camera
from handrail.robot_env.clock import NS_PER_S, Clock, LockstepClock, MonotonicClock, TickCounts, Ticker
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import (
    ArmError,
    ArmFault,
    CameraError,
    ConfigError,
    RenderingUnavailable,
    ResetError,
)
from handrail.robot_env.gate import GateFlag
from handrail.robot_env.geometry import Array, pose_compose
from handrail.robot_env.hand import follow
from handrail.robot_env.judge import Judge, Situation, Verdict
from handrail.robot_env.observation import Observation, Observer, images_of
from handrail.robot_env.referee import Referee
from handrail.robot_env.regrasp import RegraspProcedure
from handrail.robot_env.reset import ResetSequence
from handrail.robot_env.spec import ActionSpec, schema_hash
from handrail.robot_env.tasks import RamInsertion, Scene

MAX_CONSECUTIVE_OVERRUNS = 3
RENDER_MODES = ("rgb_array",)


class RobotEnv(gym.Env[Any, NDArray[np.float32]]):
    """A manipulation task on one arm.

    Observation: `{"state": (D,) float32}`, SI units, its fields as in `state_spec`, and
    `{camera: (H, W, 3) uint8}` for each camera. Action: (6,) float32 in [−1, 1], see `ActionSpec`; what lies
    outside is clipped and flagged.

    The arm is connected by the first `reset`. Call everything from one thread.

    Args:
        arm: the arm.
        task: the task.
        clock: what a tick is; the arm's own in lockstep.
        config: rates, scales, limits.
        scene: the simulated cell, which knows success and randomises itself; None on hardware.
        cameras: cameras in the observation, as named and sized in `config.cameras`.
        render_camera: what `render` shows; None when nothing can be shown.
        render_mode: "rgb_array" or None.
        judge: what judges the images; for `config.reward.source` "classifier" only, and needed there.

    Attributes:
        observer: makes the observations; has the cameras.
        interrupt: asked once a tick while the arm resets; a reason stops the arm there and fails the reset.
    """

    def __init__(
        self,
        arm: Arm,
        task: RamInsertion,
        clock: Clock,
        config: EnvConfig,
        scene: Scene | None = None,
        cameras: Sequence[Camera] = (),
        render_camera: Camera | None = None,
        render_mode: str | None = None,
        judge: Judge | None = None,
    ) -> None:
        if render_mode not in (None, *RENDER_MODES):
            raise ConfigError(f"render_mode is {render_mode!r}; choose 'rgb_array' or None")
        self.config = config
        self.scene = scene
        self.render_mode = render_mode
        self.action_spec = ActionSpec(*config.action_scale)
        self.period_s = 1.0 / config.hz
        self.metadata = {"render_modes": list(RENDER_MODES), "render_fps": config.hz}
        self._arm = arm
        self._task = task
        self._clock = clock
        self.observer = Observer(config, cameras)
        self._referee = Referee(config.reward, task.config.success_steps, scene, judge)
        self._render_camera = render_camera
        self.state_spec = self.observer.spec
        self.schema_hash = schema_hash(self.state_spec, self.action_spec, self.observer.shapes)
        self.observation_space = self.observer.space
        self.action_space = gym.spaces.Box(-1.0, 1.0, (self.action_spec.size,), np.float32)
        self.interrupt: Callable[[], str] | None = None
        self._frame = task.frame()
        self._resets = ResetSequence(arm, clock, task.config, config.arm)
        self._ticker = Ticker(clock, round(self.period_s * NS_PER_S))
        self._opened = False
        self._running = False
        self._flags_on_the_way = GateFlag.NONE
        self._steps = 0
        self._reset_s = 0.0
        self._goal: Array | None = None
        self._last_state: ArmState | None = None

    @property
    def last_arm_state(self) -> ArmState:
        """The reading behind the last observation.

        Raises:
            ResetError: there was none yet.
        """
        if self._last_state is None:
            raise ResetError("the arm has not been read yet; call reset() first")
        return self._last_state

    def arm_mode(self) -> tuple[ArmMode, str]:
        """What the arm is doing, and why if it is in a fault.

        DISARMED when it has been lost; HOLD before it has been connected, which the next reset does.
        """
        if not self._opened:
            return ArmMode.HOLD, ""
        try:
            state = self._arm.state()
        except ArmError as error:
            return ArmMode.DISARMED, str(error)
        return state.mode, state.fault

    @property
    def stops(self) -> int:
        """Stops that somebody else asked the arm for since it was connected, also where nothing moved."""
        return self._arm.stops

    def hold(self) -> None:
        """Have the arm stand still, for while nobody commands it; it is connected first. Ends an episode.

        Raises:
            ArmError: it cannot be reached, or somebody else commands it by now, who is left alone.
            CameraError: a camera cannot be opened.
        """
        self._open()
        self._running = False
        self._arm.hold()

    def regrasp(self, answered: int = 0) -> RegraspProcedure:
        """A new procedure that takes a module: `step` it once a tick. Stops but those `answered` end it.

        Raises:
            ConfigError: none is configured, the arm has no gripper, or the holder is out of the workspace.
        """
        if self.config.regrasp is None:
            raise ConfigError("env.regrasp is not configured; teach env.regrasp.grasp_pose at the holder")
        self._open()
        return RegraspProcedure(
            self._arm, self._clock, self.config.regrasp, self.config.limits, self._task.frame(), answered
        )

    @property
    def lockstep(self) -> bool:
        """Whether time stands still between two steps: a simulated arm that moves while one waits."""
        return isinstance(self._clock, LockstepClock)

    @property
    def streams_hand(self) -> bool:
        """Whether an operator's hand moves the arm within a step (`step_by_hand`), not only once a step."""
        return not self.lockstep and self.config.human_hz > self.config.hz

    @property
    def tick_counts(self) -> TickCounts:
        """Ticks, overruns and host stalls of the steps so far."""
        return self._ticker.counts

    @property
    def late_looks(self) -> int:
        """The judge's looks so far that took longer than `config.reward.budget_ms`."""
        return self._referee.late_looks

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Move the arm to a new start, without teleporting, and begin an episode.

        Args:
            seed: determines the start, the hidden socket displacement and every other draw, whatever came
                before.
            options: "start": a `Start` or (x, y, z, yaw) to use instead of the drawn one; "randomize": False
                for nominal circumstances. Neither changes what the seed draws for the rest.

        Raises:
            ResetError: the start was not reached; no episode began.
            ArmFault: the arm is in a latched fault, which only an operator clears.
            CameraError: a camera gave no frame or a black one, or the judge refuses its images.
            ConfigError: an unknown option, or a start out of reach.
        """
        super().reset(seed=seed)
        options = options or {}
        start = self._task.start(self.np_random, options)
        self._open()
        self._running = False
        began_ns = self._clock.now_ns()

        def at_home() -> Array:
            if self.scene is not None:
                varies = self.config.randomization if options.get("randomize", True) else None
                self.scene.randomize(self.np_random, varies)
                self._frame = self._task.frame()
            self._goal = self._frame.pose(start.coordinates)
            return self._goal

        state = self._resets.run(self._frame, at_home, self.interrupt)
        try:
            observation = self.observer.first(state, self._frame)
            self._referee.begin(images_of(observation))
        except BaseException:  # whatever it is: nobody commands the arm after it
            self._arm.stop()
            raise
        self._last_state = state
        self._reset_s = (self._clock.now_ns() - began_ns) / NS_PER_S
        self._steps = 0
        self._running = True
        self._ticker.restart()
        return observation, self._info(state, GateFlag.NONE, Verdict(success=False, reward=0.0), None)

    def step(self, action: ArrayLike) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Command one step and wait for the tick.

        Raises:
            ActionError: the action is not six finite numbers; nothing was commanded and no time passed.
            ResetError: the episode is over, or none has begun.
            ArmFault: the arm is in a latched fault; the episode is over.
            CameraError: a camera gave no frame; the episode is over.
        """
        self._require_episode()
        wanted = self.action_spec.check(action)
        clipped = wanted.clip(-1.0, 1.0)
        flags = GateFlag.NONE if (clipped == wanted).all() else GateFlag.ACTION
        return self._advance(lambda: clipped, 1, flags)

    def step_by_hand(
        self, hand: Callable[[], ArrayLike]
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Command one step of an operator's hand, followed at `human_hz` within the step.

        What it comes to is one action as a policy's, `info["action"]`: the mean of what the hand asked for.
        Raises what `step` raises.

        Args:
            hand: what the operator asks for now, (6,) in [−1, 1]; what lies outside is clipped.
        """
        self._require_episode()
        looks = max(1, round(self.config.human_hz / self.config.hz))

        def clipped() -> Array:
            return self.action_spec.check(hand()).clip(-1.0, 1.0)

        return self._advance(clipped, looks, GateFlag.NONE)

    def _advance(
        self, asked: Callable[[], Array], looks: int, flags: GateFlag
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Command what is `asked` in each of so many looks, wait for the tick, read, judge."""
        steps = self._steps + 1
        commanded = self.config.target_reference == "commanded"
        # One for the whole step: each look says where the step ends, and what it adds must not add up.
        reference = self._goal if commanded else self.last_arm_state.pose
        assert reference is not None
        send = partial(self._command, reference)
        try:
            action = follow(asked, send, self._clock, self._ticker.due_ns, looks)
            self._ticker.wait()
            state = self._arm.state()
            if state.mode is ArmMode.FAULT:
                why = state.fault or "the arm is in a latched fault"
                raise ArmFault(f"{why}; find its cause, then recover")
            observation = self.observer.observe(state, self._frame)
            coordinates = np.array(self._frame.coordinates(state.pose))
            situation = Situation(coordinates, state.wrench[:3], state.gripper_width_m, steps)
            verdict = self._referee.judge(images_of(observation), situation)
        except (ArmError, CameraError):
            # A picture that is no observation, or an arm that cannot be read: stand still, store nothing.
            self._running = False
            self._arm.stop()
            raise
        self._last_state, self._steps = state, steps
        flags |= GateFlag(state.gate_flags) | self._flags_on_the_way
        self._flags_on_the_way = GateFlag.NONE
        truncated_by = None if verdict.success else self._truncation(state, flags)
        self._running = not (verdict.success or truncated_by)
        info = self._info(state, flags, verdict, truncated_by)
        info["action"] = action.astype(np.float32)
        return observation, verdict.reward, verdict.success, truncated_by is not None, info

    def render(self) -> np.ndarray | None:
        """The cell seen from outside, (H, W, 3) uint8, in mode "rgb_array"; None otherwise.

        Raises:
            RenderingUnavailable: nothing can be shown here.
        """
        if self.render_mode is None:
            return None
        if self._render_camera is None:
            raise RenderingUnavailable("this environment has no overview camera; make it with make_env()")
        self._open()
        return self._render_camera.read().image

    def close(self) -> None:
        """Stop the arm and let go of everything. Safe to call twice."""
        self._running = False
        if self._opened:
            self._opened = False
            self._arm.stop()
            self._arm.close()
            for camera in self._every_camera():
                camera.close()
        if isinstance(self._clock, MonotonicClock):
            self._clock.close()

    def _require_episode(self) -> None:
        if not self._running:
            raise ResetError("no episode is running; call reset() first")

    def _open(self) -> None:
        if not self._opened:
            self._arm.connect()
            self._opened = True
            try:
                for camera in self._every_camera():
                    camera.open()
            except BaseException:
                self.close()
                raise

    def _every_camera(self) -> list[Camera]:
        extra = [] if self._render_camera is None else [self._render_camera]
        return [*self.observer.cameras.values(), *extra]

    def _command(self, reference: Array, action: Array) -> None:
        """Send `reference ∘ step` to the arm. An arm that is not running drops it, and flags that it did."""
        try:
            self._goal = self._arm.set_target(pose_compose(reference, self.action_spec.delta_pose(action)))
        except ArmFault:
            raise
        except ArmError:
            # An arm that no longer runs truncates the episode. One that runs, and did not take this command,
            # must not have it stored as executed.
            state = self._arm.state()
            self._flags_on_the_way |= GateFlag(state.gate_flags)
            if state.mode is ArmMode.RUN:
                raise

    def _truncation(self, state: ArmState, flags: GateFlag) -> str | None:
        """Why the episode ends here without an end of the task, or None."""
        if state.mode is not ArmMode.RUN:
            if flags & GateFlag.FORCE:
                return "force"
            return "watchdog" if flags & GateFlag.WATCHDOG else "stopped"
        if self._ticker.counts.consecutive_overruns >= MAX_CONSECUTIVE_OVERRUNS:
            self._arm.stop()
            return "overrun"
        return "time_limit" if self._steps >= self._task.config.max_steps else None

    def _info(
        self, state: ArmState, flags: GateFlag, verdict: Verdict, truncated_by: str | None
    ) -> dict[str, Any]:
        return {
            "success": verdict.success,
            "reward": verdict.reward,
            "score": verdict.score,
            "classifier": verdict.version,
            "look_ms": self._referee.look_ms,
            "seated": self._referee.seated,
            "gate_flags": int(flags),
            "t_ns": state.t_ns,
            "peak_force_n": state.peak_force_n,
            "reset_s": self._reset_s,
            "truncated_by": truncated_by,
        }
