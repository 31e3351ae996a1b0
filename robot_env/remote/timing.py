"""How old is too old: ages across machines, and the commander's watchdog."""

from handrail.robot_env.arms.config import ArmServerConfig

DRIFT = 1e-3
"""Rate at which two monotonic clocks may part: NTP slews each by at most half of it."""
BEAT_S = 0.1
"""Longest time between two heartbeats of a commander [s]."""
_WAITING_NS = 300_000_000


class SenderAge:
    """How old messages are, from the sender's own stamps, whatever its clock reads.

    The least of (arrival − stamp) over all messages is the offset of the clocks plus the shortest way; what a
    message took longer than that is its age. The least may rise by what clocks drift apart, no faster, so
    that a queue of old messages after a pause is not taken for a new offset.
    """

    def __init__(self) -> None:
        self._offset_ns: int | None = None
        self._seen_ns = 0

    def arrived(self, sent_ns: int, now_ns: int) -> int:
        """Take in a message; its age [ns], 0 or more."""
        offset = now_ns - sent_ns
        if self._offset_ns is not None:
            offset = min(offset, self._offset_ns + round(DRIFT * max(0, now_ns - self._seen_ns)))
        self._offset_ns, self._seen_ns = offset, now_ns
        return now_ns - sent_ns - offset

    def here_ns(self, sent_ns: int) -> int:
        """The sender's moment `sent_ns` by the receiver's clock [ns]."""
        return sent_ns + (self._offset_ns or 0)


def watchdog_ns(config: ArmServerConfig, period_s: float) -> int:
    """Time without a command after which a running arm holds [ns], for a commander of that period [s]."""
    limit_s = config.watchdog_s if config.watchdog_s is not None else max(2.5 * period_s, 0.1)
    return round(1e9 * limit_s)


def waiting_ns(watchdog: int) -> int:
    """Silence after which an arm holds whose commander waits for a tare or a joint motion [ns].

    It sends no commands then, only heartbeats: three of them may go missing, or the watchdog's time pass.
    """
    return max(watchdog, _WAITING_NS)
