import numpy as np
import pytest

from handrail.intervention.device import DeviceError, Reading, check_at_rest


class Stub:
    """A device that always says the same."""

    name = "SpaceMouse"

    def __init__(self, **reading: object) -> None:
        fields: dict = {"twist": np.zeros(6), "t_ns": 0}
        self._reading = Reading(**{**fields, **reading})

    def open(self) -> None: ...

    def close(self) -> None: ...

    def read(self, now_ns: int) -> Reading:
        return self._reading


def test_a_device_at_rest_is_accepted() -> None:
    check_at_rest(Stub(twist=np.full(6, 0.01)), 0)


@pytest.mark.parametrize(
    ("reading", "message"),
    [
        (
            {"twist": np.array([0, 0, 0, 0, -0.4, 0.1])},
            r"SpaceMouse is not at rest: axis ry reads -0\.40, limit 0\.03",
        ),
        ({"twist": np.full(6, np.nan)}, "not at rest"),
        ({"connected": False}, "not connected"),
        ({"buttons": frozenset({"success"})}, "success pressed"),
    ],
)
def test_anything_else_is_refused_in_one_line(reading: dict, message: str) -> None:
    with pytest.raises(DeviceError, match=message) as caught:
        check_at_rest(Stub(**reading), 0)
    assert "\n" not in str(caught.value)
