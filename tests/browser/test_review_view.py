"""The review: the table, its filters, an episode's pictures, and labels that reach the learner."""

import re
from collections.abc import Iterator

import pytest
from console_page import Person
from console_run import ConsoleRun, Witness
from playwright.sync_api import expect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def live(own_live: ConsoleRun) -> ConsoleRun:
    return own_live


@pytest.fixture(scope="module")
def finished(live: ConsoleRun) -> int:
    """An episode of the policy's that is over, among several."""

    def own(heard: Witness) -> list[int]:
        return [
            ended.episode for ended in heard.ended.values() if ended.purpose == "train" and not ended.success
        ]

    live.heard.wait(lambda heard: len(own(heard)) >= 3, "three finished episodes")
    return own(live.heard)[0]


@pytest.fixture(autouse=True)
def _in_the_review(olga: Person) -> Iterator[None]:
    olga.go("review")
    yield


def rows(person: Person):
    return person.page.locator("table#episodes tbody tr[data-episode]")


def test_the_table_shows_the_log(live: ConsoleRun, olga: Person, finished: int) -> None:
    row = olga.page.locator(f'table#episodes tr[data-episode="{finished}"]')
    expect(row).to_be_attached()
    known = live.episode(finished)
    expect(row.locator('td[data-column="steps"]')).to_have_text(str(known.steps))
    expect(row.locator('td[data-column="outcome"]')).to_contain_text(re.compile("success|failure"))
    expect(olga.page.locator("#totals")).to_contain_text(re.compile(r"\d"))


def test_filters_are_those_of_the_command_line(live: ConsoleRun, olga: Person, finished: int) -> None:
    olga.page.select_option("[name=purpose]", "demo")
    demos = [row.episode for row in live.episodes() if row.purpose == "demo"]
    expect(rows(olga)).to_have_count(len(demos))
    shown = rows(olga).evaluate_all("rows => rows.map(row => Number(row.dataset.episode))")
    assert sorted(shown) == demos
    olga.page.select_option("[name=purpose]", "")
    expect(rows(olga)).not_to_have_count(len(demos))


def test_a_relabel_reaches_replay_and_the_statistics(live: ConsoleRun, olga: Person, finished: int) -> None:
    before = live.episode(finished)
    assert before.label != "success"
    rows = "rows/online_success"  # samples of this kind in the learner's batches
    live.heard.wait(lambda heard: rows in heard.learner.get("diagnostics", {}), "the learner's diagnostics")
    assert live.heard.learner["diagnostics"][rows] == 0.0
    statistics = olga.page.locator("#totals").inner_text()
    olga.go(f"review/{finished}")
    expect(olga.page.locator("#episode")).to_have_attribute("data-episode", str(finished))
    olga.page.fill("#why", "it was seated after all")
    olga.page.click('button[data-label="success"]')
    event = live.wait_for_event(finished, kind="label", new="success", why="it was seated after all")
    assert event.who == "Olga"
    expect(olga.page.locator("#history li").filter(has_text="it was seated after all")).to_be_visible()
    olga.go("review")
    row = olga.page.locator(f'table#episodes tr[data-episode="{finished}"]')
    expect(row.locator('td[data-column="outcome"]')).to_contain_text("success")
    expect(row.locator('td[data-column="labeller"]')).to_contain_text("Olga")
    expect(olga.page.locator("#totals")).not_to_have_text(statistics)
    live.heard.wait(lambda heard: heard.learner["diagnostics"][rows] > 0.0, "samples of a success in replay")


def test_a_comment_is_kept(live: ConsoleRun, olga: Person, finished: int) -> None:
    olga.go(f"review/{finished}")
    olga.page.fill("#why", "the cable was in the way")
    olga.page.click('button[data-act="comment"]')
    live.wait_for_event(finished, kind="comment", why="the cable was in the way", who="Olga")
    expect(olga.page.locator("#history li").filter(has_text="the cable was in the way")).to_be_visible()


def test_an_episode_scrubs(live: ConsoleRun, olga: Person, finished: int) -> None:
    olga.go(f"review/{finished}")
    scrub = olga.page.locator("input#scrub")
    expect(scrub).to_be_enabled()
    scrub.fill("5")
    said = olga.page.get_by_text(re.compile(r"^step \d+ of"))
    before = said.inner_text()
    olga.press("ArrowRight")
    expect(scrub).to_have_value("6")
    expect(said).not_to_have_text(before)


def test_a_selection_is_exported(live: ConsoleRun, olga: Person, finished: int) -> None:
    with olga.page.expect_download() as saved:
        olga.page.click('button[data-export="csv"]')
    text = saved.value.path().read_text()
    assert len(text.splitlines()) >= len([row for row in live.episodes() if row.status == "ended"]) - 2
    assert str(finished) in text


def test_no_film_is_offered_where_there_are_no_pictures(live: ConsoleRun, olga: Person) -> None:
    olga.go("review")
    film = olga.page.locator('button[data-export="mp4"]')
    expect(film).to_have_attribute("aria-disabled", "true")
    expect(film).to_have_attribute("title", "this run has no cameras, so there is no film")
    expect(olga.page.locator("select[name=end_s]")).to_be_disabled()
    expect(olga.page.locator('button[data-export="lerobot"]')).not_to_have_attribute("aria-disabled", "true")
    film.click(force=True)
    olga.expect_message("Film: this run has no cameras")
    expect(olga.page.locator(".exports .jobs li")).to_have_count(0)
