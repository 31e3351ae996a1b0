"""What surrounds the task: table, fixture tray, motherboard, light and the fixed cameras."""

from collections.abc import Sequence

import mujoco as mj
import numpy as np

from handrail.robot_env.sim.parts import BOX, CELL_BIT, CYLINDER, PLANE, SPHERE, Builder
from handrail.robot_env.sim.ram import SOCKET_SURFACE, add_other_sockets

_BOARD_TOP_M = -0.004
"""The board's surface below the groove's floor."""


def add_table(build: Builder, spec: mj.MjSpec) -> None:
    """The table is the plane z = 0 of the base frame; everything else here is scenery."""
    world = spec.worldbody
    build.solid(world, PLANE, (2.0, 2.0, 0.1), name="table", bit=CELL_BIT, surface=SOCKET_SURFACE)
    if not build.looks:
        return
    table = spec.add_texture(
        name="table",
        type=mj.mjtTexture.mjTEXTURE_2D,
        builtin=mj.mjtBuiltin.mjBUILTIN_CHECKER,
        rgb1=[0.30, 0.34, 0.39],
        rgb2=[0.285, 0.325, 0.375],
        width=256,
        height=256,
    )
    material = spec.add_material(name="table", texrepeat=[14, 14], specular=0.2, shininess=0.3)
    material.textures[mj.mjtTextureRole.mjTEXROLE_RGB] = table.name
    floor = spec.add_material(name="room", rgba=[0.78, 0.80, 0.83, 1.0])
    floor.specular = 0.0
    spec.add_texture(
        name="sky",
        type=mj.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mj.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.93, 0.95, 0.97],
        rgb2=[0.62, 0.68, 0.75],
        width=256,
        height=256,
    )
    build.show(world, BOX, (0.7, 0.8, 0.02), (0.45, 0, -0.02), material="table")
    build.show(world, BOX, (0.705, 0.805, 0.004), (0.45, 0, -0.038), material="steel")
    for x in (-0.2, 1.1):
        for y in (-0.75, 0.75):
            build.show_rod(world, (x, y, -0.75), (x, y, -0.04), 0.022, material="graphite", kind=CYLINDER)
    build.show(world, PLANE, (4.0, 4.0, 0.1), (0, 0, -0.75), material="room")


def add_board(build: Builder, board: mj.MjsBody) -> None:
    """The motherboard on its tray; the frame is the socket's. Only low parts stand where the module goes."""
    half = (0.122, 0.1525, 0.0008)
    middle = (-0.012, 0.075, _BOARD_TOP_M - half[2])
    build.solid(
        board, BOX, half, middle, name="board", bit=CELL_BIT, surface=SOCKET_SURFACE, material="board"
    )
    add_other_sockets(build, board)
    if build.looks:
        _show_tray(build, board, middle)
        _show_processor(build, board, y=0.105)
        _show_parts(build, board)


def _show_tray(build: Builder, board: mj.MjsBody, middle: Sequence[float]) -> None:
    """A block that holds the board above the table, with four stand-offs."""
    x, y, _ = middle
    build.show(board, BOX, (0.128, 0.159, 0.014), (x, y, -0.026), material="tray")
    build.show(board, BOX, (0.132, 0.163, 0.002), (x, y, -0.0385), material="graphite")
    for dx in (-0.112, 0.112):
        for dy in (-0.142, 0.142):
            build.show(board, CYLINDER, (0.004, 0.0045), (x + dx, y + dy, -0.0085), material="steel")
            build.show(board, CYLINDER, (0.0035, 0.0008), (x + dx, y + dy, -0.0035), material="gold")


def _show_processor(build: Builder, board: mj.MjsBody, y: float) -> None:
    """Socketed processor with its frame, and the row of regulators beside it."""
    top = _BOARD_TOP_M
    build.show(board, BOX, (0.031, 0.031, 0.0018), (0, y, top + 0.0018), material="graphite")
    build.show(board, BOX, (0.024, 0.024, 0.0012), (0, y, top + 0.0042), material="pcb")
    build.show(board, BOX, (0.0185, 0.0185, 0.0016), (0, y, top + 0.0066), material="steel")
    build.show_rod(
        board, (0.034, y - 0.03, top + 0.003), (0.034, y + 0.03, top + 0.003), 0.0011, material="steel"
    )
    for index in range(8):
        x = -0.06 + 0.0118 * index
        build.show(board, BOX, (0.0045, 0.0045, 0.004), (x, y + 0.049, top + 0.004), material="graphite")
        build.show(board, CYLINDER, (0.0032, 0.005), (x, y + 0.06, top + 0.005), material="steel")
        build.show(board, CYLINDER, (0.0033, 0.0012), (x, y + 0.06, top + 0.0012), material="rubber")
    for fin in range(9):
        build.show(
            board, BOX, (0.055, 0.0009, 0.012), (-0.02, y + 0.08 + 0.0032 * fin, top + 0.014), material="tray"
        )
    build.show(board, BOX, (0.056, 0.0145, 0.002), (-0.02, y + 0.093, top + 0.003), material="tray")


def _show_parts(build: Builder, board: mj.MjsBody) -> None:
    """Slots, connectors, chips, traces and printed lines."""
    top = _BOARD_TOP_M
    for index in range(6):
        build.show(
            board, BOX, (0.0006, 0.034, 0.00012), (-0.05 + 0.0026 * index, 0.07, top), material="trace"
        )
        build.show(
            board, BOX, (0.0006, 0.028, 0.00012), (0.052 + 0.0026 * index, 0.068, top), material="trace"
        )
    for index in range(22):
        x = -0.085 + 0.0085 * index
        build.show(board, BOX, (0.0016, 0.0008, 0.0006), (x, 0.0405, top + 0.0006), material="latch")
        build.show(board, BOX, (0.0016, 0.0008, 0.0006), (x, -0.0125, top + 0.0006), material="chip")
    build.show(board, BOX, (0.07, 0.00035, 0.0001), (0, -0.0072, top), material="silk")
    build.show(board, BOX, (0.07, 0.00035, 0.0001), (0, 0.0375, top), material="silk")
    for x, word in ((0.087, 3), (-0.1, 2)):
        for index in range(word):
            build.show(board, BOX, (0.004, 0.0005, 0.0001), (x, 0.0098 * index, top), material="silk")
    for x, y, size in (
        (-0.09, 0.06, 0.007),
        (-0.095, 0.1, 0.005),
        (0.085, 0.09, 0.006),
        (0.082, 0.13, 0.004),
    ):
        build.show(board, BOX, (size, size, 0.0007), (x, y, top + 0.0007), material="chip")
        build.show(
            board, SPHERE, (0.0006,), (x - size + 0.0015, y - size + 0.0015, top + 0.0012), material="silk"
        )
    build.show(board, BOX, (0.005, 0.026, 0.006), (0.1, 0.04, top + 0.006), material="graphite")
    build.show(board, BOX, (0.0035, 0.024, 0.0005), (0.1, 0.04, top + 0.0121), material="rubber")
    build.show(board, BOX, (0.0025, 0.0025, 0.0008), (0.1, -0.03, top + 0.0008), material="ready")
    for index, height in enumerate((0.014, 0.012, 0.016)):
        build.show(
            board,
            BOX,
            (0.008, 0.0075, height / 2),
            (-0.124, 0.12 + 0.019 * index, top + height / 2),
            material="steel",
        )


def add_light(spec: mj.MjSpec) -> None:
    """A soft key light with shadows, a cool fill from the other side and some light from the camera."""
    directional = mj.mjtLightType.mjLIGHT_DIRECTIONAL
    spec.worldbody.add_light(
        name="key",
        pos=[0.1, -0.9, 1.8],
        dir=[0.35, 0.30, -1.0],
        type=directional,
        castshadow=True,
        diffuse=[0.55, 0.54, 0.52],
        specular=[0.35, 0.35, 0.33],
    )
    spec.worldbody.add_light(
        name="fill",
        pos=[0.9, 0.9, 1.2],
        dir=[-0.4, -0.6, -0.7],
        type=directional,
        castshadow=False,
        diffuse=[0.26, 0.28, 0.32],
        specular=[0.05, 0.05, 0.06],
    )
    head = spec.visual.headlight
    head.ambient, head.diffuse, head.specular = [0.40] * 3, [0.24] * 3, [0.08] * 3


def add_cameras(spec: mj.MjSpec, socket: Sequence[float]) -> None:
    """The fixed cameras: "side" sees the insertion, "overview" the whole cell.

    Args:
        spec: The model.
        socket: Nominal socket position in the base frame [m].
    """
    x, y, z = socket
    _add_camera(spec, "side", (x + 0.16, y - 0.24, z + 0.13), (x, y, z + 0.02), fovy_deg=36)
    _add_camera(spec, "overview", (x + 0.55, y - 0.74, z + 0.55), (x - 0.18, y + 0.03, z + 0.25), fovy_deg=46)


def _add_camera(
    spec: mj.MjSpec, name: str, pos: Sequence[float], target: Sequence[float], fovy_deg: float
) -> None:
    """A camera at `pos` that looks at `target`, upright."""
    backward = np.array(pos) - np.array(target)
    backward /= np.linalg.norm(backward)
    right = np.cross([0.0, 0.0, 1.0], backward)
    right /= np.linalg.norm(right)
    quat = np.zeros(4)
    mj.mju_mat2Quat(quat, np.stack([right, np.cross(backward, right), backward], axis=1).flatten())
    camera = spec.worldbody.add_camera(name=name, pos=list(pos), quat=quat.tolist())
    camera.fovy = fovy_deg
