"""The main screens, whole, as text in ``captures/``: what changes in them is read in review.

``PARLEY_CAPTURE=1 pytest tests/client/test_captures.py`` writes them anew.
"""

import os
import re
import time
from pathlib import Path

import pytest

from tests.client.conftest import Open
from tests.client.terminal import Terminal
from tests.conftest import ChatServer, Make
from tests.wire import Wire

PLACE = Path(__file__).resolve().parent / "captures"


@pytest.fixture
def server(make_server: Make) -> ChatServer:
    return make_server("--rate", "0", "--motd", "The physics lab. Be kind.").start()


def alike(text: str) -> str:
    """Return a screen without what differs from run to run."""
    text = re.sub(r"─+ \w+day, \d\d \w+ 20\d\d ─+", lambda m: f"{' A DAY ':─^{len(m[0])}}", text)
    text = re.sub(r"\b\d\d:\d\d\b", "12:34", text)
    text = re.sub(r"again in \d+ s", "again in 9 s", text)
    text = re.sub(r"localhost:\d+", "localhost:10500", text)
    text = re.sub(r"for \d+ s\b", "for 9 s", text)
    return "".join(f"{line.rstrip()}\n" for line in text.split("\n"))


def same(terminal: Terminal, name: str) -> None:
    """Check the screen against its capture, once it has come to rest."""
    path = PLACE / f"{name}.txt"
    wanted = path.read_text() if path.exists() else ""
    if os.environ.get("PARLEY_CAPTURE"):
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            terminal.read(0.1)
        path.write_text(alike(terminal.text))
        return
    deadline = time.monotonic() + 10
    while alike(terminal.text) != wanted and time.monotonic() < deadline:
        terminal.read(0.1)
    assert alike(terminal.text) == wanted


def talk(server: ChatServer) -> tuple[Wire, Wire]:
    """Have two people say what a screen must cope with."""
    bob, long = server.joined("Bob"), server.joined("an_unusually_long_nick_of_32_cha")
    bob.say("Coffee at ten? The machine on the second floor is broken, so the one by the stairs.")
    long.say("我也去，十点见！ And a link: https://example.org/a/rather/long/path/to/something")  # noqa: RUF001
    bob.say("/me looks for a cup")
    long.say("two\nlines")
    return bob, long


def test_first_screen(server: ChatServer, open_client: Open) -> None:
    ann = open_client(server, "ann")
    ann.see("1 here")
    same(ann, "first-80x24")


@pytest.mark.parametrize(("columns", "lines"), [(40, 10), (80, 24), (120, 40), (200, 60)])
def test_talk(server: ChatServer, open_client: Open, columns: int, lines: int) -> None:
    bob, _ = talk(server)
    ann = open_client(server, "ann", columns=columns, lines=lines)
    ann.see("3 here")
    bob.say("ann: are you coming?")
    ann.see("are you coming?")
    ann.type("On my way.\r")
    ann.see("✓ On my way.")
    bob.say("psst", "@ann")
    ann.see("2")
    bob.send(purpose="away", ref="a", text="getting a cup")
    ann.type("and a draft that is being typed")
    ann.see("being typed")
    same(ann, f"talk-{columns}x{lines}")


def test_private(server: ChatServer, open_client: Open) -> None:
    bob, _ = talk(server)
    ann = open_client(server, "ann", columns=120, lines=30)
    ann.see("3 here")
    bob.say("psst", "@ann")
    bob.send(purpose="away", ref="a", text="getting a cup")
    ann.see("2 @Bob")
    ann.type("\x1ba")
    ann.see("@Bob ›")
    ann.type("/msg nobody hello?\r")
    ann.see("✗ hello?")
    ann.type("\x1b2")
    ann.see("@Bob ›")
    ann.type("yes?\r")
    ann.see("✓ yes?")
    same(ann, "private-120x30")
    ann.type("\x1b3")
    ann.see("@nobody ›")
    same(ann, "refused-120x30")


def test_missed_and_lost(server: ChatServer, open_client: Open) -> None:
    bob, _ = talk(server)
    ann = open_client(server, "ann")
    ann.see("3 here")
    ann.type("\x03")
    ann.ended()
    bob.until("left")
    bob.say("said while ann was away")
    ann = open_client(server, "ann")
    ann.see("while ann was away", "Coffee at ten?")
    same(ann, "missed-80x24")
    server.kill()
    ann.see("again in")
    ann.type("said into the dark\r")
    ann.see("… said into the dark")
    same(ann, "lost-80x24")


@pytest.mark.parametrize(("columns", "lines"), [(40, 10), (80, 24)])
def test_help(server: ChatServer, open_client: Open, columns: int, lines: int) -> None:
    ann = open_client(server, "ann", columns=columns, lines=lines)
    ann.see("1 here")
    ann.type("/help\r")
    ann.see("Esc closes")
    same(ann, f"help-{columns}x{lines}")


def test_lists(server: ChatServer, open_client: Open) -> None:
    talk(server)
    ann = open_client(server, "ann")
    ann.see("3 here")
    ann.type("/users\r")
    ann.see("3 in all")
    same(ann, "people-80x24")
    ann.type("\x1b")
    ann.see("›", not_="Esc closes")
    ann.type("\x0b")
    ann.see("Go to:", "@Bob")
    same(ann, "switcher-80x24")
    ann.type("\x1b")
    ann.see("#lobby ›")
    ann.type("/")
    ann.see("/msg NICK", "/topic")
    same(ann, "completion-80x24")


def test_password(accounts_server: ChatServer, open_client: Open) -> None:
    alice = open_client(accounts_server, "alice")
    alice.see("Password for alice:")
    alice.type("secret")
    alice.see("******")
    same(alice, "password-80x24")
