"""The parts of the console's door one by one: tokens, cookies, names, hosts, files, errors."""

import asyncio
import os
from pathlib import Path

import pytest
from consoled import TOKENS
from starlette.requests import Request

from handrail.launch.console.access import Door, Hosts, Tokens
from handrail.launch.console.app import guarded
from handrail.launch.console.files import Files
from handrail.launch.console.site import RouteSpec
from handrail.robot_env.errors import ConfigError


def test_links_are_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "static"
    (folder / "real").mkdir(parents=True)
    (folder / "real" / "a.css").write_text("a {}")
    (tmp_path / "secret.css").write_text("secret")
    (folder / "link.css").symlink_to(tmp_path / "secret.css")
    (folder / "inside.css").symlink_to(folder / "real" / "a.css")
    (folder / "up").symlink_to(tmp_path)
    os.mkfifo(folder / "fifo.css")
    request = Request({"type": "http", "headers": []})
    files = Files(folder)
    assert files.answer(request, "real/a.css").body == b"a {}"
    for name in ("link.css", "inside.css", "up/secret.css", "real", "fifo.css", "../secret.css", ""):
        assert files.answer(request, name).status_code == 404, name


def test_a_cookie_of_another_port_or_too_old_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(TOKENS, 8710, secure=False)
    let_in = door.sign_in(TOKENS.viewer, "Bo")
    assert let_in is not None
    cookie = let_in[1].partition(";")[0].encode()
    request = Request({"type": "http", "headers": [(b"cookie", cookie)]})
    assert door.know(request) == let_in[0]
    assert Door(TOKENS, 8711, secure=False).know(request) is None
    monkeypatch.setattr("handrail.launch.console.access.COOKIE_S", -1)
    assert door.know(request) is None


def test_the_cookie_is_for_this_site_alone() -> None:
    plain = Door(TOKENS, 8710, secure=False).sign_in(TOKENS.operator, "Ada")
    tls = Door(TOKENS, 8710, secure=True).sign_in(TOKENS.operator, "Ada")
    assert plain is not None and tls is not None
    for _, cookie in (plain, tls):
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie
    assert "Secure" not in plain[1] and "Secure" in tls[1] and tls[1].startswith("__Host-")


def test_a_restarted_console_knows_its_visitors() -> None:
    """The key follows from the tokens, which a supervisor gives to each console it starts."""
    let_in = Door(TOKENS, 8710, secure=False).sign_in(TOKENS.operator, "Ada")
    assert let_in is not None
    environment = TOKENS.environment()
    again = Tokens.given(environment)
    assert again is not None and again == TOKENS
    request = Request({"type": "http", "headers": [(b"cookie", let_in[1].partition(";")[0].encode())]})
    assert Door(again, 8710, secure=False).know(request) == let_in[0]


@pytest.mark.parametrize("text", ["one", "one,two", "a" * 40, "," + "b" * 40, "c" * 16 + "," + "c" * 16])
def test_tokens_that_could_be_guessed_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="at least 16 characters") as refused:
        Tokens.given({"HANDRAIL_CONSOLE_TOKENS": text})
    assert all(word not in str(refused.value) for word in text.split(",") if len(word) > 3)
    assert Tokens.given({}) is None


def test_fresh_tokens_are_long_and_never_the_same() -> None:
    tokens = [Tokens.fresh() for _ in range(3)]
    words = {word for each in tokens for word in (each.operator, each.viewer)}
    assert len(words) == 6 and min(map(len, words)) >= 32


def test_names_are_one_short_line() -> None:
    door = Door(TOKENS, 1, secure=False)
    for given, shown in (
        ("  Ada\r\n Lovelace\x00 ", "Ada Lovelace"),
        ("<img src=x onerror=1>", "<img src=x onerror=1>"),
        ("x" * 100, "x" * 40),
        ("\u202eevil", "evil"),
        ("", "operator"),
    ):
        let_in = door.sign_in(TOKENS.operator, given)
        assert let_in is not None and let_in[0].name == shown


def test_hosts_know_names_with_and_without_ports() -> None:
    hosts = Hosts(("cell.local", "10.0.0.5"), secure=True)
    for host in ("cell.local", "CELL.local:8710", "10.0.0.5:1", "localhost", "[::1]:5", "127.0.0.1"):
        assert hosts.welcome(host), host
    for host in (None, "", "cell.local.evil", "10.0.0.50", "evil", "[::1", "::1"):
        assert not hosts.welcome(host) or host == "[::1", host
    assert hosts.ours("https://cell.local:8710", "cell.local:8710")
    assert not hosts.ours("http://cell.local:8710", "cell.local:8710")


def test_errors_of_a_handler_become_answers() -> None:
    """What goes wrong is told in one line; what nobody foresaw says nothing of the inside."""

    async def refuses(request: Request) -> None:
        raise ConfigError("no such\nthing")

    async def breaks(request: Request) -> None:
        raise ValueError("/home/secret")

    request = Request({"type": "http", "headers": []})
    answers = [
        asyncio.run(guarded(None, RouteSpec("/x", "GET", "public", each))(request))  # pyright: ignore
        for each in (refuses, breaks)
    ]
    assert [each.status_code for each in answers] == [409, 500]
    assert answers[0].body == b'{"error":"no such thing"}' and b"secret" not in answers[1].body
