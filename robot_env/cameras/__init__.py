"""Cameras behind one `Camera` protocol; the simulated one lives in `mujoco`."""
