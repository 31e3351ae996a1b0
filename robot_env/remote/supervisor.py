"""The arm server's mind: who may move the arm, and when it holds. No sockets, no threads, no clock.

Every method takes the time. `tick` does a round: read the driver, look for reasons to hold or to fault, write
the set-point. Requests come between two ticks. What a driver may take long over runs elsewhere, one piece at
a time; whoever asked is told in a later tick, by the `done` that it gave.
"""

from collections.abc import Sequence

from handrail.robot_env.arms.arm import ArmMode, Gains
from handrail.robot_env.arms.driver import ArmDriver
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ArmError, ArmFault, HandrailError
from handrail.robot_env.gate import GateDecision, GateFlag
from handrail.robot_env.geometry import Vector, WorkFrame
from handrail.robot_env.remote.agreement import agreement, check_agreement
from handrail.robot_env.remote.jobs import Done, Job, JobQueue, Submit
from handrail.robot_env.remote.lease import Commander, Holder, LeaseDesk, Stamp
from handrail.robot_env.remote.messages import Counters, State
from handrail.robot_env.remote.modes import ModeMachine
from handrail.robot_env.remote.recovery import RecoveryBudget
from handrail.robot_env.remote.timing import watchdog_ns
from handrail.robot_env.remote.wire import PROTOCOL

NS_PER_S = 1_000_000_000
HOME_TOLERANCE_RAD = 0.01
SETTLE_NS = NS_PER_S // 2
"""Time that a recovered robot has to show a sound reading."""
_PATIENT = "zero_ft"
"""Work that the commander waits for with the arm in RUN; so does the watchdog."""
_LETS_GO = ("move_joints", "set_load")
"""Work before which the driver lets go of the arm."""


class ArmSupervisor:
    """One arm and its rules. One thread.

    Args:
        driver: the arm; nobody else commands it.
        config: limits, watchdog, impedance.
        frame: work frame of the limits.
        submit: runs slow work elsewhere.

    Attributes:
        arm: the machine below the rules.
        watchdog_trips: times that the commander fell silent in RUN.
        commands: targets accepted.
    """

    def __init__(self, driver: ArmDriver, config: EnvConfig, frame: WorkFrame, submit: Submit) -> None:
        server = config.arm.server
        self._driver = driver
        self._config = config
        self.arm = ModeMachine(driver, config, frame, self._faulted)
        self._jobs = JobQueue(submit)
        self._desk = LeaseDesk(server.lease_s, server.command_age_s)
        self._budget = RecoveryBudget(server.recoveries, server.recovery_window_s)
        self._settings = agreement(config)
        self._watchdog_ns = watchdog_ns(server, 1.0 / config.hz)
        self.watchdog_trips = 0
        self.commands = 0
        self._resetting = False
        self._gains: Gains | None = None
        self._aborted: HandrailError | None = None
        self._starting: Done | None = None
        self._recovering: tuple[Done, str, int] | None = None

    @property
    def mode(self) -> ArmMode:
        """What the arm is doing."""
        return self.arm.mode

    @property
    def fault(self) -> str:
        """Why the mode is FAULT, in words; "" otherwise."""
        return self.arm.fault

    @property
    def dropped(self) -> int:
        """Commands dropped: too old, out of order, or without the lease."""
        return self._desk.dropped

    def open(self, now_ns: int, done: Done) -> None:
        """Reach the robot; it then holds, or faults for a reason of its own."""
        self.arm.at(now_ns)

        def ended(error: HandrailError | None) -> None:
            if error is None:
                self.arm.connected()
            done(error)

        self._jobs.add(Job("connect", self._driver.connect, ended))

    def tick(self, now_ns: int) -> None:
        """One round."""
        arm = self.arm
        arm.at(now_ns)
        self._jobs.poll()
        arm.begin_round()
        if self._jobs.running in _LETS_GO:
            arm.let_go()  # the work does that on the driver
        arm.read()
        self._settle()
        self._enter_run()
        self._expire()
        self._look_for_silence()
        moving = self._jobs.running == "move_joints"
        if arm.mode is ArmMode.RUN or moving:
            if arm.watch_force() and moving:
                self._cut_short(ArmError("the arm pressed too hard in a joint motion"))
            elif moving and (astray := arm.astray()):
                arm.latch(astray)
        arm.drive()

    def state(self, boot: str, tick: int, counters: Counters) -> State:
        """What is to be published after a tick. Flags are reported once."""
        holder = self._desk.holder
        return State(
            protocol=PROTOCOL,
            boot=boot,
            tick=tick,
            sent_ns=self.arm.now,
            job=self._jobs.name,
            lease=holder.number if holder else 0,
            commander=str(holder.commander) if holder else "",
            counters=counters,
            **self.arm.facts(),
        )

    # Requests of the commander

    def acquire(self, now_ns: int, sent_ns: int, commander: Commander, settings: dict[str, str]) -> Holder:
        """Give the lease to a commander, who asked for it at `sent_ns` by its own clock.

        Raises:
            ArmError: another one has it, who is named.
            ConfigError: its settings are not the server's.
        """
        self.arm.at(now_ns)
        check_agreement(self._settings, settings)
        self._expire()
        holder = self._desk.acquire(commander, sent_ns, now_ns)
        self._watchdog_ns = watchdog_ns(self._config.arm.server, commander.period_s)
        self._gains = None
        self._set_resetting(False)
        self.arm.note(f"{commander} commands the arm")
        return holder

    def release(self, now_ns: int, stamp: Stamp) -> None:
        """The commander goes; the arm stops."""
        self.arm.at(now_ns)
        commander = self._desk.heard(stamp, now_ns).commander
        self._desk.holder = None
        self.stop(now_ns, f"{commander} has gone")

    def heartbeat(self, now_ns: int, stamp: Stamp) -> None:
        """The commander is alive."""
        self.arm.at(now_ns)
        self._desk.heard(stamp, now_ns).age.arrived(stamp.sent_ns, now_ns)

    def start(self, now_ns: int, stamp: Stamp, gains: Gains | None, done: Done) -> None:
        """Enter RUN, with the set-point at the measured pose; engages the driver first where needed."""
        arm = self.arm
        self._admit(now_ns, stamp)
        self._gains = gains or self._gains
        if arm.mode is ArmMode.RUN:
            if gains is not None:
                arm.set_gains(gains)
            done(None)
            return
        self._aborted = None
        impedance = self._impedance() or Gains()
        if arm.engaged and arm.reading is not None and arm.reading.engaged and not self._jobs.name:
            arm.set_gains(impedance)
            arm.run()
            done(None)
            return

        def ended(error: HandrailError | None) -> None:
            if error is None:
                arm.took_hold()
                if arm.mode is ArmMode.FAULT:
                    self._let_go()
            error = error or self._aborted
            if error is not None:
                done(error)
            else:
                self._starting = done  # until this tick has read the arm

        self._jobs.add(Job("engage", lambda: self._driver.engage(impedance), ended))

    def target(self, now_ns: int, stamp: Stamp, pose: Vector) -> GateDecision:
        """Send a wanted pose (7,) through the gate, and its first set-point to the driver."""
        self._admit(now_ns, stamp)
        decision = self.arm.command(pose)
        self.commands += 1
        return decision

    def gains(self, now_ns: int, stamp: Stamp, gains: Gains) -> None:
        """Change the impedance."""
        self._admit(now_ns, stamp)
        self._gains = gains
        self.arm.set_gains(gains)

    def resetting(self, now_ns: int, stamp: Stamp, resetting: bool) -> None:
        """Limits and impedance of resets, or of episodes. Welcome in a fault too."""
        self._admit(now_ns, stamp, ready=False)
        self._set_resetting(resetting)

    def joints(self, now_ns: int, stamp: Stamp, q: Sequence[float], done: Done) -> None:
        """A joint motion to the configured home; begins when a brake has come to rest."""
        self._admit(now_ns, stamp)
        home, speed = self._config.arm.joint_home, self._config.arm.joint_speed
        if self.arm.mode is not ArmMode.HOLD:
            raise ArmError(f"the arm is in {self.arm.mode.name}; stop() it before a joint motion")
        if not home:
            raise ArmError("env.arm.joint_home is empty, and a joint motion goes nowhere else; configure it")
        if len(q) != len(home) or not all(
            abs(a - b) <= HOME_TOLERANCE_RAD for a, b in zip(q, home, strict=True)
        ):
            raise ArmError(f"a joint motion goes to env.arm.joint_home = {home} only, not to {tuple(q)}")
        if self.arm.tripped:
            raise ArmError("the arm pressed too hard; start() it and lift the tool before a joint motion")
        self._aborted = None

        def work() -> None:
            self._driver.disengage()
            self._driver.move_joints(home, speed)

        def ended(error: HandrailError | None) -> None:
            done(self._aborted or error)

        self._jobs.add(Job("move_joints", work, ended, lambda: self.arm.resting))

    def tare(self, now_ns: int, stamp: Stamp, done: Done) -> None:
        """Zero the force reading. The watchdog waits meanwhile: the commander does too."""
        self._admit(now_ns, stamp)
        self._jobs.add(Job("zero_ft", self._driver.zero_ft, done))

    def load(self, now_ns: int, stamp: Stamp, mass_kg: float, com_m: Vector, done: Done) -> None:
        """Tell the robot what it carries; it must not be under control meanwhile."""
        self._admit(now_ns, stamp)
        if self._arm.mode is not ArmMode.HOLD:
            raise ArmError(f"the arm is in {self._arm.mode.name}; stop() it before its load is changed")
        if not (0.0 <= mass_kg <= 20.0 and len(com_m) == 3 and all(abs(x) <= 0.5 for x in com_m)):
            raise ArmError(
                f"load of {mass_kg} kg at {list(com_m)} m; give 0 to 20 kg within 0.5 m of the tool"
            )

        def work() -> None:
            self._driver.disengage()
            self._driver.set_load(mass_kg, com_m)

        self._jobs.add(Job("set_load", work, done, lambda: self.resting))

    def gripper(self, now_ns: int, stamp: Stamp, action: str, width_m: float, force_n: float) -> None:
        """Move the jaws: "open", "close" or "move"."""
        self._admit(now_ns, stamp)
        gripper = self._driver.gripper
        if gripper is None:
            raise ArmError(f"the {self._driver.name} arm has no gripper to command")
        if not (0.0 <= width_m <= 0.5 and 0.0 <= force_n <= 500.0):
            raise ArmError(f"gripper to {width_m} m with {force_n} N; give 0 to 0.5 m and 0 to 500 N")
        match action:
            case "open":
                gripper.open()
            case "close":
                gripper.close()
            case _:
                gripper.move(width_m, force_n)

    # Requests of anybody

    def stop(self, now_ns: int, why: str = "stopped") -> None:
        """Brake and hold; end slow motions. Whoever asks."""
        self.arm.at(now_ns)
        self._cut_short(ArmError(f"the motion was ended: {why}"))
        self.arm.hold(why)

    def recover(self, now_ns: int, by: str, done: Done) -> None:
        """An operator acknowledges a fault: FAULT becomes HOLD, if its cause has gone."""
        arm = self.arm
        arm.at(now_ns)
        if arm.mode is not ArmMode.FAULT:
            done(None)
            return
        if not by.strip():
            raise ArmError("a fault is acknowledged by somebody: give your name, by=<name>")
        if arm.reading is not None and arm.reading.estop:
            raise ArmFault(
                f"{arm.reading.fault or 'the emergency stop is pressed'}: software does not clear this; "
                "release it at the robot, then recover()"
            )
        if self._recovering is not None:
            raise ArmError("a recovery is under way already; wait for it")
        self._budget.check(now_ns)

        def ended(error: HandrailError | None) -> None:
            if error is not None:
                done(ArmFault(str(error)))
            else:
                self._recovering = (done, by, arm.now + SETTLE_NS)

        self._jobs.add(Job("recover", self._driver.clear_fault, ended))

    # Inside

    def _admit(self, now_ns: int, stamp: Stamp, ready: bool = True) -> None:
        """Take a command of the commander's; drop any other, and flag that.

        Raises:
            ArmError: it was dropped, or the arm is not ready for commands.
        """
        self.arm.at(now_ns)
        self._expire()
        try:
            self._desk.admit(stamp, now_ns)
        except ArmError:
            self.arm.flag(GateFlag.STALE)
            raise
        if ready:
            self.arm.require_ready()

    def _impedance(self) -> Gains | None:
        """What is configured for what the arm is doing, unless the commander has said otherwise."""
        arm = self._config.arm
        return (arm.moving if self._resetting else None) or self._gains or arm.contact

    def _set_resetting(self, resetting: bool) -> None:
        limits = self._config.limits
        self.arm.use(limits.reset_motion if resetting else limits.motion)
        self._resetting = resetting
        if self._config.arm.moving is not None:
            self.arm.set_gains(self._impedance() or Gains())

    def _expire(self) -> None:
        commander = self._desk.expire(self.arm.now)
        if commander is not None:
            self.arm.note(f"{commander} has fallen silent and lost the lease")
            if self.arm.mode is ArmMode.RUN:
                self.arm.flag(GateFlag.WATCHDOG)
            self.stop(self.arm.now, f"{commander} has lost the lease")

    def _look_for_silence(self) -> None:
        arm = self.arm
        if self._jobs.name == _PATIENT:
            arm.command_ns = arm.now
        elif arm.mode is ArmMode.RUN and arm.now - arm.command_ns > self._watchdog_ns:
            arm.flag(GateFlag.WATCHDOG)
            self.watchdog_trips += 1
            arm.hold(f"no command for {(arm.now - arm.command_ns) / 1e6:.0f} ms")

    def _enter_run(self) -> None:
        """Finish a start whose driver has engaged."""
        done, self._starting = self._starting, None
        if done is None:
            return
        error: HandrailError | None = self._aborted
        try:
            self.arm.require_ready()
            if error is None:
                self.arm.run()
        except HandrailError as refusal:
            error = refusal
        done(error)

    def _settle(self) -> None:
        """Finish a recovery once the robot shows a sound reading."""
        if self._recovering is None:
            return
        done, by, deadline_ns = self._recovering
        trouble = self.arm.trouble()
        if not trouble:
            self._recovering = None
            self._budget.take(self.arm.now)
            self.arm.recovered(by)
            done(None)
        elif self.arm.now > deadline_ns:
            self._recovering = None
            done(ArmFault(f"the cause is still there: {trouble}; remove it, then recover()"))

    def _cut_short(self, why: HandrailError) -> None:
        """End slow motions, and what would lead to one."""
        self._aborted = why
        if self._jobs.running == "move_joints":
            try:
                self._driver.abort()
            except Exception as error:  # whatever an SDK raises: what follows must still be done
                self.arm.note(f"abort failed: {error}")
        self._jobs.drop_waiting("move_joints", "engage", error=why)

    def _faulted(self, fault: str) -> None:
        """A fault was latched: no motion goes on, and the driver lets go as soon as it can."""
        self._cut_short(ArmFault(fault))
        if self.arm.engaged:
            self._let_go()

    def _let_go(self) -> None:
        self.arm.let_go()
        self._jobs.add(Job("disengage", self._driver.disengage, lambda error: None, own=True))
