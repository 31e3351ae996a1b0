"""A DDR4 module and the socket it goes into, built from boxes so that contact stays cheap and exact.

Frames: the *module* has its origin in the middle of its top edge, z pointing down to the contacts; its *tip*
site sits in the middle of the contact edge. The *socket* has its origin in the middle of the groove's floor,
x along the slot, z up. Seated means tip on origin.

Why these shapes: chamfers guide a tip that is up to 0.6 mm off; the end towers guide along the slot; the key
has more clearance than the towers, because a tighter one jams; two sprung strips give the resistance of the
contacts, a click of about 11 N at half depth and 5 N afterwards.
"""

from dataclasses import replace
from math import pi, sqrt

import mujoco as mj

from handrail.robot_env.sim.parts import (
    BOX,
    CELL_BIT,
    ROBOT_BIT,
    Builder,
    Detail,
    Surface,
    about,
    set_inertia,
)
from handrail.robot_env.sim.sizes import (
    MODULE_HEIGHT_M,
    MODULE_LENGTH_M,
    MODULE_THICKNESS_M,
    OTHER_SOCKETS,
    SOCKET_DEPTH_M,
    SOCKET_PITCH_M,
    TOWER_HEIGHT_M,
)

NOTCH_X_M, NOTCH_WIDTH_M, NOTCH_HEIGHT_M = 0.0042, 0.0024, 0.004
"""The key notch: its place along the module, its width and its height."""

CLEARANCE_M, CLEARANCE_ALONG_M, KEY_CLEARANCE_M = 0.00025, 0.0003, 0.00045
_WALL_M, _CHAMFER_M = 0.0022, 0.0006
_HALF_L, _HALF_T = MODULE_LENGTH_M / 2, MODULE_THICKNESS_M / 2

SPRING_N_M = 30_000.0
SPRING_JOINTS = ("strip_near", "strip_far")
WALL_PREFIX = "wall_"
"""Geometries that move when the clearance varies: `wall_near_*` towards -y, `wall_far_*` towards +y."""

MODULE_SURFACE = Surface(priority=2)
SOCKET_SURFACE = replace(MODULE_SURFACE, priority=0)


def add_module(build: Builder, module: mj.MjsBody) -> None:
    """Fill the held module's body: a board with a key notch, gold contacts, chips and a label."""
    set_inertia(module, 0.04, (0, 0, MODULE_HEIGHT_M / 2), (3.3e-6, 6.2e-5, 5.9e-5))
    upper = MODULE_HEIGHT_M - NOTCH_HEIGHT_M

    def board(name: str, left: float, right: float, top: float, bottom: float) -> None:
        build.solid(
            module,
            BOX,
            ((right - left) / 2, _HALF_T, (bottom - top) / 2),
            ((left + right) / 2, 0, (top + bottom) / 2),
            name=name,
            bit=ROBOT_BIT,
            surface=MODULE_SURFACE,
            material="pcb",
        )

    notch_left, notch_right = NOTCH_X_M - NOTCH_WIDTH_M / 2, NOTCH_X_M + NOTCH_WIDTH_M / 2
    board("module_upper", -_HALF_L, _HALF_L, 0.0, upper)
    board("module_left", -_HALF_L, notch_left, upper, MODULE_HEIGHT_M)
    board("module_right", notch_right, _HALF_L, upper, MODULE_HEIGHT_M)
    module.add_site(name="tip", pos=[0, 0, MODULE_HEIGHT_M], size=[0.001, 0, 0], rgba=[0, 0, 0, 0], group=4)
    if build.looks:
        _show_module(build, module, notch_left, notch_right)


def _show_module(build: Builder, module: mj.MjsBody, notch_left: float, notch_right: float) -> None:
    """Chips on both faces, the gold edge contacts and a label between the fingers."""
    for side in (-1, 1):
        face = side * (_HALF_T + 0.0005)
        for index in range(8):
            x = -_HALF_L + 0.0115 + index * (MODULE_LENGTH_M - 0.023) / 7
            build.show(module, BOX, (0.0048, 0.0005, 0.0056), (x, face, 0.0175), material="chip")
        build.show(module, BOX, (0.0025, 0.0004, 0.0022), (0.0, face, 0.0185), material="chip")
        for index in range(14):
            x = -_HALF_L + 0.008 + index * (MODULE_LENGTH_M - 0.016) / 13
            build.show(module, BOX, (0.0012, 0.0003, 0.0006), (x, face, 0.0255), material="latch")
    if build.detail is Detail.PLAIN:
        for left, right in ((-_HALF_L, notch_left), (notch_right, _HALF_L)):
            edge = ((right - left) / 2 - 0.001, _HALF_T + 5e-5, 0.0013)
            build.show(module, BOX, edge, ((left + right) / 2, 0, 0.0297), material="gold")
        return
    teeth = 40
    pitch = (MODULE_LENGTH_M - 0.004) / teeth
    for index in range(teeth):
        x = -_HALF_L + 0.002 + (index + 0.5) * pitch
        if notch_left - 0.001 < x < notch_right + 0.001:
            continue
        build.show(module, BOX, (pitch * 0.36, _HALF_T + 5e-5, 0.0013), (x, 0, 0.0297), material="gold")


def add_socket(build: Builder, socket: mj.MjsBody) -> None:
    """Fill the socket's body: groove, chamfers, towers, key, sprung contacts and latches."""
    socket.add_site(name="slot", pos=[0, 0, 0], size=[0.001, 0, 0], rgba=[0, 0, 0, 0], group=4)
    gap, half_x = _HALF_T + CLEARANCE_M, _HALF_L + CLEARANCE_ALONG_M
    width = gap + _WALL_M

    def block(
        size: tuple[float, float, float],
        pos: tuple[float, float, float],
        name: str,
        quat: list[float] | None = None,
    ) -> None:
        build.solid(
            socket,
            BOX,
            size,
            pos,
            quat=quat or (1, 0, 0, 0),
            name=name,
            bit=CELL_BIT,
            surface=SOCKET_SURFACE,
            material="socket",
        )

    block((half_x + 0.004, width, 0.002), (0, 0, -0.002), "floor")
    shoulder = SOCKET_DEPTH_M - _CHAMFER_M
    bar = _CHAMFER_M * sqrt(2) / 2
    for side, word in ((-1, "near"), (1, "far")):
        block(
            (half_x, _WALL_M / 2, shoulder / 2),
            (0, side * (gap + _WALL_M / 2), shoulder / 2),
            f"{WALL_PREFIX}{word}_face",
        )
        # A square bar standing on its edge: one face is the chamfer, 45 degrees over 0.6 mm.
        block(
            (half_x, bar, bar),
            (0, side * (gap + _CHAMFER_M), shoulder),
            f"{WALL_PREFIX}{word}_chamfer",
            about("x", pi / 4),
        )
        block(
            (half_x, (_WALL_M - _CHAMFER_M) / 2, _CHAMFER_M / 2),
            (0, side * (gap + (_WALL_M + _CHAMFER_M) / 2), shoulder + _CHAMFER_M / 2),
            f"{WALL_PREFIX}{word}_rim",
        )
        block(
            (0.0035, width, TOWER_HEIGHT_M / 2),
            (side * (half_x + 0.0035), 0, TOWER_HEIGHT_M / 2),
            f"tower_{word}",
        )
        block(
            (0.0012, width, 0.0012),
            (side * (half_x + 0.002), 0, TOWER_HEIGHT_M - 0.0002),
            f"tower_chamfer_{word}",
            about("y", pi / 4),
        )
        _show_latch(build, socket, side * (half_x + 0.0075), 0.0)
    key_height = NOTCH_HEIGHT_M - 0.0008
    block((NOTCH_WIDTH_M / 2 - KEY_CLEARANCE_M, gap, key_height / 2), (NOTCH_X_M, 0, key_height / 2), "key")
    _add_contacts(build, socket)


def add_other_sockets(build: Builder, board: mj.MjsBody) -> None:
    """The empty neighbours towards +y, held by a comb.

    To the touch they are three solid blocks without a gap: between two sockets a module that comes down askew
    would wedge itself so firmly that no reset could pull it out again. To the eye they are sockets.
    """
    half_x = _HALF_L + CLEARANCE_ALONG_M
    width = _HALF_T + CLEARANCE_M + _WALL_M
    near, far = width, OTHER_SOCKETS * SOCKET_PITCH_M + width
    middle, half_y = (near + far) / 2, (far - near) / 2

    def comb(half: tuple[float, float, float], x: float, top: float) -> None:
        where = (x, middle, top - half[2])
        build.solid(board, BOX, half, where, bit=CELL_BIT, surface=SOCKET_SURFACE)
        lower = (half[0], half[1] - 0.0003, half[2])
        build.show(board, BOX, lower, (x, middle, where[2] - 0.0008), material="tray")

    comb((half_x, half_y, 0.005), 0.0, SOCKET_DEPTH_M)
    for side in (-1, 1):
        comb((0.0035, half_y, (TOWER_HEIGHT_M + 0.004) / 2), side * (half_x + 0.0035), TOWER_HEIGHT_M)
    for index in range(1, OTHER_SOCKETS + 1):
        _show_socket(build, board, index * SOCKET_PITCH_M)


def _show_socket(build: Builder, board: mj.MjsBody, y: float) -> None:
    """A socket without a module in it, only to be looked at."""
    half_x = _HALF_L + CLEARANCE_ALONG_M
    gap = _HALF_T + CLEARANCE_M
    for side in (-1, 1):
        wall = (half_x, _WALL_M / 2, 0.003)
        build.show(board, BOX, wall, (0, y + side * (gap + _WALL_M / 2), 0.003), material="socket_other")
        tower = (0.0036, gap + _WALL_M, TOWER_HEIGHT_M / 2)
        where = (side * (half_x + 0.0035), y, TOWER_HEIGHT_M / 2)
        build.show(board, BOX, tower, where, material="socket_other")
        _show_latch(build, board, side * (half_x + 0.0075), y)
    build.show(board, BOX, (half_x, gap, 0.0003), (0, y, 0.0051), material="chip")
    build.show(board, BOX, (half_x, gap * 0.3, 0.0003), (0, y, 0.0053), material="gold")


def _show_latch(build: Builder, body: mj.MjsBody, x: float, y: float) -> None:
    """An opened latch at one end."""
    lean = about("y", 0.45 if x > 0 else -0.45)
    build.show(
        body,
        BOX,
        (0.0022, 0.0021, 0.0075),
        (x + (0.003 if x > 0 else -0.003), y, 0.0155),
        material="latch",
        quat=lean,
    )
    build.show(
        body,
        BOX,
        (0.003, 0.0026, 0.0012),
        (x + (0.0065 if x > 0 else -0.0065), y, 0.0222),
        material="latch",
        quat=lean,
    )


def _add_contacts(build: Builder, socket: mj.MjsBody) -> None:
    """Two sprung strips that the module has to push apart: the click and the sliding force."""
    radius, preload = 0.0008, 0.0004
    for name, side in zip(SPRING_JOINTS, (-1, 1), strict=True):
        strip = socket.add_body(name=name, pos=[0, side * (_HALF_T - preload + radius), 0.0028])
        set_inertia(strip, 0.02, (0, 0, 0), (1e-5, 1e-5, 1e-5))
        joint = strip.add_joint(
            name=name, type=mj.mjtJoint.mjJNT_SLIDE, axis=[0, side, 0], range=[-0.0002, 0.002]
        )
        joint.limited = 1
        joint.stiffness = [SPRING_N_M, 0.0, 0.0]
        joint.damping = [40.0, 0.0, 0.0]
        joint.armature = 0.05
        build.solid_rod(
            strip,
            (-0.06, 0, 0),
            (0.06, 0, 0),
            radius,
            bit=CELL_BIT,
            surface=SOCKET_SURFACE,
            material="gold",
        )
