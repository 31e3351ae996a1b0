import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handrail.robot_env.errors import ActionError, ConfigError
from handrail.robot_env.geometry import quat_from_rotvec
from handrail.robot_env.spec import STATE_SPEC, ActionSpec, ArraySpec, StateSpec, schema_hash


def test_the_state_is_nineteen_numbers_in_a_fixed_order():
    assert STATE_SPEC.size == 19
    assert list(STATE_SPEC.slices) == [f.name for f in STATE_SPEC.fields]
    assert STATE_SPEC.slices["force"] == slice(12, 15)
    assert STATE_SPEC.scale.shape == (19,) and (STATE_SPEC.scale > 0).all()
    with pytest.raises(ValueError, match="read-only"):
        STATE_SPEC.scale[0] = 1.0


@given(st.lists(st.floats(-100, 100, width=32), min_size=19, max_size=19))
def test_what_is_packed_can_be_unpacked(values):
    vector = np.array(values, dtype=np.float32)
    packed = STATE_SPEC.pack(STATE_SPEC.unpack(vector))
    assert packed.dtype == np.float32
    np.testing.assert_array_equal(packed, vector)


def test_a_missing_or_misshapen_field_is_refused():
    values = dict(STATE_SPEC.unpack(np.zeros(19, dtype=np.float32)))
    values["force"] = np.zeros(2)
    with pytest.raises(ValueError, match="broadcast"):
        STATE_SPEC.pack(values)
    del values["force"]
    with pytest.raises(KeyError):
        STATE_SPEC.pack(values)


def test_field_names_must_differ_and_scales_be_positive():
    field = STATE_SPEC.fields[0]
    with pytest.raises(ConfigError, match="unique"):
        StateSpec((field, field))
    with pytest.raises(ConfigError, match="positive"):
        ArraySpec("x", (3,), "m", "work", 0.0, "")


def test_an_action_is_a_step_in_the_tool_frame():
    step = ActionSpec(0.01, 0.06).delta_pose((1, 0, -0.5, 0, 0, 1))
    np.testing.assert_allclose(step[:3], (0.01, 0, -0.005))
    np.testing.assert_allclose(step[3:], quat_from_rotvec((0, 0, 0.06)))


@pytest.mark.parametrize("bad", [[0] * 5, [[0] * 6], [0, 0, math.nan, 0, 0, 0], [math.inf] * 6, 1.0])
def test_what_is_no_action_is_refused(bad):
    with pytest.raises(ActionError, match="nothing was commanded"):
        ActionSpec().check(bad)


@pytest.mark.parametrize("value", [0.0, -0.01, math.nan, math.inf])
def test_an_action_scale_must_be_positive(value):
    with pytest.raises(ConfigError, match="positive"):
        ActionSpec(translation_m=value)


def test_the_schema_hash_follows_whatever_changes_the_meaning_of_an_array():
    same = schema_hash(STATE_SPEC, ActionSpec())
    assert same == schema_hash(StateSpec(STATE_SPEC.fields), ActionSpec()) and len(same) == 16
    described = (dataclasses.replace(STATE_SPEC.fields[0], description="x"), *STATE_SPEC.fields[1:])
    assert schema_hash(StateSpec(described), ActionSpec()) == same
    others = {
        schema_hash(StateSpec(STATE_SPEC.fields[:-1]), ActionSpec()),
        schema_hash(StateSpec(STATE_SPEC.fields[::-1]), ActionSpec()),
        schema_hash(STATE_SPEC, ActionSpec(0.005)),
        schema_hash(STATE_SPEC, ActionSpec(), {"wrist": (128, 128, 3)}),
        schema_hash(STATE_SPEC, ActionSpec(), {"wrist": (64, 64, 3)}),
        schema_hash(STATE_SPEC, ActionSpec(), {"side": (64, 64, 3)}),
    }
    assert len(others) == 6 and same not in others
