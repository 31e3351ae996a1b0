"""The gripper and the module it holds.

The fingers stay closed on the module for the whole task. What matters physically is that a grasp gives:
rubber pads let the module slide and tilt a little. A rigid weld made contact spikes of 1,000 N. The module
therefore hangs on three stiff springs: a slide along the approach axis, a hinge about the closing axis
(pitch) and one about the module's own length (roll).
"""

from math import pi

import mujoco as mj
import numpy as np

from handrail.robot_env.sim.parts import BOX, CYLINDER, SPHERE, Builder, about, set_inertia
from handrail.robot_env.sim.ram import add_module
from handrail.robot_env.sim.sizes import MODULE_HEIGHT_M, MODULE_THICKNESS_M

TCP_OFFSET_M = 0.1034
"""Tool centre point beyond the flange, along the approach axis [m]."""
GRIP_ABOVE_TCP_M = 0.004
"""The module's top edge stands this far above the tool centre point [m]."""
SEATED_TCP_HEIGHT_M = MODULE_HEIGHT_M - GRIP_ABOVE_TCP_M
"""Height of the tool centre point above the groove's floor when the module is seated [m]."""

_GRASP = (
    # joint, kind, axis, stiffness, damping, armature, limits
    ("grasp_slide", mj.mjtJoint.mjJNT_SLIDE, (0, 0, 1), 4e4, 150.0, 0.3, 0.003),
    ("grasp_pitch", mj.mjtJoint.mjJNT_HINGE, (0, 1, 0), 15.0, 0.05, 2e-4, 0.2),
    ("grasp_roll", mj.mjtJoint.mjJNT_HINGE, (1, 0, 0), 8.0, 0.02, 1e-4, 0.2),
)


def add_hand(build: Builder, flange: mj.MjsBody) -> None:
    """Add the gripper (x along the module, y closing, z approach), its cameras and the held module."""
    set_inertia(flange, 0.73, (-0.01, 0, 0.03), (0.001, 0.0025, 0.0017))
    _add_body(build, flange)
    for side in (-1, 1):
        _add_finger(build, flange, side)
    hold_module(build, flange)
    if build.looks:
        _add_camera(flange, "wrist", (0.078, -0.07, 0.05), fovy_deg=60)
        _add_camera(flange, "wrist_2", (0.0, 0.105, 0.078), fovy_deg=66)


def hold_module(build: Builder, flange: mj.MjsBody) -> None:
    """Add the tool centre point and the held module on its springs, to any hand of these dimensions."""
    flange.add_site(name="tcp", pos=[0, 0, TCP_OFFSET_M], size=[0.002, 0, 0], rgba=[0, 0, 0, 0], group=4)
    module = flange.add_body(name="module", pos=[0, 0, TCP_OFFSET_M - GRIP_ABOVE_TCP_M])
    module.gravcomp = 1.0
    for name, kind, axis, stiffness, damping, armature, limit in _GRASP:
        joint = module.add_joint(name=name, type=kind, axis=list(axis), range=[-limit, limit])
        joint.limited = 1
        joint.stiffness = [stiffness, 0.0, 0.0]
        joint.damping = [damping, 0.0, 0.0]
        joint.armature = armature
    add_module(build, module)


def _add_body(build: Builder, hand: mj.MjsBody) -> None:
    """The housing: a white shell with rounded ends over a dark rail."""
    build.solid(hand, BOX, (0.035, 0.1, 0.035), (0, 0, 0.035))
    build.show_rod(hand, (0, 0, -0.004), (0, 0, 0.008), 0.045, material="graphite", kind=CYLINDER)
    build.show(hand, BOX, (0.029, 0.078, 0.027), (0, 0, 0.034), material="shell")
    for side in (-1, 1):
        build.show_rod(
            hand, (0, side * 0.078, 0.007), (0, side * 0.078, 0.061), 0.029, material="shell", kind=CYLINDER
        )
    build.show(hand, BOX, (0.0295, 0.02, 0.004), (0, 0, 0.02), material="accent")
    build.show(hand, BOX, (0.021, 0.095, 0.006), (0, 0, 0.066), material="graphite")
    # The wrist cameras' housings stand behind their lenses, out of their own view.
    build.show(hand, BOX, (0.012, 0.012, 0.008), (0.086, -0.078, 0.038), material="graphite")
    build.show_rod(hand, (0.03, -0.03, 0.02), (0.08, -0.072, 0.036), 0.004, material="steel")
    build.show(hand, BOX, (0.016, 0.007, 0.008), (0.0, 0.114, 0.064), material="graphite")
    build.show(hand, SPHERE, (0.004,), (0.0295, 0.045, 0.045), material="ready")


def _add_finger(build: Builder, hand: mj.MjsBody, side: int) -> None:
    """One finger: steel bracket, graphite tip and a rubber pad touching the module."""
    inner = MODULE_THICKNESS_M / 2
    build.solid(hand, BOX, (0.0105, 0.005, 0.014), (0, side * (inner + 0.005), 0.0955))
    build.show(hand, BOX, (0.0105, 0.009, 0.009), (0, side * (inner + 0.012), 0.075), material="steel")
    build.show(hand, BOX, (0.0095, 0.004, 0.016), (0, side * (inner + 0.0065), 0.0915), material="graphite")
    build.show(hand, BOX, (0.0095, 0.00125, 0.009), (0, side * (inner + 0.00125), 0.1), material="rubber")


def _add_camera(hand: mj.MjsBody, name: str, pos: tuple[float, float, float], fovy_deg: float) -> None:
    """A camera that looks at the module's contact edge, with the approach axis pointing down the image."""
    target = np.array([0.0, 0.0, TCP_OFFSET_M + 0.022])
    backward = np.array(pos) - target
    backward /= np.linalg.norm(backward)
    right = np.cross([0.0, 0.0, -1.0], backward)
    right /= np.linalg.norm(right)
    up = np.cross(backward, right)
    quat = np.zeros(4)
    mj.mju_mat2Quat(quat, np.stack([right, up, backward], axis=1).flatten())
    camera = hand.add_camera(name=name, pos=list(pos), quat=quat.tolist())
    camera.fovy = fovy_deg


def hand_down() -> list[float]:
    """Quaternion (w, x, y, z) of the hand pointing straight down, x along the base's x."""
    return about("x", pi)
