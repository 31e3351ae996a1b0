"""The simulated cell: two mesh-free arms, a RAM module with its socket, and an expert that can seat it.

This package and the simulated camera are the only places that import ``mujoco``. `cell.SimCell` is the
way in; `config` and `truth` are free of the physics engine and may be imported by anybody.
"""
