"""Which episodes an export takes: those asked for, less what teaches nothing unless it is asked for."""

from collections import Counter

from handrail.intervention.episode_filter import EpisodeFilter
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.index_query import EpisodeRow
from handrail.intervention.labeller import Label
from handrail.launch.errors import ExportError
from handrail.launch.export.material import Selection


def select(index: EpisodeIndex, asked: EpisodeFilter, *, everything: bool = False) -> Selection:
    """The episodes to export, oldest first.

    Left out, and counted, are episodes that are excluded by their label, have no result, were only shown to a
    classifier, or are of an evaluation, which nothing is to learn from; unless the filter asks for that very
    kind, or for everything. Never exported is what still runs, and what has no step.

    Args:
        index: refreshed.
        asked: the filter; its `last` counts only what is exported.
        everything: whether all that has ended is wanted.

    Raises:
        ExportError: nothing is left; says why.
    """
    left_out: Counter[str] = Counter()
    kept = []
    found = index.select(EpisodeFilter.of({**asked.words(), "last": None}))
    for row in found:
        if why := _why_not(row, asked, everything):
            left_out[why] += 1
        else:
            kept.append(row)
    if asked.last is not None:
        kept = kept[-asked.last :]
    if not kept:
        words = " ".join(f"{name}={value}" for name, value in asked.words().items())
        raise ExportError(
            f"no episode to export{f' of those with {words}' if words else ''}: the run has "
            f"{index.describe()}, left out are {described(left_out) or 'none'}; --all takes them in, "
            "`handrail review` lists them"
        )
    return Selection(tuple(kept), dict(left_out))


def described(left_out: dict[str, int]) -> str:
    """Such as "2 excluded, 1 aborted"; "" for none."""
    return ", ".join(f"{count} {why}" for why, count in left_out.items())


def _why_not(row: EpisodeRow, asked: EpisodeFilter, everything: bool) -> str:
    """Why an episode that the filter lets through is left out; "" when it is not."""
    if row.status == "open":
        return "still running"
    if row.steps == 0:
        return "without a step"
    if everything:
        return ""
    if row.label == Label.EXCLUDE and asked.label != Label.EXCLUDE:
        return "excluded"
    if row.outcome == "aborted" and asked.outcome != "aborted":
        return "aborted"
    if row.purpose == "classify" and asked.purpose != "classify" and asked.outcome != "shown":
        return "shown to a classifier"
    if row.purpose == "evaluate" and asked.purpose != "evaluate":
        return "of an evaluation"
    return ""
