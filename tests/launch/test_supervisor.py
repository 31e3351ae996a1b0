"""A session with real processes that report over real sockets: ends at the goal, the budget or a signal."""

import contextlib
import dataclasses
import json
import re
import signal
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from handrail.agent.config import GoalConfig, RunConfig
from handrail.intervention.locks import RunLocked
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose, telemetry, train
from handrail.launch.cli import main
from handrail.launch.display import Display
from handrail.launch.errors import ChildFailed
from handrail.launch.processes import ProcessSpec
from handrail.launch.supervisor import Interrupt, Outcome, Supervisor, process_specs, view_of
from handrail.launch.view import RunView

PREAMBLE = """
import signal, sys, threading
from handrail.launch.telemetry import Reporter
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
report = Reporter(sys.argv[1])
"""
EVALUATION = (
    "{'kind': 'evaluation', 'set': 'final', 'env_steps': 900, 'successes': %d, 'episodes': 100, "
    "'asked': 100, 'wilson_low': 0.9, 'passed': %s}"
)


@pytest.fixture
def config() -> RunConfig:
    return RunConfig(goal=GoalConfig(max_env_steps=1000))


@pytest.fixture
def run(tmp_path: Path, config: RunConfig) -> RunDirectory:
    return RunDirectory(tmp_path / "first").create(compose.dump(config), {"seed": 0})


def spec(run: RunDirectory, role: str, code: str) -> ProcessSpec:
    where = telemetry.address(run.socket_dir())
    command = (sys.executable, "-c", PREAMBLE + textwrap.dedent(code), where)
    return ProcessSpec(role, command, run.logs / f"{role}.log", finishes=role in ("actor", "evaluator"))


def supervise(
    run: RunDirectory, config: RunConfig, specs: list[ProcessSpec], interrupt: Interrupt | None = None
) -> tuple[Outcome, RunView]:
    view = view_of(run, config)
    console = Console(quiet=True)
    with Display(view, console, "plain") as display:
        return Supervisor(run, view, display, specs).supervise(interrupt or Interrupt()), view


def test_it_ends_at_the_goal_and_writes_the_summary(run: RunDirectory, config: RunConfig) -> None:
    actor = spec(run, "actor", "report({'kind': 'actor', 'env_steps': 900}); stop.wait()")
    evaluator = spec(run, "evaluator", f"stop.wait(0.3); report({EVALUATION % (97, True)}); report.close()")
    outcome, view = supervise(run, config, [actor, evaluator])
    assert outcome is Outcome.REACHED and view.reached
    summary = json.loads(run.summary_file.read_text())
    assert summary["goal_reached"] is True and summary["eval"]["successes"] == 97
    assert summary["env_steps"] == 0  # the log is the truth, and nothing was logged


def test_it_ends_when_the_budget_is_spent_and_the_last_weights_have_failed(
    run: RunDirectory, config: RunConfig
) -> None:
    actor = spec(run, "actor", "report({'kind': 'actor', 'env_steps': 1000}); report.close()")
    code = f"stop.wait(0.5); [report({EVALUATION % (60, False)}) for _ in range(20) if not stop.wait(0.3)]"
    outcome, _ = supervise(run, config, [actor, spec(run, "evaluator", code)])
    assert outcome is Outcome.SPENT


def test_an_interrupt_ends_it_and_a_second_one_changes_nothing(run: RunDirectory, config: RunConfig) -> None:
    with Interrupt().installed() as interrupt:
        code = """
            import os
            os.kill(os.getppid(), signal.SIGINT)
            os.kill(os.getppid(), signal.SIGINT)
            stop.wait()
        """
        outcome, _ = supervise(run, config, [spec(run, "actor", code)], interrupt)
    assert outcome is Outcome.STOPPED
    assert interrupt.number == signal.SIGINT
    assert run.summary_file.exists()


def test_an_actor_that_hears_the_same_ctrl_c_has_not_failed(run: RunDirectory, config: RunConfig) -> None:
    """One that reads the keyboard does, and ends at once, sooner than its supervisor looks again."""
    code = "import os; os.kill(os.getppid(), signal.SIGINT); os.kill(os.getpid(), signal.SIGKILL)"
    actor = dataclasses.replace(spec(run, "actor", code), max_restarts=0)
    with Interrupt().installed() as interrupt:
        outcome, view = supervise(run, config, [actor], interrupt)
    assert outcome is Outcome.STOPPED and view.notices == []


def test_a_failed_process_ends_the_others(run: RunDirectory, config: RunConfig) -> None:
    learner = spec(run, "learner", "print('handrail: diverged', file=sys.stderr); sys.exit(2)")
    actor = spec(run, "actor", "stop.wait(); open(sys.argv[1].removeprefix('ipc://') + '.ended', 'w')")
    with pytest.raises(ChildFailed, match="the learner stopped: diverged"):
        supervise(run, config, [actor, learner])
    assert run.summary_file.exists()


@pytest.mark.parametrize(
    ("actor", "outcome", "why"),
    [
        ("stop.wait()", "stopped", ""),
        ("print('handrail: no room', file=sys.stderr); sys.exit(2)", "failed", "the actor stopped: no room"),
    ],
)
def test_whoever_looks_on_is_told_how_it_ends_before_the_console_does(
    run: RunDirectory, config: RunConfig, actor: str, outcome: str, why: str
) -> None:
    """The console is the last to go: it still tells what the log has come to."""
    told = run.path / "told"
    looks_on = f"""
        import os, zmq, msgspec
        socket = zmq.Context.instance().socket(zmq.SUB)
        socket.setsockopt(zmq.SUBSCRIBE, b"")
        socket.connect({telemetry.relay_address(run.socket_dir())!r})
        heard = []
        while not stop.is_set():
            if socket.poll(50):
                report = msgspec.msgpack.decode(socket.recv())
                if report["kind"] == "here":
                    open({str(told)!r} + ".hears", "w").close()
                heard += [report] if report["kind"] == "end" else []
        open({str(told)!r}, "wb").write(msgspec.msgpack.encode(heard))
    """
    begins = f"""
        import os
        while not os.path.exists({str(told)!r} + ".hears"):
            report({{"kind": "here"}})
            stop.wait(0.05)
        report({{"kind": "actor", "env_steps": 700}})
        if {outcome == "stopped"}:
            os.kill(os.getppid(), signal.SIGINT)
        {actor}
    """
    console = dataclasses.replace(spec(run, "console", looks_on), optional=True)
    with Interrupt().installed() as interrupt, contextlib.suppress(ChildFailed):
        supervise(run, config, [spec(run, "actor", begins), console], interrupt)
    first, last = msgspec.msgpack.decode(told.read_bytes())
    assert (last["outcome"], last["why"]) == (first["outcome"], first["why"]) == (outcome, why)
    assert " after 0 steps" in last["result"], "the log is the truth, and nothing was logged"


def test_a_second_supervisor_is_refused_and_names_the_first(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    with run.lock("supervisor"):
        assert main(["train", f"run={run.path}", "console=off"]) == RunLocked.exit_code
    assert re.search(r"supervisor of .* process", " ".join(capsys.readouterr().err.split()))


def test_wall_time_adds_up_over_sessions(run: RunDirectory, config: RunConfig) -> None:
    run.summary_file.write_text('{"wall_s": 1000.0}')
    interrupt = Interrupt()
    interrupt(signal.SIGTERM, None)
    supervise(run, config, [], interrupt)
    assert 1000.0 <= json.loads(run.summary_file.read_text())["wall_s"] < 1060.0


def test_evaluations_of_earlier_sessions_count(run: RunDirectory, config: RunConfig) -> None:
    line = json.dumps({"set": "final", "successes": 96, "episodes": 100, "env_steps": 5, "passed": True})
    run.evaluations_file.write_text(line + "\n" + line[:20])  # the second was torn by a crash
    view = view_of(run, config)
    assert view.reached and len(view.evaluations) == 1


def test_each_role_gets_its_own_threads_and_log(run: RunDirectory, config: RunConfig) -> None:
    specs = {each.role: each for each in process_specs(run, config)}
    assert set(specs) == {"actor", "learner", "evaluator"}
    assert specs["actor"].environment["OMP_NUM_THREADS"] == "1"
    assert specs["learner"].environment["OMP_NUM_THREADS"] == str(config.learner.torch_threads)
    assert len({each.log for each in specs.values()}) == 3
    assert {role for role, each in specs.items() if each.finishes} == {"actor", "evaluator"}


def test_signal_handlers_are_restored() -> None:
    def handlers() -> list[Callable[..., object] | int | None]:
        return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]

    before = handlers()
    with Interrupt().installed():
        assert handlers() != before
    assert handlers() == before


def test_a_second_supervisor_leaves_the_run_s_configuration_alone(run: RunDirectory) -> None:
    before = run.config_file.read_text()
    longer = RunConfig(goal=GoalConfig(max_env_steps=2000))
    with run.lock("supervisor"):
        words = [f"run={run.path}", "goal.max_env_steps=2000", "console=off"]
        assert main(["train", *words]) == RunLocked.exit_code
    assert run.config_file.read_text() == before
    interrupt = Interrupt()
    interrupt(signal.SIGTERM, None)
    supervise(run, longer, [], interrupt)
    assert compose.load(run.config_file) == longer


def real(**arm: object) -> RunConfig:
    """A run on a real arm."""
    words = [f"env.arm.{key}={value}" for key, value in arm.items()]
    return compose.compose(["arm=franka", "device=keyboard", "goal.max_env_steps=1000", *words]).config


def test_a_real_arm_has_no_evaluator_and_its_actor_is_not_restarted(run: RunDirectory) -> None:
    specs = {each.role: each for each in process_specs(run, real(), "ipc:///run/arm")}
    assert list(specs) == ["arm-server", "learner", "actor"]
    assert specs["arm-server"].outlives and specs["arm-server"].max_restarts == 3
    assert specs["actor"].max_restarts == 0 and specs["learner"].max_restarts == 3
    for role in ("arm-server", "actor"):
        assert "arm_address=ipc:///run/arm" in specs[role].command
    assert [each.role for each in process_specs(run, real())] == [
        "learner",
        "actor",
    ]  # a server is there already


def test_an_arm_in_simulation_is_restarted_and_evaluated(run: RunDirectory) -> None:
    config = compose.compose(["arm=sim_server"]).config
    specs = {each.role: each for each in process_specs(run, config, "ipc:///run/arm")}
    assert set(specs) == {"arm-server", "learner", "actor", "evaluator"}
    assert specs["actor"].max_restarts == 3


def test_the_others_start_when_the_arm_server_serves(run: RunDirectory) -> None:
    """Its first report, not its start, is what the actor waits for."""
    config = compose.compose(["goal.max_env_steps=1000", "evaluation.first_step=2000"]).config
    ready = run.path / "ready"
    server = spec(
        run,
        "arm-server",
        f"""
        stop.wait(0.5)
        open({str(ready)!r}, "w").close()
        while not stop.wait(0.05):
            report({{"kind": "arm", "role": "arm-server", "mode": "hold", "fault": ""}})
        """,
    )
    server = ProcessSpec(server.role, server.command, server.log, outlives=True)
    code = (
        f"import os; report({{'kind': 'actor', 'env_steps': 1000, 'ready': os.path.exists({str(ready)!r})}})"
    )
    _, view = supervise(run, config, [server, spec(run, "actor", f"{code}; report.close()")])
    assert view.actor["ready"] is True
    assert view.arm["mode"] == "hold"


def test_an_arm_that_cannot_be_reached_ends_the_run_with_its_code(
    run: RunDirectory, config: RunConfig
) -> None:
    server = spec(run, "arm-server", "print('handrail: no arm there', file=sys.stderr); sys.exit(3)")
    server = ProcessSpec(server.role, server.command, server.log, outlives=True)
    actor = spec(run, "actor", f"open({str(run.path / 'started')!r}, 'w')")
    with pytest.raises(ChildFailed, match="the arm-server stopped: no arm there") as failure:
        supervise(run, config, [server, actor])
    assert failure.value.exit_code == 3
    assert not (run.path / "started").exists()


def test_on_a_real_arm_the_budget_s_end_is_the_end_and_training_is_what_there_is_to_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def specs(run: RunDirectory, config: RunConfig, arm_address: str | None) -> list[ProcessSpec]:
        report = "{'kind': 'actor', 'env_steps': 1000, 'unaided': [True] * 7 + [False] * 3}"
        return [spec(run, "actor", f"report({report}); report.close()")]

    monkeypatch.setattr(train, "process_specs", specs)
    words = ["arm=franka", "device=keyboard", "goal.max_env_steps=1000"]
    assert main(["train", f"run={tmp_path / 'real'}", "display=plain", "console=off", *words]) == 0
    said = capsys.readouterr().out
    assert "All steps taken: 7/10 = 70% (40% to 89%) unaided" in said and "handrail evaluate" in said
    summary = json.loads((tmp_path / "real" / "summary.json").read_text())
    assert summary["evaluated"] is False and summary["goal_reached"] is False
    assert summary["training"] == {"successes": 7, "episodes": 10, "wilson_low": 0.3968}
