"""An operator's hand, followed within a step (docs/adr/0010)."""

from collections.abc import Callable

import numpy as np

from handrail.robot_env.clock import Clock
from handrail.robot_env.geometry import Array


def follow(
    hand: Callable[[], Array], command: Callable[[Array], None], clock: Clock, due_ns: int, looks: int
) -> Array:
    """Look at the hand, evenly over what is left of the step, and send the arm where the step would end.

    Args:
        hand: what it asks for now, (A,) in [−1, 1].
        command: sends the arm where an action of a whole step leads.
        clock: time.
        due_ns: when the step ends [ns].
        looks: how often to look, 1 or more.

    Returns:
        (A,) the mean of what the hand asked for: the action that leads where the arm was last sent.
    """
    began_ns = clock.now_ns()
    slice_ns = max(0, due_ns - began_ns) // looks
    total: Array | float = 0.0
    mean = np.zeros(0)
    for look in range(looks):
        clock.wait_until(began_ns + look * slice_ns)
        asked = hand()
        # If it stays as it is, it asks for the same in each look to come.
        mean = (total + (looks - look) * asked) / looks
        total = total + asked
        command(mean)
    return mean
