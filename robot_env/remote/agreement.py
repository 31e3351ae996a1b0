"""What an arm server and its commander must agree on before anything moves."""

import hashlib

import msgspec

from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ConfigError


def agreement(config: EnvConfig) -> dict[str, str]:
    """Digests of the settings that both sides hold: where the tool may be, how it moves, how it pushes."""
    arm = config.arm
    parts: dict[str, object] = {
        "env.arm.kind": arm.kind,
        "env.limits": config.limits,
        "env.task.seated_pose": config.task.seated_pose,
        "env.arm.contact and env.arm.moving": [arm.contact, arm.moving],
        "env.arm.joint_home": arm.joint_home,
    }
    if arm.kind == "sim_server":
        parts["env.sim"] = config.sim
    return {name: hashlib.sha256(msgspec.json.encode(part)).hexdigest()[:16] for name, part in parts.items()}


def check_agreement(ours: dict[str, str], theirs: dict[str, str]) -> None:
    """Refuse a commander with other settings than the server's.

    Raises:
        ConfigError: naming the settings that differ.
    """
    differ = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    if differ:
        raise ConfigError(
            f"arm server and commander differ in {', '.join(differ)}; start both with the same settings"
        )
