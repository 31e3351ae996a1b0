"""The console from another computer of the robot's network: a certificate, and everything as without one."""

import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from console_hand import by_human, hold_down, human_steps
from console_page import Person
from console_run import ConsoleRun, fresh
from playwright.sync_api import Browser, expect

from handrail.launch.cli import main

# A hand that is silent for 150 ms has let go, so this has the machine to itself.
pytestmark = [pytest.mark.slow, pytest.mark.realtime, pytest.mark.timeout(180)]

PICTURES = 10
_PAINTED = """([then, more]) => Number(
    document.querySelector('canvas[data-camera="overview"]').dataset.sequence) > then + more"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the manual has it made."""
    folder = tmp_path_factory.mktemp("certificate") / "tls"
    assert main(["console", "cert", f"folder={folder}", "names=robot.lan"]) == 0
    return folder


@pytest.fixture(scope="module")
def live(
    tmp_path_factory: pytest.TempPathFactory, browser: Browser, certificate: Path
) -> Iterator[ConsoleRun]:
    """A run that serves its console over TLS."""
    run = ConsoleRun(tmp_path_factory.mktemp("secure"), f"tls={certificate}")
    try:
        run.wait_for_training()
        yield run
    finally:
        run.close()


def test_it_is_the_certificate_s_and_nothing_is_served_without_it(
    live: ConsoleRun, certificate: Path
) -> None:
    assert live.address.startswith("https://127.0.0.1:")
    trusted = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    with urllib.request.urlopen(f"{live.address}/login", context=trusted) as answer:
        assert answer.status == 200
    with pytest.raises(OSError):
        urllib.request.urlopen(live.address.replace("https", "http") + "/login")


def test_pictures_flow_and_a_hand_drives(live: ConsoleRun, olga: Person) -> None:
    page = olga.page
    assert page.evaluate("isSecureContext") and page.url.startswith("https://")
    (cookie,) = page.context.cookies()
    assert cookie.get("name", "").startswith("__Host-") and cookie.get("secure") and cookie.get("httpOnly")

    canvas = page.locator('canvas[data-camera="overview"][data-sequence]').first
    expect(canvas).to_be_visible()
    page.wait_for_function(_PAINTED, arg=[int(canvas.get_attribute("data-sequence") or -1), PICTURES])

    now = fresh(live, olga)
    hold_down(
        live, olga, "w", lambda heard: by_human(heard.now) and human_steps(heard, now.episode, now.step)
    )
    olga.expect_driver("human")
    page.keyboard.up("w")
    live.heard.until(lambda now: now.driver == "policy", "the policy")
    assert max(step.action[0] for step in human_steps(live.heard, now.episode, now.step)) > 0.05
