"""Jobs: real `handrail` processes, one of a kind at a time, followed line by line, and none left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handrail.launch.console.access import ENVIRONMENT
from handrail.launch.console.answers import Refused
from handrail.launch.console.jobs import LONGEST_LINE, MOST_LINES, Job, Jobs, Kind

PATIENCE_S = 60.0
KINDS = (Kind("version"), Kind("rig"), Kind("wrong", nice=3))


async def until(holds: Callable[[], Any], what: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s, f"waited {PATIENCE_S:.0f} s for {what}"
        await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def rig_words(folder: Path) -> list[str]:
    return ["rig", f"runs={folder}", "station=sim_panda"]


def test_a_job_ends_and_its_output_is_kept() -> None:
    async def go() -> None:
        jobs = Jobs(KINDS)
        assert jobs.find("version") is None
        job = await jobs.start("version", ["--version"])
        assert job.facts()["command"] == "handrail --version"
        await job.ended()
        assert (job.state, job.code) == ("done", 0)
        lines, following = job.since(0)
        assert len(lines) == 1
        assert lines[0].startswith("handrail ")
        assert job.since(following) == ([], following)
        assert jobs.facts()["version"]["state"] == "done"

    asyncio.run(go())


def test_what_fails_says_why() -> None:
    async def go() -> None:
        jobs = Jobs(KINDS)
        job = await jobs.start("wrong", ["train", "env.hx=20"])
        await job.ended()
        assert (job.state, job.code) == ("failed", 2)
        assert "unknown key 'env.hx'" in job.since(0)[0][-1]

    asyncio.run(go())


def test_one_of_a_kind_at_a_time_and_a_stop_ends_it(tmp_path: Path) -> None:
    async def go() -> None:
        jobs = Jobs(KINDS)
        job = await jobs.start("rig", rig_words(tmp_path))
        with pytest.raises(Refused, match="running already"):
            await jobs.start("rig", rig_words(tmp_path))
        await until(lambda: any("Ready to be set up" in line for line in job.since(0)[0]), "the rig")
        await job.stop()
        assert job.state == "stopped"
        assert not jobs.running("rig")
        await job.stop()
        again = await jobs.start("version", ["--version"])
        await again.ended()

    asyncio.run(go())


def test_what_is_killed_is_gone_at_once(tmp_path: Path) -> None:
    async def go() -> None:
        jobs = Jobs(KINDS)
        job = await jobs.start("rig", rig_words(tmp_path))
        await until(lambda: any("Ready to be set up" in line for line in job.since(0)[0]), "the rig")
        process = job._process
        assert process is not None
        job.kill()
        assert not alive(process.pid)
        await job.ended()
        assert job.state == "stopped"
        job.kill()

    asyncio.run(go())


def test_a_console_that_ends_lets_its_jobs_end_well(tmp_path: Path) -> None:
    """One that moves an arm brings it to rest first."""

    async def go() -> None:
        jobs = Jobs(KINDS)
        job = await jobs.start("rig", rig_words(tmp_path))
        await until(lambda: any("Ready to be set up" in line for line in job.since(0)[0]), "the rig")
        jobs.close()
        await job.ended()
        assert (job.state, job.code) == ("stopped", 0)

    asyncio.run(go())


def test_two_who_ask_at_once_start_one() -> None:
    async def go() -> None:
        jobs = Jobs(KINDS)
        made = await asyncio.gather(
            *(jobs.start("version", ["--version"]) for _ in range(3)), return_exceptions=True
        )
        started = [each for each in made if isinstance(each, Job)]
        assert len(started) == 1
        assert all(isinstance(each, Refused) for each in made if each not in started)
        await started[0].ended()

    asyncio.run(go())


def test_there_are_no_other_kinds_and_an_objection_counts() -> None:
    async def go() -> None:
        jobs = Jobs(KINDS, lambda kind, _: "a run is being driven" if kind == "rig" else "")
        for name in ("sh", "../version", ""):
            with pytest.raises(Refused, match="there is no job"):
                await jobs.start(name, ["--version"])
            with pytest.raises(Refused, match="there is no job"):
                jobs.find(name)
        with pytest.raises(Refused, match="a run is being driven"):
            await jobs.start("rig", ["rig"])

    asyncio.run(go())


def test_no_shell_sees_the_words(tmp_path: Path) -> None:
    async def go() -> None:
        jobs = Jobs(KINDS)
        trap = tmp_path / "made"
        job = await jobs.start("wrong", ["review", f"run=a; touch {trap} $(touch {trap})"])
        await job.ended()
        assert job.state == "failed"
        assert not trap.exists()

    asyncio.run(go())


def test_a_job_does_not_inherit_the_console_s_tokens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(ENVIRONMENT, "one,two")

    async def go() -> None:
        jobs = Jobs(KINDS)
        job = await jobs.start("rig", rig_words(tmp_path))
        process = job._process
        assert process is not None
        await until(
            lambda: b"HANDRAIL_PARENT" in Path(f"/proc/{process.pid}/environ").read_bytes(), "its start"
        )
        assert b"one,two" not in Path(f"/proc/{process.pid}/environ").read_bytes()
        await job.stop()

    asyncio.run(go())


def test_output_without_end_is_cut() -> None:
    job = Job(Kind("noise"), [])
    for number in range(MOST_LINES + 10):
        job._take(f"\x1b[1mline {number}\x1b[0m" + "x" * 2 * LONGEST_LINE)
    lines, following = job.since(0)
    assert (len(lines), following) == (MOST_LINES, MOST_LINES + 10)
    assert lines[0].startswith("line 10x")
    assert max(map(len, lines)) == LONGEST_LINE
    assert job.since(following - 1)[0] == lines[-1:]


_CONSOLE = """
import asyncio, sys
from handrail.launch.console.jobs import Jobs, Kind

async def go():
    jobs = Jobs([Kind("rig")])
    job = await jobs.start("rig", ["rig", f"runs={sys.argv[1]}", "station=sim_panda"])
    while not any("Ready" in line for line in job.since(0)[0]):
        assert job.running, job.since(0)
        await asyncio.sleep(0.02)
    sys.stdout.write(f"{job._process.pid}\\n")
    sys.stdout.flush()
    await asyncio.sleep(600)

asyncio.run(go())
"""


def test_a_job_dies_with_a_console_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _CONSOLE, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as console:
        assert console.stdout is not None
        pid = int(console.stdout.readline())
        assert alive(pid)
        os.kill(console.pid, signal.SIGKILL)
        console.wait()
        asyncio.run(until(lambda: not alive(pid), "the job's end"))
