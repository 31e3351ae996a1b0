"""The simulated cell behind an arm server: what its client does while the arm moves."""

import subprocess
import sys
from contextlib import closing

from benches.served import RunningServer, served_config

from handrail.robot_env.arms.sim import SimDriver
from handrail.robot_env.sim.cell import SimCell

RESET = """
import sys
from handrail.robot_env.clock import MonotonicClock
from handrail.robot_env.config import EnvConfig, RandomizationConfig
from handrail.robot_env.arms.config import ArmConfig, ArmServerConfig
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.remote.client import ArmClient
from handrail.robot_env.tasks import RamInsertion

class Noting(ArmClient):
    def start(self, gains=None, stops=None):
        super().start(gains)
        self.known = set(sys.modules)

server = ArmServerConfig(address=sys.argv[1], watchdog_s=3.0, lease_s=1.5, command_age_s=1.0,
                         reading_age_s=1.0, require_realtime=False)
arm = ArmConfig(kind="sim_server", server=server, joint_speed=float(sys.argv[2]))
config = EnvConfig(hz=10.0, arm=arm, randomization=RandomizationConfig(visible=True, grasp=True))
client = Noting(config)
env = RobotEnv(client, RamInsertion(config.task, client.scene), MonotonicClock(), config, scene=client.scene)
env.reset(seed=0)
print("imported:", *sorted(set(sys.modules) - client.known))
env.close()
"""


def test_nothing_is_imported_while_the_arm_runs():
    """A client that loads a physics engine between two commands is silent for longer than it may be."""
    with closing(RunningServer(SimDriver(SimCell()), served_config("sim_server"))) as running:
        arm = running.config.arm
        words = [sys.executable, "-c", RESET, arm.server.address, str(arm.joint_speed)]
        result = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout.strip()) == (0, "imported:"), result.stderr
