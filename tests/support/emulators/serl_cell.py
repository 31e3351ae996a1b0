"""A whole robot side behind HIL-SERL's protocol: our REST server, an arm server and the simulated arm.

Runs in a process of its own (`SerlCell` starts it), as on a robot's computer.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from threading import Event, Thread
from typing import Any

from handrail.robot_env.arms.config import ArmConfig, ArmServerConfig
from handrail.robot_env.arms.sim import SimDriver
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.remote.make import make_server
from handrail.robot_env.remote.operator import ArmOperator
from handrail.robot_env.serl.rest import RestServer
from handrail.robot_env.sim.cell import SimCell

PURSUE_S = 3.0


def cell_config(folder: str) -> EnvConfig:
    """Of the arm server behind the protocol; patient, because machines are busy."""
    patient = ArmServerConfig(
        address=f"ipc://{folder}",
        watchdog_s=2.0,
        lease_s=5.0,
        command_age_s=2.0,
        reading_age_s=2.0,
        recoveries=10,
    )
    return EnvConfig(hz=20, arm=ArmConfig(kind="sim_server", server=patient))


class SerlCell:
    """The process, seen from a test.

    Attributes:
        url: of its REST server.
        config: of its arm server, for whoever wants to look at that.
        seated_pose: (7,) tool pose with the module seated.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="serl-")
        self.config = cell_config(self._folder.name)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "emulators.serl_cell", self._folder.name],
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self.renew()
        except BaseException:
            self.close()
            raise

    def renew(self) -> None:
        """Another robot, at home and well, on another port."""
        hello = self.do("renew")
        self.url: str = hello["url"]
        self.seated_pose: list[float] = hello["seated_pose"]

    def do(self, word: str) -> Any:
        """ "reflex": the robot stops. "recover": its own operator acknowledges that, the cause being gone.
        "die": the REST server ends. "revive": it is there again."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the SERL cell ended"
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        try:
            process.wait(20.0)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            self._folder.cleanup()


class RobotSide:
    """What runs in the process."""

    def __init__(self, folder: str) -> None:
        self.config = cell_config(folder)
        self.driver = SimDriver(SimCell(self.config.sim))
        server, self._stop = make_server(self.config, self.driver), Event()
        self._thread = Thread(target=server.run, args=(self._stop,))
        self._thread.start()
        server.ready.wait()
        self.operator = ArmOperator(self.config)
        self.serve(0)

    def serve(self, port: int) -> None:
        self.rest = RestServer(self.config, port, pursue_s=PURSUE_S, await_start=False)
        self.rest.start()

    def close(self) -> None:
        self.rest.close()
        self.operator.close()
        self._stop.set()
        self._thread.join()


def main(folder: str) -> None:
    """Do as standard input says, until it ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the server's log, from a thread of its own, would run into the answers
    side: RobotSide | None = None
    for line in sys.stdin:
        answer: dict[str, Any] = {}
        match line.strip(), side:
            case "renew", _:
                if side is not None:
                    side.close()
                side = RobotSide(folder)
                seated = side.driver.scene.seated_pose.tolist()
                answer = {"url": f"http://127.0.0.1:{side.rest.port}/", "seated_pose": seated}
            case "reflex", RobotSide():
                side.driver.inject_fault("a reflex, for the test")
                side.operator.feed.wait(lambda state: state.mode == "fault", 5.0)
            case "recover", RobotSide():
                side.driver.remove_cause()
                side.operator.recover("the robot's operator")
            case "die", RobotSide():
                side.rest.close()
            case "revive", RobotSide():
                side.serve(side.rest.port)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    if side is not None:
        side.close()


if __name__ == "__main__":
    main(sys.argv[1])
