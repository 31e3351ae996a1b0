"""Connections of strangers: given up when they bring nothing, and never in anybody's way."""

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import websockets.exceptions
from consoled import PATIENCE_S, Consoled, Socket, consoled, make_run
from structlog.testing import capture_logs

from handrail.launch.console import certificate, connections, crowd, entrance
from handrail.launch.console.address import Address
from handrail.launch.console.connections import CROWDED


@pytest.fixture
def site(tmp_path) -> Iterator[Consoled]:
    with consoled(make_run(tmp_path)) as served:
        yield served


def opened(site: Consoled, held: ExitStack) -> socket.socket:
    host, _, port = site.url.removeprefix("http://").partition(":")
    return held.enter_context(socket.create_connection((host, int(port)), timeout=30.0))


def ended(connection: socket.socket) -> bool:
    """Whether it is closed; waits for it."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET /login HTTP/1.1\r\nHost: 127",
        b"POST /login HTTP/1.1\r\nHost: HOST\r\nOrigin: http://HOST\r\nContent-Length: 9\r\n\r\ntoken",
    ],
)
def test_who_brings_no_whole_request_is_given_up(
    site: Consoled, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(connections, "REQUEST_S", 0.2)
    with ExitStack() as held:
        connection = opened(site, held)
        connection.sendall(said.replace(b"HOST", site.url.removeprefix("http://").encode()))
        assert ended(connection)
    assert site.nobody().ask("GET", "/login").status_code == 200


@pytest.fixture
def small(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Consoled]:
    """A console with room for few."""
    for name, most in (("MOST_STRANGERS", 5), ("MOST_KNOWN", 5), ("MOST_SOCKETS", 6), ("MOST_OF_ONE", 4)):
        monkeypatch.setattr(crowd, name, most)
    with consoled(make_run(tmp_path)) as served:
        yield served


def asked(site: Consoled, held: ExitStack, cookie: str | None = None) -> socket.socket:
    """A connection that is kept after it has brought one request."""
    connection = opened(site, held)
    host, said = site.url.removeprefix("http://"), "" if cookie is None else f"Cookie: {cookie}\r\n"
    path = "/login" if cookie is None else "/api/episodes"
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{said}\r\n".encode())
    assert connection.recv(12) == b"HTTP/1.1 200"
    return connection


def closed(sockets: list[Socket]) -> list[int]:
    """With what each was closed; waits for it."""
    codes = []
    for each in sockets:
        with pytest.raises(websockets.exceptions.ConnectionClosed) as ended:
            while True:
                each.connection.recv(PATIENCE_S)
        assert ended.value.rcvd is not None
        codes.append(ended.value.rcvd.code)
    return codes


def alive(page: Socket) -> bool:
    page.send(kind="ping", t=1)
    return page.hear("pong")["t"] == 1.0


def test_any_number_of_strangers_leave_room_for_the_next_and_for_who_has_signed_in(small: Consoled) -> None:
    ada = small.operator()
    assert ada.ask("GET", "/api/episodes").status_code == 200  # on a connection that is kept
    with ada.socket() as page, ExitStack() as held:
        strangers = [opened(small, held) for _ in range(30)]
        assert all(ended(each) for each in strangers[:20])
        assert ada.ask("GET", "/api/episodes").status_code == 200
        assert alive(page)
        asked(small, held)


def test_a_viewers_connections_leave_room_for_the_operators(small: Consoled) -> None:
    ada, bo = small.operator(), small.viewer()
    with ExitStack() as held:
        own = asked(small, held, ada.cookie)
        bos = [asked(small, held, bo.cookie) for _ in range(30)]
        for each in bos[:25]:
            while each.recv(1 << 16):  # its answer, and then the end
                pass
        asked(small, held, ada.cookie)
        own.sendall(
            b"GET /login HTTP/1.1\r\nHost: " + small.url.removeprefix("http://").encode() + b"\r\n\r\n"
        )
        assert own.recv(1 << 16), "the first one is kept as well"


def test_a_session_has_a_few_sockets_and_gets_no_others(small: Consoled) -> None:
    for person in (small.viewer(), small.operator()):
        with ExitStack() as held, small.operator("Cy").socket() as other:
            pages = [held.enter_context(person.socket()) for _ in range(10)]
            assert closed(pages[4:]) == [CROWDED] * 6
            assert all(alive(each) for each in (*pages[:4], other)), "the page that drives is the first"


def test_viewers_of_any_number_of_sessions_leave_room_for_operators(small: Consoled) -> None:
    with ExitStack() as held:
        ada = held.enter_context(small.operator().socket())
        viewers = [held.enter_context(small.viewer().socket()) for _ in range(20)]
        assert closed(viewers[:14]) == [CROWDED] * 14
        assert all(alive(each) for each in (ada, *viewers[14:]))
        with small.operator("Cy").socket() as late:
            assert alive(late)


class Somebody:
    """Who stands in a room."""

    def __init__(self, peer: str) -> None:
        self.peer, self.out = peer, False

    def drop(self) -> None:
        self.out = True


def test_whoever_has_most_loses_the_oldest() -> None:
    room = crowd.Room(4)
    few, many = [Somebody("tablet") for _ in range(2)], [Somebody("flood") for _ in range(9)]
    room.enter(few[0], "Ada")
    for number, each in enumerate(many):  # a session each does not help
        room.enter(each, f"session {number}")
    room.enter(few[1], "Ada")
    assert [each.out for each in few] == [False, False]
    assert [each.out for each in many] == [True] * 7 + [False] * 2


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Consoled]:
    monkeypatch.setattr(entrance, "MOST_GREETED", 5)
    folder = tmp_path / "tls"
    certificate.make(folder, ("localhost",))
    with consoled(make_run(tmp_path), tls=certificate.context(folder)) as served:
        yield served


def test_silence_before_tls_takes_no_room(tls: Consoled) -> None:
    host, _, port = tls.url.removeprefix("https://").partition(":")
    with ExitStack() as held:
        silent = [
            held.enter_context(socket.create_connection((host, int(port)), timeout=PATIENCE_S))
            for _ in range(40)
        ]
        assert all(ended(each) for each in silent[:35])
        assert tls.operator().ask("GET", "/api/episodes").status_code == 200


def test_silence_before_tls_does_not_last(tls: Consoled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrance, "HANDSHAKE_S", 0.2)
    host, _, port = tls.url.removeprefix("https://").partition(":")
    for said in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01"):
        with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
            connection.sendall(said)
            while not ended(connection):  # an alert may come first
                pass
    assert tls.nobody().ask("GET", "/login").status_code == 200


def test_out_of_files_is_told_once_and_goes_on_when_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrance, "_BREATH_S", 0.01)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    listener, address = Address(port=0).bind(moves=False)
    tries: list[float] = []
    made: list[asyncio.BaseTransport] = []

    class Served(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(transport)

    async def go(held: ExitStack) -> None:
        loop = asyncio.get_running_loop()
        accept = loop.sock_accept

        def counted(sock: socket.socket):
            tries.append(loop.time())
            return accept(sock)

        monkeypatch.setattr(loop, "sock_accept", counted)
        with contextlib.suppress(OSError):
            while True:
                held.callback(os.close, os.dup(listener.fileno()))
        serving = asyncio.create_task(entrance.Entrance(Served, None).serve(listener))
        async with asyncio.timeout(PATIENCE_S):
            while len(tries) < 4:
                await asyncio.sleep(0)
            assert not made
            held.close()
            while not made:
                await asyncio.sleep(0)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        made[0].abort()  # pyright: ignore[reportAttributeAccessIssue]

    with (
        listener,
        socket.create_connection((address.host, address.port)),
        contextlib.closing(asyncio.new_event_loop()) as loop,
        capture_logs() as told,
        ExitStack() as held,
    ):
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
        try:
            loop.run_until_complete(go(held))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert [each["event"] for each in told] == ["no connection can be accepted"]
