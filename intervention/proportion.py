"""How sure a share is that was counted from few."""

import math


def wilson_interval(successes: int, episodes: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval for a proportion (Wilson 1927), 95 % at z = 1.96; (0, 1) without episodes."""
    if episodes == 0:
        return 0.0, 1.0
    rate = successes / episodes
    centre = rate + z * z / (2 * episodes)
    spread = z * math.sqrt(rate * (1 - rate) / episodes + z * z / (4 * episodes * episodes))
    scale = 1 + z * z / episodes
    # Rounding may put a bound a hair on the wrong side of the rate itself at 0 and 1.
    return max(0.0, min(rate, (centre - spread) / scale)), min(1.0, max(rate, (centre + spread) / scale))
