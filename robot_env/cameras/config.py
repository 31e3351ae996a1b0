"""Settings of one camera."""

from dataclasses import dataclass

from handrail.robot_env.errors import ConfigError


@dataclass(frozen=True)
class CameraConfig:
    """One camera of the cell.

    Attributes:
        name: The key under which its image appears in the observation.
        view: Which camera of the simulated cell it is: "wrist", "wrist_2", "side" or "overview"; empty
            means the camera of the same name.
        width: Image width [pixels].
        height: Image height [pixels].
    """

    name: str = "wrist"
    view: str = ""
    width: int = 128
    height: int = 128

    def __post_init__(self) -> None:
        """Check the name and the size.

        Raises:
            ConfigError: An empty name, one that clashes with the state, or a size outside [16, 1280].
        """
        if not self.name or self.name == "state":
            raise ConfigError(f"camera name is {self.name!r}; give a name that is neither empty nor 'state'")
        for side, value in (("width", self.width), ("height", self.height)):
            if not 16 <= value <= 1280:
                raise ConfigError(
                    f"camera {self.name}: {side} is {value} pixels, outside [16, 1280]; use 128"
                )

    @property
    def source(self) -> str:
        """The simulated camera to look through."""
        return self.view or self.name
