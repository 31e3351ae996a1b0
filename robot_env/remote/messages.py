"""The messages between an arm server and its clients. Units and frames are those of `Arm`; see `wire`."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from handrail.robot_env.arms.arm import Gains

Name = Annotated[str, Meta(max_length=80)]
Numbers = Annotated[list[float], Meta(max_length=16)]
"""A pose or joint angles. Whether they are as many as they should be is for the gate or the driver to say."""


class Hello(Struct, frozen=True, tag="hello"):
    """Who is there? Answered by `Welcome`, whoever asks."""


class Acquire(Struct, frozen=True, tag="acquire"):
    """Wants to command the arm. Answered by `Lease`.

    Attributes:
        name: who asks.
        pid: its process.
        host: its machine.
        period_s: time between two of its commands [s].
        settings: digests of what both sides must agree on; see `agreement`.
    """

    name: Name
    pid: int
    host: Name
    period_s: float
    settings: dict[str, str]


class Release(Struct, frozen=True, tag="release"):
    """Commands the arm no longer; it stops."""


class Heartbeat(Struct, frozen=True, tag="heartbeat"):
    """The commander is alive. Not answered."""


class Start(Struct, frozen=True, tag="start"):
    """Enter RUN.

    Attributes:
        gains: impedance from now on; None for what it is.
        stops: of `Counters.stops`, how many the commander knows of; where there are more, the arm stays.
            None where the commander does not mind.
    """

    gains: Gains | None = None
    stops: int | None = None


class Target(Struct, frozen=True, tag="target"):
    """A wanted tool pose. Answered by `Goal`."""

    pose: Numbers


class SetGains(Struct, frozen=True, tag="gains"):
    """Another impedance."""

    gains: Gains


class SetResetting(Struct, frozen=True, tag="resetting"):
    """Limits and impedance of resets, or of episodes."""

    resetting: bool


class MoveJoints(Struct, frozen=True, tag="joints"):
    """A joint motion to the configured home; `stops` as in `Start`."""

    q: Numbers
    stops: int | None = None


class SetLoad(Struct, frozen=True, tag="load"):
    """What the arm carries."""

    mass_kg: float
    com_m: Numbers


class ZeroFt(Struct, frozen=True, tag="zero_ft"):
    """Tare the force reading."""


class MoveGripper(Struct, frozen=True, tag="gripper"):
    """Move the jaws."""

    action: Annotated[str, Meta(pattern="^(open|close|move)$")]
    width_m: float = 0.0
    force_n: float = 0.0


class Stop(Struct, frozen=True, tag="stop"):
    """Brake and hold. Anybody may."""


class Recover(Struct, frozen=True, tag="recover"):
    """An operator acknowledges a fault."""

    by: Name


class Randomize(Struct, frozen=True, tag="randomize"):
    """Simulated arm only: put a `sim.randomize.Draw` in force. Answered by `Seated`."""

    episode: dict[str, Any]


class AskSuccess(Struct, frozen=True, tag="success"):
    """Simulated arm only: is the module seated? Answered by `Answer`."""


class AskTruth(Struct, frozen=True, tag="truth"):
    """Simulated arm only: where is everything really? Answered by `Truth`."""


class AskPositions(Struct, frozen=True, tag="positions"):
    """Simulated arm only: how does the cell look? Answered by `Positions`."""


Body = (
    Hello
    | Acquire
    | Release
    | Heartbeat
    | Start
    | Target
    | SetGains
    | SetResetting
    | MoveJoints
    | SetLoad
    | ZeroFt
    | MoveGripper
    | Stop
    | Recover
    | Randomize
    | AskSuccess
    | AskTruth
    | AskPositions
)


class Welcome(Struct, frozen=True, tag="welcome"):
    """The server presents itself.

    Attributes:
        driver: name of the driver.
        joints: number of joints.
        gripper: whether there is a gripper to command.
        seated_pose: (7,) of the simulated cell; None where the arm is not simulated.
    """

    driver: str
    joints: int
    gripper: bool
    seated_pose: tuple[float, ...] | None


class Lease(Struct, frozen=True, tag="lease"):
    """The right to command the arm.

    Attributes:
        number: of this lease, as in `State.lease`.
        token: goes with every command; a secret between server and commander.
    """

    number: int
    token: str


class Goal(Struct, frozen=True, tag="goal"):
    """What became of a target.

    Attributes:
        pose: (7,) the goal that the gate let through.
        set_ns: when the driver had its set-point, server's clock [ns].
    """

    pose: tuple[float, ...]
    set_ns: int


class Seated(Struct, frozen=True, tag="seated"):
    """Tool pose with the module seated in the nominal socket, (7,)."""

    pose: tuple[float, ...]


class Answer(Struct, frozen=True, tag="answer"):
    """Yes or no."""

    yes: bool


class Truth(Struct, frozen=True, tag="truth"):
    """`sim.truth.RamTruth` without arrays."""

    t_ns: int
    T_base_tcp: tuple[float, ...]
    T_base_tip: tuple[float, ...]
    T_base_socket: tuple[float, ...]
    T_base_setpoint: tuple[float, ...]
    depth: float
    lateral_m: tuple[float, ...]
    yaw_rad: float
    peak_force_n: float


class Positions(Struct, frozen=True, tag="at"):
    """What it takes to draw the simulated cell.

    Attributes:
        t_ns: simulated time [ns].
        qpos: positions of all joints (nq,), in the physics engine's order.
    """

    t_ns: int
    qpos: tuple[float, ...]


class Counters(Struct, frozen=True):
    """What the server has seen since it started.

    Attributes:
        ticks: rounds of its loop.
        overruns: rounds that began more than a period late.
        worst_lateness_ns: the latest of them [ns].
        commands: targets accepted.
        dropped: commands dropped: too old, out of order, without the lease.
        malformed: messages that could not be unpacked.
        watchdog: times that the commander fell silent in RUN.
        stops: stops that somebody other than the commander asked for, in whatever mode.
    """

    ticks: int = 0
    overruns: int = 0
    worst_lateness_ns: int = 0
    commands: int = 0
    dropped: int = 0
    malformed: int = 0
    watchdog: int = 0
    stops: int = 0


class State(Struct, frozen=True):
    """One tick of the server. Times are of the server's monotonic clock [ns].

    Attributes:
        protocol: `PROTOCOL` of the server.
        boot: names this run of the server; ticks count from one in it.
        tick: number of this state.
        sent_ns: when it was sent.
        t_ns: when the reading arrived from the robot; stands still when the robot falls silent.
        device_ns: the robot's own time.
        pose: (7,) as in `ArmState`; empty before the first reading, as the five that follow.
        twist: (6,).
        wrench: (6,).
        q: (J,).
        dq: (J,).
        setpoint: (7,) what the driver was last told; empty while it is told nothing.
        gripper_width_m: opening of the gripper [m].
        gripper_ns: when the gripper said so; 0 where that comes with every reading, or there is no gripper.
        gripper_stroke_m: that opening when fully open [m]; 0 without a gripper to command. Here, and not in
            `Welcome`, for whoever reads states alone, and because a gripper is there once the robot is.
        force_n: force on the tool in this tick [N].
        mode: value of an `ArmMode`.
        mode_ns: when that mode was entered.
        command_ns: when the last valid command of a running arm came.
        fault: why the mode is "fault".
        estop: whether an emergency stop or an enabling device is the cause.
        job: the slow motion or setting that is under way; "" for none.
        lease: number of the present lease; 0 for none.
        commander: who holds it, in words.
        gate_flags: raised since the state before.
        counters: since the server started.
    """

    protocol: int
    boot: str
    tick: int
    sent_ns: int
    t_ns: int = 0
    device_ns: int = 0
    pose: tuple[float, ...] = ()
    twist: tuple[float, ...] = ()
    wrench: tuple[float, ...] = ()
    q: tuple[float, ...] = ()
    dq: tuple[float, ...] = ()
    setpoint: tuple[float, ...] = ()
    gripper_width_m: float = 0.0
    gripper_ns: int = 0
    gripper_stroke_m: float = 0.0
    force_n: float = 0.0
    mode: str = "disarmed"
    mode_ns: int = 0
    command_ns: int = 0
    fault: str = ""
    estop: bool = False
    job: str = ""
    lease: int = 0
    commander: str = ""
    gate_flags: int = 0
    counters: Counters = Counters()
