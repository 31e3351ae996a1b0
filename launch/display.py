"""A run in the terminal: a live panel on a terminal, one line every few seconds anywhere else."""

import os
import time
from collections.abc import Callable
from types import TracebackType
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from handrail.launch.view import RunView
from handrail.launch.visible import visible_lines

Style = Literal["auto", "live", "plain"]

_LIVE_EVERY_S = 0.25
_PLAIN_EVERY_S = 5.0
_DRIVER_STYLES = {
    "policy": "bold white on blue",
    "human": "bold black on yellow",
    "demo": "bold black on yellow",
    "hold": "bold white on red",
    "held": "bold white on red",
    "reset": "bold white on grey37",
}


class Display:
    """Shows a view until closed; a context manager. Draws only when `update` is called: it has no thread.

    Args:
        view: what to show.
        console: where.
        style: "live", "plain", or "auto" for live where a person can see it.
        now: a monotonic clock [s].
    """

    def __init__(
        self,
        view: RunView,
        console: Console,
        style: Style = "auto",
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._view = view
        self._console = console
        self._now = now
        self._began = now()
        self._drawn = -1e9
        live = style == "live" or (style == "auto" and console.is_terminal and not os.environ.get("CI"))
        self._live = Live(console=console, auto_refresh=False, transient=False) if live else None

    def __enter__(self) -> "Display":
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.update(force=True)
        if self._live:
            self._live.stop()

    def update(self, *, force: bool = False) -> None:
        """Draw again if it is time."""
        now = self._now()
        if not force and now - self._drawn < (_LIVE_EVERY_S if self._live else _PLAIN_EVERY_S):
            return
        self._drawn = now
        if self._live:
            self._live.update(panel(self._view, now - self._began), refresh=True)
        else:
            self._console.print(line(self._view, now - self._began), soft_wrap=True, highlight=False)

    def tell(self, text: str) -> None:
        """Something happened that a person should know."""
        text = visible_lines(text)
        self._view.notice(text)
        if not self._live:
            self._console.print(Text(f"  {text}"), soft_wrap=True)


def line(view: RunView, elapsed_s: float) -> Text:
    """The run in one line."""
    actor, learner = view.actor, view.learner
    words = [
        clock(elapsed_s),
        view.phase,
        f"{view.driver} drives" if view.driver in ("policy", "human") else view.driver,
        f"episode {actor.get('episode', 0)}",
        f"{view.env_steps} steps",
        f"unaided {view.success('unaided', 20)}",
        f"interventions {float(actor.get('intervention_rate', 0.0)):.0%}",
        f"{float(learner.get('updates_per_s', 0.0)):.0f} updates/s",
    ]
    if view.evaluations:
        last = view.evaluations[-1]
        words.append(f"evaluated {last['successes']}/{last['episodes']} at {last['env_steps']}")
    if view.arm.get("fault"):
        words.append(f"arm {arm_text(view)}")
    return Text(" · ".join(words))


def panel(view: RunView, elapsed_s: float) -> RenderableType:
    """The run as a panel."""
    actor, learner, config = view.actor, view.learner, view.config
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", justify="right", min_width=13)
    grid.add_column(ratio=1)
    driver = Text(f" {view.driver.upper()} ", style=_DRIVER_STYLES.get(view.driver, "bold"))
    grid.add_row(
        "driving", driver.append(f"   episode {actor.get('episode', 0)}", style="default on default")
    )
    grid.add_row("phase", view.phase)
    grid.add_row("unaided", f"{view.success('unaided', 20)}   last 100: {view.success('unaided', 100)}")
    grid.add_row("with help", f"{view.success('assisted', 20)}   last 100: {view.success('assisted', 100)}")
    grid.add_row(
        "interventions",
        f"{float(actor.get('intervention_rate', 0.0)):.0%} of steps · {actor.get('takeovers', 0)} takeovers"
        f" · {actor.get('human_steps', 0)} human steps",
    )
    grid.add_row(
        "learner",
        f"{float(learner.get('updates_per_s', 0.0)):.0f} updates/s · "
        f"UTD {float(learner.get('utd', 0.0)):.2f} · {learner.get('updates', 0)} updates · "
        f"weights {_age(actor.get('weight_age_s'))} old",
    )
    budget = config.goal.max_env_steps
    grid.add_row("steps", _bar(view.env_steps, budget, f"{view.env_steps} of at most {budget}"))
    if view.arm:
        grid.add_row("arm", arm_text(view))
    grid.add_row("goal", _goal(view))
    parts: list[RenderableType] = [grid]
    if view.evaluations:
        parts += [Text(), _evaluations(view)]
    if view.notices:
        parts += [Text(), *(Text(f"• {notice}", style="yellow") for notice in view.notices)]
    title = f"[bold]Handrail[/] {view.run_id}  {clock(elapsed_s)}"
    return Panel(Group(*parts), title=title, title_align="left", border_style="blue", padding=(1, 2))


def arm_text(view: RunView) -> Text:
    """What the run's own arm server last said of its arm."""
    mode, fault = str(view.arm.get("mode", "?")), str(view.arm.get("fault", ""))
    return Text(f"{mode}: {fault}" if fault else mode, style="bold red" if fault else "")


def _goal(view: RunView) -> RenderableType:
    """The last evaluation's success rate on the way to the one that is wanted.

    A rate, because an evaluation that was stopped early has few episodes and fewer successes.
    """
    if not view.evaluated:
        return Text("the steps above: a real arm is not evaluated beside its training")
    wanted = view.config.goal.successes / view.config.evaluation.episodes
    if not view.evaluations:
        return _bar(0.0, wanted, "no evaluation yet")
    last = view.evaluations[-1]
    rate = int(last["successes"]) / max(1, int(last["episodes"]))
    return _bar(rate, wanted, f"{rate:.0%} unaided of the {wanted:.0%} wanted")


def _evaluations(view: RunView) -> Table:
    table = Table(
        "steps", "starts", "successes", "at least (95 %)", box=None, header_style="dim", padding=(0, 2)
    )
    for each in view.evaluations[-5:]:
        count = f"{each['successes']}/{each['episodes']}" + (
            " (stopped early)" if each.get("stopped_early") else ""
        )
        style = "green" if each.get("passed") else ""
        table.add_row(
            str(each["env_steps"]),
            str(each.get("set", "")),
            count,
            f"{float(each['wilson_low']):.0%}",
            style=style,
        )
    return table


def _bar(value: float, total: float, text: str) -> RenderableType:
    row = Table.grid(padding=(0, 2))
    row.add_row(ProgressBar(total=total, completed=min(value, total), width=32), text)
    return row


def _age(age_s: float | None) -> str:
    return "-" if age_s is None else f"{age_s:.1f} s"


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds, with hours once there are any."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
