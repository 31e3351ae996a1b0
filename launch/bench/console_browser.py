"""The browser of `handrail bench console`: chromium without a window, in front of a real console's page."""

import importlib.util
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from handrail.launch.errors import BenchSilent

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_PATIENCE_MS = 60_000
_POLL_S = 1.0
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio")
"""A browser in a container: no sandbox of its own, no graphics card, little shared memory."""

_STOPWATCH = """
(() => {
  const watch = window.handrailBench = {pressed: 0, took: []};
  addEventListener("keydown", event => { watch.pressed = event.timeStamp; }, true);
  const Plain = window.WebSocket;
  window.WebSocket = class extends Plain {
    constructor(...words) {
      super(...words);
      this.addEventListener("message", event => {
        if (typeof event.data === "string" && event.data.includes('"ack"')) {
          watch.took.push(performance.now() - watch.pressed);
        }
      });
    }
  };
})();
"""
"""From a key to the run's answer, measured in the page without the page's help [ms]."""


def chromium() -> str | None:
    """Where chromium is: HANDRAIL_CHROMIUM, or on the path; None where there is none."""
    return shutil.which(os.environ.get("HANDRAIL_CHROMIUM", "chromium"))


def missing() -> str:
    """What a browser lacks here, in one line; "" when there is one."""
    if chromium() is None:
        named = os.environ.get("HANDRAIL_CHROMIUM", "chromium")
        return f"there is no {named} here (`apt-get install chromium`, or name one in HANDRAIL_CHROMIUM)"
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed (`pip install 'handrail[dev]'`)"
    return ""


@contextmanager
def browser() -> Iterator["Browser"]:
    """Chromium, for as long as the block lasts; see `missing` first."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        shown = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        try:
            yield shown
        finally:
            shown.close()


@contextmanager
def heard() -> Iterator[None]:
    """What a page does not do in time is told as every benchmark tells it.

    Raises:
        BenchSilent: the page did not do what was waited for.
    """
    from playwright.sync_api import Error

    try:
        yield
    except Error as error:
        said = str(error).strip().partition("\n")[0]
        raise BenchSilent(f"the console's page: {said}") from error


@contextmanager
def page(browser: "Browser", address: str, token: str, name: str, live: bool = True) -> Iterator["Page"]:
    """A signed-in page of somebody's own, connected; with `live`, one that shows pictures."""
    context = browser.new_context(viewport={"width": 1280, "height": 720}, ignore_https_errors=True)
    try:
        context.set_default_timeout(_PATIENCE_MS)
        context.add_init_script(_STOPWATCH)
        shown = context.new_page()
        shown.goto(f"{address}/login")
        shown.fill("[name=token]", token)
        shown.fill("[name=name]", name)
        shown.keyboard.press("Enter")
        shown.wait_for_selector('body[data-connected="true"]')
        if live:
            shown.wait_for_selector("canvas[data-camera][data-sequence]")
        yield shown
    finally:
        context.close()


def latencies_ms(page: "Page", seconds: float, cameras: Sequence[str]) -> tuple[list[float], float]:
    """From each frame's time to its painting [ms], for so long; and how long it really was [s].

    Raises:
        BenchSilent: a camera's pictures do not come.
    """
    found: dict[tuple[str, int], float] = {}
    skip = {(each["camera"], each["sequence"]) for each in _painted(page)}
    began_s = time.monotonic()
    while time.monotonic() < began_s + seconds:
        page.wait_for_timeout(1000.0 * min(_POLL_S, seconds))
        for each in _painted(page):
            key = (each["camera"], each["sequence"])
            if key not in skip:
                found[key] = each["painted_ms"] - each["t_ms"]
    took_s = time.monotonic() - began_s
    for camera in cameras:
        if not any(key[0] == camera for key in found):
            raise BenchSilent(f"the page painted no frame of camera {camera!r} within {seconds:g} s")
    return list(found.values()), took_s


def _painted(page: "Page") -> list[dict]:
    return page.evaluate("Array.from(window.handrail.frames)")


def presses_ms(page: "Page", key: str, times: int) -> list[float]:
    """From a key to the run's answer, each of so many times [ms]."""
    page.click('button[data-act="claim"]')
    page.wait_for_selector('body[data-lease="mine"]')
    page.evaluate("document.activeElement && document.activeElement.blur()")
    for number in range(times):
        page.keyboard.press(key)
        page.wait_for_function("before => window.handrailBench.took.length > before", arg=number)
    return page.evaluate("window.handrailBench.took")


def opening_ms(page: "Page", hash: str, ready: str) -> float:
    """From the change of the page's hash to the first frame in which `ready` (a selector) shows [ms]."""
    return page.evaluate(
        """([hash, ready]) => new Promise(resolve => {
            const began = performance.now();
            location.hash = hash;
            const look = () => document.querySelector(ready)
                ? requestAnimationFrame(() => resolve(performance.now() - began))
                : requestAnimationFrame(look);
            look();
        })""",
        [hash, ready],
    )
