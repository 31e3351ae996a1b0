"""Exports over HTTP.

    GET  /api/export/csv?per=…&all=…&<filter>   the table, as it is written
    POST /api/export                            {format, filters, per, end_s, all} -> {id}
    GET  /api/export                            {exports: [{id, state, …}, …]}, the oldest first
    GET  /api/export/{id}                       {state, done, of, why, name, …}
    GET  /api/export/{id}/file                  csv or mp4; a dataset as a zip
    POST /api/export/{id}/cancel                nothing is left of it

A filter is `intervention.episode_filter`'s words. An id is the console's own; nobody names a file.
"""

import asyncio
import contextlib
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Annotated, Any, Literal

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from handrail.intervention.episode_filter import EpisodeFilter
from handrail.launch.console.answers import Refused, ok, read
from handrail.launch.console.export_jobs import (
    Export,
    Exports,
    begin_table,
    end,
    refuse_more_than,
    spoken,
)
from handrail.launch.console.site import RouteSpec, Site
from handrail.launch.console.zipped import zipped

SUFFIXES = {"csv": ".csv", "mp4": ".mp4", "lerobot": "-lerobot"}
_KINDS = {"csv": "text/csv; charset=utf-8", "mp4": "video/mp4"}


class ExportRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be exported; `filters` are conditions by name."""

    format: Literal["csv", "mp4", "lerobot"]
    filters: dict[str, Annotated[str, msgspec.Meta(max_length=2000)]] = {}
    per: Literal["step", "episode"] | None = None
    end_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] | None = None
    all: bool = False


def routes(site: Site) -> list[RouteSpec]:
    """What may be asked."""
    downloads = Downloads(site)
    return [
        RouteSpec("/api/export/csv", "GET", "viewer", downloads.table),
        RouteSpec("/api/export", "GET", "operator", downloads.all),
        RouteSpec("/api/export", "POST", "operator", downloads.start),
        RouteSpec("/api/export/{id}", "GET", "operator", downloads.state),
        RouteSpec("/api/export/{id}/file", "GET", "operator", downloads.file),
        RouteSpec("/api/export/{id}/cancel", "POST", "operator", downloads.cancel),
    ]


class Downloads:
    """Answers for one console.

    Args:
        site: the console.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._exports = Exports(site.run)
        self._tables = Counter[str]()
        site.on_close(self._exports.close)

    async def table(self, request: Request) -> Response:
        """The CSV of what the query asks for, row by row as the log is read."""
        query = dict(request.query_params)
        per, everything = query.pop("per", "step"), query.pop("all", "false")
        if per not in ("step", "episode") or everything not in ("true", "false"):
            raise Refused("per= is step or episode, all= is true or false")
        words = [*_words(query), f"per={per}", f"all={everything}", "to=-", "progress=off"]
        # Whoever only looks on is in the way of nobody who operates.
        role = self._site.who(request).role
        refuse_more_than(self._tables[role] + (self._exports.running if role == "operator" else 0))
        with contextlib.ExitStack() as held:
            complaints = held.enter_context(tempfile.TemporaryFile())
            process = begin_table(self._site.run, words, complaints)
            held.callback(end, process)
            self._tables[role] += 1
            held.callback(lambda: self._tables.subtract([role]))
            output = spoken(process, complaints)
            first = await anext(output)
            ended = held.pop_all().close

        async def rows() -> AsyncIterator[bytes]:
            yield first
            async for data in output:
                yield data

        name = f"{self._site.run.id}{'' if per == 'step' else '-episodes'}.csv"
        return Stream(rows(), ended, media_type=_KINDS["csv"], headers=_attached(name))

    async def start(self, request: Request) -> Response:
        """Begin an export."""
        asked = await read(request, ExportRequest)
        options: dict[str, Any] = {"per": asked.per, "end_s": asked.end_s}
        words = [f"{name}={value}" for name, value in options.items() if value is not None]
        words += [*_words(asked.filters), f"all={str(asked.all).lower()}"]
        if asked.per is not None and asked.format != "csv":
            raise Refused("per goes with csv")
        if asked.end_s is not None and asked.format != "mp4":
            raise Refused("end_s goes with mp4")
        return ok({"id": await self._exports.start(asked.format, SUFFIXES[asked.format], words)}, 202)

    async def all(self, request: Request) -> Response:
        """Every export there is: whoever left the page finds what was begun."""
        return ok({"exports": [{"id": key, **_told(export)} for key, export in self._exports.listed()]})

    async def state(self, request: Request) -> Response:
        """How far an export is."""
        return ok(_told(self._find(request)))

    async def file(self, request: Request) -> Response:
        """What an export has written."""
        export = self._find(request)
        if export.state != "done":
            raise Refused(f"the export is {export.state}; nothing to fetch", 409)
        if export.form == "lerobot":
            folder = zipped(export.file, export.name)
            return StreamingResponse(folder, media_type="application/zip", headers=_attached(_name(export)))
        return FileResponse(export.file, media_type=_KINDS[export.form], filename=_name(export))

    async def cancel(self, request: Request) -> Response:
        """Stop an export; what has ended stays as it is."""
        export = self._find(request)
        export.job.dismiss()
        return ok({"state": export.state})

    def _find(self, request: Request) -> Export:
        export = self._exports.find(request.path_params["id"])
        if export is None:
            raise Refused("no such export; it is kept for half an hour", 404)
        return export


class Stream(StreamingResponse):
    """Streams while somebody reads, and tells when that has ended, however it ends.

    Args:
        content: what is streamed.
        ended: called at the end.
        patience_s: how long a reader may take nothing before it is given up [s].
        settings: of the response.
    """

    def __init__(
        self,
        content: AsyncIterator[bytes],
        ended: Callable[[], None],
        *,
        patience_s: float = 30.0,
        **settings: Any,
    ) -> None:
        super().__init__(content, **settings)
        self._ended, self._patience_s = ended, patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""

        async def patiently(message: Message) -> None:
            await asyncio.wait_for(send(message), self._patience_s)

        try:
            await super().__call__(scope, receive, patiently)
        except TimeoutError:  # the server closes what has not been answered whole
            structlog.get_logger().warning("given up: its reader takes nothing", seconds=self._patience_s)
        finally:
            self._ended()


def _words(conditions: Mapping[str, str]) -> list[str]:
    """The words of a command line that ask for the same episodes.

    Raises:
        ConfigError: a condition has no meaning.
        Refused: there is no such condition, or it cannot be a word.
    """
    unknown = sorted(set(conditions) - set(EpisodeFilter.__dataclass_fields__))
    if unknown:
        raise Refused(f"there is no filter {unknown[0]!r}")
    words = EpisodeFilter.of(conditions).words()
    if any(not value.isprintable() for value in words.values()):
        raise Refused("a filter holds a character that cannot be typed")
    return [f"{'labelled' if name == 'label' else name}={value}" for name, value in words.items()]


def _told(export: Export) -> dict[str, Any]:
    """What a page is told of an export."""
    summary = {key: value for key, value in export.summary.items() if key not in ("to", "run")}
    done, steps = export.progress
    facts = {"state": export.state, "format": export.form, "done": done, "of": steps, "why": export.why}
    return {**summary, **facts, "name": _name(export)}


def _name(export: Export) -> str:
    """What the browser is to call it."""
    return f"{export.name}.zip" if export.form == "lerobot" else export.name


def _attached(name: str) -> dict[str, str]:
    plain = "".join(each if each.isascii() and (each.isalnum() or each in "-_.") else "_" for each in name)
    return {"Content-Disposition": f'attachment; filename="{plain}"'}
