"""What a UR's modes mean: why it will not move, and what is to be done about it."""

RUNNING = 7
"""Robot mode in which the arm is on and its brakes are off."""
PLAYING = 2
"""Runtime state of a program that runs."""
NORMAL, REDUCED, PROTECTIVE_STOP = 1, 2, 3

_SAFETY = {
    3: "protective stop: see what the arm ran into, then recover()",
    4: "recovery mode: a joint is outside its safety limits; move it back at the pendant",
    5: "safeguard stop: close the door or leave the zone, and reset it at the robot",
    6: "emergency stop of the cell: release it, then switch the arm on at the pendant",
    7: "emergency stop: release the button, then switch the arm on at the pendant",
    8: "safety violation: restart the safety system at the pendant",
    9: "safety fault: restart the robot",
    10: "a joint wants to be identified: see the pendant",
    12: "safeguard stop in automatic mode: reset it at the robot",
    13: "the three-position enabling device is not held half-way",
}
_BY_HAND = frozenset({6, 7, 13})
"""Stops by a button or an enabling device, which software never clears."""
_MODES = {
    -1: "no controller",
    0: "disconnected",
    1: "a safety pop-up waits to be confirmed",
    2: "still booting",
    3: "switched off",
    4: "being switched on",
    5: "on, with its brakes engaged",
    6: "in back-drive",
    8: "updating its firmware",
}
DASHBOARD_SAFETY = {
    "NORMAL": 1,
    "REDUCED": 2,
    "PROTECTIVE_STOP": 3,
    "RECOVERY": 4,
    "SAFEGUARD_STOP": 5,
    "SYSTEM_EMERGENCY_STOP": 6,
    "ROBOT_EMERGENCY_STOP": 7,
    "VIOLATION": 8,
    "FAULT": 9,
    "VALIDATE_JOINT_ID": 10,
    "AUTOMATIC_MODE_SAFEGUARD_STOP": 12,
    "SYSTEM_THREE_POSITION_ENABLING_STOP": 13,
}
"""The dashboard's names of the safety modes."""


def fault_of(safety_mode: int, robot_mode: int) -> str:
    """Why the robot will not move, in words; "" when it would.

    Args:
        safety_mode: RTDE's safety_mode.
        robot_mode: RTDE's robot_mode.
    """
    if safety_mode not in (NORMAL, REDUCED):
        return _SAFETY.get(safety_mode, f"safety mode {safety_mode}: see the pendant")
    if robot_mode != RUNNING:
        what = _MODES.get(robot_mode, f"in mode {robot_mode}")
        return f"the arm is {what}: switch it on and release its brakes at the pendant"
    return ""


def stopped_by_hand(safety_mode: int) -> bool:
    """Whether somebody holds the robot with an emergency stop or an enabling device."""
    return safety_mode in _BY_HAND
