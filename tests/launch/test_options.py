"""A command's own options: values, defaults, and what is left for the configuration."""

import pytest

from handrail.launch.options import Option, nearest, refuse, split
from handrail.robot_env.errors import ConfigError

OPTIONS = (
    Option("run", str, "the run"),
    Option("last", int, "only the last"),
    Option("human", bool, "with a human step"),
    Option("json", bool, "as JSON", False),
    Option("outcome", ("success", "failure"), "how it ended"),
)


def test_options_are_taken_and_the_rest_is_left_in_order() -> None:
    values, rest = split(["run=a", "env.hz=20", "--json", "last=3", "preset=parity"], OPTIONS)
    assert values == {"run": "a", "last": 3, "human": None, "json": True, "outcome": None}
    assert rest == ["env.hz=20", "preset=parity"]


@pytest.mark.parametrize(("text", "value"), [("true", True), ("no", False), ("1", True), ("Off", False)])
def test_booleans(text: str, value: bool) -> None:
    assert split([f"human={text}"], OPTIONS)[0]["human"] is value


def test_a_value_may_hold_an_equals_sign() -> None:
    assert split(["run=a=b"], OPTIONS)[0]["run"] == "a=b"


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("last=three", "last=three: must be a whole number"),
        ("human=maybe", "human=maybe: must be true or false"),
        ("outcome=sucess", "did you mean 'success'"),
        ("run=", "run= is empty"),
    ],
)
def test_bad_values_are_refused_by_name(word: str, part: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        split([word], OPTIONS)
    assert part in str(refusal.value)


def test_an_option_given_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="last is given twice"):
        split(["last=1", "last=2"], OPTIONS)


def test_an_unknown_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no option 'lsat'; did you mean 'last'"):
        refuse(["lsat=3"], OPTIONS, "review")
    refuse([], OPTIONS, "review")


def test_nothing_is_suggested_when_nothing_is_near() -> None:
    assert nearest("zzz", ["run", "last"]) == ""
