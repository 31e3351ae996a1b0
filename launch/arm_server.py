"""`handrail arm-server`: the process that owns an arm.

It ends when it is told to, and the arm then stands. Whoever starts it again finds the arm in HOLD.
"""

import threading
from collections.abc import Callable

import structlog
from rich.console import Console

from handrail.agent.config import RunConfig
from handrail.launch import arm_link, lifetime, runs, telemetry
from handrail.launch.options import Options, words
from handrail.launch.serl_rest import RestProcess
from handrail.robot_env import realtime
from handrail.robot_env.remote.endpoints import Endpoints
from handrail.robot_env.remote.make import make_driver, make_server
from handrail.robot_env.remote.server import ArmServer

ROLE = "arm-server"
_REPORT_EVERY_S = 0.5


def main(options: Options, overrides: list[str]) -> int:
    """Serve the arm until told to stop.

    A real arm is served before its task has been taught, too: then to look at, to tare, to open and close its
    gripper, and for nothing else.

    Raises:
        ConfigError: the configuration is refused, or its arm has no server.
        MissingExtra: the arm's SDK is not installed.
        ArmError: the arm cannot be reached, SCHED_FIFO is needed and not permitted, or another server runs
            at the address.
    """
    config = arm_link.meant(options, overrides, "taught")
    teaching = config.env.arm.real and config.env.task.seated_pose is None
    driver = make_driver(config.env)
    stop = lifetime.begin(ROLE)
    arm, log = config.env.arm, structlog.get_logger(ROLE)
    threads: list[threading.Thread] = []
    rest: RestProcess | None = None
    try:
        server = make_server(config.env, driver)
        if arm.server.rest_port and not teaching:  # before the priority is claimed, which it would inherit
            rest = RestProcess(words(options, overrides), arm.server)
        granted = realtime.claim("arm server", required=arm.needs_realtime)
        if granted.warning:
            log.warning(granted.warning)
        threads.append(_start(_speak, server, config, granted, _reporter(options), stop))
        server.run(stop)
    finally:
        stop.set()
        if rest is not None:
            rest.close()
        for thread in threads:
            thread.join()
    return 0


def _reporter(options: Options) -> telemetry.Reporter | None:
    """To the supervisor of the run whose server this is."""
    if options["run"] is None:
        return None
    run = runs.find(options["run"], options["runs"])
    return telemetry.Reporter(telemetry.address(run.socket_dir()))


def _start(target: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=arguments, daemon=True)
    thread.start()
    return thread


def _speak(
    server: ArmServer,
    config: RunConfig,
    granted: realtime.Granted,
    report: telemetry.Reporter | None,
    stop: threading.Event,
) -> None:
    """Say what is served once it is, and tell the supervisor of the run how the arm is; until `stop`."""
    said, told = False, 0
    while not stop.wait(_REPORT_EVERY_S if said else 0.02):
        if not server.ready.is_set():
            continue
        if not said:
            said = True
            Console(highlight=False, soft_wrap=True, markup=False).print(serving(config, granted))
        ticks = server.counters().ticks
        if report is not None and ticks != told:  # a server whose loop is stuck falls silent
            told, supervisor = ticks, server.supervisor
            report({"kind": "arm", "role": ROLE, "mode": supervisor.mode.value, "fault": supervisor.fault})
    if report is not None:
        report.close()


def serving(config: RunConfig, granted: realtime.Granted) -> str:
    """What is served, where, and within which limits; in one line."""
    env = config.env
    arm, limits, motion = env.arm, env.limits, env.limits.motion
    endpoints = Endpoints.of(arm)
    where = str(endpoints.folder) if endpoints.folder else endpoints.commands
    if arm.real and env.task.seated_pose is None:
        return (
            f"Serving {arm.name!r}, {arm.kind}, at {where}: HOLD, for teaching · nothing moves it before "
            "env.task.seated_pose has been taught · `handrail arm state|open|close|tare` work"
        )
    what = f"{arm.kind} ({env.sim.arm})" if arm.kind == "sim_server" else arm.kind
    size = [high - low for low, high in zip(limits.workspace_low_m, limits.workspace_high_m, strict=True)]
    words = [
        f"Serving {arm.name!r}, {what}, at {where}: HOLD",
        f"{arm.server.rate_hz:.0f} Hz, {granted.level}",
        f"box {' x '.join(f'{100 * side:.0f}' for side in size)} cm",
        f"{motion.linear_speed_m_s:g} m/s",
        f"{limits.force_limit_n:g} N",
    ]
    if arm.server.rest_port:
        words.append(
            f"HIL-SERL protocol at http://{arm.server.rest_host}:{arm.server.rest_port}/ (after startimp)"
        )
    return " · ".join(words)
