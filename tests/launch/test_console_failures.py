"""What fails inside the console: the page shows the rest, or the console ends. The log tells no secrets."""

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import zmq.asyncio
from consoled import TOKENS, consoled, make_run, now, until

from handrail.agent.config import RunConfig
from handrail.intervention.console.feed import Feed
from handrail.intervention.console.messages import FrameHead, Step, Steps, feed_address
from handrail.launch import telemetry
from handrail.launch.console.address import Address
from handrail.launch.console.hub import Hub
from handrail.launch.console.serving import ConsoleServer


def test_a_report_that_makes_no_sense_takes_nothing_else_with_it(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    relay = telemetry.Relay(telemetry.relay_address(run.socket_dir()))
    try:
        with consoled(run) as site, site.viewer().socket() as page:

            def told() -> bool:
                relay({"kind": "actor", "env_steps": 7})
                return page.hear("run")["env_steps"] == 7

            until(told, "a report")
            relay({"kind": "actor", "env_steps": "x", "notices": ["it makes no sense"]})
            page.send(kind="ping", t=1)
            page.hear("pong")
            with site.viewer().socket() as late:
                assert late.hear("now")["alive"] is False and late.hear("advice")
            relay({"kind": "actor", "env_steps": 8})
            assert page.hear("run", env_steps=8)["notices"] == ["it makes no sense"]
    finally:
        relay.close()


def test_a_console_that_has_lost_a_part_ends(tmp_path: Path) -> None:
    """Its pages are told, and whoever started it sees that it has failed."""

    async def go() -> None:
        listener, address = Address(port=0).bind(moves=False)
        server = ConsoleServer(make_run(tmp_path), RunConfig(), address, TOKENS)
        serving = asyncio.create_task(server.serve(listener, threading.Event()))
        _, writer = await asyncio.open_connection(address.host, address.port)
        writer.close()
        server._relay.close()
        with pytest.raises(RuntimeError, match="a part of the console has ended"):
            await asyncio.wait_for(serving, 30.0)

    asyncio.run(go())


def test_pictures_push_no_news_out(tmp_path: Path) -> None:
    """A console that stands still for a moment has lost pictures, and no step."""
    run = make_run(tmp_path)
    feed = Feed(feed_address(run.socket_dir()))
    image = np.zeros((24, 32, 3), np.uint8)

    async def go() -> None:
        context = zmq.asyncio.Context()
        shown: list[int] = []
        hub = Hub(run, RunConfig(), context, on_frame=lambda head, _: shown.append(head.sequence))
        serving = asyncio.create_task(hub.serve())
        try:
            while hub.now is None or not shown:
                feed.send(now(episode=1))
                feed.show(FrameHead("overview", 0, 0, image.shape), image)
                await asyncio.sleep(0.02)
            for number in range(50):  # nothing is taken meanwhile
                for sequence in range(20):
                    feed.show(FrameHead("overview", number * 20 + sequence, 0, image.shape), image)
                feed.send(Steps(2, [Step(number, 0, 0.0, None, None, 0.0, (0.0,) * 6, 1)]))
            async with asyncio.timeout(30.0):
                while hub.episode != 2 or len(hub.steps) < 50:
                    await asyncio.sleep(0.02)
            assert [step.step for step in hub.steps] == list(range(50))
            assert len(shown) < 1000
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            hub.close()
            context.term()

    try:
        asyncio.run(go())
    finally:
        feed.close()


_RAISES = """
import asyncio
from starlette.requests import Request
from handrail.launch import lifetime
from handrail.launch.console.app import guarded
from handrail.launch.console.site import RouteSpec

async def sign_in(request):
    token = "a-" + "secret"
    raise ValueError("nobody foresaw this")

lifetime.begin("console")
request = Request({"type": "http", "headers": []})
answer = asyncio.run(guarded(None, RouteSpec("/login", "POST", "public", sign_in))(request))
assert answer.status_code == 500
"""


def test_the_log_says_where_and_not_what_was_in_the_variables() -> None:
    done = subprocess.run([sys.executable, "-c", _RAISES], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    told = json.loads(line)
    assert told["path"] == "/login"
    assert "sign_in" in [frame["name"] for frame in told["exception"][0]["frames"]]
    assert "a-secret" not in line and '"locals": {' not in line
