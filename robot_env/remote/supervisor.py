"""The arm server's mind: who may move the arm, and when it holds. No sockets, no threads, no clock.

Every method takes the time. `tick` does a round: read the driver, look for reasons to hold or to fault, write
the set-point. Requests come between two ticks. What a driver may take long over runs elsewhere, one piece at
a time; whoever asked is told in a later tick, by the `done` that it gave.
"""

from handrail.robot_env.arms.arm import ArmMode, Gains
from handrail.robot_env.arms.driver import ArmDriver
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ArmError, ArmFault, ConfigError, HandrailError
from handrail.robot_env.gate import GateDecision, GateFlag
from handrail.robot_env.geometry import Vector, WorkFrame
from handrail.robot_env.remote.agreement import agreement, check_agreement
from handrail.robot_env.remote.impedance import Impedance
from handrail.robot_env.remote.jobs import Attempt, Done, Job, JobQueue, Submit
from handrail.robot_env.remote.lease import Commander, Holder, LeaseDesk, Stamp
from handrail.robot_env.remote.messages import Counters, Numbers, State
from handrail.robot_env.remote.modes import ModeMachine
from handrail.robot_env.remote.orders import check_home, check_load, end_motion, move_gripper
from handrail.robot_env.remote.recovery import Recovery
from handrail.robot_env.remote.silence import JOINTS, LETS_GO, TARE, SilenceWatch
from handrail.robot_env.remote.stops import StopCount
from handrail.robot_env.remote.wire import PROTOCOL

_NOWHERE = WorkFrame((0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0))
"""Work frame of an arm that nobody may command yet."""


class ArmSupervisor:
    """One arm and its rules. One thread.

    Args:
        driver: the arm; nobody else commands it.
        config: limits, watchdog, impedance.
        frame: work frame of the limits; None before the seated pose has been taught: everything can then be
            looked at, and nobody is given the lease.
        submit: runs slow work elsewhere.

    Attributes:
        arm: the machine below the rules.
        watchdog_trips: times that the commander fell silent in RUN.
        commands: targets accepted.
        stops: those that somebody other than the commander asked for.
    """

    def __init__(self, driver: ArmDriver, config: EnvConfig, frame: WorkFrame | None, submit: Submit) -> None:
        server = config.arm.server
        self._driver = driver
        self._config = config
        self._taught = frame is not None
        self.arm = ModeMachine(driver, config, frame or _NOWHERE, self._faulted)
        self._jobs = JobQueue(submit)
        self._desk = LeaseDesk(server.lease_s, server.command_age_s)
        self._recovery = Recovery(self.arm, driver, self._jobs, server)
        self._impedance = Impedance(config)
        self._settings = agreement(config)
        self._silence = SilenceWatch(self.arm, self._jobs, self._desk, server, 1.0 / config.hz)
        self.watchdog_trips = 0
        self.commands = 0
        self.stops = StopCount()
        self._attempt: Attempt | None = None  # the newest; may be over
        self._starting: Attempt | None = None
        self._ending = False

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
        if self._jobs.running in LETS_GO:
            arm.let_go()  # the work does that on the driver
        arm.read()
        self._recovery.settle()
        self._expire()  # a start whose commander has gone must not end in RUN
        self._enter_run()
        self._look_for_silence()
        moving = self._jobs.running == JOINTS
        self._abort()
        if arm.mode is ArmMode.RUN or moving:
            if arm.watch_force() and moving:
                self._cut_short(ArmError("the arm pressed too hard in a joint motion"))
            elif moving and (astray := arm.astray()):
                arm.latch(astray)
        arm.settle(self._impedance.now(commanded=self._desk.holder is not None))
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
            ConfigError: its settings are not the server's, or the server has not been told where the task is.
        """
        self.arm.at(now_ns)
        self._refuse_when_ending()
        if not self._taught:
            raise ConfigError(
                "the arm server runs without env.task.seated_pose, for teaching, and moves nothing: teach "
                "env.task.seated_pose first, then start it again with the task"
            )
        check_agreement(self._settings, settings)
        self._expire()
        holder = self._desk.acquire(commander, sent_ns, now_ns)
        self._silence.follow(commander.period_s)
        self._impedance.forget()
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

    def start(
        self, now_ns: int, stamp: Stamp, gains: Gains | None, done: Done, stops: int | None = None
    ) -> None:
        """Enter RUN, with the set-point at the measured pose; engages the driver first where needed."""
        arm = self.arm
        self._admit(now_ns, stamp)
        self.stops.require_known(stops)
        if gains is not None:
            self._impedance.ask(gains)
        if arm.mode is ArmMode.RUN:
            if gains is not None:
                arm.set_gains(gains)
            done(None)
            return
        impedance = self._impedance.now()
        if arm.engaged and arm.reading is not None and arm.reading.engaged and not self._jobs.name:
            arm.set_gains(impedance)
            arm.run()
            done(None)
            return
        attempt = Attempt(done)

        def ended(error: HandrailError | None) -> None:
            if error is None:
                arm.took_hold(impedance)
                if arm.mode is ArmMode.FAULT:
                    self._let_go()
            error = error or attempt.aborted
            if error is not None:
                done(error)
            else:
                self._starting = attempt  # until this tick has read the arm

        self._jobs.add(Job("engage", lambda: self._driver.engage(impedance), ended))
        self._attempt = attempt

    def target(self, now_ns: int, stamp: Stamp, pose: Vector) -> GateDecision:
        """Send a wanted pose (7,) through the gate, and its first set-point to the driver."""
        self._admit(now_ns, stamp)
        decision = self.arm.command(pose)
        self.commands += 1
        return decision

    def gains(self, now_ns: int, stamp: Stamp, gains: Gains) -> None:
        """Change the impedance, within what the station allows."""
        self._admit(now_ns, stamp)
        self._impedance.ask(gains)
        self.arm.set_gains(gains)

    def resetting(self, now_ns: int, stamp: Stamp, resetting: bool) -> None:
        """Limits and impedance of resets, or of episodes. Welcome in a fault too."""
        self._admit(now_ns, stamp, ready=False)
        self._set_resetting(resetting)

    def joints(self, now_ns: int, stamp: Stamp, q: Numbers, done: Done, stops: int | None = None) -> None:
        """A joint motion to the configured home; begins when a brake has come to rest."""
        self._admit(now_ns, stamp)
        self.stops.require_known(stops)
        home, speed = self._config.arm.joint_home, self._config.arm.joint_speed
        if self.arm.mode is not ArmMode.HOLD:
            raise ArmError(f"the arm is in {self.arm.mode.name}; stop() it before a joint motion")
        check_home(q, home)
        if self.arm.tripped:
            raise ArmError("the arm pressed too hard; start() it and lift the tool before a joint motion")
        attempt = Attempt(done)

        def work() -> None:
            self._driver.disengage()
            if attempt.aborted is not None:  # while it let go, when there was no motion yet to end
                raise attempt.aborted
            self._driver.move_joints(home, speed)

        def ended(error: HandrailError | None) -> None:
            done(attempt.aborted or error)

        self._jobs.add(Job(JOINTS, work, ended, lambda: self.arm.resting))
        self._attempt = attempt

    def tare(self, now_ns: int, stamp: Stamp, done: Done) -> None:
        """Zero the force reading, with the set-point at rest.

        The commander waits meanwhile, and so does the watchdog: three seconds, while heartbeats come.
        An operator may ask for it too, while nobody commands the arm.
        """
        self._admit_by_hand(now_ns, stamp)

        def ended(error: HandrailError | None) -> None:
            self.arm.command_ns = self.arm.now  # the commander may speak again
            done(error)

        self._jobs.add(Job(TARE, self._driver.zero_ft, ended, lambda: self.arm.resting))
        self._silence.tares()

    def load(self, now_ns: int, stamp: Stamp, mass_kg: float, com_m: Vector, done: Done) -> None:
        """Tell the robot what it carries; it must not be under control meanwhile."""
        self._admit(now_ns, stamp)
        if self.arm.mode is not ArmMode.HOLD:
            raise ArmError(f"the arm is in {self.arm.mode.name}; stop() it before its load is changed")
        check_load(mass_kg, com_m)

        def work() -> None:
            self._driver.disengage()
            self._driver.set_load(mass_kg, com_m)

        self._jobs.add(Job("set_load", work, done, lambda: self.arm.resting))

    def gripper(self, now_ns: int, stamp: Stamp, action: str, width_m: float, force_n: float) -> None:
        """Move the jaws: "open", "close" or "move"; by order of an operator too, while nobody commands."""
        self._admit_by_hand(now_ns, stamp)
        move_gripper(self._driver, action, width_m, force_n)

    # Requests of anybody

    def asked_to_stop(self, now_ns: int, stamp: Stamp) -> None:
        """Stop for whoever asks; one who is not the commander is counted."""
        holder = self._desk.holder
        self.stops.asked(stamp.token, holder.token if holder else None)
        self.stop(now_ns)

    def stop(self, now_ns: int, why: str = "stopped") -> None:
        """Brake and hold; end slow motions. Whoever asks."""
        self.arm.at(now_ns)
        self._cut_short(ArmError(f"the motion was ended: {why}"))
        self.arm.hold(why)

    def recover(self, now_ns: int, by: str, done: Done) -> None:
        """An operator acknowledges a fault: FAULT becomes HOLD, if its cause has gone."""
        self.arm.at(now_ns)
        self._refuse_when_ending()
        self._recovery.ask(by, done)

    def end(self, now_ns: int, why: str) -> None:
        """Brake for good: from now on nobody starts, moves or recovers the arm."""
        self._ending = True
        self.stop(now_ns, why)

    # Inside

    def _admit(self, now_ns: int, stamp: Stamp, ready: bool = True) -> None:
        """Take a command of the commander's; drop any other, and flag that.

        Raises:
            ArmError: it was dropped, or the arm is not ready for commands.
        """
        self.arm.at(now_ns)
        self._refuse_when_ending()
        self._expire()
        try:
            self._desk.admit(stamp, now_ns)
        except ArmError:
            self.arm.flag(GateFlag.STALE)
            raise
        if ready:
            self.arm.require_ready()

    def _admit_by_hand(self, now_ns: int, stamp: Stamp) -> None:
        """Take a command of the commander's, or, where there is none, of an operator, who has no lease.

        Raises:
            ArmError: it was dropped, the arm is not ready, or somebody commands it.
        """
        if stamp.token:
            self._admit(now_ns, stamp)
            return
        self.arm.at(now_ns)
        self._refuse_when_ending()
        self._expire()
        if self._desk.holder is not None:
            raise ArmError(f"the arm is commanded by {self._desk.holder.commander}; end that first")
        self.arm.require_ready()

    def _refuse_when_ending(self) -> None:
        if self._ending:
            raise ArmError("the arm server is ending, and the arm brakes; start the server again")

    def _set_resetting(self, resetting: bool) -> None:
        limits = self._config.limits
        self.arm.use(limits.reset_motion if resetting else limits.motion)
        self._impedance.resetting = resetting
        if self._impedance.moving:
            self.arm.set_gains(self._impedance.now())

    def _expire(self) -> None:
        commander = self._desk.expire(self.arm.now)
        if commander is not None:
            self.arm.note(f"{commander} has fallen silent and lost the lease")
            if self.arm.mode is ArmMode.RUN:
                self.arm.flag(GateFlag.WATCHDOG)
            self.stop(self.arm.now, f"{commander} has lost the lease")

    def _look_for_silence(self) -> None:
        why = self._silence.look(self._attempt is not None and self._attempt.aborted is None)
        if why:
            self.arm.flag(GateFlag.WATCHDOG)
            self.watchdog_trips += 1
            self.stop(self.arm.now, why)

    def _enter_run(self) -> None:
        """Finish a start whose driver has engaged."""
        attempt, self._starting = self._starting, None
        if attempt is None:
            return
        error = attempt.aborted
        try:
            self.arm.require_ready()
            if error is None:
                self.arm.run()
        except HandrailError as refusal:
            error = refusal
        attempt.done(error)

    def _cut_short(self, why: HandrailError) -> None:
        """End slow motions, and what would lead to one."""
        if self._attempt is not None and self._attempt.aborted is None:
            self._attempt.aborted = why
            if trouble := self._abort():
                self.arm.note(trouble)
        self._jobs.drop_waiting(JOINTS, "engage", error=why)

    def _abort(self) -> str:
        """End a joint motion that is to end: in every round, as it may only just begin. Says what failed."""
        ending = self._attempt is not None and self._attempt.aborted is not None
        return end_motion(self._driver) if ending and self._jobs.running == JOINTS else ""

    def _faulted(self, fault: str) -> None:
        """A fault was latched: no motion goes on, and the driver lets go as soon as it can."""
        self._cut_short(ArmFault(fault))
        if self.arm.engaged:
            self._let_go()

    def _let_go(self) -> None:
        self.arm.let_go()
        self._jobs.add(Job("disengage", self._driver.disengage, lambda error: None, own=True))
