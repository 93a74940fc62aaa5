"""Ended from outside: by a signal, or because the terminal is gone."""

import json
import os
import signal
import subprocess
import termios
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import Open
from tests.client.terminal import Terminal
from tests.client.test_headless import command
from tests.conftest import ChatServer

CODES = {signal.SIGTERM: 143, signal.SIGHUP: 129}
both = pytest.mark.parametrize("number", CODES)


def identity(config: Path) -> dict[str, Any]:
    """Return what is remembered of the one who was in."""
    (file,) = (config / "identities").iterdir()
    known: dict[str, Any] = json.loads(file.read_text())
    return known


def last_seq(server: ChatServer) -> int:
    """Return the place of the last message."""
    last: int = max(r["seq"] for r in server.records if r["purpose"] == "message")
    return last


def modes(terminal: Terminal) -> list[Any]:
    """Return how the terminal reads and writes. The control characters tell nothing here."""
    return termios.tcgetattr(terminal.fd)[:4]


@both
def test_the_screen_gives_the_terminal_back(
    server: ChatServer, open_client: Open, number: signal.Signals
) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann")
    before = modes(ann)
    ann.see("2 here")
    assert modes(ann) != before
    bob.say("the last")
    ann.see("the last")
    ann.type("half a th")
    ann.see("half a th")
    os.kill(ann.pid, number)
    assert ann.ended() == CODES[number]
    assert modes(ann) == before
    for off in (b"\x1b[?1049l", b"\x1b[?1004l", b"\x1b[?1000l", b"\x1b[?2004l"):
        assert off in ann.raw and ann.raw.rfind(off) > ann.raw.rfind(off[:-1] + b"h")
    assert bob.until("left")["reason"] == "disconnect"
    known = identity(ann.config)
    assert known["cursor"] == last_seq(server) and known["drafts"] == {"#lobby": "half a th"}


@both
def test_line_by_line_gives_the_terminal_back(
    server: ChatServer, open_client: Open, number: signal.Signals
) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann", "--plain")
    before = modes(ann)
    ann.see("Connected", "#lobby>")
    assert modes(ann) != before
    os.kill(ann.pid, number)
    assert ann.ended() == CODES[number]
    assert modes(ann) == before
    assert bob.until("left")["reason"] == "disconnect"


@pytest.mark.parametrize("face", [(), ("--plain",)], ids=["screen", "plain"])
def test_a_terminal_that_is_closed_ends_it_in_order(
    server: ChatServer, open_client: Open, face: tuple[str, ...]
) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann", *face)
    ann.see("ann", "bob")
    bob.say("the last")
    ann.see("the last")
    assert ann.hung_up() == 129
    assert bob.until("left")["reason"] == "disconnect"
    assert identity(ann.config)["cursor"] == last_seq(server)


@both
@pytest.mark.parametrize("jsonl", [(), ("--jsonl",)], ids=["lines", "json"])
def test_a_bot_forgets_nothing_of_what_it_has_read(
    server: ChatServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    jsonl: tuple[str, ...],
) -> None:
    monkeypatch.setenv("PARLEY_CONFIG_DIR", str(tmp_path / "config"))
    bob = server.joined("bob")
    bot = subprocess.Popen(
        command(server, "ann", "1", *jsonl),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert bot.stdout is not None
    bob.until("joined")
    for word in (b"first", b"last"):
        bob.say(word.decode())
        while word not in bot.stdout.readline():
            pass
    bot.send_signal(number)
    assert bob.until("left")["reason"] == "disconnect"
    _, complaint = bot.communicate(timeout=20)
    assert (bot.returncode, complaint) == (CODES[number], b"")
    assert identity(tmp_path / "config")["cursor"] == last_seq(server)


def test_what_nohup_wants_is_kept(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLEY_CONFIG_DIR", str(tmp_path / "config"))
    bob = server.joined("bob")
    bot = subprocess.Popen(
        ["nohup", *command(server, "ann", "1")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    bob.until("joined")
    bot.send_signal(signal.SIGHUP)
    assert bot.stdin is not None
    bot.stdin.write(b"still here\n")
    bot.stdin.flush()
    assert bob.until("message")["text"] == "still here"
    bot.stdin.close()
    assert bot.wait(20) == 0
