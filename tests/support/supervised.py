"""A supervised arm whose time, robot and commander belong to the test."""

from dataclasses import replace

from recording import Elsewhere, RecordingDriver

from handrail.robot_env.arms.config import ArmConfig, ArmServerConfig
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.geometry import WorkFrame
from handrail.robot_env.remote.agreement import agreement
from handrail.robot_env.remote.lease import Commander, Stamp
from handrail.robot_env.remote.messages import Counters
from handrail.robot_env.remote.supervisor import ArmSupervisor

MS = 1_000_000
FRAME = WorkFrame((0.5, 0.0, 0.07, 1.0, 0.0, 0.0, 0.0))
ABOVE = (0.0, 0.0, 0.04, 0.0, 0.0, 0.0)


class Cell:
    """A supervisor, its driver and one well-behaved commander.

    Args:
        config: limits and arm; the server's settings are in it.
        at_once: whether slow work ends at once.
    """

    def __init__(self, config: EnvConfig | None = None, at_once=True):
        self.config = config or EnvConfig(arm=ArmConfig(kind="franka"))
        self.driver = RecordingDriver(FRAME.pose(ABOVE))
        self.elsewhere = Elsewhere(at_once)
        self.supervisor = ArmSupervisor(self.driver, self.config, FRAME, self.elsewhere.submit)
        self.now = 1_000 * MS
        self.sequence = 0
        self.token = ""
        self.answers = []
        self.flags = 0

    @property
    def mode(self):
        return self.supervisor.mode.name

    def open(self):
        self.supervisor.open(self.now, self.done)
        self.tick()
        return self

    def acquire(self, name="commander", period_s=0.1, lag_ns=0):
        commander = Commander(name, 1, "here", period_s)
        holder = self.supervisor.acquire(self.now, self.now - lag_ns, commander, agreement(self.config))
        self.token = holder.token
        return holder

    def running(self):
        """Connected, leased and started."""
        self.open()
        self.acquire()
        self.start()
        self.tick(2)
        assert self.mode == "RUN" and self.answers[-1] is None
        return self

    def stamp(self, age_ns=0, sequence=None, token=None):
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        return Stamp(self.token if token is None else token, sequence, self.now - age_ns)

    def at(self, now):
        self.now = self.driver.now_ns = now

    def tick(self, rounds=1, ms=5):
        for _ in range(rounds):
            self.at(self.now + ms * MS)
            self.supervisor.tick(self.now)
            self.flags |= self.state().gate_flags

    def state(self):
        return self.supervisor.state("boot", 1, Counters())

    def done(self, error):
        self.answers.append(error)

    def start(self, gains=None):
        self.supervisor.start(self.now, self.stamp(), gains, self.done)

    def target(self, x=0.0, y=0.0, z=0.04, **how):
        return self.supervisor.target(self.now, self.stamp(**how), FRAME.pose((x, y, z, 0.0, 0.0, 0.0)))

    def recover(self, by="me"):
        self.supervisor.recover(self.now, by, self.done)

    def break_it(self, **changes):
        self.driver.changes = {"fault": "reflex", "engaged": False, **changes}
        self.tick()

    def repair(self):
        self.driver.changes = {}


def served(config: EnvConfig | None = None, **server) -> EnvConfig:
    """The configuration with other settings of the server."""
    config = config or EnvConfig(arm=ArmConfig(kind="franka"))
    changed = replace(config.arm, server=replace(ArmServerConfig(), **server))
    return replace(config, arm=changed)
