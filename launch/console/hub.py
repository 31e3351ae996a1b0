"""What the page shows, live: the control loop's feed, the processes' reports, the run's files.

One hub serves everybody who looks on: each message is encoded once. It only listens. Where nobody speaks (no
control loop, no supervisor) it shows what the files say, and that nobody speaks.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import structlog
import zmq
import zmq.asyncio

from handrail.agent.config import HAND_DEVICES, RunConfig
from handrail.intervention.console.feed import FeedReader
from handrail.intervention.console.messages import (
    Ended,
    FrameHead,
    Left,
    Live,
    Now,
    Step,
    Steps,
    Watch,
    feed_address,
)
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import runs, telemetry
from handrail.launch.console.audience import Audience, message
from handrail.launch.console.logbook import Entry, Logbook
from handrail.launch.console.tenure import Tenure
from handrail.launch.view import RunView

ALIVE_S = 2.0
"""A control loop that is silent for so long is taken for gone [s]."""
STARTING_S = 30.0
"""For so long somebody may have the run before a control loop is heard, and it is no alarm [s]."""
_TICK_S = 0.05
_STEPS_EVERY = 2  # ticks
_RUN_EVERY = 10
_WATCH_EVERY = 20
_MOST_STEPS = 20_000
_EVALUATIONS = 50
_WINDOWS = (20, 50, 100)
_KINDS = ("unaided", "assisted")
_RECENT = 10  # finished training episodes that are shown one by one
_RELAYED_S = 5.0
_LOOK_EVERY_S = 1.0
_ADVICE_EVERY_S = 2.0

Advise = Callable[[RunView, Now | None], dict[str, Any]]
"""What the adviser says of a run: `{"rules": […], "coach": {…}}`; it may wait for files, in a thread."""
OnFrame = Callable[[FrameHead, bytes], None]


class Hub:
    """Live state of one run. Belongs to one event loop.

    Args:
        run: the run's directory.
        config: its configuration.
        context: of the sockets.
        on_frame: takes the pictures.
        watch: tells the control loop that somebody looks on.
        advise: draws advice; None for no advice.

    Attributes:
        audience: who is told.
        view: the newest reports.
        now: the control loop's state; None when none is heard.
        episode: the running or the last episode; -1 before the first.
        steps: its steps so far.
        advice: the newest, as it was told.
        end: how the supervisor's session ends, or has ended: "final"; {} while it goes on, or where none was
            heard of.
    """

    def __init__(
        self,
        run: RunDirectory,
        config: RunConfig,
        context: zmq.asyncio.Context,
        *,
        on_frame: OnFrame = lambda *_: None,
        watch: Callable[[Watch], object] = lambda _: None,
        advise: Advise | None = None,
    ) -> None:
        self.audience = Audience()
        self.view = RunView(run.id, config, evaluations=runs.evaluations(run))
        self.now: Now | None = None
        self.episode, self.steps = -1, list[Step]()
        self.advice: dict[str, Any] = {"rules": [], "coach": None}
        self.end: dict[str, Any] = {}
        self.on_tick: Callable[[], None] = lambda: None
        self._run, self._config = run, config
        self._on_frame, self._watch, self._advise = on_frame, watch, advise
        self._task = str(run.meta().get("choices", {}).get("task", ""))
        feed = feed_address(run.socket_dir())
        # A queue each: a console that has been busy for a moment has lost pictures, and no news.
        self._feeds = [FeedReader(feed, context, topics=(topic,)) for topic in ("live", "frame")]
        self._reports = context.socket(zmq.SUB)
        self._reports.setsockopt(zmq.LINGER, 0)
        self._reports.setsockopt(zmq.SUBSCRIBE, b"")
        self._reports.connect(telemetry.relay_address(run.socket_dir()))
        self._began_ms = server_ms()  # another number: another console
        self._heard_s = self._relayed_s = -1e9
        self._changed = self._lost = self._left = False
        self._tenure = Tenure(run)
        self._begun_s = -1e9
        self._boot = self._told_rest = ""
        self._told_steps = 0
        self._logbook = Logbook(run)
        self._entry = Entry()
        self._complaints: dict[str, str] = {}

    @property
    def alive(self) -> bool:
        """Whether a control loop is there."""
        return time.monotonic() - self._heard_s < ALIVE_S

    @property
    def supervised(self) -> bool:
        """Whether a supervisor relays the processes' reports."""
        return time.monotonic() - self._relayed_s < _RELAYED_S

    @property
    def rest(self) -> str:
        """Why no loop is heard: the last "left", "nobody" drives, one is "starting", or "": it is not known.

        A loop that fell silent without a word is an alarm, whatever the locks say.
        """
        if self.alive or self._lost or not self._tenure.looked:
            return ""
        if self._left:
            return "left"
        if self._tenure.free:
            return "nobody"
        return "starting" if time.monotonic() - self._begun_s < STARTING_S else ""

    def greeting(self) -> list[str]:
        """What somebody who has just come is told, beside who they are."""
        self._tell_steps()
        told = [self._now_message()]
        with self._heeding("run"):
            told.append(message("run", **self.run_facts()))
        told.append(message("advice", **self.advice))
        if self.episode >= 0:
            told.append(message("steps", episode=self.episode, steps=self.steps))
        return told

    def hello(self) -> dict[str, Any]:
        """What does not change while the console runs."""
        config = self._config
        return {
            "run": self._run.id,
            "again": f"run={runs.name_of(self._run)}",
            "server_ms": server_ms(),
            "began_ms": self._began_ms,
            "task": self._task,
            "hz": config.env.hz,
            "person": config.actor.device in HAND_DEVICES,
            "cameras": [camera.name for camera in config.env.cameras],
            "goal": {"successes": config.goal.successes, "episodes": config.evaluation.episodes},
        }

    def run_facts(self) -> dict[str, Any]:
        """What the page shows of the run."""
        view = self.view
        pace = self._entry.pace
        return {
            "actor": {name: value for name, value in view.actor.items() if name not in _LONG},
            "learner": view.learner,
            "arm": view.arm,
            "evaluations": view.evaluations[-_EVALUATIONS:],
            "notices": view.notices,
            "phase": self._phase,
            "supervised": self.supervised,
            "env_steps": view.env_steps,
            "robot_minutes": view.robot_minutes,
            "success": {
                kind: {str(window): self._rate(kind, window) for window in _WINDOWS} for kind in _KINDS
            },
            "recent": list(zip(*(view.actor.get(kind, ())[-_RECENT:] for kind in _KINDS), strict=True)),
            "cycle_s": pace.cycle_s,
            "human_share": pace.human_share,
            "evaluated": view.evaluated,
        }

    @property
    def _phase(self) -> str:
        if self.end:
            return "ended" if self._over else "ending"
        return self.view.phase if self.supervised else "idle"

    @property
    def _over(self) -> bool:
        """Whether the end that was told is over: the supervisor says so, or the loop, or the run's locks."""
        return bool(self.end) and (bool(self.end["final"]) or self.rest in ("left", "nobody"))

    def _rate(self, kind: str, window: int) -> dict[str, Any]:
        rate = self.view.success(kind, window)
        low, high = rate.bounds
        return {"successes": rate.successes, "episodes": rate.episodes, "low": low, "high": high}

    async def serve(self) -> None:
        """Listen and tell until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for each in (self._follow_reports(), self._follow_log(), self._tick()):
                tasks.create_task(each)
            for feed in self._feeds:
                tasks.create_task(self._follow_feed(feed))
            if self._advise is not None:
                tasks.create_task(self._keep_advising(self._advise))

    async def _follow_feed(self, feed: FeedReader) -> None:
        while True:
            parts = await feed.socket.recv_multipart()
            with self._heeding("feed"):
                self._take(feed.decode(parts))

    def _take(self, news: Live | tuple[FrameHead, bytes] | None) -> None:
        match news:
            case Now():
                self._heard_s = time.monotonic()
                if self.now is None or self.now.boot != news.boot:
                    self._begin(news.episode)
                if news.boot != self._boot:  # one that was only slow does not undo the end
                    self._boot, self.end = news.boot, {}
                self.now, self._changed = news, True
                self._lost = self._left = False
            case Left():
                self._heard_s, self._left, self._changed = -1e9, True, True
            case Steps():
                self._take_steps(news)
            case Ended():
                self._tell_steps()
                self.audience.tell("ended", **_facts(news))
            case (head, pixels):
                self._on_frame(head, pixels)

    def _begin(self, episode: int) -> None:
        """Another episode: its steps are none so far."""
        self.episode, self.steps, self._told_steps = episode, [], 0

    def _take_steps(self, news: Steps) -> None:
        if news.episode != self.episode:
            self._tell_steps()
            self._begin(news.episode)
        self.steps += news.steps[: max(0, _MOST_STEPS - len(self.steps))]

    def _tell_steps(self) -> None:
        new = self.steps[self._told_steps :]
        if new:
            self._told_steps = len(self.steps)
            self.audience.tell("steps", episode=self.episode, steps=new)

    async def _follow_reports(self) -> None:
        while True:
            data = await self._reports.recv()
            with self._heeding("report"):
                if (report := telemetry.decode(data)) is None:
                    continue
                self._take_report(report)

    def _take_report(self, report: telemetry.Report) -> None:
        # After its last word a session has notices alone: whatever else comes is another's.
        last = bool(self.end) and (self.end["final"] or not self.supervised)
        if last and report["kind"] not in ("end", "notice"):
            self._begin_session()
        self._relayed_s = time.monotonic()
        self.view.take(report)
        if report["kind"] == "end":
            self.end = {name: report.get(name, "") for name in ("outcome", "why", "result")}
            self.end["final"] = bool(report.get("final"))
            self._changed = True
            self._tell_now()

    def _look_at_locks(self) -> None:
        first = not self._tenure.looked
        if self._tenure.look():
            self._lost = self._lost and first  # by then it is an earlier session's loop that was lost
            self._begin_session()

    def _begin_session(self) -> None:
        """Somebody takes the run: what became of the last session is no news any more."""
        self.end, self._left, self._changed = {}, False, True
        self._begun_s = time.monotonic()

    async def _follow_log(self) -> None:
        while True:
            try:
                entry = await asyncio.to_thread(self._logbook.look)
                self._look_at_locks()
            except Exception as error:  # whatever is wrong with the files, the page shows the rest
                self._complain("log", error)
            else:
                self._entry = entry
                if entry.labelled:
                    self.audience.tell("labelled", episodes=entry.labelled)
                if not self.supervised:
                    self.view.actor = self.view.actor | entry.actor
                    self.view.evaluations = list(entry.evaluations)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _tick(self) -> None:
        tick = 0
        while True:
            await asyncio.sleep(_TICK_S)
            tick += 1
            # Each by itself: what fails is missing from the page, and takes nothing else with it.
            with self._heeding("lease"):
                self.on_tick()
            with self._heeding("now"):
                self._tell_now()
            if tick % _STEPS_EVERY == 0:
                with self._heeding("steps"):
                    self._tell_steps()
            if tick % _WATCH_EVERY == 0:
                with self._heeding("watch"):
                    self.tell_watch()
            if tick % _RUN_EVERY == 0 and self.audience:
                with self._heeding("run"):
                    self.audience.tell("run", **self.run_facts())

    def _tell_now(self) -> None:
        if self.now is not None and not self.alive:
            self.now, self._changed, self._lost = None, True, not self._left
        if self._changed or self.rest != self._told_rest:
            self._changed, self._told_rest = False, self.rest
            if self.audience:
                self.audience.send(self._now_message())

    def tell_watch(self) -> None:
        """Tell the control loop what is looked at; holds for a moment, so it is told again and again."""
        if self.audience:
            fps = max(each.fps for each in self.audience)
            self._watch(Watch(fps, any(each.real_time for each in self.audience)))

    async def _keep_advising(self, advise: Advise) -> None:
        while True:
            await asyncio.sleep(_ADVICE_EVERY_S)
            try:
                self.advice = await asyncio.to_thread(advise, self.view, self.now)
            except Exception as error:  # advice that fails is no advice
                self._complain("advice", error)
            else:
                self.audience.tell("advice", **self.advice)

    @contextlib.contextmanager
    def _heeding(self, about: str) -> Iterator[None]:
        """Have an error in the block told to the log, and end nothing else."""
        try:
            yield
        except Exception as error:  # whatever it is, the page shows the rest
            self._complain(about, error)

    def _complain(self, about: str, error: Exception) -> None:
        """Write it to the console's log, once for as long as it stays the same."""
        if self._complaints.get(about) != str(error):
            self._complaints[about] = str(error)
            structlog.get_logger().error(about, exc_info=error)

    def _now_message(self) -> str:
        now = _facts(self.now) if self.now is not None else None
        end = {**self.end, "final": self._over} if self.end else None
        told = {"now": now, "alive": self.alive, "rest": self.rest, "end": end}
        return message("now", **told, session=self._tenure.session)

    def close(self) -> None:
        """Close the sockets."""
        for each in (*self._feeds, self._reports):
            each.close()


_LONG = frozenset({"kind", "unaided", "assisted", "notices"})


def _facts(news: Now | Ended) -> dict[str, Any]:
    """The fields of a message, by name."""
    return {name: getattr(news, name) for name in news.__struct_fields__}


def server_ms() -> float:
    """The clock that pages translate theirs to [ms]."""
    return time.monotonic_ns() / 1e6
