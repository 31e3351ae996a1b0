"""A run's actor, learner or evaluator as a process of its own (`handrail actor run=…`)."""

import dataclasses
import importlib
import os
import threading
from collections.abc import Callable

import structlog

from handrail.agent.config import RunConfig
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import arm_link, compose, lifetime, runs, telemetry
from handrail.launch.options import Options
from handrail.robot_env.errors import HandrailError

NICE = {"actor": 0, "learner": 19, "evaluator": 19}


def main(options: Options, overrides: list[str]) -> int:
    """Run one role of a run until its work is done or it is told to stop.

    Returns 0; under a supervisor only when its work is done. `overrides` is empty: the run has its own.
    """
    role = options["command"]
    stop = lifetime.begin(role)
    os.nice(NICE[role])
    run = runs.find(options["run"], options["runs"])
    config = _for_role(role, compose.load(run.config_file), options.get("arm_address"))
    report = telemetry.Reporter(telemetry.address(run.socket_dir()))
    try:
        _run(role, run, config, stop, lifetime.beat(report, role, stop))
        told = stop.is_set()
    except HandrailError:
        raise
    except Exception:
        # The supervisor shows the last line; whoever looks into the log wants all of it.
        structlog.get_logger().exception("unexpected error")
        raise
    finally:
        stop.set()
        report.close()
    if told:
        lifetime.die_as_told()
    return 0


def _for_role(role: str, config: RunConfig, arm_address: str | None) -> RunConfig:
    """The run's configuration as one of its processes needs it."""
    if role == "evaluator":
        return arm_link.for_evaluation(config)
    return dataclasses.replace(config, env=arm_link.at(config.env, arm_address))


def _run(
    role: str,
    run: RunDirectory,
    config: RunConfig,
    stop: threading.Event,
    report: Callable[[telemetry.Report], None],
) -> None:
    # Imported here: the learner's torch is no business of the actor's start, and the reverse.
    with lifetime.loading(stop):
        module = importlib.import_module(f"handrail.agent.{role}")
    more = {}
    if role == "actor" and config.env.reward.source == "classifier":
        judges = importlib.import_module("handrail.launch.judges")
        more["judge"] = judges.make_judge(config.env, config.seed)
    getattr(module, f"run_{role}")(run, config, stop, report, **more)
