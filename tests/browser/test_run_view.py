"""The run view: what every button and key does, by the word of the control loop, the learner and the log."""

import re
from collections.abc import Iterator

import pytest
from console_page import Person
from console_run import ConsoleRun, fresh
from playwright.sync_api import expect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(autouse=True)
def _the_policy_drives_on(live: ConsoleRun, olga: Person) -> Iterator[None]:
    """However a test has left the run: it goes on, and nobody drives from the page."""
    olga.go("run")
    yield
    olga.at_rest()
    live.heard.until(lambda now: not now.paused and now.driver != "held", "the policy to go on")


def test_video_flows_and_is_a_picture_of_something(live: ConsoleRun, olga: Person) -> None:
    canvas = olga.page.locator('canvas[data-camera="overview"]').first
    expect(canvas).to_be_visible()
    olga.page.wait_for_selector('canvas[data-camera="overview"][data-sequence]')
    first = int(canvas.get_attribute("data-sequence") or -1)
    olga.page.wait_for_function(
        """then => {
            const canvas = document.querySelector('canvas[data-camera="overview"]');
            return Number(canvas.dataset.sequence) > then + 10;
        }""",
        arg=first,
    )
    spread = olga.page.evaluate(
        """() => {
            const canvas = document.querySelector('canvas[data-camera="overview"]');
            const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            const red = pixels.filter((_, n) => n % 4 === 0);
            return Math.max(...red) - Math.min(...red);
        }"""
    )
    assert spread > 50
    frames = olga.page.evaluate("Array.from(window.handrail.frames)")
    assert len(frames) > 10 and all(each["painted_ms"] >= each["t_ms"] - 5.0 for each in frames)


def test_the_page_shows_what_the_run_reports(live: ConsoleRun, olga: Person) -> None:
    live.heard.wait(lambda heard: heard.learner.get("replay_size"), "the learner's report")
    for name in (
        "episode",
        "step",
        "phase",
        "replay",
        "demo",
        "updates_per_s",
        "utd",
        "weight_age",
        "env_steps",
    ):
        expect(olga.field(name)).to_have_text(re.compile(r"\w"))
    expect(olga.field("operator")).to_contain_text("Olga")


@pytest.mark.parametrize("how", ["button", "key"])
def test_pause_holds_the_policy_and_resume_lets_it_go(live: ConsoleRun, olga: Person, how: str) -> None:
    olga.verb("pause").click() if how == "button" else olga.press("p")
    live.heard.until(lambda now: now.paused, "a pause")
    olga.expect_driver("hold", "held")
    olga.verb("resume").click() if how == "button" else olga.press("p")
    live.heard.until(lambda now: not now.paused, "the end of the pause")
    olga.expect_driver("policy", "reset", "countdown")


@pytest.mark.parametrize("how", ["button", "key", "key on a focused button"])
def test_stop_holds_the_policy(live: ConsoleRun, olga: Person, how: str) -> None:
    before = fresh(live, olga)
    if how == "button":
        olga.verb("stop").click()
    elif how == "key":
        olga.press("Space")
    else:
        olga.verb("success").focus()
        olga.page.keyboard.press("Space")
    after = live.heard.until(lambda now: now.paused, "a stop")
    olga.expect_driver("hold", "held")
    assert after.episode == before.episode
    assert live.wait_for_event(after.episode, kind="stopped").who == "Olga"
    assert not live.verdicts(after.episode)  # Space pressed STOP, not the button in focus


@pytest.mark.parametrize(
    ("verb", "key", "label"),
    [("success", "y", "success"), ("failure", "n", "failure"), ("discard", "x", "exclude")],
)
@pytest.mark.parametrize("how", ["button", "key"])
def test_a_verdict_ends_the_episode_and_is_the_operator_s_word(
    live: ConsoleRun, olga: Person, verb: str, key: str, label: str, how: str
) -> None:
    episode = fresh(live, olga).episode
    olga.verb(verb).click() if how == "button" else olga.press(key)
    live.heard.wait(lambda heard: episode in heard.ended, f"the end of episode {episode}")
    said = live.wait_for_event(episode, kind="label", new=label)
    assert "Olga" in said.who


@pytest.mark.parametrize("how", ["button", "Backspace"])
def test_reset_ends_the_episode_without_a_verdict(live: ConsoleRun, olga: Person, how: str) -> None:
    episode = fresh(live, olga).episode
    olga.verb("reset").click() if how == "button" else olga.press(how)
    live.heard.wait(lambda heard: episode in heard.ended, f"the end of episode {episode}")
    assert not live.heard.ended[episode].success
    live.heard.until(lambda now: now.episode > episode and now.running, "a new start")
    assert not any(
        "Olga" in event.who for event in live.events(episode) if event.new in ("success", "failure")
    )


def test_what_cannot_be_done_says_why(live: ConsoleRun, olga: Person) -> None:
    (answer,) = olga.ask_raw("regrasp")
    assert answer["status"] == "refused" and "regrasp" in answer["why"]
    (answer,) = olga.ask_raw("acknowledge")
    assert answer["status"] == "refused" and answer["why"]
    olga.press("g")
    olga.expect_message("regrasp")


def test_a_double_click_is_one_verdict(live: ConsoleRun, olga: Person) -> None:
    episode = fresh(live, olga).episode
    olga.verb("success").dblclick()
    live.wait_for_event(episode, kind="label", new="success")
    live.heard.until(lambda now: now.running and now.episode > episode and now.step > 3, "the next episode")
    assert len([event for event in live.events(episode) if "Olga" in event.who]) == 1
    assert live.events(episode + 1) == []


def test_a_command_that_is_sent_twice_is_carried_out_once(live: ConsoleRun, olga: Person) -> None:
    episode = fresh(live, olga).episode
    answers = olga.ask_raw("success", times=2, episode=episode, id="twice")
    assert [answer["status"] for answer in answers] == ["done", "done"]
    (again,) = olga.ask_raw("success", episode=episode, id="twice")
    assert (again["status"], again["repeated"]) == ("done", True)
    live.wait_for_event(episode, kind="label", new="success")
    assert len([event for event in live.events(episode) if "Olga" in event.who]) == 1


def test_a_command_older_than_its_expiry_is_refused_and_says_so(live: ConsoleRun, olga: Person) -> None:
    (answer,) = olga.ask_raw("pause", age_ms=5000.0)
    assert answer["status"] == "expired" and "limit 2.0 s" in answer["why"] and "ask again" in answer["why"]
    assert live.heard.now is not None and not live.heard.now.paused
    (answer,) = olga.ask_raw("stop", age_ms=60_000.0)  # a stop is never too old
    assert answer["status"] == "done"
    live.heard.until(lambda now: now.paused, "a stop")


def test_the_verdict_on_another_episode_is_refused(live: ConsoleRun, olga: Person) -> None:
    episode = fresh(live, olga).episode
    (answer,) = olga.ask_raw("success", episode=episode - 1)
    assert answer["status"] == "refused" and str(episode) in answer["why"]


def test_mute_theme_and_help(olga: Person) -> None:
    muted = olga.act("mute").get_attribute("aria-pressed")
    olga.press("m")
    expect(olga.act("mute")).not_to_have_attribute("aria-pressed", muted or "")
    olga.press("m")
    expect(olga.act("mute")).to_have_attribute("aria-pressed", muted or "")
    bright = olga.brightness()
    olga.act("theme").click()
    assert bright > 128.0 > olga.brightness()
    olga.page.reload()
    olga.wait_connected()
    assert olga.brightness() < 128.0  # kept
    olga.act("theme").click()
    assert olga.brightness() > 128.0
    olga.press("?")
    dialog = olga.page.locator("dialog[open]")
    expect(dialog).to_be_visible()
    expect(dialog.locator("kbd").first).to_be_visible()
    olga.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_the_numbers_open_the_views(olga: Person) -> None:
    for number, view in enumerate(("run", "critic", "review", "setup"), start=1):
        olga.press(str(number))
        olga.page.wait_for_function("view => location.hash.startsWith(`#/${view}`)", arg=view)
        expect(olga.page.locator(f'nav a[data-view="{view}"]')).to_have_attribute("aria-current", "page")
