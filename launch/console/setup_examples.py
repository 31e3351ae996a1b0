"""A reward classifier's examples, and where it and a person disagreed, over HTTP.

    GET /api/setup/examples                                 how many there are, and what is to be shown next
    GET /api/setup/inbox                                    the disagreements, newest first
    GET /api/setup/inbox/{episode}/{step}/{camera}          what a camera saw there, as PNG

Confirming or correcting one is a remark or a label on its episode (`episodes`).
"""

import asyncio
import contextlib
import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from handrail.intervention.index import EpisodeIndex
from handrail.intervention.log_reader import LogReader
from handrail.launch.classify.tally import FEWEST_EPISODES, NEXT, PROMPTS, Tally, Wanted
from handrail.launch.console.answers import Refused, ok
from handrail.launch.console.site import RouteSpec, Site
from handrail.reward_classifier import inbox, png
from handrail.reward_classifier.inbox import Inbox, InboxEntry
from handrail.robot_env.errors import HandrailError

CONFIRMED = "inbox: confirmed"
"""How a remark begins that says that the person was right."""
_MOST = 200


def routes(site: Site) -> list[RouteSpec]:
    """What can be asked about examples and disagreements."""
    examples = Examples(site)
    return [
        RouteSpec("/api/setup/examples", "GET", "viewer", examples.counts),
        RouteSpec("/api/setup/inbox", "GET", "viewer", examples.inbox),
        RouteSpec("/api/setup/inbox/{episode:int}/{step:int}/{camera}", "GET", "viewer", examples.picture),
    ]


class Examples:
    """Reads the log of one run as it grows.

    Args:
        site: the console.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._reader = LogReader(site.run.segments)
        self._tally = Tally()
        self._lock = threading.Lock()  # requests come in several threads
        # The inbox reads elsewhere in the log, and for longer than the tally may wait.
        self._archive = LogReader(site.run.segments)
        self._inbox_of_run = Inbox(site.run.id, self._archive)
        self._reading = threading.Lock()
        self._turn = asyncio.Lock()  # whoever waits for that holds no thread
        self._found: list[InboxEntry] = []

    async def counts(self, request: Request) -> Response:
        """Examples so far; `positives` and `negatives` say how many are wanted."""
        wanted = Wanted(_number(request, "positives", 200), _number(request, "negatives", 600))
        now = self._site.hub.now
        running = now.episode if now is not None and now.running else -1
        return ok(await self._site.blocking(self._counts, wanted, running))

    async def inbox(self, request: Request) -> Response:
        """The disagreements."""
        async with self._turn:
            return ok(await self._site.blocking(self._inbox))

    async def picture(self, request: Request) -> Response:
        """What a camera saw."""
        place = request.path_params
        where = place["episode"], place["step"], place["camera"]
        async with self._turn:
            found = await self._site.blocking(self._picture, *where)
        return Response(found, media_type="image/png")

    def _counts(self, wanted: Wanted, running: int) -> dict[str, Any]:
        with self._lock:
            tally = self._tally
            tally.read(self._reader)
            ended = tally.without(running)
            posture = wanted.next_posture(ended)
            return {
                "number": ended.episodes + 1,
                "positives": tally.positives,
                "negatives": tally.negatives,
                "episodes": tally.episodes,
                "wanted": {
                    "positives": wanted.positives,
                    "negatives": wanted.negatives,
                    "episodes": FEWEST_EPISODES,
                },
                "enough": wanted.are_there(tally),
                "posture": posture.value,
                "prompt": PROMPTS[posture],
                "next": NEXT,
            }

    def _inbox(self) -> dict[str, Any]:
        with self._reading, self._index() as index:
            self._found = found = self._inbox_of_run.entries(index)
            told = [
                {**dataclasses.asdict(each), "confirmed": _confirmed(index, each)} for each in found[-_MOST:]
            ]
        return {"entries": told[::-1], "total": len(found)}

    @contextlib.contextmanager
    def _index(self) -> Iterator[EpisodeIndex]:
        with EpisodeIndex(self._site.run.index_file, self._archive) as index:
            index.refresh()
            yield index

    def _picture(self, episode: int, step: int, camera: str) -> bytes:
        with self._reading:
            if not self._found:
                with self._index() as index:
                    self._found = self._inbox_of_run.entries(index)
            known = {(each.episode, each.step): each for each in self._found}
            entry = known.get((episode, step))
            if entry is None:
                raise Refused(
                    f"step {step} of episode {episode} is no disagreement; load the inbox again", 404
                )
            try:
                images = inbox.images(self._archive, entry)
            except HandrailError as error:
                raise Refused(str(error), 404) from error
        if camera not in images:
            raise Refused(f"there is no camera {camera[:40]!r} there; there are {', '.join(images)}", 404)
        return png.encode(images[camera])


def _confirmed(index: EpisodeIndex, entry: InboxEntry) -> str:
    """Who has confirmed it since the label in question, "" for nobody."""
    said = [
        event.who
        for sequence, event in index.events(entry.episode)
        if event.kind == "comment" and sequence > entry.sequence and event.why.startswith(CONFIRMED)
    ]
    return said[-1] if said else ""


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and int(text[:9]) > 0 and len(text) < 9):
        raise Refused(f"{name}={text[:40]} must be a whole number from 1")
    return int(text)
