"""A person in front of the console, in a real browser."""

import contextlib
import io
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from PIL import Image
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Dialog,
    Error,
    Locator,
    Page,
    Request,
    WebSocket,
    expect,
)

PATIENCE_MS = 30_000
"""How long a page may take on a machine that others share [ms]."""

_ASK = """
([message, age, times]) => new Promise((resolve, reject) => {
  const socket = new WebSocket(`${location.origin.replace("http", "ws")}/ws/live`);
  const answers = [], id = message.id ?? crypto.randomUUID();
  socket.onerror = () => reject(new Error("the socket was refused"));
  socket.onmessage = event => {
    const heard = JSON.parse(event.data);
    if (heard.kind === "hello") {
      const text = JSON.stringify({id, issued_ms: heard.server_ms - age, ...message});
      for (let n = 0; n < times; n += 1) socket.send(text);
    }
    if (heard.kind === "ack" && heard.id === id) answers.push(heard);
    if (answers.length === times) { socket.close(); resolve(answers); }
  };
})
"""


class Person:
    """Somebody at a browser of their own.

    Args:
        browser: where to open the window.
        address: of the console.
        width, height: of the window.
        scheme: "light" or "dark".
        touch: whether it is a tablet.

    Attributes:
        page: the page, for what has no name here.
    """

    def __init__(
        self,
        browser: Browser,
        address: str,
        width: int = 1280,
        height: int = 720,
        scheme: Any = "light",
        touch: bool = False,
    ) -> None:
        self.address = address
        self._complaints: list[str] = []
        # Who lets go, or leaves a view, before its socket was through.
        self._forgiven = [re.compile("ws/(hand|video)' failed: WebSocket is closed before")]
        self._context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            has_touch=touch,
            ignore_https_errors=True,
        )
        self._context.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        self.page: Page = self._context.new_page()
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self._complain(f"uncaught: {error}"))
        self.page.on("dialog", self._interrupted)
        self.page.on("request", self._asked)
        self.page.on("websocket", self._dialled)

    def sign_in(self, token: str, name: str) -> None:
        """Through the login page, as a person would with the token at hand."""
        self.page.goto(f"{self.address}/login")
        self.page.fill("[name=token]", token)
        self.page.fill("[name=name]", name)
        self.page.keyboard.press("Enter")
        self.wait_connected()

    def wait_connected(self) -> None:
        """Wait until the page hears the run."""
        expect(self.page.locator("body")).to_have_attribute("data-connected", "true")

    def go(self, view: str) -> None:
        """Open a view by its address: "run", "critic", "review", "review/3", "setup"."""
        self.page.evaluate("hash => { location.hash = hash }", f"#/{view}")

    def claim(self) -> None:
        """Take the lease."""
        self.act("claim").click()
        with contextlib.suppress(AssertionError):  # a page that was being drawn anew: a person presses again
            expect(self.page.locator("body")).to_have_attribute("data-lease", "mine", timeout=PATIENCE_MS / 2)
            return
        self.act("claim").click()
        self.expect_lease("mine")

    def expect_lease(self, whose: str) -> None:
        """Wait until the lease is "mine", "other" or "none"."""
        expect(self.page.locator("body")).to_have_attribute("data-lease", whose)

    def verb(self, name: str) -> Locator:
        """The button that asks the control loop for something."""
        return self.page.locator(f'button[data-verb="{name}"]').first

    def act(self, name: str) -> Locator:
        """A button of the page's own."""
        return self.page.locator(f'button[data-act="{name}"]').first

    def press(self, key: str) -> None:
        """Press a key, with nothing in focus that would take it."""
        self.page.evaluate("document.activeElement && document.activeElement.blur()")
        self.page.keyboard.press(key)

    def expect_driver(self, *drivers: str) -> None:
        """Wait until the banner says who drives."""
        banner = self.page.locator("#driver")
        expect(banner).to_have_attribute("data-driver", re.compile(f"^({'|'.join(drivers)})$"))

    def expect_message(self, words: str) -> None:
        """Wait until the page tells something with these words in it (a regular expression)."""
        told = self.page.locator("#messages .message").filter(has_text=re.compile(words, re.IGNORECASE))
        expect(told.first).to_be_attached()

    def field(self, name: str) -> Locator:
        """A value that the page shows."""
        return self.page.locator(f'[data-field="{name}"]').first

    def part(self, name: str) -> Locator:
        """Choose a part of the set-up."""
        self.page.click(f"button[data-part={name}]")
        section = self.page.locator(f"section#{name}")
        expect(section).to_be_visible()
        return section

    def drive(self) -> None:
        """Arm the keyboard: the simulation slows down to real time, and letters drive."""
        self.press("k")
        expect(self.act("drive")).to_have_attribute("aria-pressed", "true")

    def let_go(self) -> None:
        """Disarm the keyboard."""
        self.press("Escape")
        expect(self.act("drive")).to_have_attribute("aria-pressed", "false")

    def at_rest(self) -> None:
        """Drive no longer, and take back a pause."""
        if self.act("drive").get_attribute("aria-pressed") == "true":
            self.let_go()
        self.ask_raw("resume")

    def ask_raw(
        self, verb: str, age_ms: float = 0.0, times: int = 1, **details: object
    ) -> list[dict[str, Any]]:
        """Send a command past the page, over a socket of its own with the page's cookie; the answers.

        Args:
            verb: what is asked.
            age_ms: how long ago it was asked [ms].
            times: how often the same message is sent.
            details: its other fields.
        """
        return self.page.evaluate(_ASK, [{"kind": "command", "verb": verb, **details}, age_ms, times])

    def brightness(self) -> float:
        """Mean brightness of what the page shows, 0 to 255."""
        shown = Image.open(io.BytesIO(self.page.screenshot())).convert("L").resize((64, 36))
        return sum(shown.tobytes()) / (64 * 36)

    def forgive(self, words: str) -> None:
        """Complaints with these words (a regular expression) must come."""
        self._forgiven.append(re.compile(words))

    def take_complaints(self) -> list[str]:
        """What the page has complained of since the last time."""
        complaints, self._complaints = self._complaints, []
        return [each for each in complaints if not any(known.search(each) for known in self._forgiven)]

    def picture(self, folder: Path, number: int) -> str:
        """Keep what the page looks like now; where, and what it says, in words."""
        try:
            path = folder / f"page-{number}.png"
            self.page.screenshot(path=path)
            folder.joinpath(f"page-{number}.html").write_text(self.page.content())
            return f"{self.page.url}\n{path}\n{self.page.locator('body').inner_text()[:3000]}"
        except Error as error:
            return f"no picture: {error}"

    def give_back(self) -> None:
        """Hand over the lease, where there is one, and driving ends with it: the next need not wait."""
        mine = "body[data-connected=true][data-lease=mine]"
        if not self.page.is_closed() and self.page.locator(mine).count():
            self.page.evaluate("window.handrail.context.live.release()")
            self.expect_lease("none")

    def leave(self) -> None:
        """Close the window; harmless when closed already."""
        if not self.page.is_closed():
            self._context.close()

    def _complain(self, complaint: str) -> None:
        self._complaints.append(complaint)

    def _interrupted(self, dialog: Dialog) -> None:
        self._complain(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._complain(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def _asked(self, request: Request) -> None:
        self._home(request.url)

    def _dialled(self, socket: WebSocket) -> None:
        self._home(socket.url)

    def _home(self, url: str) -> None:
        where = urlsplit(url)
        if where.scheme not in ("data", "blob") and where.netloc != urlsplit(self.address).netloc:
            self._complain(f"foreign host: {url}")
