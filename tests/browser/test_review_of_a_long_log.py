"""The review of a run that nobody drives: its filters, its pictures, and what is said about it afterwards."""

import re
from collections.abc import Callable, Iterator

import pytest
from console_page import Person
from console_run import Kept
from playwright.sync_api import Browser, Locator, expect

from handrail.intervention.index import EpisodeIndex
from handrail.intervention.log_reader import LogReader
from handrail.launch.bench.console_side import served
from handrail.launch.bench.long_log import OPERATORS, write_long_log

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

EPISODES, STEPS = 64, 20


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("long")
    run = write_long_log(folder / "long", EPISODES, STEPS, 2, 32)
    with served(folder / "out", "console", f"run={run.path}", "port=0") as console:
        yield Kept(run, console)


@pytest.fixture(scope="module")
def rita(browser: Browser, kept: Kept, people: list[Person]) -> Person:
    person = Person(browser, kept.console.address)
    people.append(person)
    person.sign_in(kept.console.tokens["operator"], "Rita")
    person.claim()
    return person


@pytest.fixture
def table(rita: Person) -> Iterator[Locator]:
    """All rows of the table, unfiltered."""
    rita.go("review")
    rows = rita.page.locator("table#episodes tbody tr[data-episode]")
    expect(rows.first).to_be_visible()
    yield rows
    rita.go("review")
    rita.page.reload()
    rita.wait_connected()


def numbers(rows: Locator) -> set[int]:
    return set(rows.evaluate_all("rows => rows.map(row => Number(row.dataset.episode))"))


def known(kept: Kept, wanted: Callable[..., bool]) -> set[int]:
    with EpisodeIndex(kept.run.index_file, LogReader(kept.run.segments)) as index:
        index.refresh()
        return {row.episode for row in index.episodes() if wanted(row)}


def test_a_run_that_nobody_drives_is_at_rest(kept: Kept, rita: Person) -> None:
    rita.expect_driver("rest")
    expect(rita.page.locator("#driver")).to_contain_text(f"handrail train run={kept.run.path} goes on.")
    rita.go("run")
    expect(rita.page.locator("#coach")).not_to_contain_text("Next:")
    expect(rita.page.locator('#advice [data-rule="all-well"]')).to_have_count(0)
    rita.go("review")


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("outcome", "failure", lambda row: row.success is False),
        ("human", "true", lambda row: row.human_steps > 0),
        ("purpose", "demo", lambda row: row.purpose == "demo"),
        ("operator", OPERATORS[1], lambda row: row.episode // 50 % 2 == 1),
    ],
)
def test_a_filter_leaves_what_it_says(
    kept: Kept, rita: Person, table: Locator, name: str, value: str, wanted: Callable[..., bool]
) -> None:
    rita.page.select_option(f"[name={name}]", value)
    expected = known(kept, wanted)
    assert 0 < len(expected) < EPISODES
    expect(table).to_have_count(len(expected))
    assert numbers(table) == expected
    expect(rita.page.locator("#totals")).to_contain_text(str(len(expected)))


def test_words_of_a_note_are_found(kept: Kept, rita: Person, table: Locator) -> None:
    rita.page.fill("[name=text]", "sat askew")
    rita.page.keyboard.press("Enter")
    failed = known(kept, lambda row: row.label == "failure")
    expect(table).to_have_count(len(failed))
    assert numbers(table) == failed


def test_an_episode_shows_its_pictures_as_it_is_scrubbed(rita: Person) -> None:
    rita.go(f"review/{EPISODES - 2}")
    canvas = rita.page.locator("canvas#frame-wrist")
    expect(canvas).to_be_visible()
    scrub = rita.page.locator("input#scrub")
    seen = set()
    for step in (0, 8, 16):
        scrub.fill(str(step))
        rita.page.evaluate(
            "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        seen.add(canvas.evaluate("canvas => canvas.toDataURL()"))
    assert len(seen) == 3
    rita.press("ArrowRight")
    expect(scrub).to_have_value("17")
    rita.press("ArrowLeft")
    expect(scrub).to_have_value("16")


def test_a_label_goes_to_the_log_itself(kept: Kept, rita: Person) -> None:
    episode = min(known(kept, lambda row: row.label == "failure"))
    rita.go(f"review/{episode}")
    rita.page.fill("#why", "seen again")
    rita.page.click('button[data-label="exclude"]')
    expect(rita.page.locator("#history li").filter(has_text="seen again")).to_be_visible()
    assert known(kept, lambda row: row.label == "exclude") == {episode}


def test_rewards_are_drawn_under_the_label_and_beside_those_recorded(rita: Person) -> None:
    rita.go("review/45")
    row = rita.page.locator('#episode figure[data-timeline="reward"]')
    names, value = row.locator(".key"), row.locator(".value")
    expect(value).to_have_text("0.00")
    expect(names.first).to_be_hidden()
    for label, shown, apart in (("success", "1.00  0.00", True), ("failure", "0.00", False)):
        rita.page.click(f'button[data-label="{label}"]')
        expect(value).to_have_text(shown, use_inner_text=True)
        for name, words in zip(names.all(), ("under its label", "as recorded"), strict=True):
            expect(name).to_be_visible(visible=apart)
            expect(name).to_have_text(words)


def test_whoever_looks_on_takes_tables_away_and_is_told_why_no_more(
    kept: Kept, browser: Browser, people: list[Person]
) -> None:
    vera = Person(browser, kept.console.address)
    people.append(vera)
    vera.sign_in(kept.console.tokens["viewer"], "Vera")
    vera.go("review")
    for form, name in (("mp4", "Film"), ("lerobot", "Dataset")):
        button = vera.page.locator(f'button[data-export="{form}"]')
        expect(button).to_have_attribute("aria-disabled", "true")
        expect(button).to_have_attribute("title", "you are signed in as a viewer")
        button.click(force=True)
        vera.expect_message(f"{name}: you are signed in as a viewer")
    vera.page.locator("#episodes .tick input").first.check()
    bar = vera.page.locator(".chosen")
    expect(bar.locator('button[data-label="exclude"]')).to_have_attribute("aria-disabled", "true")
    expect(bar).to_contain_text("you are signed in as a viewer")
    vera.page.locator("#episodes .tick input").first.uncheck()
    expect(bar).to_be_hidden()
    with vera.page.expect_download() as saved:
        vera.page.click('button[data-export="episodes"]')
    assert saved.value.path().read_text().startswith("episode,")
    vera.leave()


def test_the_failure_reel_shows_one_failure_after_another(kept: Kept, rita: Person, table: Locator) -> None:
    expect(table.first).to_be_visible()
    failed = known(kept, lambda row: row.success is False)
    rita.page.click('button[data-act="reel"]')
    reel = rita.page.locator("#reel")
    expect(reel.locator("canvas#frame-wrist")).to_be_visible()
    reel.locator('button[data-act="play"]').click()  # it goes on by itself until it is paused
    shown = set()
    for _ in failed:
        number, place, all_of_them = map(int, re.findall(r"\d+", reel.locator(".caption").inner_text()))
        assert all_of_them == len(failed)
        shown.add(number)
        reel.locator('button[data-act="next"]').click()
        expect(reel.locator(".caption")).to_contain_text(f": {place % len(failed) + 1} of")
    assert shown == failed


def test_the_log_is_exported_as_a_table(kept: Kept, rita: Person, table: Locator) -> None:
    expect(table.first).to_be_visible()
    with rita.page.expect_download() as saved:
        rita.page.click('button[data-export="csv"]')
    head, *lines = saved.value.path().read_text().splitlines()
    assert head.startswith("episode,step,")
    excluded = known(kept, lambda row: row.label == "exclude")
    assert {int(line.partition(",")[0]) for line in lines} == set(range(EPISODES)) - excluded
    assert len(lines) == (EPISODES - len(excluded)) * STEPS


def labels(kept: Kept) -> dict[int, tuple[str | None, str | None, str]]:
    """(label, who gave it, note) of every episode."""
    with EpisodeIndex(kept.run.index_file, LogReader(kept.run.segments)) as index:
        index.refresh()
        return {row.episode: (row.label, row.labeller, row.note) for row in index.episodes()}


def test_many_get_one_label_by_the_keyboard_and_it_is_taken_back(
    kept: Kept, rita: Person, table: Locator
) -> None:
    expect(table.first).to_be_visible()
    before = labels(kept)
    for key in ("ArrowDown", "ArrowDown", "c", "Shift+ArrowDown", "Shift+ArrowDown", "ArrowUp", "c", "w"):
        rita.page.keyboard.press(key)
    bar = rita.page.locator(".chosen")
    expect(bar).to_contain_text("2 episodes ticked")
    ticked = {EPISODES - 2, EPISODES - 4}
    assert numbers(rita.page.locator("#episodes tr[aria-selected]")) == ticked
    bar.locator('button[data-label="exclude"]').click()
    rita.expect_message("Say why first")
    rita.page.keyboard.type("a bad classifier")  # where the page has put the cursor
    bar.locator('button[data-label="exclude"]').click()
    expect(bar.get_by_role("status")).to_have_text("2 episodes labelled exclude.")
    assert {number for number, told in labels(kept).items() if told != before[number]} == ticked
    assert {labels(kept)[number] for number in ticked} == {("exclude", "Rita", "a bad classifier")}
    note = rita.page.locator(f'#episodes tr[data-episode="{EPISODES - 2}"] td[data-column="note"]')
    expect(note).to_have_text("a bad classifier")
    bar.locator('button[data-act="undo-many"]').click()
    expect(bar.get_by_role("status")).to_have_text("2 labels taken back.")
    expect(note).not_to_have_text("a bad classifier")
    assert labels(kept) == before


def test_all_of_a_filter_are_ticked_and_ticked_rows_alone_are_exported(
    kept: Kept, rita: Person, table: Locator
) -> None:
    rita.page.select_option("[name=purpose]", "demo")
    demos = known(kept, lambda row: row.purpose == "demo")
    expect(table).to_have_count(len(demos))
    rita.page.click('button[data-act="tick-all"]')
    expect(rita.page.locator(".chosen")).to_contain_text(f"{len(demos)} episodes ticked")
    rita.page.click('button[data-act="tick-all"]')
    expect(rita.page.locator(".chosen")).to_be_hidden()
    for place, keys in ((1, []), (3, ["Shift"])):
        table.nth(place).locator(".tick").click(modifiers=keys)  # type: ignore[arg-type]
    ticked = numbers(rita.page.locator("#episodes tr[aria-selected]"))
    assert len(ticked) == 3
    expect(rita.page.locator(".exports")).to_contain_text("Export the 3 ticked")
    with rita.page.expect_download() as saved:
        rita.page.click('button[data-export="episodes"]')
    _, *lines = saved.value.path().read_text().splitlines()
    assert {int(line.partition(",")[0]) for line in lines} == ticked
    rita.page.select_option("[name=purpose]", "")
    expect(rita.page.locator(".chosen")).to_be_hidden()


def test_an_episode_is_judged_by_key_and_whoever_goes_back_is_where_they_were(
    kept: Kept, rita: Person, table: Locator
) -> None:
    expect(table.first).to_be_visible()
    before = labels(kept)
    episode = EPISODES - 5
    rita.go(f"review/{episode}")
    expect(rita.page.locator("input#scrub")).to_be_enabled()
    label, back = (
        rita.page.locator('.facts [data-column="label"]'),
        rita.page.locator("#history [data-act=undo]"),
    )
    rita.press("w")
    rita.page.keyboard.type("yes, no?")
    rita.page.keyboard.press("Escape")
    for key, words in (("n", "failure by Rita"), ("x", "exclude by Rita"), ("d", "demo by Rita")):
        rita.page.keyboard.press(key)
        expect(label).to_have_text(words)
    expect(back).not_to_have_attribute("aria-busy", "true")
    rita.page.keyboard.press("u")
    expect(label).to_have_text("exclude by Rita")
    expect(rita.page.locator("#history li").first).to_contain_text("demo is taken back, exclude stands again")
    back.click()
    expect(label).to_have_text("failure by Rita")
    expect(back).not_to_have_attribute("aria-busy", "true")  # the same once more would be a double click
    rita.page.keyboard.press("u")
    expect(back).to_have_count(0)
    assert labels(kept) == before
    rita.press("u")
    rita.expect_message("no label of a person")
    rita.page.keyboard.press("PageDown")
    expect(rita.page.locator("#episode")).to_have_attribute("data-episode", str(episode + 1))
    rita.page.keyboard.press("Escape")
    expect(rita.page.locator(f'#episodes tr[data-episode="{episode + 1}"] a')).to_be_focused()
