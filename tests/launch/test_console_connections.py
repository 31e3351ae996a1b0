"""Connections of strangers: given up when they bring nothing, and never in anybody's way."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from consoled import Consoled, consoled, make_run

from handrail.launch.console import connections


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


def test_any_number_of_strangers_leave_room_for_the_next_and_for_who_has_signed_in(
    site: Consoled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_STRANGERS", 5)
    ada = site.operator()
    assert ada.ask("GET", "/api/episodes").status_code == 200  # on a connection that is kept
    with ada.socket() as page, ExitStack() as held:
        strangers = [opened(site, held) for _ in range(30)]
        assert all(ended(each) for each in strangers[:20])
        assert ada.ask("GET", "/api/episodes").status_code == 200
        page.send(kind="ping", t=1)
        assert page.hear("pong")["t"] == 1.0
        newcomer = opened(site, held)
        newcomer.sendall(f"GET /login HTTP/1.1\r\nHost: {site.url.removeprefix('http://')}\r\n\r\n".encode())
        assert newcomer.recv(12) == b"HTTP/1.1 200"
