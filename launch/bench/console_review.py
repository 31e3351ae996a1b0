"""The review of a long log: how soon table and episode are on the screen, and the table in a terminal."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from handrail.launch.bench import console_browser as browsers
from handrail.launch.bench.console_side import served
from handrail.launch.bench.figures import Figure
from handrail.launch.bench.long_log import write_long_log

STEPS, CAMERAS = 100, 2
TABLE_MS, EPISODE_MS, JSON_S = 500.0, 500.0, 1.0
"""Targets: the table on the screen, an episode with its pictures, `handrail review --json`."""
_TIMES = 5
_TIMEOUT_S = 120.0


def review(folder: Path, episodes: int, in_browser: bool) -> Iterator[Figure]:
    """Review a log of so many episodes of `STEPS` steps with `CAMERAS` cameras.

    Args:
        folder: for the run.
        episodes: in its log.
        in_browser: whether there is one.
    """
    run = write_long_log(folder / "long", episodes, STEPS, CAMERAS)
    yield Figure("log_size", sum(path.stat().st_size for path in run.segments.glob("*")) / 1e6, "MB")
    _json_s(run.path)  # builds the index
    yield Figure("review_json", median(_json_s(run.path) for _ in range(_TIMES)), "s")
    if not in_browser:
        return
    with (
        served(folder / "review.out", "console", f"run={run.path}", "port=0") as console,
        browsers.browser() as browser,
    ):
        tables, shown = [], []
        for number in range(_TIMES):
            with browsers.page(browser, console.address, console.tokens["viewer"], "bench", False) as page:
                tables.append(browsers.opening_ms(page, "#/review", "table#episodes tbody tr[data-episode]"))
                episode = episodes - 1 - number
                row = f'#episode[data-episode="{episode}"] canvas[data-sequence]'
                shown.append(browsers.opening_ms(page, f"#/review/{episode}", row))
        yield Figure("table_opens", median(tables), "ms")
        yield Figure("episode_opens", median(shown), "ms")


def _json_s(path: Path) -> float:
    """How long `handrail review --json` takes, its process's start included [s]."""
    began_s = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "handrail.launch.cli", "review", f"run={path}", "--json"],
        stdout=subprocess.DEVNULL,
        timeout=_TIMEOUT_S,
        check=True,
    )
    return time.monotonic() - began_s
