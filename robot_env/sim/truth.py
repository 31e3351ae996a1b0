"""What the simulator knows and a policy must not: where everything really is.

The synthetic operator and the scripted expert look at this; it never enters an observation. Free of the
physics engine, so that `intervention` may use the type.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RamTruth:
    """The true state of the insertion. Poses are [x y z qx qy qz qw] in the base frame [m].

    Attributes:
        t_ns: Simulated time [ns].
        T_base_tcp: Tool centre point, shape (7,).
        T_base_tip: Middle of the module's contact edge, z pointing out of the module, shape (7,).
        T_base_socket: The *actual* socket: middle of the groove's floor, x along the slot, z up, shape (7,).
        T_base_setpoint: Where the impedance controller is being pulled to, shape (7,).
        depth: Share of the groove that the *worse* corner has gone down, 1 = seated, 0 = outside [1].
        lateral_m: How far the tip stands beside the slot, in its frame (x along, y across), shape (2,).
        yaw_rad: Rotation of the module against the slot about the slot's vertical [rad].
        peak_force_n: Largest force on the tool during the last advance of the cell [N].
    """

    t_ns: int
    T_base_tcp: np.ndarray
    T_base_tip: np.ndarray
    T_base_socket: np.ndarray
    T_base_setpoint: np.ndarray
    depth: float
    lateral_m: np.ndarray
    yaw_rad: float
    peak_force_n: float
