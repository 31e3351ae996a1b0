"""STOP on the page: it brakes a served arm at its own gate, whether or not a control loop hears it."""

import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from arm_process import configured, spawn
from consoled import Loop, consoled, heard, until

from handrail.agent.config import RunConfig
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import arm_link
from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.remote.operator import ArmOperator


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[str], words: str) -> None:
    """Read on until it says this."""
    assert process.stdout is not None
    for each in process.stdout:
        if words in each:
            return
    raise AssertionError(f"it ended without {words!r}")


@pytest.mark.realtime
@pytest.mark.parametrize("driven", [False, True])
def test_stop_brakes_the_arm(run: RunDirectory, driven: bool) -> None:
    """The arm server is the run's own: found where the run has it, not where the configuration says."""
    settings = {"address": arm_link.run_address(run), "hz": 20.0}
    env = configured(**settings)
    config = RunConfig(env=configured(address="", hz=20.0))
    with contextlib.ExitStack() as stack:
        stack.enter_context(ended(spawn("serve", **settings)))
        until(lambda: arm_link.answers(env), "the arm server")
        arm = stack.enter_context(ended(spawn("drive", **settings)))
        line(arm, "ready")
        assert arm.stdin is not None
        arm.stdin.write("\n")
        arm.stdin.flush()
        line(arm, "run")
        watch = stack.enter_context(ArmOperator(env))
        loop = Loop(run) if driven else None
        if loop is not None:
            stack.callback(loop.close)
        site = stack.enter_context(consoled(run, config))
        if loop is not None:
            heard(site, loop)
        page = stack.enter_context(site.operator("Ada").socket())
        assert watch.state().mode is ArmMode.RUN
        answer = page.command("stop", issued_ms=0.0)
        assert answer["status"] == "done"
        if loop is None:
            assert "the arm server has stopped the arm" in answer["why"]
        else:
            assert answer["why"] == "" and [each.verb for each in loop.commands] == ["stop"]
        until(lambda: watch.state().mode is ArmMode.HOLD, "the arm to hold")


def test_a_stop_that_nobody_hears_says_so(run: RunDirectory) -> None:
    config = RunConfig(env=configured(address=f"ipc://{run.socket_dir()}/nobody"))
    with consoled(run, config) as site, site.operator().socket() as page:
        answer = page.command("stop")
        assert answer["status"] == "silent" and "use the emergency stop" in answer["why"]


def test_a_stop_that_the_arm_does_not_hear_is_done_and_says_so(run: RunDirectory) -> None:
    config = RunConfig(env=configured(address=f"ipc://{run.socket_dir()}/nobody"))
    loop = Loop(run)
    try:
        with consoled(run, config) as site:
            heard(site, loop)
            with site.operator().socket() as page:
                answer = page.command("stop")
                assert (answer["status"], answer["why"]) == ("done", "the arm server did not hear it")
    finally:
        loop.close()
