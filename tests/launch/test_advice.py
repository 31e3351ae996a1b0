"""Every rule of the table fires when it should, stays quiet beside it, and says something with numbers."""

import dataclasses
import math
import string
from pathlib import Path
from typing import Any

import pytest

from handrail.launch.advice import LEVELS, RULES, Rule, advise, rules_in_words
from handrail.launch.advice_facts import Facts
from handrail.launch.coach import Stage

# What makes each rule fire, and something close to it that does not.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "learner-silent": (
        {"training": True, "learner_silent_s": 14.0},
        {"training": True, "learner_silent_s": 3.0},
    ),
    "updates-stalled": (
        {"training": True, "stalled_s": 31.0, "updates_per_s": 0.0, "utd": 1.2, "utd_wanted": 2.0},
        {"training": False, "stalled_s": 31.0},
    ),
    "disk-full": ({"disk_gb": 0.4}, {"disk_gb": 4.0}),
    "disk-low": ({"disk_gb": 4.0}, {"disk_gb": 0.4}),
    "diverged-again": ({"rollbacks": 2.0}, {"rollbacks": 1.0}),
    "diverged": ({"rollbacks": 1.0}, {"rollbacks": 0.0}),
    "weights-stale": (
        {"training": True, "weight_age_s": 42.0, "weights_due_s": 2.5},
        {"training": True, "weight_age_s": 42.0, "weights_due_s": 20.0},
    ),
    "learner-too-slow": (
        {"training": True, "env_steps": 900.0, "utd": 1.1, "utd_wanted": 2.0, "updates_per_s": 11.0},
        {"training": True, "env_steps": 900.0, "utd": 1.9, "utd_wanted": 2.0, "updates_per_s": 11.0},
    ),
    "overruns": ({"overruns": 25.0}, {"overruns": 2.0}),
    "late-looks": ({"late_looks": 25.0}, {"late_looks": 2.0}),
    "impossible-values": ({"above_ceiling": 0.2, "ceiling": 1.05}, {"above_ceiling": 0.02}),
    "values-overshoot": ({"above_ceiling": 0.02, "ceiling": 1.05}, {"above_ceiling": 0.004}),
    "overestimation": ({"overestimation": 0.38}, {"overestimation": -0.38}),
    "demos-dominate-alone": (
        {"share_demo": 0.96, "env_steps": 800.0, "recent": 8, "ever_succeeded": 0.0},
        {"share_demo": 0.96, "env_steps": 50_000.0, "recent": 20, "ever_succeeded": 1.0},
    ),
    "demos-dominate": (
        {"share_demo": 0.96, "env_steps": 800.0, "recent": 8, "succeeded": 3, "unaided": 1},
        {"share_demo": 0.96, "env_steps": 800.0, "recent": 8, "succeeded": 3, "helped": 3},
    ),
    "no-online-reward": (
        {"reward_online": 0.0, "env_steps": 1200.0, "recent": 12},
        {"reward_online": 0.0, "env_steps": 1200.0, "recent": 12, "succeeded": 1},
    ),
    "value-does-not-spread": (
        {"value_gap": 0.5, "env_steps": 2000.0},
        {"value_gap": 0.5, "env_steps": 200.0},
    ),
    "entropy-collapsed": (
        {"entropy": -11.0, "entropy_wanted": -6.0},
        {"entropy": -7.0, "entropy_wanted": -6.0},
    ),
    "entropy-high": (
        {"entropy": 0.0, "entropy_wanted": -6.0, "env_steps": 3000.0},
        {"entropy": -5.0, "entropy_wanted": -6.0, "env_steps": 3000.0},
    ),
    "saturation": ({"saturation": 0.64}, {"saturation": 0.3}),
    "unlike-you": ({"distance": 1.8}, {"distance": 1.8, "distance_before": 2.4}),
    "more-like-you": ({"distance": 0.3, "distance_before": 0.6}, {"distance": 0.55, "distance_before": 0.6}),
    "no-unaided-success": (
        {"since_unaided_min": 25.0, "recent": 20, "helped": 2},
        {"since_unaided_min": 5.0, "recent": 20, "helped": 2},
    ),
    "nobody-helps": (
        {"recent": 20, "succeeded": 1, "human_share": 0.0},
        {"recent": 20, "succeeded": 1, "human_share": 0.2},
    ),
    "let-go": (
        {"recent": 20, "succeeded": 18, "human_share": 0.35, "human_share_before": 0.33},
        {"recent": 20, "succeeded": 18, "human_share": 0.35, "human_share_before": 0.60},
    ),
    "few-demonstrations": (
        {"training": True, "demonstrations": 5.0, "demonstrations_wanted": 20.0, "recent": 10},
        {"training": True, "demonstrations": 5.0, "demonstrations_wanted": 5.0, "recent": 10},
    ),
    "classifier-disagrees": ({"judged": 20, "disagreed": 3}, {"judged": 20, "disagreed": 1}),
    "check-regressed": (
        {"check": 0.5, "check_high": 0.6, "best": 0.9, "best_low": 0.83, "best_step": 4000.0},
        {"check": 0.85, "check_high": 0.91, "best": 0.9, "best_low": 0.83, "best_step": 4000.0},
    ),
}


def fired(**facts: Any) -> list[str]:
    return [each.name for each in advise(Facts(**facts))]


def test_every_rule_has_a_case_and_every_case_a_rule() -> None:
    names = [rule.name for rule in RULES]
    assert sorted(names) == sorted(CASES)
    assert len(set(names)) == len(names)


def test_the_page_in_the_docs_lists_every_rule() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "critic.md"
    rows = [line for line in page.read_text().splitlines() if line.startswith("| `")]
    listed = {name: level for row in rows for name, level in _listed(row)}
    assert listed == {rule.name: rule.level for rule in RULES}


def _listed(row: str) -> list[tuple[str, str]]:
    """Names and levels of a row: one level for each name, or one for all."""
    _, names, levels, *_ = (cell.strip() for cell in row.split("|"))
    found = [name.strip("`") for name in names.split(", ")]
    said = levels.split(", ")
    return list(zip(found, said * (len(found) // len(said)), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_it_fires_when_it_should(name: str) -> None:
    assert name in fired(**CASES[name][0])


@pytest.mark.parametrize("name", CASES)
def test_it_is_quiet_beside_it(name: str) -> None:
    assert name not in fired(**CASES[name][1])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_what_it_says_is_a_sentence_with_numbers(rule: Rule) -> None:
    said = next(each for each in advise(Facts(**CASES[rule.name][0])) if each.name == rule.name)
    assert said.sentence[0].isupper() and said.sentence.endswith(".") and len(said.sentence) < 230
    assert any(letter.isdigit() for letter in said.evidence)
    assert "nan" not in said.sentence + said.evidence and "{" not in said.sentence + said.evidence


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_it_speaks_only_of_facts_that_there_are(rule: Rule) -> None:
    used = [name for _, name, _, _ in string.Formatter().parse(rule.sentence + rule.evidence) if name]
    assert all(name.startswith("f.") and hasattr(Facts(), name[2:]) for name in used)


def test_nothing_fires_about_what_nobody_has_measured() -> None:
    unknown = Facts()
    assert math.isnan(unknown.unaided_rate) and math.isnan(unknown.success_rate)
    assert [each.name for each in advise(unknown)] == ["all-well"]
    assert [each.name for each in advise(dataclasses.replace(unknown, training=True))] == ["all-well"]


def test_the_most_urgent_comes_first() -> None:
    said = advise(Facts(above_ceiling=0.1, saturation=0.9, distance=0.3, distance_before=0.9, disk_gb=5.0))
    levels = [LEVELS.index(each.level) for each in said]
    assert levels == sorted(levels) and levels[0] == 0


@pytest.mark.parametrize(
    ("stage", "unaided", "words"),
    [
        ("early", 0, "still needed: about one episode in 3"),
        ("early", 19, "still needed: about one episode in 3"),  # long ago: the coach saw the last ten
        ("taper", 13, "still needed: about one episode in 6"),
        ("alone", 11, "leave it to itself"),
        ("alone", 18, "leave it to itself"),  # as good as 70 % by chance
        ("alone", 19, "no longer needed"),
    ],
)
def test_when_all_is_well_it_says_so_and_whether_help_is_needed(
    stage: Stage, unaided: int, words: str
) -> None:
    (said,) = advise(Facts(recent=20, unaided=unaided, succeeded=20, helped=20 - unaided), stage)
    assert said.name == "all-well" and said.level == "info"
    assert said.sentence.startswith("Nothing is wrong.") and words in said.sentence
    assert f"{unaided} of the last 20" in said.evidence


def test_before_there_are_demonstrations_it_says_that_it_waits_for_them() -> None:
    (said,) = advise(Facts(demonstrations=0, demonstrations_wanted=2))
    assert said.sentence == "Nothing is wrong. It waits for demonstrations: 0 of 2."
    (said,) = advise(Facts(demonstrations=2, demonstrations_wanted=2))
    assert "once it tries by itself" in said.sentence


def test_few_episodes_do_not_say_that_help_is_needless() -> None:
    (said,) = advise(Facts(recent=10, unaided=10, succeeded=10), "alone")
    assert "leave it to itself" in said.sentence and "72% to 100%" in said.evidence


def test_a_success_that_a_human_finished_is_not_called_the_policys_own() -> None:
    helped = {"share_demo": 0.95, "env_steps": 5000.0, "recent": 20, "succeeded": 1, "helped": 1}
    assert fired(**helped, ever_succeeded=1.0) == ["all-well"]


def test_the_truth_is_not_known_beyond_a_cut_and_the_rule_says_so() -> None:
    (said,) = advise(Facts(overestimation=0.38))
    assert "one that was cut counts as worth nothing beyond the cut" in said.evidence


def test_news_that_is_good_does_not_hide_that_all_is_well() -> None:
    assert fired(distance=0.3, distance_before=0.9) == ["all-well", "more-like-you"]


def test_something_wrong_takes_the_place_of_all_is_well() -> None:
    assert fired(saturation=0.9) == ["saturation"]


def test_the_page_gets_words() -> None:
    (said,) = rules_in_words(advise(Facts(disk_gb=0.25)))
    assert said["name"] == "disk-full" and said["level"] == "alarm" and said["evidence"] == "0.2 GB free"
