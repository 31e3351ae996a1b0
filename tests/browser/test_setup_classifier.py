"""A person shows a classifier its examples, trains it, puts it in use, and answers where it disagreed."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from console_page import Person
from console_run import Kept
from consoled import Loop, until
from judged import open_log, write_episode
from playwright.sync_api import Browser, TimeoutError, expect

from handrail.intervention.log_format import EpisodeStart, Event, StepRecord
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose, runs
from handrail.launch.bench.console_side import served
from handrail.launch.classify.tally import Tally
from handrail.launch.labelling import relabel
from handrail.reward_classifier import artifact

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

WORDS = (
    "task=ram_insertion_cameras",
    "env.cameras=[{name: wrist, width: 32, height: 32}]",
    "vision.trunk=cnn",
    "log.reserve_bytes=0",
)
SHOWN = 10  # episodes with examples, a lamp that is lit, that are there already
DISPUTED = SHOWN  # the episode after them
V0 = "0123456789ab"
_COUNTED = 'least => parseInt(document.querySelector("[data-count=positives]").textContent) > least'


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Kept]:
    """A run with examples and one disagreement, which nobody drives, and its console."""
    folder = tmp_path_factory.mktemp("shown")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(compose.SEARCH_PATH, raising=False)
        patch.chdir(folder)
        composed = compose.compose(WORDS)
        run = runs.create("shown", str(folder / "runs"), composed, WORDS)
        with open_log(run.segments, composed.config.env) as writer:
            for episode in range(SHOWN):
                lit = [False] * 6 + [True] * 6
                write_episode(writer, episode, lit, purpose="classify", rewards=list(map(float, lit)))
            judged = {"scores": [0.1, 0.2, 0.97], "classifier": V0, "label": ("success", f"classifier {V0}")}
            write_episode(writer, DISPUTED, [False, False, True], **judged)
        relabel(run, DISPUTED, "failure", "Ada", "it looked loose")
        with served(folder / "out", "console", f"run={run.path}", "port=0") as console:
            yield Kept(run, console)


@pytest.fixture(scope="module")
def olga(shown: Kept, come_in: Callable[..., Person]) -> Person:
    """The operator, who has taken the lease."""
    olga = come_in(shown.console)
    olga.claim()
    olga.go("setup")
    return olga


def counted(run: RunDirectory) -> Tally:
    """The examples in the log."""
    tally = Tally()
    tally.read(LogReader(run.segments))
    return tally


def episodes(run: RunDirectory) -> list[int]:
    """Every episode in the log."""
    return [each.episode for _, each in LogReader(run.segments).records() if isinstance(each, EpisodeStart)]


@contextmanager
def training(run: RunDirectory) -> Iterator[Loop]:
    """A control loop whose policy is in the middle of an episode, and which would take a verdict."""
    loop, ended = Loop(run), threading.Event()

    def drive() -> None:
        while not ended.wait(0.1):
            loop.be(purpose="train", episode=69, running=True, can=["failure", "discard", "pause"])

    thread = threading.Thread(target=drive)
    thread.start()
    try:
        yield loop
    finally:
        ended.set()
        thread.join()
        loop.close()


def test_nothing_of_the_classifier_ends_an_episode_of_training(shown: Kept, olga: Person) -> None:
    capture = olga.part("capture")
    with training(shown.run) as loop:
        expect(olga.page.locator(".setup-station .chip")).to_contain_text("train")
        until(lambda: olga.ask_raw("pause")[0]["status"] == "done", "the desk")
        for verb in ("failure", "discard"):
            button = capture.locator(f"[data-example={verb}]")
            expect(button).to_be_disabled()
            button.dispatch_event("click")
        olga.expect_message("nothing is being collected")
        for key in ("n", "x", "Enter"):
            olga.press(key)
        olga.ask_raw("pause")  # behind all of them
        assert {command.verb for command in loop.commands} == {"pause"}
        assert loop.hands == []
    expect(olga.page.locator(".setup-station .chip")).to_contain_text("at rest")


def test_a_disagreement_is_answered_from_the_inbox(shown: Kept, olga: Person) -> None:
    inbox = olga.part("inbox")
    entry = inbox.locator(f"li[data-episode='{DISPUTED}']")
    expect(entry).to_contain_text("Called a success, and was none")
    expect(entry).to_contain_text("Ada said failure: it looked loose")
    picture = entry.locator("img")
    expect(picture).to_have_js_property("naturalWidth", 32)
    entry.locator("[data-answer=correct]").click()
    expect(inbox).to_contain_text("No disagreement")
    expect(entry).to_have_count(0)
    labels = [
        (each.new, each.who, each.step)
        for _, each in LogReader(shown.run.segments).records()
        if isinstance(each, Event) and each.kind == "label" and each.episode == DISPUTED
    ]
    assert labels[-1] == ("success", "Olga", 2)


def test_examples_are_shown_with_enter(shown: Kept, olga: Person) -> None:
    capture, page = olga.part("capture"), olga.page
    before = counted(shown.run)
    expect(capture.locator("[data-count=positives]")).to_have_text(f"{before.positives} of 200")
    page.click("button[data-job=collect]")
    expect(page.locator(".setup-station .chip")).to_contain_text("classify")
    expect(capture.locator(".prompt")).to_contain_text(f"{SHOWN + 1}. SEATED")
    expect(capture.locator("[data-act=hold-success]")).to_be_enabled()
    page.evaluate("document.activeElement.blur()")
    for _ in range(10):  # a hand that was not heard for a moment has let go: then one presses again
        page.keyboard.down("Enter")
        expect(capture.locator("[data-act=hold-success]")).to_have_attribute("aria-pressed", "true")
        with suppress(TimeoutError):
            page.wait_for_function(_COUNTED, arg=before.positives + 3, timeout=3000)
        page.keyboard.up("Enter")
        if counted(shown.run).positives > before.positives + 3:
            break
    expect(capture.locator("[data-act=hold-success]")).to_have_attribute("aria-pressed", "false")
    (mine,) = {
        each.episode
        for _, each in LogReader(shown.run.segments).records()
        if isinstance(each, StepRecord) and each.reward > 0.0 and each.episode > DISPUTED
    }
    olga.press("x")
    until(lambda: counted(shown.run).positives == before.positives, "the example to be thrown away")
    expect(capture.locator("[data-count=positives]")).to_have_text(f"{before.positives} of 200")
    until(lambda: max(episodes(shown.run)) > mine, "the next example")
    expect(capture.locator("[data-example=failure]")).to_be_enabled()
    until(lambda: olga.press("n") or max(episodes(shown.run)) > mine + 1, "one more")
    olga.act("stop-collect").click()
    expect(page.locator("button[data-job=collect]")).to_be_enabled()  # nobody has the arm any more
    assert compose.load(shown.run.config_file).actor.device == "synthetic", "as it was"


def read_report(vera: Person, file: Path) -> None:
    """A viewer reads it within the page: what is known of it, and nothing that somebody has put into it."""
    plain = file.read_text()
    nasty = (
        "<script>document.title = 'run'</script><img src='x' onerror='document.title = 1' alt=''>"
        "<svg><a href='/logout'><text>go</text></a></svg><p style='color: red' onclick='1'>said</p>"
        "<constructor>x</constructor><form action='/logout'><button>go</button></form>"
    )
    file.write_text(plain.replace("<h2>", f"{nasty}<h2>", 1))
    button, report = vera.act("report"), vera.page.locator(".report")
    expect(report).to_be_hidden()
    button.click()
    expect(button).to_have_attribute("aria-expanded", "true")
    file.write_text(plain)
    assert report.locator("h3").all_inner_texts() == re.findall("<h2>(.*?)</h2>", plain)
    pictures = report.locator("img[src]")
    assert pictures.count() == plain.count("<img ") > 0
    expect(pictures.last).to_have_js_property("naturalWidth", 32)
    assert report.locator("svg").count() == plain.count("<svg ") + 1 > 10
    assert report.locator("script, a, form, button, [style], [onclick], [onerror]").count() == 0
    expect(report.get_by_text("said")).to_be_visible()
    colour = "node => getComputedStyle(node).stroke"
    assert report.locator(".report-curve").first.evaluate(colour) == "rgb(118, 183, 242)", "the page's own"
    expect(vera.verb("stop")).to_be_in_viewport(ratio=1)
    button.click()
    expect(report).to_be_hidden()


def test_a_classifier_is_trained_and_put_in_use_once_its_doubts_are_read(
    shown: Kept, olga: Person, come_in: Callable[..., Person]
) -> None:
    vera = come_in(shown.console, "viewer", "Vera", width=1024, height=768, scheme="dark")
    vera.go("setup/capture")
    capture = olga.part("capture")
    folder = Path("classifiers/ram").absolute()
    expect(capture.locator("[data-job=accept]")).to_be_disabled()
    olga.page.click("button[data-job=train]")
    figures = capture.locator(".figures li")
    expect(figures).to_have_count(3, timeout=90_000)  # training takes the cores there are
    (version,) = artifact.versions(folder)
    known = artifact.load(folder / version).calibration
    expect(figures.nth(0)).to_contain_text(f"{known.false_positives} of {known.episodes} held-out episodes")
    expect(figures.nth(1)).to_contain_text(f"{known.missed} of {known.successes} held-out successes")
    expect(figures.nth(2)).to_contain_text(f"that takes {known.needed} held-out episodes")
    expect(vera.page.locator(".figures li")).to_have_text(figures.all_inner_texts())
    expect(vera.page.locator("[data-job=accept]")).to_be_disabled()
    read_report(vera, folder / version / "report.html")
    with shown.run.lock("actor"), training(shown.run):  # a session is no hindrance
        expect(olga.page.locator(".setup-station .chip")).to_contain_text("train")
        expect(olga.page.locator("button[data-job=collect]")).to_be_disabled()
        expect(capture.locator("[data-job=accept]")).to_be_enabled()
    expect(olga.page.locator(".setup-station .chip")).to_contain_text("at rest")
    capture.locator("[data-job=accept]").click()
    olga.act("accept-not").click()
    expect(olga.act("accept-all-the-same")).to_be_hidden()
    assert artifact.current(folder) is None
    capture.locator("[data-job=accept]").click()
    olga.act("accept-all-the-same").click()
    for person in (olga, vera):
        expect(person.page.locator("#capture")).to_contain_text(f"ram {version}: ✓ in use")
    assert artifact.current(folder) == version
