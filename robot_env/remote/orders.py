"""Orders besides targets: which joint angles, loads and jaw motions an arm takes, and an end to them."""

from collections.abc import Sequence

from handrail.robot_env.arms.driver import ArmDriver
from handrail.robot_env.errors import ArmError
from handrail.robot_env.geometry import Vector

HOME_TOLERANCE_RAD = 0.01


def check_home(q: Sequence[float], home: tuple[float, ...]) -> None:
    """Refuse a joint motion to anywhere but the configured home.

    Raises:
        ArmError: `q` is not `home`, or there is none.
    """
    if not home:
        raise ArmError("env.arm.joint_home is empty, and a joint motion goes nowhere else; configure it")
    if len(q) != len(home) or not all(abs(a - b) <= HOME_TOLERANCE_RAD for a, b in zip(q, home, strict=True)):
        raise ArmError(f"a joint motion goes to env.arm.joint_home = {home} only, not to {tuple(q)}")


def check_load(mass_kg: float, com_m: Vector) -> None:
    """Refuse a load that no tool has.

    Raises:
        ArmError: naming it and its limits.
    """
    if not (0.0 <= mass_kg <= 20.0 and len(com_m) == 3 and all(abs(x) <= 0.5 for x in com_m)):
        raise ArmError(f"load of {mass_kg} kg at {list(com_m)} m; give 0 to 20 kg within 0.5 m of the tool")


def move_gripper(driver: ArmDriver, action: str, width_m: float, force_n: float) -> None:
    """Move the jaws: "open", "close" or "move".

    Raises:
        ArmError: there are none, or they do not go there.
    """
    gripper = driver.gripper
    if gripper is None:
        raise ArmError(f"the {driver.name} arm has no gripper to command")
    if not (0.0 <= width_m <= 0.5 and 0.0 <= force_n <= 500.0):
        raise ArmError(f"gripper to {width_m} m with {force_n} N; give 0 to 0.5 m and 0 to 500 N")
    match action:
        case "open":
            gripper.open()
        case "close":
            gripper.close()
        case _:
            gripper.move(width_m, force_n)


def end_motion(driver: ArmDriver) -> str:
    """End the driver's joint motion, if one is under way; what is wrong where that failed, "" otherwise."""
    try:
        driver.abort()
    except Exception as error:  # whatever an SDK raises: what follows must still be done
        return f"abort failed: {error}"
    return ""
