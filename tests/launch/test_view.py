"""Reports add up to a view, the view to a display and a summary."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from handrail.agent.config import RunConfig
from handrail.launch.display import Display, clock, line, panel
from handrail.launch.summary import summarise, wall_s_before, write
from handrail.launch.view import Rate, RunView
from handrail.robot_env.arms.config import ArmConfig
from handrail.robot_env.config import EnvConfig

ACTOR = {
    "kind": "actor",
    "driver": "human",
    "env_steps": 1200,
    "episode": 31,
    "unaided": [False] * 10 + [True] * 10,
    "assisted": [True] * 20,
    "human_steps": 77,
    "takeovers": 9,
    "intervention_rate": 0.064,
    "weights_version": 12,
    "weight_age_s": 0.41,
    "committed": 1300,
    "demonstration_steps": 500,
    "reset_s": 60.0,
}
LEARNER = {
    "kind": "learner",
    "phase": "train",
    "updates": 2200,
    "updates_per_s": 231.0,
    "utd": 1.98,
    "demonstrations": 20,
}


def evaluation(successes: int, steps: int, which: str = "check", episodes: int = 100) -> dict[str, Any]:
    return {
        "kind": "evaluation",
        "set": which,
        "env_steps": steps,
        "successes": successes,
        "episodes": episodes,
        "asked": 100,
        "wilson_low": 0.9,
        "passed": successes >= 95,
        "stopped_early": episodes < 100,
    }


@pytest.fixture
def view() -> RunView:
    view = RunView("first", RunConfig())
    for report in (ACTOR, LEARNER, evaluation(70, 1000)):
        view.take(report)
    return view


def text(renderable: Any, width: int = 100) -> str:
    console = Console(width=width, force_terminal=False, file=None, record=True, quiet=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_the_panel_shows_what_an_operator_asks(view: RunView) -> None:
    view.notice("the learner died (killed by SIGKILL); restart 1 of 3")
    shown = text(panel(view, 83.0))
    for word in (
        "first", "1:23", "HUMAN", "episode 31", "training", "10/20 = 50%", "20/20 = 100%",
        "6% of steps", "9 takeovers", "231 updates/s", "UTD 1.98", "weights 0.4 s old",
        "1200 of at most 20000",
        "70% unaided of the 95% wanted", "70/100", "restart 1 of 3",
    ):  # fmt: skip
        assert word in shown, f"{word!r} is not in\n{shown}"


def test_an_empty_view_can_be_shown() -> None:
    view = RunView("first", RunConfig())
    assert "no evaluation yet" in text(panel(view, 0.0))
    assert "starting" in text(line(view, 0.0), width=300)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_any_width_will_do(view: RunView, width: int) -> None:
    assert "HUMAN" in text(panel(view, 1.0), width)


def test_away_from_a_terminal_there_is_a_line_every_few_seconds(view: RunView) -> None:
    now = [0.0]
    console = Console(width=300, force_terminal=False)
    with console.capture() as capture, Display(view, console, now=lambda: now[0]) as display:
        for _ in range(100):
            now[0] += 0.1
            display.update()
        display.tell("something happened")
    lines = [each for each in capture.get().splitlines() if "updates/s" in each]
    assert len(lines) == 3  # at once, after five seconds, and the last word
    assert "unaided 10/20 = 50%" in lines[0] and "evaluated 70/100 at 1000" in lines[0]
    assert "something happened" in capture.get()


def test_a_live_display_draws_and_restores_the_terminal(view: RunView) -> None:
    console = Console(width=100, height=40, force_terminal=True)
    with console.capture() as capture, Display(view, console, style="live") as display:
        display.update()
    assert "HUMAN" in capture.get()
    assert capture.get().rstrip().endswith("\x1b[?25h")  # the cursor is back


@pytest.mark.parametrize(
    ("learner", "actor", "phase"),
    [
        ({"phase": "waiting", "demonstrations": 7}, {"driver": "demo"}, "demonstrations (7 of 20)"),
        (
            {"phase": "clone", "clone_progress": 0.5},
            {"driver": "waiting"},
            "cloning the demonstrations (50%)",
        ),
        ({"phase": "waiting"}, {"driver": "policy"}, "collecting"),
        ({"phase": "train"}, {"driver": "policy"}, "training"),
    ],
)
def test_the_phase_is_named(learner: dict[str, Any], actor: dict[str, Any], phase: str) -> None:
    view = RunView("first", RunConfig())
    view.take({"kind": "learner", **learner})
    view.take({"kind": "actor", **actor})
    assert view.phase == phase


def test_rates_have_bounds() -> None:
    assert str(Rate(0, 0)) == "-"
    assert Rate(95, 100).bounds == pytest.approx((0.8883, 0.9785), abs=1e-3)


def test_the_goal_is_a_passed_final_evaluation() -> None:
    view = RunView("first", RunConfig())
    view.take(evaluation(100, 1000))
    assert not view.reached
    view.take(evaluation(94, 1000, "final"))
    assert not view.reached
    view.take(evaluation(97, 1500, "final"))
    assert view.reached and view.final is not None and view.final["successes"] == 97


@pytest.mark.parametrize(("successes", "episodes"), [(95, 200), (190, 200), (97, 97)])
def test_the_goal_is_of_as_many_starts_as_are_configured(successes: int, episodes: int) -> None:
    """`handrail evaluate` takes any number of them; half of 200 is no 95 of 100."""
    view = RunView("first", RunConfig())
    view.take(evaluation(successes, 1000, "final", episodes) | {"asked": episodes})
    assert not view.reached


def test_no_evaluation_ends_a_run_on_a_real_arm() -> None:
    view = RunView("first", RunConfig(env=EnvConfig(arm=ArmConfig(kind="ur"))))
    view.take(evaluation(100, 1000, "final"))
    assert not view.reached and view.final is not None  # it may be trained on


@pytest.mark.parametrize(
    ("steps", "evaluations", "due"),
    [
        (499, [], False),
        (500, [], True),
        (1400, [evaluation(60, 1000)], False),
        (1500, [evaluation(60, 1000)], True),
        (1000, [evaluation(96, 1000)], True),
        (1000, [evaluation(96, 1000), evaluation(90, 1000, "final")], False),
    ],
)
def test_it_is_known_whether_an_evaluation_is_to_come(steps: int, evaluations: list[Any], due: bool) -> None:
    view = RunView("first", RunConfig())
    view.take({"kind": "actor", "env_steps": steps})
    for each in evaluations:
        view.take(each)
    assert view.evaluation_due is due


@pytest.mark.parametrize(
    ("checks", "t95"),
    [
        ([], None),
        ([94], None),
        ([95], 0),
        ([96, 94, 97], 1000),
        ([96, 96, 96, 20], 0),
        ([96, 96, 20, 95], 1500),
        ([(5, 11)], None),
    ],
)
def test_t95_is_the_first_check_that_the_next_two_confirm(checks: list[Any], t95: int | None) -> None:
    view = RunView("first", RunConfig())
    for index, check in enumerate(checks):
        successes, episodes = check if isinstance(check, tuple) else (check, 100)
        view.take(evaluation(successes, 500 * index, episodes=episodes))
    assert view.t95_env_steps == t95


def test_the_summary_holds_exactly_what_tools_rely_on_first(view: RunView, tmp_path: Path) -> None:
    view.take(evaluation(97, 1500, "final"))
    path = tmp_path / "summary.json"
    write(path, summarise(view, 61.0))
    summary = json.loads(path.read_text())
    required = "env_steps robot_minutes wall_s t95_env_steps eval human_steps takeovers updates utd committed"
    required = required.split()
    assert list(summary)[: len(required)] == required
    assert summary["eval"] == {"successes": 97, "episodes": 100, "wilson_low": 0.9}
    assert summary["env_steps"] == 1200 and summary["robot_minutes"] == 3.0  # 2 minutes of steps, 1 of resets
    assert (summary["human_steps"], summary["takeovers"], summary["updates"]) == (77, 9, 2200)
    assert summary["goal_reached"] is True
    assert wall_s_before(path) == 61.0


def test_a_run_that_never_started_has_a_summary_too(tmp_path: Path) -> None:
    write(tmp_path / "summary.json", summarise(RunView("first", RunConfig()), 0.0))
    assert json.loads((tmp_path / "summary.json").read_text())["eval"]["episodes"] == 0


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"wall_s": null}'])
def test_a_damaged_summary_counts_for_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "summary.json").write_text(content)
    assert wall_s_before(tmp_path / "summary.json") == 0.0
    assert wall_s_before(tmp_path / "missing.json") == 0.0


def test_clock() -> None:
    assert [clock(s) for s in (0, 61.9, 3600)] == ["0:00", "1:01", "1:00:00"]


def test_of_what_holds_the_newest_is_told_alone() -> None:
    view = RunView("first", RunConfig())
    for text in (
        "held: stopped by Olga",
        "the disk is full",
        "held: the camera froze",
        "held: stopped by Olga",
    ):
        view.take({"kind": "actor", "notices": [text]})
    assert view.notices == ["the disk is full", "held: stopped by Olga"]
