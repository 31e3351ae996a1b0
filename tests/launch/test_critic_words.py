"""The sentences of the critic view: what the figures say, in plain words."""

import re
from typing import Any

import pytest

from handrail.launch.critic_words import Read, sentences

PANELS = {
    "shares", "histogram", "value", "overestimation", "td", "effective", "reward", "entropy", "temperature",
    "sigma", "saturation", "distance", "cem",
}  # fmt: skip


def said(
    about: str, lately: dict[str, float], first: dict[str, float] | None = None, **snapshots: dict[str, Any]
) -> str:
    return sentences(Read(lately.get, (first or {}).get, snapshots))[about]


def test_a_panel_without_figures_says_nothing() -> None:
    assert sentences(Read(lambda _: None)) == dict.fromkeys(PANELS, "")


def test_the_example_of_the_question() -> None:
    """Half of the samples are demonstrations, and so are 25 of the 26 that err: 96 % of the gradient."""
    lately = {
        "share/demo": 25 / 26,
        "share/online_failure": 1 / 26,
        "rows/demo": 32.0,
        "rows/online_failure": 32.0,
    }
    assert (
        said("shares", lately)
        == "Demonstrations give 96 % of the gradient of the critic's last layer, with 50 % of the samples."
    )


def test_the_source_that_pulls_most_is_named_and_what_it_was_at_first() -> None:
    lately = {"share/demo": 0.3, "share/intervention": 0.7, "rows/demo": 90.0, "rows/intervention": 10.0}
    assert said("shares", lately, {"share/intervention": 0.05}) == (
        "Interventions give 70 % of the gradient of the critic's last layer, with 10 % of the samples; "
        "at first it was 5 %."
    )
    assert "at first" not in said("shares", lately, {"share/intervention": 0.65})


def test_a_share_beyond_the_whole_is_told_with_what_pulls_against_it() -> None:
    assert said("shares", {"share/demo": 1.09, "share/online_failure": -0.09}) == (
        "Demonstrations pull for more than the whole: 109 % of the gradient of the critic's last layer; "
        "the policy's own steps elsewhere (−9 %) pull against it."
    )
    lately = {"share/demo": 3.4, "share/intervention": -1.0, "share/online_success": -1.4}
    assert said("shares", lately).endswith(
        "; interventions (−100 %) and the policy's own steps in successes (−140 %) pull against it."
    )
    mixed = {"share/demo": 0.7, "share/intervention": 0.45, "share/online_failure": -0.15}
    assert said("shares", mixed) == (
        "Demonstrations give 70 % of the gradient of the critic's last layer; "
        "the policy's own steps elsewhere (−15 %) pull against it."
    )
    assert "against" not in said("shares", {"share/demo": 1.004, "share/online_failure": -0.004})


def test_values_by_source() -> None:
    lately = {"q_mean/demo": 0.71, "q_mean/online_success": 0.5, "q_mean/online_failure": 0.1}
    assert said("histogram", lately) == (
        "The critic values demonstrated actions at 0.71, the policy's in successes at 0.50, "
        "the policy's elsewhere at 0.10."
    )
    level = {"q_mean/demo": 0.01, "q_mean/online_failure": 0.0}
    assert said("histogram", level).endswith("elsewhere at 0.00: it hardly tells them apart.")
    # Far apart, and level only when all online samples are taken together.
    apart = {"q_mean/demo": 0.5, "q_mean/online_success": 0.9, "q_mean/online_failure": 0.1, "q_gap": 0.0}
    assert said("histogram", apart).endswith("elsewhere at 0.10.")
    assert said("histogram", {"q_mean/demo": 0.7}) == ""


def test_value_along_a_demonstration() -> None:
    shot = {"episode": 17, "values": [0.0, 0.4, 0.9], "discounted": [0.8, 0.9, 1.0], "rewards": [0, 0, 1]}
    assert said("value", {}, value=shot) == (
        "Along demonstration 17 value goes from 0.00 to 0.90 (γᵏ from 0.80 to 1.00): 0.47 short of it on "
        "average; over the first third 0.00 where γᵏ is 0.80."
    )
    spread = shot | {"values": [0.79, 0.9, 0.99]}
    assert said("value", {}, value=spread).endswith(
        "0.01 short of it on average; over the first third 0.79 where γᵏ is 0.80, so it has spread "
        "all the way back."
    )


def test_value_above_a_slow_demonstration_is_as_it_should_be() -> None:
    shot = {"episode": 4, "values": [0.3, 0.6, 1.0], "discounted": [0.1, 0.2, 1.0], "rewards": [0, 0, 1]}
    assert said("value", {}, value=shot) == (
        "Along demonstration 4 value goes from 0.30 to 1.00 (γᵏ from 0.10 to 1.00): 0.00 short of it on "
        "average and 0.20 above, as it should be where the policy is quicker than that; "
        "over the first third 0.30 where γᵏ is 0.10, so it has spread all the way back."
    )


@pytest.mark.parametrize(
    ("steps", "known_from", "words"),
    [
        (100, 45, "; γᵏ is too small at the beginning to tell whether it has spread that far."),
        (100, 0, "; γᵏ is too small at the beginning to tell whether it has spread that far."),
        (75, 12, "over the first third 0.10 where γᵏ is 0.15."),
        (75, 0, "so it has spread all the way back."),
        (30, 0, "so it has spread all the way back."),
    ],
)
def test_value_has_spread_only_where_the_beginning_says_so(steps: int, known_from: int, words: str) -> None:
    """γᵏ is small at the beginning of a long demonstration: being 0 there costs the mean next to nothing."""
    discounted = [0.97 ** (steps - 1 - step) for step in range(steps)]
    values = [0.0] * known_from + discounted[known_from:]
    told = said("value", {}, value={"episode": 7, "values": values, "discounted": discounted})
    assert re.search(r": 0\.0\d short of it on average", told), "close on the average"
    assert told.endswith(words)
    assert ("all the way back" in told) == ("all the way back" in words)


@pytest.mark.parametrize(
    ("over", "words"),
    [
        (0.31, "promises 0.31 more than they return."),
        (-0.2, "promises 0.20 less than they return."),
        (-0.02, "promises about what they return (−0.02)."),
    ],
)
def test_promise_and_return(over: float, words: str) -> None:
    assert said("overestimation", {"overestimation": over, "above_ceiling": 0.0}).endswith(words)


def test_what_is_impossible_is_never_called_nothing() -> None:
    told = said("overestimation", {"overestimation": 0.3, "above_ceiling": 0.001})
    assert told.endswith("; <1 % of its values are impossible.")


def test_errors_and_how_many_samples_it_errs_on() -> None:
    lately = {"td_median/demo": 0.02, "td_median/intervention": 0.13, "td_p95/intervention": 0.6}
    assert said("td", lately) == (
        "The critic errs most on interventions: half of them by more than 0.130, "
        "one in twenty by more than 0.60."
    )
    lately = {"effective_samples": 0.18, "effective/demo": 0.7, "effective/online_failure": 0.3}
    assert (
        said("effective", lately)
        == "On 18 % of a batch's samples the critic errs by more than 0.1; 70 % of them are demonstrations."
    )
    told = sentences(Read(lately.get, effective_td=0.25))["effective"]
    assert told.startswith("On 18 % of a batch's samples the critic errs by more than 0.25;")


def test_rewards_are_weighed_by_how_many_samples_there_are() -> None:
    lately = {
        "rows/intervention": 10.0, "reward_density/intervention": 0.1, "rows/online_failure": 90.0,
        "reward_density/online_failure": 0.0, "rows/demo": 100.0, "reward_density/demo": 0.05,
    }  # fmt: skip
    assert said("reward", lately) == "1.0 % of online samples carry a reward, 5.0 % of the demonstrated ones."
    none = {"rows/online_failure": 90.0, "reward_density/online_failure": 0.0}
    assert said("reward", none) == "None of the online samples looked at lately carries a reward."


def test_the_policy() -> None:
    lately = {"entropy": -5.8, "target_entropy": -6.0}
    assert said("entropy", lately) == (
        "The policy explores about as much as it is asked to: entropy −5.8, target −6.0."
    )
    assert "less than it is asked" in said("entropy", {"entropy": -9.0, "target_entropy": -6.0})
    assert said("temperature", {"temperature": 0.02}, {"temperature": 0.01}) == (
        "Temperature 0.02; at first it was 0.01."
    )
    assert said("sigma", {"sigma/2": 0.47, "sigma/4": 0.15, "sigma/0": 0.2}) == (
        "It tries most about z (σ 0.47), least about ry (σ 0.15)."
    )
    assert said("saturation", {"saturation": 0.002}) == "<1 % of the action's components are at their limit."
    assert said("saturation", {"saturation": 0.0}) == "No component of the action is at its limit."
    assert said("distance", {"actor_human_distance": 0.37}, {"actor_human_distance": 0.9}) == (
        "Where you took over lately, you and the policy differed by 0.37; at first 0.90."
    )
    assert said("distance", {"actor_human_distance": 0.37, "clone_share": 0.3}) == (
        "Where you took over lately, you and the policy differed by 0.37. "
        "In 30 % of those steps it would have acted as the clone of the demonstrations."
    )
    assert said("cem", {"cem_gap": 0.02}) == (
        "A search finds actions that the critic values 0.020 above the actor's."
    )
