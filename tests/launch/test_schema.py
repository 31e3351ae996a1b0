"""Plain data to dataclasses and back: a law for what is accepted, a line for what is refused."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handrail.agent.config import RunConfig
from handrail.launch.schema import from_plain, keys, to_plain
from handrail.robot_env.errors import ConfigError


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    force_n: float = 30.0
    low_m: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        if self.force_n <= 0.0:
            raise ConfigError(f"force_n is {self.force_n}, must be above 0; give a positive force")


@dataclass(frozen=True)
class Outer:
    count: int = 1
    timeout_s: float = 2.0
    live: bool = True
    name: str = "a"
    colour: Colour = Colour.RED
    mode: Literal["fast", "slow"] = "fast"
    limit: int | None = None
    sizes: tuple[int, ...] = (1, 2)
    inner: Inner = field(default_factory=Inner)
    inners: tuple[Inner, ...] = ()


finite = st.floats(allow_nan=False, allow_infinity=False)
outers = st.builds(
    Outer,
    count=st.integers(),
    timeout_s=finite,
    live=st.booleans(),
    name=st.text(),
    colour=st.sampled_from(Colour),
    mode=st.sampled_from(["fast", "slow"]),
    limit=st.none() | st.integers(),
    sizes=st.lists(st.integers()).map(tuple),
    inners=st.lists(st.builds(Inner, force_n=st.floats(0.1, 1e6)), max_size=2).map(tuple),
)


@given(outers)
def test_round_trip(outer: Outer) -> None:
    if outer.name != "???":
        assert from_plain(Outer, to_plain(outer)) == outer


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        ({"coumt": 3}, ["'coumt'", "did you mean 'count'"]),
        ({"inner": {"force": 3}}, ["'inner.force'", "did you mean 'force_n'"]),
        ({"count": 1.5}, ["count is 1.5", "whole number"]),
        ({"count": True}, ["count is True", "whole number"]),
        ({"count": None}, ["count is None", "whole number"]),
        ({"timeout_s": "2s"}, ["timeout_s is '2s'", "seconds", "without the unit"]),
        ({"timeout_s": float("nan")}, ["timeout_s is nan", "finite"]),
        ({"live": 1}, ["live is 1", "true or false"]),
        ({"name": 3}, ["name is 3", "text"]),
        ({"colour": "rde"}, ["colour is 'rde'", "red, blue", "did you mean 'red'"]),
        ({"mode": "fsat"}, ["mode is 'fsat'", "fast, slow", "did you mean 'fast'"]),
        ({"limit": "x"}, ["limit is 'x'", "or null"]),
        ({"sizes": 3}, ["sizes is 3", "list"]),
        ({"sizes": [1, "b"]}, ["sizes[1] is 'b'"]),
        ({"inner": {"low_m": [1.0]}}, ["inner.low_m has 1 values", "must have 2"]),
        ({"inner": 3}, ["inner is 3", "group of settings"]),
        ({"inner": {"force_n": 0.0}}, ["inner: force_n is 0.0", "positive"]),
        ({"inners": [{"force_n": -1.0}]}, ["inners[0]", "-1.0"]),
        ({"count": "???"}, ["count has no value"]),
        ([], ["group of settings"]),
    ],
)
def test_refusals_name_the_key_and_the_remedy(data: Any, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as refusal:
        from_plain(Outer, data)
    for part in parts:
        assert part in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_whole_numbers_are_numbers() -> None:
    made = from_plain(Outer, {"timeout_s": 3, "inner": {"low_m": [0, 2]}})
    assert made.timeout_s == 3.0 and isinstance(made.timeout_s, float)
    assert made.inner.low_m == (0.0, 2.0)


def test_left_out_keys_keep_their_defaults() -> None:
    assert from_plain(Outer, {}) == Outer()


def test_keys_reach_into_nested_dataclasses() -> None:
    assert {"count", "inner", "inner.force_n", "inner.low_m"} <= set(keys(Outer))
    assert "inners.force_n" not in set(keys(Outer))  # which of them?


def test_the_whole_run_configuration_round_trips() -> None:
    assert from_plain(RunConfig, to_plain(RunConfig())) == RunConfig()
