"""A console's end of a control loop's two sockets, with a session behind it that it drives in a thread."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from handrail.agent.config import ActorConfig, AgentConfig, RunConfig
from handrail.agent.session import Session
from handrail.intervention.config import ArbiterConfig, LogConfig
from handrail.intervention.console.client import DeskClient
from handrail.intervention.console.feed import FeedReader
from handrail.intervention.console.messages import (
    Ended,
    FrameHead,
    Hand,
    Left,
    Now,
    Steps,
    Watch,
    feed_address,
)
from handrail.intervention.episode import Purpose
from handrail.intervention.policy import PolicyStep
from handrail.intervention.run_directory import RunDirectory

BY_NOBODY = RunConfig(
    log=LogConfig(reserve_bytes=0),
    arbiter=ArbiterConfig(pause_s=0.5, stale_s=0.5),
    # Nobody drives until the console does.
    actor=ActorConfig(demonstrations=0, device="none"),
    agent=AgentConfig(symmetric=False, clone_updates=0, second_proposal=False),
)
UP = (0.0, 0.0, 0.5, 0.0, 0.0, 0.0)


class Still:
    """A policy that does nothing."""

    deterministic = False

    def seed(self, seed: int) -> None: ...

    def act(self, observation: object) -> PolicyStep:
        return PolicyStep(np.zeros(6, np.float32), 3, value=0.25)


class Console:
    """Drives a session in a thread, and looks at it as a console would."""

    def __init__(
        self, folder: Path, config: RunConfig = BY_NOBODY, begins: threading.Event | None = None
    ) -> None:
        self.run = RunDirectory(folder / "r").create("", {})
        self.config = config
        self.stop = threading.Event()
        self.begins = begins or threading.Event()
        self._waits = begins is not None
        self._again = threading.Event()
        self.session: Session | None = None
        self.error: BaseException | None = None
        self.now: Now | None = None
        self.steps: dict[int, list[int]] = {}
        self.ended: dict[int, Ended] = {}
        self.pictures: list[tuple[FrameHead, bytes]] = []
        self.fps, self.real_time, self.slow = 0.0, True, False
        self.reader = FeedReader(feed_address(self.run.socket_dir()))
        self.desk = DeskClient(self.run.socket_dir())
        self.hand: Hand | None = None
        self._thread = threading.Thread(target=self._drive)
        self._thread.start()

    def _drive(self) -> None:
        try:
            with Session(self.run, self.config) as session:
                self.session = session
                while self._waits and not self.begins.wait(0.05):
                    session.console.wait("for the test")
                self._phase(session, "train")
                if self._again.is_set():
                    self._again.clear()
                    self._phase(session, "demo")
        except BaseException as error:
            self.error = error

    def _phase(self, session: Session, purpose: Purpose) -> None:
        session.drive(
            Still(),  # pyright: ignore[reportArgumentType]
            purpose,
            wanted=lambda: not (self.stop.is_set() or self._again.is_set()),
            between_steps=lambda _: not self.stop.is_set(),
        )

    def drives_again(self) -> None:
        """End what is driven, and drive demonstrations."""
        self._again.set()

    def until(self, condition: Callable[[], object], timeout_s: float = 20.0) -> None:
        """Follow the feed, as a console does, until something is so."""
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline_s and self.error is None, (self.now, self.error)
            self.desk.send(Watch(self.fps, self.real_time))
            if self.hand is not None:
                later = {"sequence": self.hand.sequence + 1, "t_ns": time.monotonic_ns()}
                self.hand = msgspec.structs.replace(self.hand, **later)
                self.desk.send(self.hand)
            for message in self.reader.poll(0.02):
                match message:
                    case Now():
                        self.now = message
                    case Steps():
                        self.steps.setdefault(message.episode, []).extend(s.step for s in message.steps)
                    case Ended():
                        self.ended[message.episode] = message
                    case Left():
                        pass
                    case picture:
                        self.pictures.append(picture)

    def running(self, steps: int = 1) -> Now:
        if not self.slow:  # what began before anybody watched is not worth waiting for
            self.until(lambda: self.now and self.now.real_time and self.now.running)
            assert self.now is not None
            given_up = self.now.episode
            self.desk.ask("reset", "ada", episode=given_up)
            self.until(lambda: self.now and self.now.episode > given_up)
            self.slow = True
        self.until(lambda: self.now and self.now.running and self.now.step >= steps)
        assert self.now is not None
        return self.now

    def drive(self, twist=UP, on: bool = True) -> None:
        self.hand = Hand("ada", 0, 0, twist, on)

    def close(self) -> None:
        self.stop.set()
        self._thread.join(timeout=20.0)
        self.reader.close()
        self.desk.close()
        assert not self._thread.is_alive() and self.error is None, self.error
