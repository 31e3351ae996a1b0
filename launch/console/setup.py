"""Setting a station up over HTTP: what there is, the workspace box, and saving it as a station file.

    GET  /api/setup                     the station, its images, its limits, who has it now, the jobs
    POST /api/setup/box                 {corners, below_m}: the box around them, and why it may not be had
    POST /api/setup/draft               {name, crops, box}: the file as it would be written
    POST /api/setup/save                the same and {seen}: writes it; with crops, keeps pictures beside it

and cameras that are where they belong (`setup_pictures`), the jobs (`setup_jobs`), a classifier's examples
and disagreements (`setup_examples`), and what is known of it (`setup_classifier`). Only saving, pictures and
jobs change anything, and take the lease.
"""

from dataclasses import replace
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from handrail.launch.console import setup_classifier, setup_examples, setup_jobs
from handrail.launch.console.answers import ok, read
from handrail.launch.console.jobs import Jobs
from handrail.launch.console.setup_pictures import Places
from handrail.launch.console.site import RouteSpec, Site
from handrail.launch.driven import holds
from handrail.launch.rig import about as rig_about
from handrail.launch.station_files import Changes, Draft, StationFolder, draft, save
from handrail.launch.workspace_box import Box, around, present, require_usable, work_frame
from handrail.robot_env.cameras.config import SIM_PICTURE, CameraConfig
from handrail.robot_env.cameras.view import largest_crop
from handrail.robot_env.errors import ConfigError

_MOST_CORNERS = 50

_Pose = tuple[float, float, float, float, float, float, float]
_Three = tuple[float, float, float]
_Pixels = Annotated[int, msgspec.Meta(ge=0, le=8192)]
_Crop = tuple[_Pixels, _Pixels, _Pixels, _Pixels]


class BoxRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tool poses at the corners, base frame, and the room beneath the seated pose [m]."""

    corners: Annotated[list[_Pose], msgspec.Meta(max_length=_MOST_CORNERS)]
    below_m: Annotated[float, msgspec.Meta(ge=0.0, le=0.1)]


class BoxWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A box, in work coordinates [m]."""

    low_m: _Three
    high_m: _Three


class SaveRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was set up: crops by image (None: the largest part in the middle), the box or None, and a name.

    `seen` is the digest of the file whose difference was looked at; "" where there was none.
    """

    name: Annotated[str, msgspec.Meta(max_length=200)]
    crops: dict[str, _Crop | None] = {}
    box: BoxWords | None = None
    seen: Annotated[str, msgspec.Meta(max_length=64)] = ""


def routes(site: Site) -> list[RouteSpec]:
    """What can be asked and done about setting up."""
    jobs = setup_jobs.make(site)
    setup = SetUp(site, jobs)
    return [
        RouteSpec("/api/setup", "GET", "viewer", setup.facts),
        RouteSpec("/api/setup/box", "POST", "operator", setup.box),
        RouteSpec("/api/setup/draft", "POST", "operator", setup.draft),
        RouteSpec("/api/setup/save", "POST", "operator", setup.save, lease=True),
        *setup.places.routes(),
        *setup_jobs.routes(site, jobs),
        *setup_classifier.routes(site),
        *setup_examples.routes(site),
    ]


class SetUp:
    """The station of one console's run.

    Args:
        site: the console.
        jobs: what it may start.

    Attributes:
        places: which camera is where.
    """

    def __init__(self, site: Site, jobs: Jobs) -> None:
        self._site, self._jobs = site, jobs
        self._env = site.config.env
        self._folder = StationFolder.of(site.run)
        self.places = Places(site)

    async def facts(self, request: Request) -> Response:
        """What there is to set up."""
        return ok({**await self._site.blocking(self._facts), "jobs": self._jobs.facts()})

    async def box(self, request: Request) -> Response:
        """The box around corners."""
        asked = await read(request, BoxRequest)
        return ok(await self._site.blocking(self._box, asked))

    async def draft(self, request: Request) -> Response:
        """The file as it would be written."""
        asked = await read(request, SaveRequest)
        return ok(_told(await self._site.blocking(self._draft, asked)))

    async def save(self, request: Request) -> Response:
        """Write the file."""
        asked = await read(request, SaveRequest)

        def write() -> Draft:
            made = self._draft(asked)
            save(made, asked.seen)
            return made

        made = await self._site.blocking(write)
        pictures = await self.places.keep_beside(made.path) if asked.crops else {"kept": [], "unkept": ""}
        return ok({**_told(made), "pictures": pictures})

    def _facts(self) -> dict[str, Any]:
        run, env = self._site.run, self._env
        about = rig_about.read(run.socket_dir())
        box, task = present(env), env.task
        return {
            "station": str(run.meta().get("choices", {}).get("station", "")),
            "kind": env.arm.kind,
            "real": env.arm.real,
            "taught": not env.arm.real or task.seated_pose is not None,
            "device": self._site.config.actor.device,
            "driven": holds(run, "actor"),
            "rig": None if about is None or not holds(run, "actor") else about,
            "images": [self._image(image) for image in env.cameras],
            "box": box,
            "starts": {
                "low_m": (-task.start_xy_m, -task.start_xy_m, task.start_height_m - task.start_z_m),
                "high_m": (task.start_xy_m, task.start_xy_m, task.start_height_m + task.start_z_m),
                "home_m": task.home_m,
            },
            "folder": str(self._folder.path),
        }

    def _image(self, image: CameraConfig) -> dict[str, Any]:
        """An image of the observation, and the part of a camera's picture that it is."""
        picture = self._picture(image)
        return {
            "name": image.name,
            "source": image.source,
            "width": image.width,
            "height": image.height,
            "picture": picture,
            "crop": image.crop,
            "whole": largest_crop(picture, (image.width, image.height)),
        }

    def _picture(self, image: CameraConfig) -> tuple[int, int]:
        """Width and height of the picture that an image is a part of."""
        if not self._env.arm.real and not (self._env.arm.served and self._env.camera_devices):
            return SIM_PICTURE
        for device in self._env.camera_devices:
            if device.name == image.source:
                return device.width, device.height
        return SIM_PICTURE

    def _seated_pose(self) -> tuple[float, ...]:
        """(7,) tool pose with the module seated, base frame.

        Raises:
            ConfigError: nobody knows.
        """
        if self._env.task.seated_pose is not None:
            return self._env.task.seated_pose
        about = rig_about.read(self._site.run.socket_dir())
        if about is None or not about.seated_pose:
            raise ConfigError(
                "nobody has said where the seated pose is, from which the workspace counts: "
                + ("teach env.task.seated_pose first" if self._env.arm.real else "start the set-up first")
            )
        return about.seated_pose

    def _box(self, asked: BoxRequest) -> dict[str, Any]:
        """The box and its trouble: one that may not be had is shown all the same."""
        seated = self._seated_pose()
        frame = work_frame(seated)
        taken = [[round(each, 5) for each in frame.coordinates(pose)[:3]] for pose in asked.corners]
        told: dict[str, Any] = {"corners": taken, "low_m": None, "high_m": None, "trouble": ""}
        try:
            box = around(asked.corners, frame, asked.below_m)
            told |= {"low_m": box.low_m, "high_m": box.high_m}
            require_usable(box, self._env, seated)
        except ConfigError as error:
            told["trouble"] = str(error)
        return told

    def _draft(self, asked: SaveRequest) -> Draft:
        box = None if asked.box is None else Box(asked.box.low_m, asked.box.high_m)
        if box is not None:
            require_usable(box, self._env, self._seated_pose())
        cameras = self._cameras(asked.crops) if asked.crops else None
        return draft(self._folder, self._site.run, asked.name.strip(), Changes(cameras, box))

    def _cameras(self, crops: dict[str, _Crop | None]) -> tuple[CameraConfig, ...]:
        """The images with these crops.

        Raises:
            ConfigError: there is no such image, or a crop reaches beyond its picture.
        """
        known = {image.name: image for image in self._env.cameras}
        for name, crop in crops.items():
            if name not in known:
                raise ConfigError(f"there is no image {name[:40]!r}; there are {', '.join(known) or 'none'}")
            picture = self._picture(known[name])
            if crop and (crop[0] + crop[2] > picture[0] or crop[1] + crop[3] > picture[1]):
                raise ConfigError(
                    f"camera {name}: crop {crop} (left, top, width, height) reaches beyond its picture of "
                    f"{picture[0]}x{picture[1]} pixels; make it smaller"
                )
            known[name] = replace(known[name], crop=crop)
        return tuple(known.values())


def _told(made: Draft) -> dict[str, str]:
    return {
        "path": str(made.path),
        "text": made.text,
        "difference": made.difference,
        "seen": made.seen,
        "command": made.command,
    }
