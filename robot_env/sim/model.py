"""Puts the parts of the cell together and names what the rest of the package looks up.

The impedance controller lives in the model itself: six affine actuators act between the tool centre point
and a *target* body that is moved by hand (MuJoCo calls it mocap). Each is a spring and damper with a force
limit, so that the control law runs in C inside every physics step, six times cheaper than one in Python.
"""

from dataclasses import dataclass

import mujoco as mj

from handrail.robot_env.sim import panda, ur5e
from handrail.robot_env.sim.config import SimConfig
from handrail.robot_env.sim.hand import add_hand, hand_down
from handrail.robot_env.sim.look import add_patterns
from handrail.robot_env.sim.parts import Builder, Detail, add_materials
from handrail.robot_env.sim.ram import add_socket
from handrail.robot_env.sim.stage import add_board, add_cameras, add_light, add_table

STIFFNESS = (2000.0, 2000.0, 2000.0, 150.0, 150.0, 150.0)
"""[N/m] for the translations, [Nm/rad] for the rotations, in the set-point's frame."""
DAMPING = (200.0, 200.0, 200.0, 14.0, 14.0, 14.0)
"""[Ns/m], [Nms/rad]; less than half of it overshoots by a millimetre."""
FORCE_LIMITS = (15.0, 15.0, 20.0, 4.0, 4.0, 4.0)
"""[N], [Nm]: no command can push harder than this."""


@dataclass(frozen=True)
class ArmParts:
    """What differs between the arms: joints, a comfortable posture [rad], rated speeds [rad/s]."""

    joints: tuple[str, ...]
    posture: tuple[float, ...]
    rated_rad_s: tuple[float, ...]


ARM_PARTS = {
    "panda": ArmParts(panda.JOINTS, panda.POSTURE, panda.RATED_RAD_S),
    "ur5e": ArmParts(ur5e.JOINTS, ur5e.POSTURE, ur5e.RATED_RAD_S),
}


def compile_cell(config: SimConfig, detail: Detail = Detail.PHYSICS) -> mj.MjModel:
    """Build and compile the cell (about 10 ms; nothing is read from disk).

    Args:
        config: What to build.
        detail: What the model is for. All of them have the same joints, bodies and sites in the same order.
    """
    build = Builder(detail)
    spec = mj.MjSpec()
    spec.modelname = f"ram_{config.arm}"
    spec.compiler.degree = False
    _set_physics(spec, config)
    if build.looks:
        _set_visuals(spec, config, detail)
    add_table(build, spec)
    if build.looks:
        add_patterns(spec)
    base = spec.worldbody.add_body(name="base")
    flange = panda.add_panda(build, base) if config.arm == "panda" else ur5e.add_ur5e(build, base)
    add_hand(build, flange)
    board = spec.worldbody.add_body(name="board", pos=list(config.socket_position_m))
    add_board(build, board)
    add_socket(build, board)
    target = spec.worldbody.add_body(name="target", mocap=True, quat=hand_down())
    target.add_site(name="target", size=[0.002, 0, 0], rgba=[0, 0, 0, 0], group=4)
    _add_impedance(spec)
    model = spec.compile()
    if not build.looks:
        _widen_bounds(model)
    return model


def _set_physics(spec: mj.MjSpec, config: SimConfig) -> None:
    """Solver settings that were found to insert faithfully at 1 ms."""
    option = spec.option
    option.timestep = config.timestep_s
    option.integrator = mj.mjtIntegrator.mjINT_IMPLICITFAST
    option.cone = mj.mjtCone.mjCONE_ELLIPTIC
    option.solver = mj.mjtSolver.mjSOL_NEWTON
    option.impratio = 10
    option.iterations, option.ls_iterations, option.tolerance = 30, 20, 1e-8
    # A diverged state must be seen, not silently put back to zero.
    option.disableflags |= int(mj.mjtDisableBit.mjDSBL_AUTORESET)
    # One arm, one module: there are no islands worth finding.
    option.disableflags |= int(mj.mjtDisableBit.mjDSBL_ISLAND)


def _set_visuals(spec: mj.MjSpec, config: SimConfig, detail: Detail) -> None:
    """Materials, light, cameras; multisampling and roundness only where people look."""
    add_materials(spec)
    add_light(spec)
    add_cameras(spec, config.socket_position_m)
    fine = detail is Detail.FINE
    quality = spec.visual.quality
    quality.offsamples = 4 if fine else 0
    quality.shadowsize = 4096
    quality.numslices, quality.numstacks = (40, 20) if fine else (10, 5)
    spec.visual.map.znear, spec.visual.map.zfar = 0.005, 12.0


def _add_impedance(spec: mj.MjSpec) -> None:
    """One spring-damper per direction between the tool centre point and the target."""
    for index, (stiffness, damping, limit) in enumerate(zip(STIFFNESS, DAMPING, FORCE_LIMITS, strict=True)):
        gear = [0.0] * 6
        gear[index] = 1.0
        actuator = spec.add_actuator(
            name=f"impedance_{index}",
            trntype=mj.mjtTrn.mjTRN_SITE,
            target="tcp",
            refsite="target",
            gear=gear,
            gaintype=mj.mjtGain.mjGAIN_FIXED,
            biastype=mj.mjtBias.mjBIAS_AFFINE,
        )
        actuator.gainprm = [1.0] + [0.0] * 9
        actuator.biasprm = [0.0, -stiffness, -damping] + [0.0] * 7
        actuator.forcelimited = 1
        actuator.forcerange = [-limit, limit]


def _widen_bounds(model: mj.MjModel) -> None:
    """Make room in the board's collision tree for walls that the randomisation moves by up to 0.25 mm."""
    board = model.body("board").id
    start, count = model.body_bvhadr[board], model.body_bvhnum[board]
    model.bvh_aabb[start : start + count, 3:] += 0.0003
