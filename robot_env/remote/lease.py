"""The lease: who commands the arm, and whether a command of theirs still counts.

One commander at a time. Whatever it sends keeps its lease alive; silence ends it. A command counts if it
carries the lease's token, a higher sequence number than the one before, and is young enough: a commander that
was stopped and goes on must not move the arm with what it meant then.
"""

import secrets
from dataclasses import dataclass, field

from handrail.robot_env.checks import require_range
from handrail.robot_env.clock import NS_PER_S
from handrail.robot_env.errors import ArmError
from handrail.robot_env.remote.timing import SenderAge
from handrail.robot_env.remote.wire import LeaseLost


@dataclass(frozen=True)
class Commander:
    """Who commands.

    Attributes:
        name: what it calls itself.
        pid: its process.
        host: its machine.
        period_s: time between two of its commands [s].
    """

    name: str
    pid: int
    host: str
    period_s: float

    def __post_init__(self) -> None:
        require_range("commander", 0.001, 1.0, period_s=self.period_s)

    def __str__(self) -> str:
        return f"{self.name!r} (process {self.pid} on {self.host})"


@dataclass(frozen=True)
class Stamp:
    """What a command carries.

    Attributes:
        token: of the sender's lease.
        sequence: grows with every command.
        sent_ns: the sender's clock when it sent it [ns].
    """

    token: str
    sequence: int
    sent_ns: int


@dataclass
class Holder:
    """The present commander. `number` counts the leases of this server."""

    commander: Commander
    token: str
    number: int
    heard_ns: int
    sequence: int = -1
    age: SenderAge = field(default_factory=SenderAge)


class LeaseDesk:
    """Gives out the one lease.

    Args:
        lease_s: silence that ends it [s].
        command_age_s: oldest command that counts [s].
    """

    def __init__(self, lease_s: float, command_age_s: float) -> None:
        self._lease_ns = round(lease_s * NS_PER_S)
        self._age_ns = round(command_age_s * NS_PER_S)
        self._given = 0
        self.holder: Holder | None = None
        self.dropped = 0

    def acquire(self, commander: Commander, sent_ns: int, now_ns: int) -> Holder:
        """Give the lease to `commander`, who asked for it at `sent_ns` by its own clock.

        Raises:
            ArmError: somebody has it; the message names them.
        """
        if self.holder is not None:
            left_s = (self._lease_ns - (now_ns - self.holder.heard_ns)) / NS_PER_S
            raise ArmError(
                f"the arm is commanded by {self.holder.commander}; stop that first, or wait until it has "
                f"been silent for {max(0.0, left_s):.1f} s more"
            )
        self._given += 1
        self.holder = Holder(commander, secrets.token_hex(16), self._given, now_ns)
        self.holder.age.arrived(sent_ns, now_ns)
        return self.holder

    def expire(self, now_ns: int) -> Commander | None:
        """Take the lease from a commander who has been silent for too long; who that was."""
        holder = self.holder
        if holder is None or now_ns - holder.heard_ns <= self._lease_ns:
            return None
        self.holder = None
        return holder.commander

    def silent_ns(self, now_ns: int) -> int:
        """Time since the commander was last heard of, commands and heartbeats alike [ns]; 0 without one."""
        return 0 if self.holder is None else now_ns - self.holder.heard_ns

    def heard(self, stamp: Stamp, now_ns: int) -> Holder:
        """Take note that the commander lives.

        Raises:
            LeaseLost: the sender is not the commander; counted as dropped.
        """
        holder = self.holder
        if holder is None or not secrets.compare_digest(stamp.token.encode(), holder.token.encode()):
            self.dropped += 1
            now = f"{holder.commander} commands" if holder else "nobody commands"
            raise LeaseLost(
                f"the lease has ended and {now} the arm now; the command was dropped: "
                "call start() for a new lease"
            )
        holder.heard_ns = now_ns
        return holder

    def admit(self, stamp: Stamp, now_ns: int) -> None:
        """Let a command through, or not.

        Raises:
            LeaseLost: the sender is not the commander.
            ArmError: the command is too old or out of order; counted as dropped.
        """
        holder = self.heard(stamp, now_ns)
        age_ns = holder.age.arrived(stamp.sent_ns, now_ns)
        if stamp.sequence <= holder.sequence:
            self.dropped += 1
            raise ArmError(
                f"command {stamp.sequence} came after command {holder.sequence} and was dropped; "
                "send each once"
            )
        holder.sequence = stamp.sequence
        if age_ns > self._age_ns:
            self.dropped += 1
            raise ArmError(
                f"the command was {age_ns / 1e6:.0f} ms old (limit {self._age_ns / 1e6:.0f} ms) and was "
                "dropped; look for what held it up"
            )
