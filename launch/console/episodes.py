"""Review over HTTP: the table and its sums, an episode with its history and pictures, labels and remarks.

    GET  /api/episodes?<filter>          rows (the newest 2,000), totals, what the filters can be set to
    GET  /api/episodes/{n}?<filter>      one row, its history, and its neighbours in the filter
    GET  /api/episodes/{n}/blob          its steps and pictures (see `blob`)
    GET  /api/episodes/{n}/reward        what its steps are worth under its label
    GET  /api/statistics?by=…&<filter>   what groups of episodes come to
    POST /api/episodes/{n}/label         {id, label, why, step}
    POST /api/episodes/{n}/comment       {id, text}
    POST /api/labels                     {id, label, why, episodes}: one label for many

The label "undo" takes the newest one back, if a person gave it.

A filter is `intervention.episode_filter`'s words. A request to say something has an id: however often it is
sent, it is said once.
"""

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any, TypeVar, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from handrail.intervention.episode_filter import EpisodeFilter
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.index_query import GROUPINGS, EpisodeRow, GroupBy, Statistics
from handrail.intervention.labeller import said_by_machine
from handrail.intervention.log_reader import LogReader
from handrail.launch.console.answers import Busy, Refused, ok, read
from handrail.launch.console.blob import pack_episode, worth
from handrail.launch.console.site import RouteSpec, Site
from handrail.launch.labelling import LONGEST_TEXT, Relabelled, comment, relabel, relabel_each
from handrail.robot_env.errors import ConfigError

MOST_ROWS = 2000
_REMEMBERED = 1000
_AHEAD = 3  # episodes that a visitor may wait for: the one to be shown, and a page reads ahead
_CONDITIONS = frozenset(field.name for field in fields(EpisodeFilter))
_COLUMNS = tuple(field.name for field in fields(EpisodeRow) if field.name not in ("seed", "first_sequence"))

_T = TypeVar("_T")
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Text = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)]


class LabelRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A label for an episode; `step` is where its success was, None for the last."""

    id: _Id
    label: Annotated[str, msgspec.Meta(max_length=32)]
    why: _Text = ""
    step: Annotated[int, msgspec.Meta(ge=0, le=2**31)] | None = None


class LabelsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One label for many episodes, and the reason."""

    id: _Id
    label: Annotated[str, msgspec.Meta(max_length=32)]
    episodes: Annotated[
        tuple[Annotated[int, msgspec.Meta(ge=0, le=2**62)], ...],
        msgspec.Meta(min_length=1, max_length=MOST_ROWS),
    ]
    why: _Text = ""


class CommentRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A remark on an episode."""

    id: _Id
    text: _Text


def routes(site: Site) -> list[RouteSpec]:
    """What can be asked about episodes."""
    episodes = Episodes(site)
    return [
        RouteSpec("/api/episodes", "GET", "viewer", episodes.table),
        RouteSpec("/api/episodes/{episode:int}", "GET", "viewer", episodes.one),
        RouteSpec("/api/episodes/{episode:int}/blob", "GET", "viewer", episodes.blob),
        RouteSpec("/api/episodes/{episode:int}/reward", "GET", "viewer", episodes.reward),
        RouteSpec("/api/statistics", "GET", "viewer", episodes.statistics),
        RouteSpec("/api/labels", "POST", "operator", episodes.labels, lease=True),
        RouteSpec("/api/episodes/{episode:int}/label", "POST", "operator", episodes.label, lease=True),
        RouteSpec("/api/episodes/{episode:int}/comment", "POST", "operator", episodes.remark, lease=True),
    ]


def filter_of(request: Request, *others: str) -> EpisodeFilter:
    """The filter in an address's query.

    Args:
        request: the request.
        others: names in the query that are no conditions, and are meant.

    Raises:
        Refused: a condition is not known, or has no meaning.
    """
    query = request.query_params
    for name in query:
        if name not in _CONDITIONS and name not in others:
            raise Refused(f"no condition {name!r}; there are {', '.join(sorted(_CONDITIONS))}")
    try:
        return EpisodeFilter.of(query)
    except ConfigError as error:
        raise Refused(str(error)) from error


class Episodes:
    """Handlers. Belongs to the console's event loop; what waits for the disk runs in its threads.

    Args:
        site: the console.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        # One reader for all, under a lock: it remembers where in the log it has been.
        self._reader, self._reading = LogReader(site.run.segments), threading.Lock()
        # Pictures are read elsewhere in the log, and for longer; whoever waits for them holds no thread.
        self._archive, self._packing = LogReader(site.run.segments), threading.Lock()
        self._turn = asyncio.Lock()
        self._wanted: dict[str, deque[object]] = {}
        self._said: OrderedDict[str, asyncio.Task[Any]] = OrderedDict()

    async def table(self, request: Request) -> Response:
        """Rows, as lists in the order of `columns`; how many match; sums; what can be asked for."""
        chosen = filter_of(request)

        def look() -> dict[str, Any]:
            with self._index() as index:
                rows = index.select(chosen, limit=MOST_ROWS)
                (total,) = index.statistics(None, chosen)
                return {
                    "columns": _COLUMNS,
                    "rows": [[getattr(row, name) for name in _COLUMNS] for row in rows],
                    "matching": total.episodes,
                    "totals": figures(total),
                    "facets": index.facets(),
                }

        return ok(await self._site.blocking(look))

    async def one(self, request: Request) -> Response:
        """One episode, its history, which event of it may be taken back, and its neighbours in the filter."""
        return ok(await self._site.blocking(self._told, _number(request), filter_of(request)))

    async def blob(self, request: Request) -> Response:
        """One episode's steps and pictures: one at a time, and of each visitor those asked for last."""
        number, sid = _number(request), self._site.who(request).sid
        mine = object()
        wanted = self._wanted.setdefault(sid, deque(maxlen=_AHEAD))
        wanted.append(mine)

        def pack() -> bytes:
            with self._index() as index:
                row = _found(index, number)
            with self._packing:
                return pack_episode(self._archive, row, self._site.config.env)

        try:
            async with self._turn:
                if mine not in wanted:
                    raise Busy("other episodes were asked for since; open this one again")
                packed = await self._site.blocking(pack)
        finally:
            if mine in wanted:
                wanted.remove(mine)
            if not wanted:
                self._wanted.pop(sid, None)
        return Response(packed, media_type="application/octet-stream")

    async def reward(self, request: Request) -> Response:
        """The rewards of one episode's steps as a learner is given them: a label changes them."""
        number = _number(request)

        def look() -> list[float | None]:
            with self._index() as index:
                row = _found(index, number)
            with self._packing:
                return worth(self._archive, row)

        async with self._turn:
            return ok({"reward": await self._site.blocking(look)})

    async def statistics(self, request: Request) -> Response:
        """What groups of the chosen episodes come to."""
        chosen = filter_of(request, "by")
        by = cast(GroupBy, request.query_params.get("by", ""))
        if by not in GROUPINGS:
            raise Refused(f"by={by}: choose one of {', '.join(GROUPINGS)}")

        def look() -> list[dict[str, Any]]:
            with self._index() as index:
                return [figures(group) for group in index.statistics(by, chosen)]

        return ok({"by": by, "groups": await self._site.blocking(look)})

    async def label(self, request: Request) -> Response:
        """Give an episode a label."""
        asked, number = await read(request, LabelRequest), _number(request)
        who = self._site.who(request).name
        said = await self._once(
            asked.id,
            lambda: relabel(
                self._site.run, number, asked.label, who, asked.why.strip(), asked.step, id=asked.id
            ),
        )
        return ok({"said": said, **await self._site.blocking(self._told, number)})

    async def labels(self, request: Request) -> Response:
        """Give many episodes one label; which have it now, which had it, and why others have not."""
        asked = await read(request, LabelsRequest)
        who = self._site.who(request).name
        said: Relabelled = await self._once(
            asked.id,
            lambda: relabel_each(
                self._site.run, asked.episodes, asked.label, who, asked.why.strip(), id=asked.id
            ),
        )
        return ok({"said": said.told(asked.label), **vars(said)})

    async def remark(self, request: Request) -> Response:
        """Attach a remark to an episode."""
        asked, number = await read(request, CommentRequest), _number(request)
        who = self._site.who(request).name
        said = await self._once(
            asked.id, lambda: comment(self._site.run, number, asked.text, who, id=asked.id)
        )
        return ok({"said": said, **await self._site.blocking(self._told, number)})

    async def _once(self, name: str, act: Callable[[], _T]) -> _T:
        """Do it once, however often it is asked for; what came of it."""
        if (task := self._said.get(name)) is None:
            task = self._said[name] = asyncio.ensure_future(self._site.blocking(act))
            task.add_done_callback(lambda done: self._done(name, done))
            if len(self._said) > _REMEMBERED:
                self._said.popitem(last=False)
        # Whoever asked may leave; what was asked is done all the same.
        return await asyncio.shield(task)

    def _done(self, name: str, task: asyncio.Task[Any]) -> None:
        """What was not done may be asked for again by the same name."""
        if task.cancelled() or task.exception() is not None:
            self._said.pop(name, None)

    def _told(self, number: int, chosen: EpisodeFilter | None = None) -> dict[str, Any]:
        with self._index() as index:
            row = _found(index, number)
            events = index.events(number)
            stand = index.labels(number)
            undo = stand[-1][0] if stand and not said_by_machine(stand[-1][1].who) else None
            beside: dict[str, int | None] = {}
            if chosen is not None:
                beside["previous"], beside["next"] = index.neighbours(number, chosen)
        shown = {name: getattr(row, name) for name in _COLUMNS}
        history = [{"sequence": sequence, **msgspec.structs.asdict(event)} for sequence, event in events]
        return {"row": shown, "history": history, "undo": undo, **beside}

    def _index(self) -> EpisodeIndex:
        """The index as of now; a connection belongs to one thread."""
        index = EpisodeIndex(self._site.run.index_file, self._reader)
        try:
            with self._reading:
                index.refresh()
        except BaseException:
            index.close()
            raise
        return index


def figures(group: Statistics) -> dict[str, Any]:
    """A group's statistics with its Wilson bounds, as a page shows them."""
    bounds = {"unaided_bounds": group.unaided_bounds, "assisted_bounds": group.assisted_bounds}
    return {**vars(group), **bounds}


def _number(request: Request) -> int:
    number = request.path_params["episode"]
    if number >= 2**62:
        raise Refused(f"no episode {number}", 404)
    return number


def _found(index: EpisodeIndex, number: int) -> EpisodeRow:
    row = index.episode(number)
    if row is None:
        raise Refused(f"no episode {number}; the log holds {index.describe()}", 404)
    return row
