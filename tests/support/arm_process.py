"""An arm server with the simulated arm, and a commander of it, as processes that a test may kill.

python -m arm_process serve '{"address": "ipc:///tmp/x", "hz": 20.0, …}'
python -m arm_process drive '{…}'     says "ready", waits for a line, then drives until it is killed

A last word, `ahead`, puts it ahead of all ordinary processes, as `handrail arm-server` and an actor are.
"""

import json
import math
import os
import subprocess
import sys
import threading
from pathlib import Path

from handrail.robot_env import realtime
from handrail.robot_env.arms.config import ArmConfig, ArmServerConfig
from handrail.robot_env.clock import NS_PER_S, MonotonicClock, Ticker
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ArmError
from handrail.robot_env.geometry import pose_compose
from handrail.robot_env.remote.client import ArmClient
from handrail.robot_env.remote.make import make_server


def configured(address, hz=10.0, **server):
    """The configuration that a process is given."""
    # The simulated robot shares the server's process: when the machine stalls, both do.
    server = {"reading_age_s": 2.0, **server}
    arm = ArmConfig(kind="sim_server", server=ArmServerConfig(address=address, **server))
    return EnvConfig(hz=hz, arm=arm)


def spawn(role, *, ahead=False, **settings):
    """Start a process of this file; its output is a pipe of lines."""
    return subprocess.Popen(
        [sys.executable, "-m", "arm_process", role, json.dumps(settings), *(["ahead"] if ahead else [])],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def say(what):
    """A line for the test."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def drive(config, ahead):
    """Circle above the socket, at the configured rate, whatever the server says to it."""
    client = ArmClient(config, "circling")
    say("ready")
    sys.stdin.readline()
    if ahead:
        realtime.claim("commander", required=True)
    client.connect()
    client.start()
    home = client.state().pose
    clock = MonotonicClock()
    beat = Ticker(clock, round(NS_PER_S / config.hz))
    began_ns = clock.now_ns()
    while True:
        phase = 4.0 * (clock.now_ns() - began_ns) / NS_PER_S
        step = (0.008 * math.sin(phase), 0.008 * (math.cos(phase) - 1.0), 0.0, 0.0, 0.0, 0.0, 1.0)
        try:
            client.set_target(pose_compose(home, step))
            say("run")
        except ArmError as error:
            say(error)
        beat.wait()


if __name__ == "__main__":
    role, settings, *words = sys.argv[1:]
    config = configured(**json.loads(settings))
    if role == "drive":
        drive(config, "ahead" in words)
    server = make_server(config)
    if "ahead" in words:
        realtime.claim("arm server", required=True)
    server.run(threading.Event())
