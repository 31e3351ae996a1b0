"""`handrail serl-rest`: HIL-SERL's REST protocol before an arm server, in a process of its own.

`handrail arm-server` starts it where `env.arm.server.rest_port` is set. HTTP in the arm server's own process
would take the interpreter from a loop that has 5 ms a round.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

from handrail.launch import arm_link, lifetime
from handrail.launch.options import Options
from handrail.robot_env.arms.config import ArmServerConfig
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.serl.rest import serve_rest

_START_S = 15.0
_END_S = 3.0


def main(options: Options, overrides: list[str]) -> int:
    """Offer the protocol until told to stop.

    Raises:
        ConfigError: no port is given, or it cannot be had.
    """
    config = arm_link.meant(options, overrides, "taught")
    if not config.env.arm.server.rest_port:
        raise ConfigError(
            "env.arm.server.rest_port is 0, which offers nothing; HIL-SERL's clients expect 5000"
        )
    stop = lifetime.begin("serl-rest")
    serve_rest(config.env, stop).join()
    return 0


class RestProcess:
    """That process, as the arm server's child: it ends with its parent. Made in the main thread.

    Args:
        words: of the parent's command line, which mean the same arm.
        server: where it is to be offered.

    Raises:
        ConfigError: it cannot be offered there; the child's own line says why.
    """

    def __init__(self, words: Sequence[str], server: ArmServerConfig) -> None:
        where = f"{server.rest_host}:{server.rest_port}"
        if _answers(server.rest_host, server.rest_port):
            raise ConfigError(f"another program listens at {where}; choose another env.arm.server.rest_port")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "handrail.launch.cli", "serl-rest", *words],
            stdin=subprocess.DEVNULL,
            env={**os.environ, "HANDRAIL_PARENT": str(os.getpid())},
        )
        deadline_s = time.monotonic() + _START_S
        while not _answers(server.rest_host, server.rest_port):
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self.close()
                raise ConfigError(f"HIL-SERL's protocol cannot be offered at {where}; see the line above")
            time.sleep(0.05)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 0.5).close()
    except OSError:
        return False
    return True
