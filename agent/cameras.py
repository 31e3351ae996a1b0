"""Which images a run's policy sees: asked before there is a run, and by each of its processes."""

from __future__ import annotations

from handrail.agent.config import RunConfig
from handrail.robot_env.errors import ConfigError


def policy_cameras(config: RunConfig) -> tuple[str, ...]:
    """Names of the cameras that the policy sees through, in the environment's order.

    Raises:
        ConfigError: `vision.cameras` names one that there is not.
    """
    there = tuple(camera.name for camera in config.env.cameras)
    wanted = config.vision.cameras
    for name in wanted or ():
        if name not in there:
            raise ConfigError(
                f"vision.cameras names {name!r}, which is no image of env.cameras "
                f"({', '.join(there) or 'there are none'})"
            )
    return there if wanted is None else tuple(name for name in there if name in wanted)


def policy_image(config: RunConfig) -> tuple[int, int] | None:
    """Height and width of the images that the policy sees [pixels]; None where it sees none.

    Raises:
        ConfigError: Its cameras are not among the environment's, differ in size, or are smaller than the
            shift of a view.
    """
    cameras = policy_cameras(config)
    sizes = {(camera.height, camera.width) for camera in config.env.cameras if camera.name in cameras}
    if not sizes:
        return None
    if len(sizes) > 1:
        raise ConfigError(
            f"the policy's cameras {', '.join(cameras)} have sizes {sorted(sizes)}; give them one size, or "
            "choose among them with vision.cameras"
        )
    (image,) = sizes
    require_shift(image, config.vision.shift_px)
    return image


def require_shift(image: tuple[int, int], shift_px: int) -> None:
    """Refuse a shift that would leave nothing of an image of this height and width.

    Raises:
        ConfigError: naming the shift and the image's size.
    """
    if shift_px >= min(image):
        raise ConfigError(
            f"vision.shift_px is {shift_px}, the images have {image[0]}x{image[1]} pixels; choose a smaller "
            "shift"
        )
