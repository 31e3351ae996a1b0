"""How deep a module sits in its socket: the success predicate's geometry, in scalar arithmetic."""

from math import asin, sqrt

from handrail.robot_env.geometry import Array
from handrail.robot_env.sim.sizes import MODULE_LENGTH_M, SOCKET_DEPTH_M

SLOT_TOLERANCE_M = 0.002
"""A tip further than this beside the slot is not in it, however low it is."""


def insertion_depth(tip_in_socket: Array) -> tuple[float, float]:
    """Depth of the module's worse corner, and its yaw, in the slot's own frame.

    Args:
        tip_in_socket: The tip's pose in the socket's frame, shape (7,): x along the slot, z up, origin on the
            groove's floor.

    Returns:
        The share of the groove that the higher corner has gone down (0 outside, 1 on the floor), and the
        rotation of the module about the vertical [rad].
    """
    x, y, z, qx, qy, qz, qw = tip_in_socket.tolist()
    # The module's long axis, in the socket's frame: first column of the rotation matrix.
    along_x = 1.0 - 2.0 * (qy * qy + qz * qz)
    along_y = 2.0 * (qx * qy + qw * qz)
    along_z = 2.0 * (qx * qz - qw * qy)
    half = MODULE_LENGTH_M / 2
    flat = sqrt(along_x * along_x + along_y * along_y)
    yaw = asin(max(-1.0, min(1.0, along_y / flat))) if flat > 1e-9 else 0.0
    if abs(x) > SLOT_TOLERANCE_M or abs(y) + half * abs(along_y) > SLOT_TOLERANCE_M or along_x < 0.0:
        return 0.0, yaw
    highest = z + half * abs(along_z)
    return max(0.0, 1.0 - highest / SOCKET_DEPTH_M), yaw
