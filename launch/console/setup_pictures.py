"""Pictures by which a station's cameras are known again, taken while somebody looks at what they show.

    POST /api/setup/pictures            what the cameras show now is right: kept for the run, and for its
                                        station where that is somebody's own, in place of what was kept before

A station that is saved with its crops gets them too (`setup`): whoever drew those has seen the pictures.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from handrail.intervention.console.feed import FeedReader
from handrail.intervention.console.messages import Watch, feed_address
from handrail.launch import compose
from handrail.launch.console.answers import Refused, ok
from handrail.launch.console.site import RouteSpec, Site
from handrail.robot_env.cameras.references import Pictures, References
from handrail.robot_env.errors import ConfigError, HandrailError

_PATIENCE_S = 3.0
_FPS = 10.0
_ASKED_EVERY_S = 0.2
_RIGHT = 'press "These pictures are right" on the set-up page, Crop'


class Places:
    """Which camera is where, of one console's run.

    Args:
        site: the console.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._own = site.run.camera_pictures

    def routes(self) -> list[RouteSpec]:
        """What can be said about pictures."""
        return [RouteSpec("/api/setup/pictures", "POST", "operator", self._right, lease=True)]

    async def keep_beside(self, station: Path) -> dict[str, object]:
        """Keep them with a station that has just been saved, and for the run where it has none yet.

        Args:
            station: its file.

        Returns:
            `kept`, the cameras; `unkept`, why there are none, "" where there is nothing to be told.
        """
        if not self._site.config.env.arm.real:
            return {"kept": [], "unkept": ""}
        try:
            now = await self._shown()
            await self._site.blocking(self._add, now, compose.pictures_beside(station))
        except HandrailError as error:
            return {"kept": [], "unkept": str(error)}
        return {"kept": sorted(now), "unkept": ""}

    async def _right(self, request: Request) -> Response:
        """Keep them in place of what there was."""
        now = await self._shown()
        await self._site.blocking(self._replace, now)
        return ok({"kept": sorted(now)})

    def _add(self, now: Pictures, beside: Path) -> None:
        """Keep them beside a station's file, and for the run what it lacks.

        Raises:
            CameraError: they are not what the run knows.
            ConfigError: the disk refused.
        """
        known = References(self._own)
        serials = {device.name: device.serial for device in self._site.config.env.camera_devices}
        known.check(now, serials, _RIGHT)
        with _writing(beside):
            References(beside, anew=True).keep(now)
        with _writing(self._own):
            known.keep(now)

    def _replace(self, now: Pictures) -> None:
        station = compose.station_pictures(str(self._site.run.meta().get("choices", {}).get("station", "")))
        for file in (self._own, station):
            if file is not None:
                with _writing(file):
                    References(file, anew=True).keep(now)

    async def _shown(self) -> Pictures:
        """What each physical camera shows now, as whoever has the station tells it.

        Raises:
            Refused: nobody has, or a camera that the policy looks through shows nothing.
        """
        site, now = self._site, self._site.hub.now
        env = site.config.env
        devices = {device.name for device in env.camera_devices} if env.arm.real else set[str]()
        wanted = devices & set(() if now is None else now.cameras)
        looking = asyncio.ensure_future(site.blocking(_look, site.run.socket_dir(), wanted))
        while not looking.done():
            site.relay.send(Watch(_FPS))  # a page that shows none of them asks for none
            await asyncio.wait([looking], timeout=_ASKED_EVERY_S)
        found = await looking
        missing = sorted({image.source for image in env.cameras} - found.keys())
        if missing or not found:
            raise Refused(
                f"camera {missing[0] if missing else 'of this station'} shows nothing now: start the set-up, "
                "and look whether it does",
                409,
            )
        return found


def _look(sockets: Path, wanted: Iterable[str]) -> Pictures:
    """The first picture of each camera that is wanted; of those that come in time."""
    found, missing = dict[str, np.ndarray](), set(wanted)
    reader = FeedReader(feed_address(sockets), topics=("frame",))
    try:
        end_s = time.monotonic() + _PATIENCE_S
        while missing and (left_s := end_s - time.monotonic()) > 0.0:
            for message in reader.poll(left_s):
                match message:
                    case (head, pixels) if head.camera in missing:
                        found[head.camera] = np.frombuffer(pixels, np.uint8).reshape(head.shape)
                        missing.discard(head.camera)
    finally:
        reader.close()
    return found


@contextlib.contextmanager
def _writing(file: Path) -> Iterator[None]:
    """Have what the disk refuses told in a line."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written: {error.strerror}; make room, then do it again"
        ) from None
