"""What is known of a classifier before it is put in use, over HTTP: how it did on episodes it has not seen.

GET /api/setup/classifiers/{name}                       the version trained last, and the one in use
GET /api/setup/classifiers/{name}/{version}/report      what the report of its training shows (`report`)
"""

import re
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from handrail.launch.console.answers import Refused, ok
from handrail.launch.console.report import contents
from handrail.launch.console.site import RouteSpec, Site
from handrail.reward_classifier.versions import calibration, current, newest, report, versions

CLASSIFIERS = Path("classifiers")
"""The folder that holds those which the page trains, in the folder where the console was started."""
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$"
VERSION = r"^[0-9a-f]{12}$"


def routes(site: Site) -> list[RouteSpec]:
    """What can be asked about classifiers."""

    async def show(request: Request) -> Response:
        return ok(await site.blocking(_known, _folder(request)))

    async def read(request: Request) -> Response:
        folder, version = _folder(request), request.path_params["version"]
        if not re.fullmatch(VERSION, version) or version not in await site.blocking(versions, folder):
            raise Refused(f"{folder.name} has no version {version[:40]!r}; look again for the newest", 404)
        return ok({"parts": await site.blocking(lambda: contents(report(folder / version)))})

    return [
        RouteSpec("/api/setup/classifiers/{name}", "GET", "viewer", show),
        RouteSpec("/api/setup/classifiers/{name}/{version}/report", "GET", "viewer", read),
    ]


def _folder(request: Request) -> Path:
    name = request.path_params["name"]
    if not re.fullmatch(NAME, name):
        raise Refused(f"{name[:40]!r} names no classifier: letters, digits, - and _, at most 40", 404)
    return CLASSIFIERS / name


def _known(folder: Path) -> dict[str, Any]:
    """The newest version, None before the first, and the name of the one in use, "" for none."""
    latest = None
    if versions(folder):
        version = newest(folder)
        latest = {"version": version, **_figures(folder / version)}
    return {"newest": latest, "in_use": current(folder) or ""}


def _figures(folder: Path) -> dict[str, Any]:
    """What held-out episodes say of a version."""
    known = calibration(folder)
    return {
        "episodes": known.episodes,
        "false_positives": known.false_positives,
        "successes": known.successes,
        "missed": known.missed,
        "bound": known.bound,
        "wanted": known.wanted,
        "needed": known.needed,
        "supported": known.supported,
    }
