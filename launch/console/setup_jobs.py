"""The jobs of the set-up page over HTTP.

GET  /api/setup/jobs/{kind}?since=<n>&of=<id>
                                         the newest of a kind: its state, and its lines from number n on; all
                                         of them where n was counted of another job
POST /api/setup/jobs/{kind}              starts one; what it takes is in `Asked`
POST /api/setup/jobs/{kind}/stop         asks it to end
"""

from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from handrail.launch.console.answers import Refused, ok, read
from handrail.launch.console.jobs import Jobs, Kind
from handrail.launch.console.setup_classifier import CLASSIFIERS, NAME, VERSION
from handrail.launch.console.site import RouteSpec, Site
from handrail.launch.driven import holds

KINDS = (
    Kind("preflight", nice=10),
    Kind("rig"),
    Kind("collect"),
    Kind("train", nice=10),
    Kind("accept", nice=10),
)
_HOLDS_THE_RUN = ("rig", "collect")
_SINCE_DIGITS = 12

_Name = Annotated[str, msgspec.Meta(pattern=NAME)]
_Version = Annotated[str, msgspec.Meta(pattern=rf"{VERSION}|^$")]
_Count = Annotated[int, msgspec.Meta(ge=1, le=100_000)]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a job may be told; each kind takes its own, and leaves the others out of account.

    Attributes:
        hand: of preflight: somebody is there to move the device.
        positives, negatives: of collect: steps that show success, and that do not.
        name: of train and accept: the classifier's.
        version: of accept: the one that was looked at; "" for the newest.
    """

    hand: bool = False
    positives: _Count = 200
    negatives: _Count = 600
    name: _Name = "ram"
    version: _Version = ""


def make(site: Site) -> Jobs:
    """The jobs of a console."""

    def objection(kind: str, jobs: Jobs) -> str:
        if kind in _HOLDS_THE_RUN and holds(site.run, "actor"):
            return (
                "the station is being set up: stop that first"
                if jobs.running("rig")
                else "a control loop drives this run: let it end first"
            )
        return ""

    jobs = Jobs(KINDS, objection)
    site.on_close(jobs.close)
    return jobs


def routes(site: Site, jobs: Jobs) -> list[RouteSpec]:
    """What can be asked and done about jobs."""

    async def show(request: Request) -> Response:
        since = _since(request)
        job = jobs.find(request.path_params["kind"])
        if job is None:
            return ok({"state": "none", "lines": [], "next": 0})
        lines, following = job.since(since if request.query_params.get("of", job.id) == job.id else 0)
        return ok({**job.facts(), "lines": lines, "next": following})

    async def start(request: Request) -> Response:
        kind = request.path_params["kind"]
        job = await jobs.start(kind, words(site, kind, await read(request, Asked)))
        return ok(job.facts())

    async def stop(request: Request) -> Response:
        job = jobs.find(request.path_params["kind"])
        if job is None:
            return ok({"state": "none"})
        await job.stop()
        return ok(job.facts())

    return [
        RouteSpec("/api/setup/jobs/{kind}", "GET", "viewer", show),
        RouteSpec("/api/setup/jobs/{kind}", "POST", "operator", start, lease=True),
        RouteSpec("/api/setup/jobs/{kind}/stop", "POST", "operator", stop, lease=True),
    ]


def words(site: Site, kind: str, asked: Asked) -> list[str]:
    """The command line of a job, behind `handrail`."""
    run = [f"run={site.run.path}", f"runs={site.run.path.parent}"]
    classifier = [f"name={asked.name}", f"classifiers={CLASSIFIERS}"]
    match kind:
        case "preflight":
            return ["doctor", *run, "--lines", *(["--hand"] if asked.hand else [])]
        case "rig":
            return ["rig", *run]
        case "collect":
            shown = [f"positives={asked.positives}", f"negatives={asked.negatives}"]
            nobody = site.config.actor.device in ("synthetic", "none")
            return ["classify", "collect", *run, *shown, *(["actor.device=console"] if nobody else [])]
        case "train":
            return ["classify", "train", *classifier, *run]
        case "accept":
            looked_at = [f"version={asked.version}"] if asked.version else []
            return ["classify", "accept", *classifier, *looked_at, *run]
    return []  # refused by name


def _since(request: Request) -> int:
    text = request.query_params.get("since", "0")
    if not (text.isascii() and text.isdigit() and len(text) <= _SINCE_DIGITS):
        raise Refused(f"since={text[:40]} is not a whole number; give the `next` of the answer before, or 0")
    return int(text)
