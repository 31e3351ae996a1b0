"""How hard an arm may be made to press: a commander chooses gains, within what the station allows.

Stiffness times clip is the steady push of an arm that something is in the way of, and the one bound on it
that does not depend on how soon anybody notices. What damping may add to it is bounded by `Gains` itself.
"""

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.arms.config import ArmConfig
from handrail.robot_env.config import EnvConfig, LimitsConfig
from handrail.robot_env.errors import ArmError

MOST_TORQUE_NM = 30.0
"""Largest steady torque where no impedance is configured; HIL-SERL's own resets ask for 25 Nm."""
_ROUNDING = 1.0 + 1e-9
_SIDES = tuple(f"{kind}{sign}{axis}" for sign in "+-" for kind in ("", "about ") for axis in "xyz")


class Impedance:
    """The gains of one arm: those configured, those that its commander asked for, and the bound on these.

    Args:
        config: gains of contact and of moving, the driver's own clips, the force limit.

    Attributes:
        resetting: whether the arm resets, with the gains configured for moving.
    """

    def __init__(self, config: EnvConfig) -> None:
        arm = config.arm
        self._contact, self._moving = arm.contact, arm.moving
        self._clips = _own_clips(arm, config.limits)
        known = [gains for gains in (arm.contact, arm.moving) if gains is not None]
        self._source = "env.arm.contact and env.arm.moving"
        pushes = [self._push(gains) for gains in known]
        if arm.contact is None:
            self._source = (
                f"env.limits.force_limit_n and {MOST_TORQUE_NM:g} Nm; no env.arm.contact is configured"
            )
            pushes += [self._push(Gains()), 2 * ([config.limits.force_limit_n] * 3 + [MOST_TORQUE_NM] * 3)]
        self._most = [max(side) for side in zip(*pushes, strict=True)]
        self._asked: Gains | None = None
        self.resetting = False

    @property
    def moving(self) -> bool:
        """Whether resets have gains of their own."""
        return self._moving is not None

    def now(self, commanded: bool = True) -> Gains:
        """What is configured for what the arm is doing, unless the commander has said otherwise.

        Args:
            commanded: whether there is one; what one who has gone asked for, and its reset, do not count.
        """
        if not commanded:
            return self._contact or Gains()
        return (self._moving if self.resetting else None) or self._asked or self._contact or Gains()

    def ask(self, gains: Gains) -> None:
        """Take gains that the commander asks for.

        Raises:
            ArmError: as `check`.
        """
        self.check(gains)
        self._asked = gains

    def check(self, gains: Gains) -> None:
        """Refuse gains that nobody may ask for here.

        Raises:
            ArmError: they press harder than they may; names the axis, the push and the limit.
        """
        for side, push, most in zip(_SIDES, self._push(gains), self._most, strict=True):
            if not push <= most * _ROUNDING:
                unit = "Nm" if side.startswith("about") else "N"
                raise ArmError(
                    f"stiffness times clip of these gains is {push:.1f} {unit} {side} (limit {most:.1f} "
                    f"{unit}: {self._source}); lower either, or change the station's configuration"
                )

    def forget(self) -> None:
        """Another commander: what the last one asked for no longer counts."""
        self._asked = None

    def _push(self, gains: Gains) -> list[float]:
        """Steady push to the six positive sides, then the negative ones [N, Nm]."""
        clip_m, clip_rad = gains.clip_m or self._clips[0], gains.clip_rad or self._clips[1]
        forces = [clip_m, gains.clip_neg_m or clip_m]
        torques = [clip_rad, gains.clip_neg_rad or clip_rad]
        return [
            push
            for linear, angular in zip(forces, torques, strict=True)
            for push in (
                *(gains.translation_n_m * x for x in linear),
                *(gains.rotation_nm_rad * x for x in angular),
            )
        ]


def _own_clips(arm: ArmConfig, limits: LimitsConfig) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What the driver clips errors to where the gains do not say [m], [rad]."""
    match arm.kind:
        case "franka":
            return arm.franka.clip_m, arm.franka.clip_rad
        case "ur":
            return arm.ur.clip_m, arm.ur.clip_rad
    # A driver without clips of its own: no goal runs further ahead of the tool than the leash.
    return (limits.motion.leash_m,) * 3, (limits.motion.leash_rad,) * 3
