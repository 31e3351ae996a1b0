"""The critic view's data: what the operator's interventions do to the critic, as the learner measured it."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from handrail.agent.config import DiagnosticsConfig
from handrail.agent.diagnostics_store import DiagnosticsReader
from handrail.launch.console.answers import Refused, ok
from handrail.launch.console.critic_figures import Figures, History
from handrail.launch.console.site import RouteSpec, Site
from handrail.launch.critic_words import SOURCES, Read, sentences

NOTHING_YET = "No diagnostics yet: they come with the first updates."
SWITCHED_OFF = "No diagnostics: this run has none, its diagnostics.every_updates is 0."


def routes(site: Site) -> list[RouteSpec]:
    """`GET /api/critic?since=<last>`: everything the critic view shows, or what is new of it."""
    history = History(DiagnosticsReader(site.run.diagnostics_file))

    async def critic(request: Request) -> Response:
        figures = await site.blocking(history.read, _since(request))
        return ok(answer(figures, site.config.diagnostics))

    return [RouteSpec("/api/critic", "GET", "viewer", critic)]


def answer(figures: Figures | None, settings: DiagnosticsConfig) -> dict[str, Any]:
    """What the page gets, of a run whose diagnostics are set so.

    Without diagnostics, `ready` is false and `why` says so. Else `last` is to be asked for next, `columns`
    replaces what the page has (`whole`) or comes behind it, `lately` has each scalar as the sentences take
    it, and `sentences` has one for each panel.
    """
    if figures is None:
        return {"ready": False, "why": NOTHING_YET if settings.every_updates else SWITCHED_OFF, "last": 0}
    every = figures.every
    words = sentences(Read(every.lately, every.at_first, figures.snapshots, settings.effective_td))
    return {
        "ready": True,
        "last": figures.last,
        "whole": figures.whole,
        "sources": SOURCES,
        "updates": int(every.updates[-1]),
        "env_steps": int(every.env_steps[-1]),
        "columns": figures.columns,
        "lately": {name: every.lately(name) for name in every.series},
        "snapshots": figures.snapshots,
        "sentences": words,
    }


def _since(request: Request) -> int:
    text = request.query_params.get("since", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Refused(f"since={text[:40]} is not a whole number; give the `last` of the answer before, or 0")
    return int(text)
