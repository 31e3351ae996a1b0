"""The names that a state's and an action's components have in a table or a dataset, with their units."""

from dataclasses import dataclass

from handrail.robot_env.spec import ActionSpec, ArraySpec, StateSpec

_AXES = "xyz"


@dataclass(frozen=True)
class Component:
    """One number of a state or an action.

    Attributes:
        name: such as "force_z".
        unit: such as "N"; of an action the size of a full step, such as "0.01 m".
        frame: that it is expressed in.
    """

    name: str
    unit: str
    frame: str


def state_components(spec: StateSpec) -> list[Component]:
    """The components of a (D,) state, in its order."""
    return [
        Component(name, field.unit, field.frame) for field in spec.fields for name in _component_names(field)
    ]


def action_components(spec: ActionSpec) -> list[Component]:
    """The six components of an action: each in [−1, 1], a step in the end-effector frame."""
    sizes = [f"{spec.translation_m:g} m"] * 3 + [f"{spec.rotation_rad:g} rad"] * 3
    names = ("dx", "dy", "dz", "rx", "ry", "rz")
    return [Component(name, size, "tool") for name, size in zip(names, sizes, strict=True)]


def _component_names(field: ArraySpec) -> list[str]:
    if field.size == 1:
        return [field.name]
    marks = _AXES if field.size == len(_AXES) else [str(index) for index in range(field.size)]
    return [f"{field.name}_{mark}" for mark in marks]
