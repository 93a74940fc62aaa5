"""Terminals for the tests of the client."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client.terminal import Terminal
from tests.conftest import ChatServer

Open = Callable[..., Terminal]


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
