"""A Franka arm through franky. (Being built.)"""

from dataclasses import dataclass


@dataclass(frozen=True)
class FrankaConfig:
    """Facts of one Franka.

    Attributes:
        host: address of its control box; "" until the station gives it.
    """

    host: str = ""
