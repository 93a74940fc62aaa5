"""Somebody at a browser: what they do with the page, and see of it."""

import time

from playwright.sync_api import BrowserContext, ConsoleMessage, Error, Locator, Page, expect

PATIENCE = 15_000
"""Milliseconds in which something must have come."""

_EXPECTED = ("WebSocket connection", "Failed to load resource", "Cross-Origin-Opener-Policy")
"""What browsers complain of by themselves: a server that is gone, a header that needs https."""

expect.set_options(timeout=PATIENCE)


class Person:
    """A person with a browser ``context`` of their own, and the page of a server at ``url``.
    ``faults`` are errors of the page's scripts, and what its policy has kept from happening."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self.faults: list[str] = []
        self.page = self.tab()

    def tab(self) -> Page:
        """Open the page in another tab."""
        page = self.context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", self._failed)
        page.on("console", self._logged)
        page.goto(self.url)
        return page

    def _failed(self, problem: Error) -> None:
        self.faults.append(str(problem))

    def _logged(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(w in message.text for w in _EXPECTED):
            self.faults.append(message.text)

    # Doing

    def come(self, nick: str, password: str = "") -> None:
        """Come in by the form."""
        self.knock(nick, password)
        expect(self.page.locator("#me-nick")).to_have_text(nick)
        expect(self.page.locator("#connection")).to_be_empty()

    def knock(self, nick: str, password: str = "") -> None:
        """Fill in the form and send it."""
        self.page.fill("#gate-nick", nick)
        self.page.fill("#gate-password", password)
        self.page.click("#gate-go")

    def say(self, text: str) -> None:
        """Type a message, or a command, and Enter."""
        self.page.fill("#say", text)
        self.page.press("#say", "Enter")

    def go(self, name: str) -> None:
        """Go to a conversation by Ctrl+K."""
        self.page.keyboard.press("Control+k")
        self.page.keyboard.type(name)
        self.page.keyboard.press("Enter")
        expect(self.page.locator("#title")).to_have_text(name)

    # Seeing

    def message(self, text: str) -> Locator:
        """The message that has ``text`` in it."""
        return self.page.locator(".message", has_text=text)

    def sees(self, text: str) -> Locator:
        """Wait for exactly one message with ``text``."""
        found = self.message(text)
        expect(found).to_have_count(1)
        return found

    def stored(self, text: str) -> None:
        """Wait until an own message is acknowledged."""
        expect(self.sees(text).locator(".fate.stored")).to_be_visible()

    def told(self, text: str) -> None:
        """Wait for a line of the page's own, or about comings and goings."""
        expect(self.page.locator(".aside-line", has_text=text).first).to_be_visible()

    @property
    def texts(self) -> list[str]:
        """What was said, of that which is in the page, in its order."""
        texts: list[str] = self.page.evaluate(
            "[...document.querySelectorAll('.message .text')].map(each => each.textContent)"
        )
        return texts

    def hears(self, condition: str) -> None:
        """Wait until an expression of JavaScript is true. (The page's policy lets nothing that
        runs in it make code of a text, so that it is asked from outside, again and again.)"""
        deadline = time.monotonic() + PATIENCE / 1000
        while not self.page.evaluate(condition):
            assert time.monotonic() < deadline, f"it does not come true: {condition}"
            self.page.wait_for_timeout(20)
