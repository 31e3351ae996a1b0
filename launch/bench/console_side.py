"""The other processes of `handrail bench console`: a control loop's sockets, a console, viewers."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from websockets.asyncio.client import connect

from handrail.intervention.console.desk import Desk
from handrail.intervention.console.feed import Feed
from handrail.intervention.console.messages import (
    Command,
    FrameHead,
    Now,
    Step,
    Steps,
    desk_address,
    feed_address,
)
from handrail.intervention.run_directory import RunDirectory
from handrail.launch.bench.side import say, until_left
from handrail.launch.errors import BenchSilent

CAMERAS = ("front", "wrist")
_HEIGHT, _WIDTH = 240, 320
_START_S = 60.0
_END_S = 20.0
_ADDRESS = re.compile(r"(https?://[^\s/]+)/\S*token=([\w.~%-]+)")
_MOTIF = 24  # pictures that take turns
_LIVE_S = 0.1
_STEPS = 300
_LOOK_S = 1.0


@dataclass(frozen=True)
class Served:
    """A console that serves a run.

    Attributes:
        process: prints the address; the console itself, or the supervisor that has started it.
        address: such as "http://127.0.0.1:40123".
        tokens: role to token.
    """

    process: subprocess.Popen[bytes]
    address: str
    tokens: Mapping[str, str]


@contextmanager
def served(printed: Path, *words: str) -> Iterator[Served]:
    """`handrail <words>` until the block ends: a command that prints a console's two addresses.

    Args:
        printed: file that gets what it prints.
        words: of the command line.

    Raises:
        BenchSilent: it prints none.
    """
    with printed.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "handrail.launch.cli", *words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HANDRAIL_PARENT": str(os.getpid())},
        )
    try:
        deadline_s = time.monotonic() + _START_S
        while len(found := _ADDRESS.findall(printed.read_text(errors="replace"))) < 2:
            if process.poll() is not None or time.monotonic() > deadline_s:
                said = printed.read_text(errors="replace").strip().rpartition("\n")[2]
                raise BenchSilent(
                    f"`handrail {words[0]}` printed no console's address; the last it said: {said}"
                )
            time.sleep(0.05)
        (address, operator), (_, viewer) = found[:2]
        yield Served(process, address, {"operator": operator, "viewer": viewer})
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def processor_s(pid: int) -> float:
    """Processor time of a process so far, all threads [s]."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


# In a control loop's place
# ---------------------------------------------------------------------------------------------------


class _Loop:
    """What a console needs of a control loop: an episode without an end, and an obedient desk."""

    def __init__(self, run: RunDirectory) -> None:
        sockets = run.socket_dir()
        self._run_id = run.id
        self.paused = False
        self.feed = Feed(feed_address(sockets))
        self.desk = Desk(desk_address(sockets), self._obey, lambda hand: None, lambda watch: None)

    def _obey(self, command: Command) -> str:
        self.paused = {"pause": True, "resume": False}.get(command.verb, self.paused)
        self.tell(0)
        return ""

    def tell(self, step: int) -> None:
        """Say how things are."""
        self.feed.send(
            Now(
                run_id=self._run_id,
                boot="bench",
                purpose="train",
                driver="hold" if self.paused else "policy",
                t_ns=time.monotonic_ns(),
                paused=self.paused,
                episode=step // _STEPS,
                running=True,
                step=step % _STEPS,
                most_steps=_STEPS,
                can=("resume" if self.paused else "pause", "success", "failure", "discard", "reset", "stop"),
                cameras=CAMERAS,
                force_n=4.0,
            )
        )
        row = Step(step % _STEPS, 0, 4.0 + np.sin(step / 9).item(), 0.5, None, 0.0, (0.0,) * 6, 1)
        self.feed.send(Steps(step // _STEPS, [row]))

    def close(self) -> None:
        self.desk.close()
        self.feed.close()


def publish(path: str, fps: str) -> None:
    """Show two cameras at so many frames a second, a state and a step ten times a second, until left."""
    left, loop, period_s = until_left(), _Loop(RunDirectory(path)), 1.0 / float(fps)
    pictures = _pictures()
    say("publishing")
    number, due_s, live_s, step = 0, time.monotonic(), 0.0, 0
    while not left.wait(max(0.0, due_s - time.monotonic())):
        for index, camera in enumerate(CAMERAS):
            head = FrameHead(camera, number, time.monotonic_ns(), (_HEIGHT, _WIDTH, 3))
            loop.feed.show(head, pictures[(number + 7 * index) % _MOTIF])
        number, due_s = number + 1, max(due_s + period_s, time.monotonic() - period_s)
        if time.monotonic() - live_s >= _LIVE_S:
            live_s, step = time.monotonic(), step + 1
            loop.tell(step)
    loop.close()


def _pictures() -> list[np.ndarray]:
    """Pictures about as hard to compress as a camera's: shapes that move over a shaded, noisy ground."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:_HEIGHT, 0:_WIDTH].astype(np.float32)
    shown = []
    for number in range(_MOTIF):
        phase = 2.0 * np.pi * number / _MOTIF
        ground = 110 + 60 * np.sin(x / 40 + phase) + 40 * np.cos(y / 30 - phase)
        picture = np.stack([ground, ground * 0.8 + 20, 200 - ground * 0.5], axis=-1)
        middle = (160 + 90 * np.cos(phase), 120 + 60 * np.sin(phase))
        picture[(x - middle[0]) ** 2 + (y - middle[1]) ** 2 < 900] = (220, 60, 40)
        picture += rng.normal(0.0, 6.0, picture.shape)
        shown.append(np.clip(picture, 0, 255).astype(np.uint8))
    return shown


# In the place of people who look on
# ---------------------------------------------------------------------------------------------------


def look_on(address: str, token: str, count: str) -> None:
    """Follow a console's page `count` times, pictures and all, as a browser elsewhere would; until left."""
    left = until_left()

    async def everybody() -> None:
        watching = [asyncio.create_task(_viewer(address, token, f"viewer {n}")) for n in range(int(count))]
        say("looking")
        while not left.is_set() and not any(task.done() for task in watching):
            await asyncio.sleep(0.05)
        for task in watching:
            task.cancel()
        found = await asyncio.gather(*watching, return_exceptions=True)
        for error in found:
            if isinstance(error, Exception):
                raise error

    asyncio.run(everybody())


async def _viewer(address: str, token: str, name: str) -> None:
    async with httpx.AsyncClient(base_url=address, verify=False) as client:  # this machine's own
        form = {"token": token, "name": name}
        answer = await client.post("/login", data=form, headers={"Origin": address})
        if answer.is_error or not client.cookies:
            raise BenchSilent(f"the console let nobody in: {answer.status_code} {answer.text[:200]}")
        cookie = "; ".join(f"{key}={value}" for key, value in client.cookies.items())
    sockets = address.replace("http", "ws", 1)
    headers = {"Cookie": cookie, "Origin": address}
    live = connect(f"{sockets}/ws/live", additional_headers=headers, max_size=None)
    video = connect(f"{sockets}/ws/video", additional_headers=headers, max_size=None)
    async with live as news, video as pictures:

        async def watch() -> None:
            while True:
                await news.send(json.dumps({"kind": "watch", "fps": 30, "real_time": False}))
                await asyncio.sleep(_LOOK_S)

        async def read() -> None:
            async for _ in news:
                pass

        async def see() -> None:
            async for message in pictures:
                if isinstance(message, bytes):
                    size = int.from_bytes(message[:4], "little")
                    head = json.loads(message[4 : 4 + size])
                    seen = {"kind": "seen", "camera": head["camera"], "sequence": head["sequence"]}
                    await pictures.send(json.dumps(seen))

        await asyncio.gather(watch(), read(), see())
