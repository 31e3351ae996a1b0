"""What the browser's modules use one after another: one browser, and one run whose policy drives.

To start either takes seconds of processor time. Between two modules the run is paused: it must not take the
processor from tests that do not look at it.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from console_run import PATIENCE_S, ConsoleRun
from playwright.sync_api import Browser

from handrail.intervention.console.client import DeskClient
from handrail.intervention.console.messages import Verb
from handrail.launch.bench import console_browser

_HARNESS = "between two modules"
"""Who pauses and resumes, as the run's log has it."""


class Lasting:
    """Begun when first asked for, until `close`; then a module that asks begins them anew."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._browser: Browser | None = None
        self._run: ConsoleRun | None = None

    def browser(self) -> Browser:
        """Chromium, headless; see `console_browser.missing` first."""
        if self._browser is None:
            self._browser = self._open.enter_context(console_browser.browser())
        return self._browser

    @contextmanager
    def live(self, folder: Path) -> Iterator[ConsoleRun]:
        """The run, for as long as a module uses it.

        Args:
            folder: for it, where it must be begun.
        """
        if self._run is not None and self._run.process.poll() is not None:
            self._run = None
        if self._run is None:
            self._run = run = ConsoleRun(folder)
            self._open.callback(run.close)
            run.wait_for_training()
        else:
            self._go_on(self._run)
        yield self._run
        if self._run.process.poll() is None:
            _ask(self._run, "pause")

    def close(self) -> None:
        """End both; harmless when nothing was begun."""
        self._browser = self._run = None
        self._open.close()

    @staticmethod
    def _go_on(run: ConsoleRun) -> None:
        """Resume, and leave the paused episode behind: a test may want one of which nothing is said."""
        _ask(run, "resume")
        paused = run.heard.until(lambda now: now.running and not now.paused, "the policy to go on").episode
        _ask(run, "reset", episode=paused)
        run.heard.until(lambda now: now.running and now.episode > paused, "the next episode")


def _ask(run: ConsoleRun, verb: Verb, **details: int) -> None:
    with DeskClient(run.run.socket_dir()) as desk:
        ack = desk.ask(verb, _HARNESS, timeout_s=PATIENCE_S, **details)
    assert ack.status == "done" or verb == "reset", f"{verb}: {ack.why}"  # it may have ended by itself
