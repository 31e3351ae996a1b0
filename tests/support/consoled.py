"""A real console in a thread of this process, people who sign in to it, and a control loop's two sockets."""

import asyncio
import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import websockets.sync.client as websocket

from handrail.agent.config import RunConfig
from handrail.intervention.console.desk import Desk
from handrail.intervention.console.feed import Feed
from handrail.intervention.console.messages import (
    Command,
    FrameHead,
    Hand,
    Now,
    Watch,
    desk_address,
    feed_address,
)
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose
from handrail.launch.console.access import Tokens
from handrail.launch.console.address import Address
from handrail.launch.console.serving import ConsoleServer

TOKENS = Tokens("the-operators-token", "the-viewers-token")
PATIENCE_S = 30.0


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for something to become true, and return it."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:.0f} s for {what}"
        time.sleep(0.01)
    return found


class Loop:
    """A control loop without an arm: a real desk, a real feed, and a note of what came. Its policy drives."""

    def __init__(self, run: RunDirectory) -> None:
        self.commands: list[Command] = []
        self.hands: list[Hand] = []
        self.watches: list[Watch] = []
        self.refuses = ""
        self.feed = Feed(feed_address(run.socket_dir()))
        self.desk = Desk(desk_address(run.socket_dir()), self._obey, self.hands.append, self.watches.append)
        self.state: Now | None = now()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat)
        self._thread.start()

    def _obey(self, command: Command) -> str:
        self.commands.append(command)
        return self.refuses

    def show(self, camera: str, sequence: int, shade: int = 90) -> None:
        """A picture of one colour."""
        image = np.full((24, 32, 3), shade, np.uint8)
        self.feed.show(FrameHead(camera, sequence, time.monotonic_ns(), image.shape), image)

    def be(self, **facts: Any) -> None:
        """What it says of itself from now on, at once and then five times a second."""
        self.state = now(**facts)
        self.feed.send(self.state)

    def _beat(self) -> None:
        while not self._ended.wait(0.2):
            if self.state is not None:
                self.feed.send(self.state)

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self.desk.close()
        self.feed.close()


def now(**facts: Any) -> Now:
    """The state of a control loop whose policy drives."""
    known = {"run_id": "first", "boot": "b", "purpose": "train", "driver": "policy"}
    facts = {**known, "t_ns": time.monotonic_ns(), **facts}
    return Now(**facts)


def heard(site: "Consoled", loop: Loop) -> None:
    """Wait until the console hears the control loop and is heard: sockets connect in their own time."""
    with site.operator().socket() as page:
        page.hear("now", alive=True)

        def watched() -> bool:
            page.send(kind="watch", fps=1 + len(loop.watches))
            return bool(loop.watches)

        until(watched, "the desk")


class Socket:
    """A WebSocket to the console; what it hears is kept until asked for."""

    def __init__(self, connection: websocket.ClientConnection) -> None:
        self.connection = connection

    def send(self, **message: Any) -> None:
        self.connection.send(json.dumps(message))

    def hear(self, kind: str, timeout_s: float = PATIENCE_S, **facts: Any) -> dict[str, Any]:
        """The next message of a kind with these facts; others are passed over."""
        deadline = time.monotonic() + timeout_s
        while True:
            message = json.loads(self.connection.recv(max(0.0, deadline - time.monotonic())))
            if message["kind"] == kind and facts.items() <= message.items():
                return message

    def picture(self, timeout_s: float = PATIENCE_S) -> tuple[dict[str, Any], bytes]:
        """The next picture: its head and the JPEG."""
        data = self.connection.recv(timeout_s)
        assert isinstance(data, bytes)
        length = int.from_bytes(data[:4], "little")
        return json.loads(data[4 : 4 + length]), data[4 + length :]

    def command(self, verb: str, id: str = "1", **details: Any) -> dict[str, Any]:
        """Send a command, now unless it says otherwise; its answer."""
        details = {"issued_ms": time.monotonic_ns() / 1e6, **details}
        self.send(kind="command", id=id, verb=verb, **details)
        return self.hear("ack", id=id)


@dataclass
class Person:
    """Somebody who is signed in, or not, and sends the headers of a page of ours unless told otherwise."""

    url: str
    client: httpx.Client
    cookie: str | None = None

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Origin": self.url} | more.pop("headers", {})
        if self.cookie is not None:
            headers["Cookie"] = self.cookie
        try:
            return self.client.request(method, path, headers=headers, **more)
        finally:
            self.client.cookies.clear()

    @contextmanager
    def socket(self, path: str = "/ws/live", origin: str | None = None) -> Iterator[Socket]:
        shown: Any = None if origin == "none" else origin or self.url
        with websocket.connect(
            self.url.replace("http", "ws", 1) + path,
            origin=shown,
            additional_headers={} if self.cookie is None else {"Cookie": self.cookie},
            proxy=None,
            close_timeout=1.0,
        ) as connection:
            yield Socket(connection)


@dataclass
class Consoled:
    """A console that is being served."""

    run: RunDirectory
    url: str
    server: ConsoleServer
    client: httpx.Client

    def nobody(self) -> Person:
        return Person(self.url, self.client)

    def sign_in(self, token: str, name: str = "") -> Person:
        person = self.nobody()
        answer = person.ask("POST", "/login", data={"token": token, "name": name})
        assert answer.status_code == 303 and answer.headers["location"] == "/"
        person.cookie = answer.headers["set-cookie"].partition(";")[0]
        return person

    def operator(self, name: str = "Ada") -> Person:
        return self.sign_in(TOKENS.operator, name)

    def viewer(self, name: str = "Bo") -> Person:
        return self.sign_in(TOKENS.viewer, name)


def make_run(folder: Any, config: RunConfig | None = None) -> RunDirectory:
    """A run in which nothing has happened."""
    config = config or RunConfig()
    return RunDirectory(folder / "first").create(compose.dump(config), {"choices": {"task": "ram_insertion"}})


@contextmanager
def consoled(
    run: RunDirectory, config: RunConfig | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[Consoled]:
    """Serve a run's console, as `handrail console` does, from another thread."""
    stop, ready = threading.Event(), threading.Event()
    listener, address = Address(port=0, secure=tls is not None).bind(moves=False)
    made: list[ConsoleServer] = []
    failed: list[BaseException] = []

    async def go() -> None:
        made.append(ConsoleServer(run, config or RunConfig(), address, TOKENS))
        ready.set()
        await made[0].serve(listener, stop, tls)

    def work() -> None:
        try:
            asyncio.run(go())
        except BaseException as error:  # the main thread tells of it
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert ready.wait(PATIENCE_S) and not failed, repr(failed)
        url = address.url().rstrip("/")
        with httpx.Client(base_url=url, trust_env=False, verify=False, timeout=PATIENCE_S) as client:
            yield Consoled(run, url, made[0], client)
    finally:
        stop.set()
        thread.join(PATIENCE_S)
        with contextlib.suppress(OSError):
            listener.close()
        assert not thread.is_alive(), "the console does not end"
        assert not failed, repr(failed)


@contextmanager
def holding(person: Person) -> Iterator[Socket]:
    """Somebody's page, with the lease for as long as the block lasts."""
    with person.socket() as page:
        page.send(kind="claim")
        page.hear("lease", mine=True)
        yield page
        page.send(kind="release")
        page.hear("lease", mine=False)


def at_the_end(person: Person, page: Socket, job: str) -> dict[str, Any]:
    """What a job has come to; the page is listened to meanwhile, for one that is deaf is dropped.

    Args:
        person: who asks.
        page: theirs.
        job: its path.
    """
    while (now := person.ask("GET", job).json())["state"] == "running":
        page.hear("run")
    return now
