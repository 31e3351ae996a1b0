"""franky-sim's control box, extended by what a safety test needs.

Stock franky-sim answers every command and knows no faults. This one has the modes of the real box (reflex,
user stop, hand guiding), senses contact, stops by itself when a threshold that the *client* set is crossed,
when joints race or when the client falls silent, refuses to move until it is recovered, and is never
recovered while the user stop is pressed. Its wrench has libfranka's sign: what the robot does to its
surroundings is positive.
"""

import select
import socket
from typing import Any

import numpy as np
from emulators.franka_cell import RamSimulator
from franky_sim.constants import FRANKA_HAND_MAX_WIDTH
from franky_sim.franka_gripper_protocol import GripperCommandStatus
from franky_sim.franka_gripper_server import FrankaGripperServer
from franky_sim.franka_robot_protocol import (
    AutomaticErrorRecoveryCommand,
    AutomaticErrorRecoveryStatus,
    BaseCommand,
    MoveCommand,
    MoveStatus,
    RobotCommand,
    RobotMode,
    SetCollisionBehaviorCommand,
    SetEEToKCommand,
    SetLoadCommand,
    SetNEToEECommand,
)
from franky_sim.franka_robot_server import FrankaRobotServer
from franky_sim.franka_robot_state import FrankaRobotState

ERRORS = {
    "joint_position_limits_violation": 0,
    "joint_velocity_violation": 3,
    "joint_reflex": 6,
    "cartesian_reflex": 7,
    "communication_constraints_violation": 25,
}
"""Places of errors in libfranka's list of 41."""
JOINT_SPEEDS = np.array([2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26])
"""The FR3's limits [rad/s]."""
MOST_MISSED = 20
"""Ticks without a command after which a motion is aborted, as on the real box."""
STOPS = {RobotMode.kUserStopped, RobotMode.kGuiding, RobotMode.kOther}
"""Modes that only a hand at the robot ends."""


class ControlBox(FrankaRobotServer):
    """The box of one robot.

    Args:
        simulator: the cell.
        hosts: loopback addresses to try.
    """

    def __init__(self, simulator: RamSimulator, hosts: list[str]) -> None:
        super().__init__(simulator.arm, hosts)
        replace = vars(self)["_FrankaServer__command_class_map"]
        replace[RobotCommand.kMove] = _Move
        replace[RobotCommand.kAutomaticErrorRecovery] = _Recovery
        replace[RobotCommand.kSetCollisionBehavior] = _CollisionBehavior
        replace[RobotCommand.kSetLoad] = _Load
        replace[RobotCommand.kSetNEToEE] = _ToolFrame
        replace[RobotCommand.kSetEEToK] = _StiffnessFrame
        self._cell = simulator
        self.errors: set[str] = set()
        self.reason: set[str] = set()
        self.latched: RobotMode | None = None
        self.persists = False
        self.force_limits, self.torque_limits = np.full(6, 30.0), np.full(7, 20.0)
        self.wrench, self.torques = np.zeros(6), np.zeros(7)
        self.bias = np.zeros(6)
        self.singular = False
        self.ticks = self.stopped_ms = 0
        self.peak = 0.0
        self._missed = 0

    @property
    def time_ms(self) -> int:
        """The time that the client sees: it starts anew with each connection [ms]."""
        return vars(self)["_FrankaServer__message_id"]

    def wait_for_client(self, seconds: float) -> None:
        """Give a client that is in control time to answer the last state, and more with each tick it missed.

        A busy test machine then slows emulated time down instead of aborting motions. A client that hangs
        still misses its ticks, within seconds; of one that has died the socket tells.
        """
        udp, tcp = vars(self)["_FrankaServer__udp_socket"], self._tcp_socket
        if self.current_motion_id and udp is not None and tcp is not None:
            select.select([udp, tcp], [], [], seconds * max(1, self._missed))

    def stop_with(self, mode: RobotMode, errors: set[str], status: MoveStatus, flags: bool = True) -> None:
        """Latch a fault and abort the motion.

        Args:
            mode: the mode from now on.
            errors: what to report as its cause.
            status: what the running Move command is answered.
            flags: False reports no error, as a latched reflex on the real box sometimes does.
        """
        motion, client = self.current_motion_id, self._tcp_socket
        self.latched, self.stopped_ms = mode, self.time_ms
        self.errors, self.reason = (errors if flags else set()), errors
        self.stop_motion(send_preemption_signal=False)
        if motion and client is not None:
            BaseCommand.send_response(client, RobotCommand.kMove, motion, status)
            self.reset_current_motion_id()

    def watch(self) -> None:
        """After each physics step: sense what touches the arm, and stop it where the real box would."""
        self.ticks += 1
        self._sense()
        if self.current_motion_id and self.latched is None:
            self._missed += 1
            if violation := self._violation():
                self.stop_with(RobotMode.kReflex, {violation}, MoveStatus.kReflexAborted)

    def release(self) -> None:
        """The hand at the robot lets go: user stop out, guiding over. A reflex stays."""
        if self.latched in STOPS:
            self.latched = None
            self.errors = set()

    def recover(self) -> bool:
        """Automatic error recovery: whether nothing is latched any more."""
        if self.latched in STOPS or self.persists:
            return False
        self.latched = None
        self.errors = set()
        return True

    def renew(self) -> None:
        """As it was when it was switched on; nobody may be connected."""
        if self._tcp_socket is not None:
            raise RuntimeError("a client is connected")
        self._cell.go_home()
        self.latched, self.errors, self.reason = None, set(), set()
        self.force_limits, self.torque_limits = np.full(6, 30.0), np.full(7, 20.0)
        self.wrench, self.torques, self.bias = np.zeros(6), np.zeros(7), np.zeros(6)
        self.singular, self.peak = False, 0.0
        self.robot.set_load(0.0, (0.0,) * 3, (0.0,) * 9)
        self.robot.set_NE_T_EE(tuple(np.eye(4).flatten()))
        for component in self.robot._tracked_state_components.values():
            for observer in component.observers.values():
                observer.clear()  # or the jump home is a velocity, from which the next motion begins
        self._reset_state()

    @property
    def robot_state(self) -> FrankaRobotState:
        """The state that is sent, modes, errors and external forces included."""
        state = super().robot_state
        pose = np.array(state.O_T_EE).reshape(4, 4, order="F") @ np.array(state.EE_T_K).reshape(
            4, 4, order="F"
        )
        turn = pose[:3, :3]
        base = self.wrench
        stiffness = np.concatenate((turn.T @ base[:3], turn.T @ base[3:])) + self.bias
        if self.singular:
            base, stiffness = np.zeros(6), np.zeros(6)
        return state.replace(
            robot_mode=state.robot_mode if self.latched is None else self.latched,
            errors=_flags(self.errors),
            reflex_reason=_flags(self.reason),
            O_F_ext_hat_K=tuple(base),
            K_F_ext_hat_K=tuple(stiffness),
            tau_ext_hat_filtered=tuple(self.torques),
        )

    def home_hand(self, homed: bool) -> None:
        """Whether the hand has been homed since it was switched on; it knows its widest opening only then."""
        self._hand._max_width = FRANKA_HAND_MAX_WIDTH if homed else 0.0

    def hinder_hand(self, silent: bool, stop_ms: int) -> None:
        """Whether the hand has fallen silent, as one does whose cable is pulled, and how long it stops."""
        self._hand.silent, self._hand.stop_ms = silent, stop_ms

    def _bind_children(self, hostname: str) -> None:
        hand = _Hand(self.robot, hostname)
        hand.init()
        self._hand = hand
        vars(self)["_FrankaRobotServer__gripper_server"] = hand

    def start_motion(self, *args: Any) -> None:
        """Begin a motion; the client's loop needs a moment to start."""
        self._missed = -MOST_MISSED
        self.reason = set()
        super().start_motion(*args)

    def _handle_udp_command(self, command_data: bytes) -> None:
        self._missed = min(self._missed, 0)
        super()._handle_udp_command(command_data)

    def _reset_state(self) -> None:
        """A client came or went; one that goes while it moves the robot leaves a reflex behind."""
        if self.current_motion_id:
            self.latched, self.stopped_ms = RobotMode.kReflex, self.time_ms
            self.errors = self.reason = {"communication_constraints_violation"}
        super()._reset_state()

    def _sense(self) -> None:
        """Low-pass the contact forces with 5 ms, about the stiffness frame."""
        state = self.robot.state
        pose = np.array(state.O_T_EE).reshape(4, 4, order="F") @ np.array(state.EE_T_K).reshape(
            4, 4, order="F"
        )
        wrench, torques = self._cell.contact_wrench(pose[:3, 3])
        self.wrench = 0.8 * self.wrench - 0.2 * wrench
        self.torques = 0.8 * self.torques - 0.2 * torques
        self.peak = max(self.peak, float(np.linalg.norm(self.wrench[:3])))

    def _violation(self) -> str:
        """Which of the box's own limits a motion breaks now; "" for none."""
        if (np.abs(self.wrench) > self.force_limits).any():
            return "cartesian_reflex"
        if (np.abs(self.torques) > self.torque_limits).any():
            return "joint_reflex"
        if (np.abs(np.array(self.robot.inner_state.dq)) > JOINT_SPEEDS).any():
            return "joint_velocity_violation"
        return "communication_constraints_violation" if self._missed > MOST_MISSED else ""


class _Hand(FrankaGripperServer):
    """A hand that tells a motion when it was stopped; stock, the client waits for its end for ever.

    Attributes:
        silent: whether it neither hears nor says anything.
        stop_ms: how long its jaws take to come to rest, before which a stop is not answered.
    """

    silent = False
    stop_ms = 0
    _stop: tuple[int, int, socket.socket] | None = None

    def process_commands(self) -> None:
        if self.silent:
            return
        super().process_commands()
        if self._stop is not None:
            left_ms, command_id, client = self._stop
            self._stop = (left_ms - 1, command_id, client)
            if left_ms <= 0:
                self._stop = None
                self._stopped(command_id, client)

    def send_state(self) -> None:
        if not self.silent:
            super().send_state()

    def stop(self, command_id: int, tcp_socket: socket.socket) -> None:
        if self.stop_ms:
            self._stop = (self.stop_ms, command_id, tcp_socket)
        else:
            self._stopped(command_id, tcp_socket)

    def _stopped(self, command_id: int, tcp_socket: socket.socket) -> None:
        motion, kind = self._pending_command_id, self._pending_command_type
        if motion is not None and kind is not None:
            BaseCommand.send_response(
                tcp_socket,
                kind,
                motion,
                GripperCommandStatus.kAborted,
                command_type_struct="H",
                status_type_struct="H",
            )
        super().stop(command_id, tcp_socket)


class _Move(MoveCommand):
    """Refused until what is latched is recovered."""

    def handle(self, server: ControlBox) -> None:
        if server.latched is RobotMode.kUserStopped:
            self.reply(MoveStatus.kCommandRejectedDueToActivatedSafetyFunctions)
        elif server.latched is not None:
            self.reply(MoveStatus.kCommandNotPossibleRejected)
        else:
            super().handle(server)


class _Recovery(AutomaticErrorRecoveryCommand):
    """Works unless the cause is still there."""

    def handle(self, server: ControlBox) -> None:
        recovered = server.recover()
        status = AutomaticErrorRecoveryStatus
        self.reply(status.kSuccess if recovered else status.kCommandNotPossibleRejected)


NOT_POSSIBLE, SAFETY_ACTIVE = 1, 3
"""What libfranka's setters are answered in the wrong mode."""


def _refusal(server: ControlBox, in_reflex: bool = False) -> int:
    """What a setting is refused with now; 0 takes it. The real box's own rules are nowhere written down.

    Args:
        server: the box.
        in_reflex: whether it is taken in a reflex too, as thresholds are: franky sets them when it connects.
    """
    if server.latched is RobotMode.kUserStopped:
        return SAFETY_ACTIVE
    fault = server.latched is not None and not in_reflex
    return NOT_POSSIBLE if fault or server.current_motion_id else 0


class _CollisionBehavior(SetCollisionBehaviorCommand):
    """Keeps the thresholds instead of only acknowledging them."""

    def handle(self, server: ControlBox) -> None:
        if refusal := _refusal(server, in_reflex=True):
            self.reply(refusal)
            return
        server.force_limits = np.array(self.upper_force_thresholds_nominal)
        server.torque_limits = np.array(self.upper_torque_thresholds_nominal)
        super().handle(server)


class _Load(SetLoadCommand):
    def handle(self, server: ControlBox) -> None:
        if refusal := _refusal(server):
            self.reply(refusal)
        else:
            super().handle(server)


class _ToolFrame(SetNEToEECommand):
    def handle(self, server: ControlBox) -> None:
        if refusal := _refusal(server):
            self.reply(refusal)
        else:
            super().handle(server)


class _StiffnessFrame(SetEEToKCommand):
    def handle(self, server: ControlBox) -> None:
        if refusal := _refusal(server):
            self.reply(refusal)
        else:
            super().handle(server)


def _flags(names: set[str]) -> tuple[bool, ...]:
    places = {ERRORS[name] for name in names}
    return tuple(place in places for place in range(41))
