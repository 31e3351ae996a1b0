"""Sizes of the module and its socket, for those who reason about them without building them.

Nothing here imports the physics: a process that only knows about the simulated cell stays small.
"""

MODULE_LENGTH_M = 0.13335
MODULE_HEIGHT_M = 0.03125
MODULE_THICKNESS_M = 0.0014

SOCKET_DEPTH_M = 0.006
"""From the groove's rim to its floor."""
TOWER_HEIGHT_M = 0.015
SOCKET_PITCH_M, OTHER_SOCKETS = 0.0098, 3
"""Distance between sockets, and how many empty ones stand beside the one in use."""
