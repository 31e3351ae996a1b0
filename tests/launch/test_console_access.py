"""Who gets in, and how far: every route and method of the router, swept with every kind of visitor."""

import itertools
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import websockets.exceptions
from consoled import PATIENCE_S, TOKENS, Consoled, Person, consoled, make_run
from starlette.routing import Route, WebSocketRoute

from handrail.launch.console.access import Door, Tokens
from handrail.launch.console.gate import LARGEST_BODY
from handrail.launch.console.signed_out import COOKIE_S, SignedOut

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "BREW")
FOREIGN = "http://evil.example"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consoled]:
    with consoled(make_run(tmp_path_factory.mktemp("run"))) as served:
        yield served


@pytest.fixture(scope="module")
def people(site: Consoled) -> dict[str, Person]:
    return {"nobody": site.nobody(), "viewer": site.viewer(), "operator": site.operator()}


def filled(path: str) -> str:
    """A path with something in place of its parameters."""
    return re.sub(r"\{\w+(:\w+)?\}", lambda m: "7" if m[1] in (None, ":int") else "base.css", path)


def ask(person: Person, method: str, path: str, **more: object) -> httpx.Response:
    return person.ask(method, path, **more)


def test_the_router_has_what_the_table_has_and_nothing_else(site: Consoled) -> None:
    routes = [each for each in site.server.inner.routes if isinstance(each, Route)]
    found = {(each.path, method) for each in routes for method in each.methods or ()} - {
        (each.path, "HEAD") for each in routes
    }
    assert found == {(each.path, each.method) for each in site.server.routes}
    opened = {each.path for each in site.server.inner.routes if isinstance(each, WebSocketRoute)}
    assert opened == set(site.server.sockets)
    assert len(routes) + len(opened) == len(site.server.inner.routes)
    assert {each.path for each in site.server.routes if each.role == "public"} == {
        "/login",
        "/static/{name:path}",
    }


def test_every_other_method_is_refused_to_everybody(site: Consoled, people: dict[str, Person]) -> None:
    paths = {each.path for each in site.server.routes}
    offered = {(each.path, each.method) for each in site.server.routes}
    for path, method, (who, person) in itertools.product(paths, METHODS, people.items()):
        if (path, method) in offered:
            continue
        answer = ask(person, method, filled(path))
        public = path in ("/login", "/static/{name:path}")
        unknown = who == "nobody" and method == "GET" and not public
        expected = {303, 401} if unknown else {401, 405} if who == "nobody" else {405}
        assert answer.status_code in expected, (path, method, who, answer.status_code)


def test_nobody_gets_nothing_but_the_door(site: Consoled) -> None:
    for spec in site.server.routes:
        answer = ask(site.nobody(), spec.method, filled(spec.path))
        if spec.role == "public":
            assert answer.status_code in (200, 303), spec
        elif spec.path == "/":
            assert answer.status_code == 303 and answer.headers["location"] == "/login"
        else:
            assert answer.status_code == 401, spec
            assert answer.json() == {"error": "sign in first"}


def test_what_is_not_there_tells_nobody_so(site: Consoled, people: dict[str, Person]) -> None:
    for path in ("/api/nothing", "/admin", "/ws/live", "/ws/nothing", "/api//", "/login/", "/static"):
        assert ask(people["nobody"], "GET", path).status_code == 401, path
        assert ask(people["operator"], "GET", path).status_code == 404, path


def test_a_viewer_and_an_operator_without_the_lease_cannot_act(
    site: Consoled, people: dict[str, Person]
) -> None:
    acting = [each for each in site.server.routes if each.role == "operator"]
    for spec in acting:
        answer = ask(people["viewer"], spec.method, filled(spec.path), json={})
        assert answer.status_code == 403 and "viewer" in answer.json()["error"], spec
        if spec.lease:
            answer = ask(people["operator"], spec.method, filled(spec.path), json={})
            assert answer.status_code == 403 and "controls" in answer.json()["error"], spec
    changing = [each for each in site.server.routes if each.method == "POST" and each.role == "viewer"]
    assert [each.path for each in changing] == ["/logout"]  # a viewer changes nothing but that


def test_a_page_of_another_site_can_post_nothing(site: Consoled, people: dict[str, Person]) -> None:
    port = site.url.rpartition(":")[2]
    origins = (
        FOREIGN,
        "null",
        f"https://127.0.0.1:{port}",
        "http://127.0.0.1",
        f"{site.url}.evil.example",
        "",
    )
    for spec in site.server.routes:
        if spec.method != "POST":
            continue
        for origin, (_, person) in itertools.product(origins, people.items()):
            answer = ask(person, "POST", filled(spec.path), headers={"Origin": origin})
            assert answer.status_code == 403, (spec, origin)
        no_origin = httpx.post(
            site.url + filled(spec.path), headers={"Cookie": people["operator"].cookie or ""}
        )
        assert no_origin.status_code == 403


def test_no_other_name_is_answered_to(site: Consoled, people: dict[str, Person]) -> None:
    port = site.url.rpartition(":")[2]
    hosts = (
        "evil.example",
        f"evil.example:{port}",
        f"127.0.0.1.evil.example:{port}",
        "",
        "localhost.",
        "[::2]",
    )
    for spec, host in itertools.product(site.server.routes, hosts):
        headers = {"Host": host, "Origin": f"http://{host}"}
        answer = ask(people["operator"], spec.method, filled(spec.path), headers=headers)
        assert answer.status_code == (400 if host == "" and answer.status_code == 400 else 421), (spec, host)
    for host in (f"localhost:{port}", f"LOCALHOST:{port}", "localhost:9999", f"[::1]:{port}", "127.0.0.1"):
        assert ask(people["operator"], "GET", "/login", headers={"Host": host}).status_code != 421, host


def raw(url: str, request: bytes) -> bytes:
    """What the server answers to these bytes."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
        return answer


def test_two_hosts_are_none(site: Consoled) -> None:
    host = site.url.removeprefix("http://")
    request = f"GET /login HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert raw(site.url, request.encode()).split(b"\r\n")[0].split()[1] in (b"400", b"421")


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/%2e%2e%2fapp.py",
        "/static/..%2fapp.py",
        "/static/%252e%252e/app.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/..%5capp.py",
        "/static/base.css%00.html",
        "/static/%00",
        "/static/.hidden.css",
        "/static/vendor",
        "/static/vendor/",
        "/static/",
        "/static/vendor/README.md",
        "/static/vendor/uplot/LICENSE",
        "/static/base.css/",
        "/static/BASE.CSS/../base.css",
        "/static/" + "a" * 5000 + ".css",
        "/static/%ff%fe.css",
    ],
)
def test_only_the_page_s_own_files_are_served(site: Consoled, path: str) -> None:
    host = site.url.removeprefix("http://")
    answer = raw(site.url, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.split()[1] in (b"404", b"401"), answer[:200]
    assert b"import" not in answer and b"root:" not in answer


def test_the_page_s_files_are_served_with_a_kind_and_a_tag(site: Consoled) -> None:
    answer = site.nobody().ask("GET", "/static/vendor/uplot/uPlot.iife.min.js")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/javascript")
    again = site.nobody().ask(
        "GET", "/static/vendor/uplot/uPlot.iife.min.js", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert again.status_code == 304 and again.content == b""


def test_a_body_is_not_larger_than_it_may_be(site: Consoled, people: dict[str, Person]) -> None:
    for spec in site.server.routes:
        if spec.method == "POST":
            whole = ask(people["operator"], "POST", filled(spec.path), content=b"x" * (LARGEST_BODY + 1))
            assert whole.status_code == 413, spec

    def pieces() -> Iterator[bytes]:
        yield from itertools.repeat(b"x" * 1024, LARGEST_BODY // 1024 + 8)

    assert ask(people["operator"], "POST", "/login", content=pieces()).status_code == 413
    host = site.url.removeprefix("http://")
    head = f"POST /login HTTP/1.1\r\nHost: {host}\r\nOrigin: {site.url}\r\nConnection: close\r\n"
    answer = raw(site.url, (head + "Content-Length: 99999999999999999999\r\n\r\n").encode())
    assert answer.split()[1] in (b"400", b"413")


def test_every_answer_is_hardened(site: Consoled, people: dict[str, Person]) -> None:
    paths = [("GET", filled(each.path)) for each in site.server.routes if each.method == "GET"]
    paths += [("GET", "/nothing"), ("PUT", "/"), ("POST", "/login")]
    for method, path in paths:
        answer = ask(people["viewer"], method, path)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "*" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        if not path.startswith("/static/"):
            assert "no-store" in answer.headers["cache-control"] or answer.status_code == 200
        assert "server" not in answer.headers
    assert ask(people["viewer"], "GET", "/nothing").headers["cache-control"] == "no-store"


def test_a_cookie_that_was_tampered_with_is_none(site: Consoled, people: dict[str, Person]) -> None:
    name, _, value = (people["viewer"].cookie or "").partition("=")
    body, stamp, signature = value.split(".")
    elsewhere = Door(Tokens("other", "tokens"), 1, secure=False).sign_in("other", "Eve")
    assert elsewhere is not None
    forged = elsewhere[1].partition(";")[0].partition("=")[2]
    operator_body = forged.split(".")[0]
    for bad in (
        "",
        "x",
        value[:-1],
        value + "x",
        f"{body}.{stamp}.{signature[::-1]}",
        f"{operator_body}.{stamp}.{signature}",
        forged,
        value * 50,
        f"{body}.{stamp}.",
    ):
        person = Person(site.url, site.client, f"{name}={bad}")
        assert person.ask("GET", "/logout").status_code == 401, bad
        with pytest.raises(websockets.exceptions.InvalidStatus), person.socket():
            pass


def test_a_wrong_token_lets_nobody_in(site: Consoled) -> None:
    for token in ("", "wrong", TOKENS.operator[:-1], TOKENS.operator + "x", "ä", "\x00"):
        answer = site.nobody().ask("POST", "/login", data={"token": token, "name": "Eve"})
        assert answer.headers["location"] == "/login?refused=1" and "set-cookie" not in answer.headers
    assert "set-cookie" not in site.nobody().ask("GET", "/login?token=wrong").headers
    assert site.nobody().ask("POST", "/login", content=b"\xff\xfe=&&&&&;=").status_code == 303


def test_a_link_alone_signs_nobody_in(site: Consoled) -> None:
    """A page of any site can send a browser to a link, and a viewer's token is in many hands."""
    for path in (f"/login?token={TOKENS.viewer}&name=Vera", f"/login?token={TOKENS.operator}"):
        answer = site.nobody().ask("GET", path)
        assert answer.status_code == 200 and 'name="name"' in answer.text
        assert "set-cookie" not in answer.headers and TOKENS.operator not in answer.text
        assert "no-cache" in answer.headers["cache-control"]


def test_a_link_changes_nothing_about_who_is_signed_in(site: Consoled) -> None:
    ada, vera = site.operator("Ada"), site.viewer("Vera")
    for person, token, other in (
        (ada, TOKENS.operator, TOKENS.viewer),
        (vera, TOKENS.viewer, TOKENS.operator),
    ):
        for name in ("", "&name=Mallory"):
            again = person.ask("GET", f"/login?token={token}{name}")
            assert again.status_code == 303 and again.headers["location"] == "/"
            told = person.ask("GET", f"/login?token={other}{name}")
            role = "operator" if person is ada else "viewer"
            assert told.status_code == 303
            assert told.headers["location"] == f"/login?over={role}&token={other}{name}"
            form = person.ask("GET", told.headers["location"])
            assert form.status_code == 200, "and who presses there is told what it ends"
            assert not any("set-cookie" in each.headers for each in (again, told, form))
        assert person.ask("GET", "/api/episodes").status_code == 200
    for person in (ada, site.nobody()):  # only a page of ours may bring the form
        form = {"token": TOKENS.viewer, "name": "Mallory"}
        for origin in ("http://localhost:9911", "null", ""):
            answer = person.ask("POST", "/login", data=form, headers={"Origin": origin})
            assert answer.status_code == 403 and "set-cookie" not in answer.headers


def test_signing_in_as_somebody_else_ends_what_one_was(site: Consoled) -> None:
    ada = site.operator("Ada")
    with ada.socket() as page:
        page.send(kind="claim")
        page.hear("lease", mine=True)
        form = {"token": TOKENS.viewer, "name": "Vera"}
        assert "set-cookie" in ada.ask("POST", "/login", data=form).headers
        with pytest.raises(websockets.exceptions.ConnectionClosed):
            while True:
                page.connection.recv(5)
    bo = site.operator("Bo")
    with bo.socket() as other:
        other.send(kind="claim")
        other.hear("lease", mine=True)
    bo.ask("POST", "/logout")


def test_signing_out_ends_the_session_and_what_it_holds(site: Consoled) -> None:
    ada, bo = site.operator("Ada"), site.viewer("Bo")
    with bo.socket() as onlooker, ada.socket() as page, ada.socket("/ws/video") as video:
        page.send(kind="claim")
        page.hear("lease", mine=True)
        onlooker.hear("lease", holder="Ada")
        with ada.socket("/ws/hand") as hand:
            answer = ada.ask("POST", "/logout")
            assert answer.status_code == 303 and "Max-Age=0" in answer.headers["set-cookie"]
            for socket in (page, video, hand):
                with pytest.raises(websockets.exceptions.ConnectionClosed):
                    while True:
                        socket.connection.recv(PATIENCE_S)
        onlooker.hear("lease", holder=None)
        onlooker.send(kind="ping", t=1)
        onlooker.hear("pong")  # nobody else is touched
    assert ada.ask("GET", "/api/episodes").status_code == 401, "a cookie that was kept is of no use"


def test_what_was_signed_out_is_kept_for_as_long_as_a_cookie_is_good(tmp_path: Path) -> None:
    file = tmp_path / "signed-out"
    SignedOut(file).add("ada")
    SignedOut(file).add("bo")
    again = SignedOut(file)
    assert "ada" in again and "bo" in again and "eve" not in again
    long_ago = time.time() - COOKIE_S - 60
    os.utime(file, (long_ago, long_ago))
    assert "ada" not in SignedOut(file) and not file.exists()


def test_a_sign_out_that_cannot_be_kept_still_holds_here(tmp_path: Path) -> None:
    signed_out = SignedOut(tmp_path / "missing" / "signed-out")
    signed_out.add("ada")
    assert "ada" in signed_out


def test_sockets_open_to_pages_of_ours_alone(site: Consoled, people: dict[str, Person]) -> None:
    port = site.url.rpartition(":")[2]
    for path in site.server.sockets:
        for person, origin in (
            (people["nobody"], site.url),
            (people["operator"], FOREIGN),
            (people["operator"], "null"),
            (people["operator"], "none"),
            (people["operator"], f"https://127.0.0.1:{port}"),
            (people["operator"], f"http://localhost:{port}"),
        ):
            with pytest.raises(websockets.exceptions.InvalidStatus) as refused, person.socket(path, origin):
                pass
            assert refused.value.response.status_code == 403, (path, origin)
        with people["operator"].socket(path):
            pass
    with pytest.raises(websockets.exceptions.InvalidStatus), people["operator"].socket("/ws/other"):
        pass


def test_a_socket_under_a_foreign_name_is_refused(site: Consoled, people: dict[str, Person]) -> None:
    for path, host in itertools.product(site.server.sockets, ("evil.example", "")):
        request = (
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n"
            f"Cookie: {people['operator'].cookie}"
            "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert raw(site.url, request.encode()).split()[1] in (b"403", b"400")


def test_a_message_that_is_too_long_ends_its_socket(site: Consoled, people: dict[str, Person]) -> None:
    for path in ("/ws/live", "/ws/video"):
        with people["viewer"].socket(path) as opened:
            opened.connection.send("x" * (1 << 20))
            with pytest.raises(websockets.exceptions.ConnectionClosed):
                while True:
                    opened.connection.recv(10)


@pytest.mark.parametrize(
    "name", ["task", " TASK ", "classifier 1", "person", "machine", "none", "rollout", " "]
)
def test_nobody_signs_in_under_a_machines_name(site: Consoled, name: str) -> None:
    answer = site.nobody().ask("POST", "/login", data={"token": TOKENS.operator, "name": name})
    assert answer.headers["location"] == "/login?refused=name" and "set-cookie" not in answer.headers
