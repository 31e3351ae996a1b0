"""Stops that others than the commander asked for, as the arm server counts them."""

from handrail.robot_env.remote.messages import State


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
