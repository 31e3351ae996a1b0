"""What goes on while somebody looks elsewhere: rows and exports of the review, and the checks of the run."""

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from console_page import Person
from console_run import Kept
from playwright.sync_api import Browser, Locator, expect

from handrail.intervention.console.feed import Feed
from handrail.intervention.console.messages import Ended, feed_address
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch.bench.console_side import served
from handrail.launch.bench.long_log import write_long_log

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

EPISODES, STEPS = 48, 20
BETWEEN_ENDS_S = 0.15  # as at sixty times real time: always sooner than the page lets news settle
CHECKS = [
    {"set": "check", "env_steps": 2000, "successes": 3, "episodes": 9, "asked": 100},
    {"set": "check", "env_steps": 3000, "successes": 17, "episodes": 20, "asked": 20},
    {"set": "check", "env_steps": 4000, "successes": 6, "episodes": 12, "asked": 100},
]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("kept")
    run = write_long_log(folder / "kept", EPISODES, STEPS, 2, 32)
    bounds = {"wilson_low": 0.2, "wilson_high": 0.9}
    run.evaluations_file.write_text("".join(json.dumps(each | bounds) + "\n" for each in CHECKS))
    with served(folder / "out", "console", f"run={run.path}", "port=0") as console:
        yield Kept(run, console)


@pytest.fixture(scope="module")
def rita(browser: Browser, kept: Kept, people: list[Person]) -> Person:
    person = Person(browser, kept.console.address)
    people.append(person)
    person.sign_in(kept.console.tokens["operator"], "Rita")
    return person


@contextmanager
def episodes_ending(run: RunDirectory) -> Iterator[None]:
    """A control loop whose episodes end one upon another, for as long as the block lasts."""
    feed, enough = Feed(feed_address(run.socket_dir())), threading.Event()

    def end_them() -> None:
        while not enough.wait(BETWEEN_ENDS_S):
            feed.send(Ended(EPISODES, "train", STEPS, True, True, None, 0, 0))

    thread = threading.Thread(target=end_them)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()
        feed.close()


def exports_of(run: RunDirectory) -> list[int]:
    """Processes that export this run."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit():
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"export" in words and f"run={run.path}".encode() in words:
                    found.append(int(entry.name))
    return found


def jobs(person: Person) -> Locator:
    return person.page.locator(".exports .jobs li")


def test_the_table_is_looked_at_again_while_episodes_end_without_a_pause(kept: Kept, rita: Person) -> None:
    rita.go("review")
    expect(rita.page.locator("table#episodes tbody tr").first).to_be_visible()
    with episodes_ending(kept.run):
        for _ in range(2):
            with rita.page.expect_request(re.compile(r"/api/episodes(\?|$)")):
                pass
    rita.go("run")


def test_the_checks_and_their_goal_are_shown(kept: Kept, rita: Person) -> None:
    rita.go("run")
    said = rita.field("check")
    expect(said).to_have_text(re.compile(r"^6 of the first 12 at step 4\D000 · goal 95 of 100$"))
    row = rita.page.locator(".checks")
    expect(row).to_have_attribute("title", re.compile("95 % bounds 20 % to 90 %; ended early"))
    dots = row.locator(".dots i")
    expect(dots).to_have_count(len(CHECKS))
    tall = dots.first.evaluate(
        "dot => parseFloat(getComputedStyle(dot, '::before').height) / dot.clientHeight"
    )
    assert tall == pytest.approx(0.7, abs=0.05)  # from bound to bound


def test_the_figures_say_what_their_words_say(kept: Kept, rita: Person) -> None:
    rita.go("run")
    with EpisodeIndex(kept.run.index_file, LogReader(kept.run.segments)) as index:
        index.refresh()
        pace, totals = index.pace(20), index.totals()
    assert pace.cycle_s is not None and pace.human_share is not None
    expect(rita.field("cycle")).to_have_text(f"{pace.cycle_s:.1f} s")
    expect(rita.field("interventions")).to_have_text(f"{pace.human_share:.0%}".replace("%", " %"))
    whole = f"{totals.human_steps / totals.train_steps:.0%}".replace("%", " %")
    row = rita.field("interventions").locator("..")
    expect(row).to_have_attribute("title", re.compile(f"last 20 episodes.*whole run {whole}"))


def test_neighbours_of_an_episode_are_those_of_the_filter(rita: Person) -> None:
    rita.go("review/18?outcome=failure")
    shown = rita.page.locator("#episode")
    expect(shown).to_have_attribute("data-episode", "18")
    expect(shown.locator('[data-act="previous"]')).to_be_disabled()
    with rita.page.expect_request(re.compile(r"/api/episodes/27\?outcome=failure")):
        shown.locator('[data-act="next"]').click()
    expect(rita.page.locator("#episode")).to_have_attribute("data-episode", "27")
    expect(rita.page.locator('#episode [data-act="previous"]')).to_be_disabled()
    expect(rita.page.locator('#episode [data-act="next"]')).to_be_enabled()


def test_an_export_is_found_again_and_can_be_cancelled(kept: Kept, rita: Person) -> None:
    pytest.importorskip("pyarrow")
    rita.go("review")
    rita.page.click('button[data-export="lerobot"]')
    expect(jobs(rita)).to_have_count(1)
    (process,) = exports_of(kept.run)
    os.kill(process, signal.SIGSTOP)  # it must not end before it is looked for
    try:
        rita.go("run")
        expect(rita.page.locator("#run")).to_be_visible()
        rita.go("review")
        expect(jobs(rita)).to_have_count(1)
        jobs(rita).locator('[data-act="cancel-export"]').click()
        expect(jobs(rita)).to_have_count(0)
    finally:
        os.kill(process, signal.SIGCONT)


def test_an_export_that_ended_meanwhile_can_be_fetched(kept: Kept, rita: Person) -> None:
    pytest.importorskip("av")
    rita.go("review/?last=2")
    rita.page.select_option("[name=end_s]", "3")
    with rita.page.expect_response(lambda answer: answer.request.method == "POST") as begun:
        rita.page.click('button[data-export="mp4"]')
    assert begun.value.request.post_data_json == {"format": "mp4", "filters": {"last": "2"}, "end_s": 3}
    rita.go("run")
    expect(rita.page.locator("#run")).to_be_visible()
    rita.go("review")
    with rita.page.expect_download() as saved:
        expect(jobs(rita)).to_have_text(re.compile("Film: ready"))
        jobs(rita).locator('[data-act="fetch-export"]').click()
    assert saved.value.suggested_filename == "kept.mp4"
    assert saved.value.path().stat().st_size > 0


def test_the_table_of_episodes_has_a_line_an_episode(rita: Person) -> None:
    rita.go("review/?last=3")
    with rita.page.expect_download() as saved:
        rita.page.click('button[data-export="episodes"]')
    assert len(saved.value.path().read_text().splitlines()) == 1 + 3
