"""A Universal Robots arm through ur_rtde. (Being built.)"""

from dataclasses import dataclass


@dataclass(frozen=True)
class URConfig:
    """Facts of one UR arm.

    Attributes:
        host: address of its controller; "" until the station gives it.
    """

    host: str = ""
