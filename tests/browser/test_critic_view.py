"""The critic view's "i": how a figure is computed, what it is made of now, and what to do."""

import re

import pytest
from console_page import Person
from console_run import ConsoleRun
from playwright.sync_api import expect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def test_the_lengths_of_the_gradients_are_behind_the_i(live: ConsoleRun, olga: Person) -> None:
    live.heard.wait(lambda heard: heard.learner.get("updates", 0) > 400, "the learner's diagnostics")
    olga.go("critic")
    olga.page.wait_for_selector("#shares canvas")
    about = olga.page.locator("#about-shares")
    expect(about).to_be_hidden()
    olga.page.click("#shares button.info")
    expect(about).to_contain_text(re.compile(r"cosine with g, lately: demonstrations [\d.e-]+, -?\d\.\d\d"))
    expect(about).to_contain_text("What to do.")
    expect(olga.page.locator('.sentence[data-about="shares"]')).to_contain_text("critic's last layer")
    expect(olga.page.locator('.sentence[data-about="effective"]')).to_contain_text("errs by more than 0.1")
