"""A hand at the page: the arm follows, the log calls it human, the learner learns from it, letting go counts.

Times of a hand are short (150 ms of silence end it), so these tests have the machine to themselves.
"""

from collections.abc import Iterator

import pytest
from console_hand import by_human, hold_down, human_steps
from console_page import Person
from console_run import ConsoleRun, Witness, fresh
from playwright.sync_api import expect

from handrail.intervention.transition import Source

pytestmark = [pytest.mark.slow, pytest.mark.realtime, pytest.mark.timeout(180)]


@pytest.fixture(autouse=True)
def _the_policy_drives_on(live: ConsoleRun, olga: Person) -> Iterator[None]:
    """However a test has left the run: it goes on, and nobody drives from the page."""
    olga.go("run")
    yield
    olga.at_rest()
    # What a hand did before is not what the next test sees: it has left the wheel.
    live.heard.until(lambda now: not now.paused and now.driver not in ("held", "human"), "the policy goes on")


@pytest.mark.parametrize("how", ["button", "key", "key on a focused button"])
def test_stop_holds_whoever_drives(live: ConsoleRun, olga: Person, how: str) -> None:
    episode = fresh(live, olga).episode
    hold_down(live, olga, "w", lambda heard: by_human(heard.now))
    if how == "button":
        olga.verb("stop").click()
    else:
        if how == "key on a focused button":
            olga.verb("success").focus()
        olga.page.keyboard.press("Space")
    after = live.heard.until(lambda now: now.paused and now.driver != "human", "a stop")
    olga.page.keyboard.up("w")
    assert after.episode == episode
    assert live.wait_for_event(episode, kind="stopped").who == "Olga"
    assert not live.verdicts(episode)  # Space pressed STOP, not the button in focus


def test_taking_over_from_the_keyboard_teaches_the_learner(live: ConsoleRun, olga: Person) -> None:
    live.heard.wait(lambda heard: "demo_size" in heard.learner, "the learner's report")
    episode = fresh(live, olga).episode
    before = live.heard.learner["demo_size"]
    hold_down(live, olga, "w", lambda heard: by_human(heard.now))
    olga.expect_driver("human")
    expect(olga.page.locator("#driver")).to_contain_text("HUMAN")
    hold_down(live, olga, "w", lambda heard: len(human_steps(heard, episode)) >= 10)
    olga.page.keyboard.up("w")
    live.heard.until(lambda now: now.driver == "policy", "the policy")  # a hand off the keys gives it back
    olga.expect_driver("policy")
    towards = [step.action[0] for step in human_steps(live.heard, episode)]
    assert sum(each > 0.05 for each in towards) >= 5  # w drives along +x
    olga.press("y")
    live.wait_for_event(episode, kind="label", new="success", who="Olga")
    row = live.episode(episode)
    assert row.human_steps >= 10 and (row.takeovers or 0) >= 1 and row.unaided is False
    # Some may stay behind: a return does not reach over a change of hands.
    live.heard.wait(lambda heard: heard.learner["demo_size"] >= before + 5, "a bigger demo buffer")


# Actions are in the tool's frame, and the tool points down: what is up and left to the operator is down and
# right to it.
@pytest.mark.parametrize(
    ("key", "axis", "sign"),
    [("s", 0, -1), ("a", 1, -1), ("d", 1, 1), ("r", 2, -1), ("f", 2, 1), ("u", 5, -1)],
)
def test_a_key_moves_its_own_axis(live: ConsoleRun, olga: Person, key: str, axis: int, sign: int) -> None:
    now = fresh(live, olga)

    def moved(heard: Witness) -> bool:
        return any(sign * step.action[axis] > 0.05 for step in human_steps(heard, now.episode, now.step))

    hold_down(live, olga, key, moved)
    olga.page.keyboard.up(key)
    assert live.heard.now is not None and live.heard.now.episode == now.episode  # and it did nothing else
    assert live.events(now.episode) == []


def test_a_neutral_takeover_holds_the_arm_as_a_human(live: ConsoleRun, olga: Person) -> None:
    episode = fresh(live, olga).episode
    olga.verb("takeover").click()
    begin = live.heard.until(lambda now: now.driver == "human", "a human at the wheel").step
    olga.expect_driver("human")
    live.heard.wait(lambda heard: len(human_steps(heard, episode, begin + 1)) >= 5, "five steps by the human")
    still = human_steps(live.heard, episode, begin + 1)
    assert [step for step in still if any(abs(each) > 1e-6 for each in step.action)] == []
    olga.press("t")
    live.heard.until(lambda now: now.driver == "policy", "the policy")


def test_a_page_that_looks_away_lets_go_of_the_arm(live: ConsoleRun, olga: Person) -> None:
    fresh(live, olga)
    hold_down(live, olga, "w", lambda heard: by_human(heard.now))
    olga.page.evaluate("window.dispatchEvent(new Event('blur'))")  # another window is in front now
    live.heard.until(lambda now: now.driver != "human", "nobody at the page's wheel")
    expect(olga.act("drive")).to_have_attribute("aria-pressed", "false")
    olga.page.keyboard.up("w")


def test_a_hand_that_falls_silent_is_let_go_of(live: ConsoleRun, olga: Person) -> None:
    """The browser is stopped in the middle of a motion: nothing more comes, not even a goodbye."""
    fresh(live, olga)
    hold_down(live, olga, "w", lambda heard: by_human(heard.now))
    olga.page.evaluate("(() => { const end = performance.now() + 3000; while (performance.now() < end); })()")
    silent = [step for steps in live.heard.steps.values() for step in steps if step.source == Source.SCRIPT]
    assert silent and all(abs(each) < 1e-6 for step in silent for each in step.action)
    olga.page.keyboard.up("w")
    live.heard.until(lambda now: now.driver == "policy", "the policy")
