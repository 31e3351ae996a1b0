"""What a dataset's rows consist of: LeRobot's names, types and shapes."""

from dataclasses import dataclass
from typing import Any, Self

from handrail.launch.export.columns import action_components, state_components
from handrail.launch.export.material import Material
from handrail.launch.export.video import dataset_encoding

STATE, ACTION, IMAGES = "observation.state", "action", "observation.images."
INTERVENTION = "complementary_info.is_intervention"

_CODECS = {"libsvtav1": "av1", "libx264": "h264"}


@dataclass(frozen=True)
class Layout:
    """What the rows of a dataset are.

    Attributes:
        fps: rows a second [1/s]; whole where the run's rate is, as LeRobot wants it.
        robot: the arm's name.
        state_names: by component.
        action_names: by component.
        cameras: (height, width) by camera.
    """

    fps: int | float
    robot: str
    state_names: tuple[str, ...]
    action_names: tuple[str, ...]
    cameras: dict[str, tuple[int, int]]

    @classmethod
    def of(cls, material: Material, cameras: dict[str, tuple[int, int]]) -> Self:
        """The layout of a run's rows."""
        hz = material.hz
        return cls(
            int(hz) if hz == int(hz) else hz,
            material.robot,
            tuple(each.name for each in state_components(material.state)),
            tuple(each.name for each in action_components(material.action)),
            cameras,
        )

    def features(self) -> dict[str, dict[str, Any]]:
        """The `features` of `info.json`: dtype, shape and names of each, in the order of the columns."""
        whole = {"dtype": "int64", "shape": [1], "names": None}
        return {
            STATE: {"dtype": "float32", "shape": [len(self.state_names)], "names": list(self.state_names)},
            ACTION: {"dtype": "float32", "shape": [len(self.action_names)], "names": list(self.action_names)},
            **{IMAGES + camera: self._video(*shape) for camera, shape in self.cameras.items()},
            "next.reward": {"dtype": "float32", "shape": [1], "names": None},
            "next.done": {"dtype": "bool", "shape": [1], "names": None},
            "next.truncated": {"dtype": "bool", "shape": [1], "names": None},
            INTERVENTION: {"dtype": "bool", "shape": [1], "names": ["is_intervention"]},
            "timestamp": {"dtype": "float32", "shape": [1], "names": None},
            **{name: dict(whole) for name in ("frame_index", "episode_index", "index", "task_index")},
        }

    def _video(self, height: int, width: int) -> dict[str, Any]:
        encoding = dataset_encoding(height, width)
        return {
            "dtype": "video",
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": height,
                "video.width": width,
                "video.codec": _CODECS[encoding.encoder],
                "video.pix_fmt": encoding.pixels,
                "video.is_depth_map": False,
                "video.fps": self.fps,
                "video.channels": 3,
                "has_audio": False,
            },
        }
