"""Terminals for the tests of the client."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client.terminal import PATIENCE, Terminal
from tests.conftest import ROOT, ChatServer

Open = Callable[..., Terminal]


class Tmux:
    """The client in tmux: a terminal whose idea of widths is its own, unlike pyte's."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._socket = str(place / "tmux")

    def client(self, server: ChatServer, nick: str, columns: int, lines: int) -> None:
        """Run a client."""
        program = f"{sys.executable} {ROOT / 'chat_client.py'} localhost {server.port} {nick} 1"
        env = {**os.environ, "PARLEY_CONFIG_DIR": str(self._place / nick), "LC_ALL": "C.UTF-8"}
        size = ("-x", str(columns), "-y", str(lines))
        command = ["tmux", "-S", self._socket, "-f", "/dev/null", "new-session", "-d", *size]
        subprocess.run([*command, program], check=True, env=env)

    def type(self, keys: str) -> None:
        """Type ``keys``."""
        command = ["tmux", "-S", self._socket, "send-keys", "-l", keys]
        subprocess.run(command, check=True)

    def see(self, *parts: str) -> str:
        """Wait until all ``parts`` are on the screen, and return it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            command = ["tmux", "-S", self._socket, "capture-pane", "-p"]
            text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            if all(part in text for part in parts):
                return text.rstrip("\n")
            assert time.monotonic() < deadline, f"waited for {parts}:\n{text}"
            time.sleep(0.05)

    def close(self) -> None:
        """End it."""
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], check=False)


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    """Return a tmux of its own."""
    made = Tmux(tmp_path)
    yield made
    made.close()


@pytest.fixture
def open_client(tmp_path: Path) -> Iterator[Open]:
    """Open clients in terminals: ``open_client(server, nick, *options)``. Each nick has a
    configuration of its own, which it finds again."""
    opened: list[Terminal] = []

    def open_(server: ChatServer, nick: str, *options: str, **more: Any) -> Terminal:
        where = ("localhost", str(server.port), nick, more.pop("id_", "1"))
        terminal = Terminal(tmp_path / f"config-{nick}", *where, *options, **more)
        opened.append(terminal)
        return terminal

    yield open_
    for terminal in opened:
        terminal.close()
