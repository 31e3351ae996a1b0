"""What a step asks for, looked at while it lasts: an operator's hand often, a policy once (docs/adr/0010)."""

from collections.abc import Callable

import numpy as np

from handrail.robot_env.clock import Clock
from handrail.robot_env.geometry import Array


def follow(
    asked: Callable[[], Array], command: Callable[[Array], None], clock: Clock, due_ns: int, looks: int
) -> Array:
    """Look evenly over what is left of the step, and send the arm each time where the step would end.

    Args:
        asked: what is asked for now, (A,) in [−1, 1].
        command: sends the arm where an action of the whole step leads, from where the step began.
        clock: time.
        due_ns: when the step ends [ns].
        looks: how often to look, 1 or more.

    Returns:
        (A,) the mean of what was asked for: the action that leads where the arm was last sent.
    """
    began_ns = clock.now_ns()
    slice_ns = max(0, due_ns - began_ns) // looks
    total: Array | float = 0.0
    mean = np.zeros(0)
    for look in range(looks):
        if look > 0:
            clock.wait_until(began_ns + look * slice_ns)
        wanted = asked()
        # If it stays as it is, the same is asked for in each look to come.
        mean = (total + (looks - look) * wanted) / looks
        total = total + wanted
        command(mean)
    return mean
