"""What every arm says when it refuses, in the same words."""

from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.errors import ArmError, ArmFault


def not_connected() -> ArmError:
    """Nothing has connected it."""
    return ArmError("the arm is not connected; call connect() first")


def not_running(mode: ArmMode) -> ArmError:
    """A target came while the arm was not in RUN."""
    return ArmError(f"the arm is in {mode.name}, not RUN; the command was dropped: call start() first")


def stopped_meanwhile() -> ArmError:
    """Somebody else stopped it, which the one who wants to start it does not know yet."""
    return ArmError("somebody else stopped the arm; it stays until its commander has heard of that")


def latched(fault: str = "") -> ArmFault:
    """It is in FAULT, because of `fault` where that is known."""
    cause = f": {fault}" if fault else ""
    return ArmFault(f"the arm is in a latched fault{cause}; find its cause, then call recover()")
