"""Stops that others than the commander asked for: counted by the arm server, told by its clients.

A start says how many of them its commander knows of. One that was asked for before the start but had not
been heard of yet thus keeps the arm where it is.
"""

from handrail.robot_env.arms.refusals import stopped_meanwhile
from handrail.robot_env.remote.messages import State


class StopCount:
    """The arm server's count.

    Attributes:
        count: stops so far.
    """

    def __init__(self) -> None:
        self.count = 0

    def asked(self, token: str, holder: str | None) -> None:
        """Count a stop, unless it is the commander's own; one counts where nothing moves as well.

        A commander whose lease has ended stops the arm by way of good order: where nobody has taken the arm
        since, that is no news to anybody.

        Args:
            token: of the lease of whoever asks; "" without one.
            holder: token of the commander; None where there is none.
        """
        if (token != holder) if holder is not None else not token:
            self.count += 1

    def require_known(self, known: int | None) -> None:
        """Refuse a motion whose commander does not know of all stops.

        Raises:
            ArmError: `known` is not the count; None, of one who does not ask for this, always is.
        """
        if known is not None and known != self.count:
            raise stopped_meanwhile()


class ForeignStops:
    """Tells new stops from those that were seen before, across restarts of the arm server."""

    def __init__(self) -> None:
        self._seen: tuple[str, int] | None = None  # run of the arm server, stops counted in it

    def new(self, state: State) -> int:
        """How many have come since the last look; none at the first."""
        seen, self._seen = self._seen, (state.boot, state.counters.stops)
        if seen is None:
            return 0
        boot, before = seen
        return state.counters.stops - (before if boot == state.boot else 0)
