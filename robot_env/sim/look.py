"""How the cell looks in an episode: light, texture and where exactly the cameras sit.

Three switches, because they are three questions: whether a policy, or a reward classifier, is used to other
light, to other surfaces, or to a camera that was knocked. None of it touches the physics.
"""

from dataclasses import dataclass
from math import cos, sin

import mujoco as mj
import numpy as np
from numpy.typing import NDArray

from handrail.robot_env.sim.config import RandomizationConfig

PATTERNS = 8
"""Patterns that a textured surface may have instead of its nominal one."""
_TEXELS = 128
_CONTRAST = 0.2
_TEXTURED = {"board": (1.0, 1.0), "table": (3.0, 3.0)}
"""Materials with patterns, and how often one repeats along the surface."""


@dataclass(frozen=True)
class Look:
    """One episode's look; the defaults are the nominal one.

    Attributes:
        brightness: Of all lights, less 1.
        warmth: Red more and blue less by so much, less 1.
        light_rad: Tilt of the lights about x and y [rad].
        tint: Of the board and of the table, red, green and blue of each, less 1: 6 values.
        patterns: Number of the board's and of the table's pattern; 0 for the nominal one.
        camera_m: Offset of every camera in its mount's frame [m].
        camera_rad: Rotation vector of every camera in its own frame [rad].
    """

    brightness: float = 0.0
    warmth: float = 0.0
    light_rad: tuple[float, float] = (0.0, 0.0)
    tint: tuple[float, ...] = (0.0,) * 6
    patterns: tuple[int, int] = (0, 0)
    camera_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    camera_rad: tuple[float, float, float] = (0.0, 0.0, 0.0)


def draw_look(first: list[float], seed: int, config: RandomizationConfig) -> Look:
    """Draw an episode's look.

    Args:
        first: Six numbers in [-1, 1], drawn before: brightness, two tints, three of the cameras' place.
        seed: Of everything else: no draw of an episode's other circumstances depends on how a cell looks.
        config: Half-widths and switches.
    """
    rng = np.random.default_rng([seed, 1])
    u = rng.uniform(-1.0, 1.0, 12).tolist()
    patterns = rng.integers(1, PATTERNS + 1, 2).tolist()
    c, nominal = config, Look()
    light, texture, cameras = c.light or c.look, c.texture or c.look, c.camera_pose or c.look
    # A surface's brightness varies more than its colour does.
    colours = [0.7 * first[1 + index // 3] + 0.3 * u[3 + index] for index in range(6)]
    x, y, z = (c.camera_m * value for value in first[3:6])
    rx, ry, rz = (c.camera_rad * value for value in u[9:12])
    return Look(
        brightness=first[0] * c.light_fraction if light else nominal.brightness,
        warmth=u[0] * c.light_fraction / 3.0 if light else nominal.warmth,
        light_rad=(u[1] * c.light_tilt_rad, u[2] * c.light_tilt_rad) if light else nominal.light_rad,
        tint=tuple(value * c.texture_fraction for value in colours) if texture else nominal.tint,
        patterns=(patterns[0], patterns[1]) if texture else nominal.patterns,
        camera_m=(x, y, z) if cameras else nominal.camera_m,
        camera_rad=(rx, ry, rz) if cameras else nominal.camera_rad,
    )


def add_patterns(spec: mj.MjSpec) -> None:
    """Add the patterned variants of the board's and the table's material, to be chosen by `Dresser`.

    All of them are in the model from the start: a texture cannot be changed once a renderer has it.
    """
    rng = np.random.default_rng(0)
    for name, repeat in _TEXTURED.items():
        nominal = spec.material(name)
        textured = nominal.textures[mj.mjtTextureRole.mjTEXROLE_RGB]
        colour = np.array([0.29, 0.33, 0.38] if textured else nominal.rgba[:3])
        for number in range(1, PATTERNS + 1):
            texture = spec.add_texture(name=f"{name}_{number}", type=mj.mjtTexture.mjTEXTURE_2D)
            texture.width = texture.height = _TEXELS
            texture.nchannel = 3
            texture.data = _pattern(rng, colour).tobytes()
            material = spec.add_material(name=f"{name}_{number}", texrepeat=list(repeat))
            material.specular, material.shininess = nominal.specular, nominal.shininess
            material.textures[mj.mjtTextureRole.mjTEXROLE_RGB] = texture.name


def _pattern(rng: np.random.Generator, colour: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A grain around a colour, (texels, texels, 3): blotches, spots and, in some, stripes."""
    grain = np.zeros((_TEXELS, _TEXELS))
    for cells, weight in ((4, 0.5), (16, 0.3), (64, 0.2)):
        coarse = rng.uniform(-1.0, 1.0, (cells, cells))
        grain += weight * np.kron(coarse, np.ones((_TEXELS // cells, _TEXELS // cells)))
    waves, phase = rng.integers(0, 12, 2), rng.uniform(0.0, 2.0 * np.pi)
    along = np.arange(_TEXELS) * 2.0 * np.pi / _TEXELS
    grain += 0.5 * np.sin(waves[0] * along[:, None] + waves[1] * along[None, :] + phase)
    shade = 1.0 + _CONTRAST * grain[..., None] * rng.uniform(0.7, 1.3, 3)
    return (255.0 * (colour * shade).clip(0.0, 1.0)).astype(np.uint8)


class Dresser:
    """Writes looks into one rendered model, remembering what nominal means.

    Args:
        model: The model, as compiled.
    """

    def __init__(self, model: mj.MjModel) -> None:
        self._model = model
        self._worn = Look()
        head = model.vis.headlight
        self._head = {name: np.array(getattr(head, name)) for name in ("ambient", "diffuse", "specular")}
        self._light = {name: getattr(model, name).copy() for name in ("light_diffuse", "light_specular")}
        self._light_dir = model.light_dir.copy()
        self._colours = model.mat_rgba.copy()
        self._materials = {name: model.material(name).id for name in _TEXTURED}
        self._surfaces = {
            name: np.flatnonzero(model.geom_matid == number) for name, number in self._materials.items()
        }
        self._camera_pos, self._camera_quat = model.cam_pos.copy(), model.cam_quat.copy()

    def wear(self, look: Look) -> None:
        """Write every quantity of `look`; takes effect with the next image."""
        if look == self._worn:
            return
        self._shine(look)
        self._paint(look)
        self._place_cameras(look)
        self._worn = look

    def _shine(self, look: Look) -> None:
        """Lights of the room and of the camera brighter and warmer alike, those of the room tilted."""
        model = self._model
        shade = (1.0 + look.brightness) * np.array((1.0 + look.warmth, 1.0, 1.0 - look.warmth))
        for name, nominal in self._head.items():
            getattr(model.vis.headlight, name)[:] = nominal * shade
        for name, nominal in self._light.items():
            getattr(model, name)[:] = nominal * shade
        turn, turned = _quat(*look.light_rad, 0.0), np.zeros(3)
        for index, direction in enumerate(self._light_dir):
            mj.mju_rotVecQuat(turned, direction, turn)
            model.light_dir[index] = turned

    def _paint(self, look: Look) -> None:
        """Give each surface its pattern and its tint."""
        model = self._model
        model.mat_rgba[:] = self._colours
        for index, (name, nominal) in enumerate(self._materials.items()):
            pattern = look.patterns[index]
            worn = model.material(f"{name}_{pattern}").id if pattern else nominal
            model.geom_matid[self._surfaces[name]] = worn
            model.mat_rgba[worn, :3] *= 1.0 + np.array(look.tint[3 * index : 3 * index + 3])

    def _place_cameras(self, look: Look) -> None:
        model = self._model
        model.cam_pos[:] = self._camera_pos + np.array(look.camera_m)
        turn, turned = _quat(*look.camera_rad), np.zeros(4)
        for index, nominal in enumerate(self._camera_quat):
            mj.mju_mulQuat(turned, nominal, turn)
            model.cam_quat[index] = turned


def _quat(x: float, y: float, z: float) -> NDArray[np.float64]:
    """Quaternion (w, x, y, z) of a rotation vector [rad]."""
    angle = float(np.hypot(np.hypot(x, y), z))
    if angle == 0.0:
        return np.array((1.0, 0.0, 0.0, 0.0))
    scale = sin(angle / 2) / angle
    return np.array((cos(angle / 2), x * scale, y * scale, z * scale))
