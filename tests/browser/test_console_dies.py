"""A console that is killed: the run goes on, another console comes, and the page finds it by itself."""

import os
import re
import signal

import pytest
from console_page import Person
from console_run import ConsoleRun
from playwright.sync_api import expect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def live(own_live: ConsoleRun) -> ConsoleRun:
    return own_live


def test_killing_the_console_stops_nothing(live: ConsoleRun, olga: Person) -> None:
    olga.forgive(r"WebSocket|net::ERR|Failed to load resource")
    pid, steps = live.pid("console"), live.heard.actor["env_steps"]
    os.kill(pid, signal.SIGKILL)
    expect(olga.page.locator("body")).to_have_attribute("data-connected", "false")
    live.heard.wait(lambda heard: heard.actor["env_steps"] > steps + 50, "fifty steps more")
    olga.wait_connected()
    assert live.pid("console") != pid
    olga.expect_driver("policy", "reset", "countdown")  # before, there is no control loop to be paused
    if olga.page.locator("body").get_attribute("data-lease") != "mine":
        olga.claim()
    olga.page.wait_for_selector('canvas[data-camera="overview"][data-sequence]')
    olga.press("p")
    live.heard.until(lambda now: now.paused, "a pause through the new console")
    olga.expect_driver("hold", "held")
    olga.press("p")
    live.heard.until(lambda now: not now.paused, "the end of the pause")
    assert live.process.poll() is None


def test_what_a_killed_console_means_for_the_controls(live: ConsoleRun, olga: Person) -> None:
    olga.drive()
    os.kill(live.pid("console"), signal.SIGKILL)
    olga.expect_message("Driving ended: the connection to the console was lost")
    olga.expect_message("The console was started again: take the controls again")
    expect(olga.page.locator("#messages")).not_to_contain_text(re.compile("given the controls|not operate"))
    olga.claim()


def test_killing_the_control_loop_is_told_and_overcome(live: ConsoleRun, olga: Person) -> None:
    boot = live.heard.until(lambda now: True, "the run").boot
    os.kill(live.pid("actor"), signal.SIGKILL)
    live.heard.until(lambda now: now.boot != boot and now.running, "another control loop")
    olga.expect_driver("policy", "reset")
    expect(olga.page.locator("#advice")).to_contain_text("actor died")
