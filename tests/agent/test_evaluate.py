"""Counting: Wilson's interval, and starts that never coincide with training's."""

import pytest

from handrail.agent.evaluate import start_seed, wilson_interval


@pytest.mark.parametrize(
    ("successes", "episodes", "low", "high"),
    [(95, 100, 0.8882, 0.9785), (100, 100, 0.9630, 1.0), (0, 100, 0.0, 0.0370), (5, 10, 0.2366, 0.7634)],
)
def test_wilson_interval_agrees_with_published_values(successes, episodes, low, high):
    assert wilson_interval(successes, episodes) == pytest.approx((low, high), abs=2e-4)


def test_nothing_is_known_without_episodes():
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_starts_are_fixed_and_all_different():
    seeds = [start_seed(which, index) for which in ("check", "final") for index in range(1000)]
    assert len(set(seeds)) == 2000
    assert start_seed("check", 0) == start_seed("check", 0)
