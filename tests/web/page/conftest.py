"""Browsers for the tests of the page: Debian's chromium, one process for all tests of a worker."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from tests.conftest import ChatServer
from tests.web.conftest import web_port
from tests.web.page.person import Person

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

Visit = Callable[..., Person]


@pytest.fixture(scope="session")
def playwright_() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(playwright_: Playwright) -> Iterator[Browser]:
    """A browser. It looks nothing up but this machine, so that no test can leave it."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium: apt-get install chromium")
    started = playwright_.chromium.launch(
        executable_path=chromium,
        args=[*ARGUMENTS, "--host-resolver-rules=MAP lan.test 127.0.0.1"],
    )
    yield started
    started.close()


@pytest.fixture
def visit(browser: Browser, web_server: ChatServer) -> Iterator[Visit]:
    """Open the page as somebody with a browser of their own: ``visit(nick)`` comes in too.
    Fails if a page has had an error or broken its policy."""
    made: list[Person] = []

    def visit_(nick: str = "", password: str = "", **more: Any) -> Person:
        server = more.pop("server", web_server)
        host, scheme = more.pop("host", "127.0.0.1"), more.pop("scheme", "http")
        more = {"locale": "en-GB", "viewport": {"width": 1280, "height": 800}, **more}
        context = browser.new_context(**more)
        person = Person(context, f"{scheme}://{host}:{web_port(server)}/")
        made.append(person)
        if nick:
            person.come(nick, password)
        return person

    yield visit_
    for person in made:
        person.context.close()
    for person in made:
        assert not person.faults, person.faults


@pytest.fixture
def png(tmp_path: Path) -> bytes:
    """A small picture."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", crc)

    rows = b"".join(b"\0" + bytes([40, 120, 200] * 32) for _ in range(32))
    head = struct.pack("!IIBBBBB", 32, 32, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
