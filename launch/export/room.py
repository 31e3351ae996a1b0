"""Room on the disk for an export: it may be the disk that a driven run writes its log to.

A control loop whose log cannot grow stops. So an export leaves the log's reserve alone, wherever it writes.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from handrail.intervention.index_query import EpisodeRow
from handrail.intervention.log_reader import segment_paths
from handrail.launch.errors import ExportError
from handrail.launch.export.progress import Advance

_ROW_BYTES = 1500  # of a CSV: a step has some eighty numbers of up to 20 letters
_VIDEO_SHARE = 0.25  # of what the log takes, whose pictures are raw


def estimated_bytes(
    form: str, per: str | None, segments: Path, rows: Sequence[EpisodeRow], sequence: int
) -> int:
    """About what an export will take, rather too much than too little [bytes].

    Args:
        form: "csv", "mp4" or "lerobot".
        per: of csv, what a row is: "step" or "episode"; None for the former.
        segments: the log's folder.
        rows: the chosen episodes.
        sequence: of the log's last record.
    """
    if form == "csv":
        return _ROW_BYTES * (len(rows) if per == "episode" else sum(row.steps for row in rows))
    log_bytes = sum(path.stat().st_size for path in segment_paths(segments))
    records = sum(row.last_sequence - row.first_sequence + 1 for row in rows)
    return round(_VIDEO_SHARE * log_bytes * records / max(1, sequence))


class Room:
    """Watches the disk that an export is written to.

    Args:
        target: the file or folder that it will be; it need not be there, nor its parents.
        reserve_bytes: what must stay free.
    """

    def __init__(self, target: Path, reserve_bytes: int) -> None:
        self._target = target
        self._folder = next(each for each in target.absolute().parents if each.is_dir())
        self._reserve_bytes = reserve_bytes

    def require(self, needed_bytes: int = 0) -> None:
        """Refuse where so much more would not fit.

        Raises:
            ExportError: it would not.
        """
        free_bytes = shutil.disk_usage(self._folder).free
        if free_bytes < needed_bytes + self._reserve_bytes:
            needs = f"about {needed_bytes / 1e6:.0f} MB are needed and " if needed_bytes else ""
            raise ExportError(
                f"{self._target}: {needs}{free_bytes / 1e6:.0f} MB free, of which "
                f"{self._reserve_bytes / 1e6:.0f} MB are kept for logs (log.reserve_bytes); "
                "free some space, choose fewer episodes, or another disk"
            )

    def watched(self, advance: Advance) -> Advance:
        """`advance`, which ends the export once it comes too near to what must stay free.

        Raises:
            ExportError: from a call; it does.
        """

        def advanced(steps: int) -> None:
            self.require()
            advance(steps)

        return advanced
