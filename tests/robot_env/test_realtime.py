"""What the system gives, in processes of their own; what it refuses, by refusing it."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from handrail.robot_env import realtime
from handrail.robot_env.arms.config import ArmConfig, ArmServerConfig
from handrail.robot_env.errors import ArmError


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A system that permits nothing."""

    def no(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", no)
    monkeypatch.setattr(os, "setpriority", no)
    monkeypatch.setattr(realtime, "lock_memory", lambda: None)
    return monkeypatch


def in_a_process(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return result.stdout.strip()


def test_a_real_arm_refuses_without_it_and_names_the_remedy_and_the_way_around(refused) -> None:
    with pytest.raises(
        ArmError, match=r"arm server .*limits\.conf.*env\.arm\.server\.require_realtime=false"
    ) as no:
        realtime.claim("arm server", required=True)
    assert "\n" not in str(no.value)


def test_anything_else_goes_on_with_a_warning(refused) -> None:
    granted = realtime.claim("actor", required=False)
    assert granted.level == "plain"
    assert "the actor runs with no priority at all" in granted.warning and "limits.conf" in granted.warning


def test_nice_is_the_next_best(refused) -> None:
    asked = []
    refused.setattr(os, "setpriority", lambda *arguments: asked.append(arguments))
    granted = realtime.claim("actor", required=False)
    assert granted.level == "nice" and "nice -15 instead" in granted.warning
    assert (os.PRIO_PROCESS, threading.get_native_id(), realtime.NICE) in asked
    assert len(asked) >= threading.active_count()


def test_the_loop_of_a_real_arm_refuses_as_its_server_does_and_a_lockstep_one_needs_nothing(refused) -> None:
    with (
        pytest.raises(ArmError, match=r"control loop may not use SCHED_FIFO.*require_realtime=false"),
        realtime.control_loop(ArmConfig(kind="franka")),
    ):
        pass
    waived = ArmServerConfig(require_realtime=False)
    with realtime.control_loop(ArmConfig(kind="franka", server=waived)) as warning:
        assert "the control loop runs with no priority at all" in warning
    with realtime.control_loop(ArmConfig(kind="sim")) as warning:
        assert warning == ""


@pytest.mark.skipif(not realtime.fifo_permitted(), reason="SCHED_FIFO is not permitted here")
def test_after_the_loop_every_thread_is_an_ordinary_one_again() -> None:
    said = in_a_process("""
import os, threading
from handrail.robot_env import realtime
from handrail.robot_env.arms.config import ArmConfig
go, seen = threading.Event(), []
def look():
    go.wait()
    seen.append(os.sched_getscheduler(0))
with realtime.control_loop(ArmConfig(kind="sim_server")) as warning:
    during = os.sched_getscheduler(0)
    thread = threading.Thread(target=look)
    thread.start()
go.set(); thread.join()
after = os.sched_getscheduler(0)
print(repr(warning), during == os.SCHED_FIFO, seen == [os.SCHED_OTHER], after == os.SCHED_OTHER)
""")
    assert said == "'' True True True"


def test_trying_leaves_no_trace() -> None:
    before = os.sched_getscheduler(0)
    realtime.fifo_permitted()
    assert os.sched_getscheduler(0) == before


@pytest.mark.skipif(not realtime.fifo_permitted(), reason="SCHED_FIFO is not permitted here")
@pytest.mark.parametrize("alone", [False, True])
def test_threads_of_before_and_after_get_it_too_or_not(alone: bool) -> None:
    said = in_a_process(f"""
import os, threading
from handrail.robot_env import realtime
go, others = threading.Event(), []
def look():
    go.wait()
    others.append(os.sched_getscheduler(0))
before = threading.Thread(target=look)
before.start()
level = realtime.raise_priority(alone={alone})
after = threading.Thread(target=look)
after.start()
go.set(); before.join(); after.join()
own = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK
print(level, own == os.SCHED_FIFO, *(each == os.SCHED_FIFO for each in others))
""")
    assert said == f"fifo True {not alone} {not alone}"


@pytest.mark.skipif(not realtime.fifo_permitted(), reason="SCHED_FIFO is not permitted here")
def test_what_is_granted_needs_no_warning() -> None:
    code = "from handrail.robot_env import realtime; print(realtime.claim('test', required=True))"
    assert "level='fifo'" in in_a_process(code) and "warning=''" in in_a_process(code)


@pytest.mark.parametrize(("text", "yes"), [("1\n", True), ("0\n", False), (None, False)])
def test_a_real_time_kernel_is_known_by_its_mark(
    text: str | None, yes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realtime, "KERNEL_MARK", tmp_path / "realtime")
    if text is not None:
        (tmp_path / "realtime").write_text(text)
    assert realtime.kernel_is_realtime() is yes


def test_the_remedy_permits_what_a_driver_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"rtprio {realtime.DRIVER_PRIORITY}" in realtime.REMEDY
    asked = []
    monkeypatch.setattr(os, "sched_setscheduler", lambda _, policy, param: asked.append(param.sched_priority))
    assert realtime.fifo_permitted(realtime.DRIVER_PRIORITY) and asked[0] == 99
