"""What answers on a controller's ports besides RTDE: dashboard, script, and the gripper's URCap."""

import re
from collections.abc import Callable

from emulators.ur.box import (
    EMERGENCY_STOP,
    NORMAL,
    PAUSED,
    PLAYING,
    POWER_OFF,
    PROTECTIVE_STOP,
    STOPPED,
    VERSION,
    ControlBox,
)
from emulators.ur.sockets import Client

SAFETY = {NORMAL: "NORMAL", PROTECTIVE_STOP: "PROTECTIVE_STOP", EMERGENCY_STOP: "ROBOT_EMERGENCY_STOP"}
PROGRAM = {STOPPED: "STOPPED", PLAYING: "PLAYING", PAUSED: "PAUSED"}


class LineService:
    """A port on which every line has one answer.

    Args:
        answer: the answer to a line.
        greeting: what a client is told first.
    """

    def __init__(self, answer: Callable[[str], str], greeting: str = "") -> None:
        self._answer = answer
        self._greeting = greeting

    def joined(self, client: Client) -> None:
        """Greet."""
        if self._greeting:
            client.send(self._greeting.encode() + b"\n")

    def received(self, client: Client) -> None:
        """Answer whole lines."""
        while (end := client.received.find(b"\n")) >= 0:
            line = client.received[:end].decode(errors="replace").strip()
            del client.received[: end + 1]
            if line == "quit":
                client.close()
                return
            client.send(self._answer(line).encode() + b"\n")

    def left(self, client: Client) -> None:
        """Nothing is kept."""


class Dashboard:
    """The dashboard server's answers (port 29999).

    Args:
        box: the controller.
    """

    def __init__(self, box: ControlBox) -> None:
        self._box = box

    def answer(self, line: str) -> str:
        """The answer to a line."""
        box = self._box
        match line:
            case "PolyscopeVersion":
                return f"URSoftware {'.'.join(map(str, VERSION))} (Jan 01 2024)"
            case "get serial number":
                return "20235500001"
            case "is in remote control":
                return "true" if box.rules.remote else "false"
            case "robotmode":
                return f"Robotmode: {'POWER_OFF' if box.robot_mode == POWER_OFF else 'RUNNING'}"
            case "safetystatus":
                return f"Safetystatus: {SAFETY[box.safety_mode]}"
            case "programState":
                return {PLAYING: "PLAYING", PAUSED: "PAUSED"}.get(
                    box.runtime, "STOPPED"
                ) + " rtde_control.urp"
            case "running":
                return f"Program running: {'true' if box.runtime == PLAYING else 'false'}"
        if not box.rules.remote:
            return (
                "Command is not allowed due to safety reasons"  # what changes something needs remote control
            )
        match line:
            case "unlock protective stop":
                return box.unlock()
            case "close safety popup" | "close popup":
                return "closing safety popup"
            case "stop":
                box.end_program("dashboard stop")
                return "Stopped"
            case "play":
                return "Starting program" if box.play() else "Failed to execute: play"
            case "power on" | "brake release":
                box.power_on()
                return "Powering on"
        return f"could not understand: '{line}'"


class ScriptPort:
    """Port 30003, where a program is sent to the controller as text.

    Args:
        load: takes a whole program.
    """

    def __init__(self, load: Callable[[str], None]) -> None:
        self._load = load

    def joined(self, client: Client) -> None:
        """Nothing is said first; the real port streams states that ur_rtde never reads."""

    def received(self, client: Client) -> None:
        """A program ends with an `end` at the beginning of a line."""
        text = client.received.decode(errors="replace")
        if re.search(r"^end\s*$", text, re.MULTILINE):
            client.received.clear()
            self._load(text)

    def left(self, client: Client) -> None:
        """Nothing is kept."""


class Robotiq:
    """A Robotiq gripper's URCap (port 63352): registers set and read by name, positions 0 (open) to 255.

    Args:
        box: the controller, for its time.
        jaws: counts at which the jaws meet what is between them; 255 for nothing.
    """

    COUNTS_PER_S = 400.0

    def __init__(self, box: ControlBox, jaws: int = 255) -> None:
        self._box = box
        self._jaws = jaws
        self._registers = {"ACT": 1, "GTO": 1, "STA": 3, "FLT": 0, "POS": 3, "SPE": 255, "FOR": 0, "PRE": 3}
        self._from, self._since_s = 3.0, 0.0
        self.commands: list[str] = []
        self.cable = True

    @property
    def position(self) -> float:
        """Where the jaws are now."""
        goal = min(
            float(self._registers["POS"]), float(self._jaws) if self._registers["POS"] > self._from else 255.0
        )
        way = self.COUNTS_PER_S * (self._box.time_s - self._since_s)
        return self._from + max(-way, min(way, goal - self._from))

    def activate(self, active: bool) -> None:
        """Activate it, or not, as the pendant can."""
        self._registers["STA"] = 3 if active else 0

    def answer(self, line: str) -> str:
        """The answer to a line."""
        words = line.split()
        if len(words) == 2 and words[0] == "GET":
            if not self.cable:
                return f"{words[1]} ?"
            if words[1] == "POS":
                return f"POS {round(self.position)}"
            if words[1] == "OBJ":
                return f"OBJ {self._object()}"
            return f"{words[1]} {self._registers[words[1]]}" if words[1] in self._registers else "?"
        if words[:1] == ["SET"] and len(words) % 2 == 1:
            self.commands.append(line)
            self._from, self._since_s = self.position, self._box.time_s
            pairs = zip(words[1::2], words[2::2], strict=True)
            self._registers |= {name: int(value) for name, value in pairs}
            return "ack"
        return "?"

    def _object(self) -> int:
        """0 under way, 2 stopped on something while closing, 3 there."""
        if abs(self.position - self._registers["POS"]) < 0.5:
            return 3
        return 2 if self.position >= self._jaws else 0
