"""Robot environments: arms, cameras, the safety gate, the clock, the simulated cell and the tasks.

Importing this package registers `handrail/RamInsertion-v0` (Panda) and `handrail/RamInsertionUR-v0` (UR5e)
with Gymnasium. The rest is imported from its own module.
"""

from handrail.robot_env.config import EnvConfig
from handrail.robot_env.make import make_env, register_envs

__all__ = ["EnvConfig", "make_env", "register_envs"]

register_envs()
