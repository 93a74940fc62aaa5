"""Servers with a door for browsers."""

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import ChatServer
from tests.web.webwire import WebWire

Join = Callable[..., WebWire]
_numbers = itertools.count(1)


def web_port(server: ChatServer) -> int:
    """Return the port for browsers of a server that runs."""
    found = re.findall(r"for browsers: https?://[^ \"]*:(\d+)/", server.said)
    return int(found[-1])


@pytest.fixture(scope="module")
def web_server(tmp_path_factory: pytest.TempPathFactory, demo_users: str) -> Iterator[ChatServer]:
    """A running server with a door for browsers, the demo accounts, and no limits to the rate:
    one for all tests of a file, who take nicks of their own."""
    data = tmp_path_factory.mktemp("web")
    (data / "users.json").write_text(demo_users)
    server = ChatServer(data, "--rate", "0", "--web", "0").start()
    yield server
    server.end()
    assert "Traceback" not in server.said, server.said


@pytest.fixture
def port(web_server: ChatServer) -> int:
    return web_port(web_server)


@pytest.fixture
def web(port: int) -> Iterator[Callable[..., WebWire]]:
    """Make connections by WebSocket; all are closed afterwards."""
    made: list[WebWire] = []

    def make(**more: Any) -> WebWire:
        made.append(WebWire(port, **more))
        return made[-1]

    yield make
    for wire in made:
        wire.close()


@pytest.fixture
def join(web: Callable[..., WebWire]) -> Join:
    """Make connections by WebSocket that have joined, under a nick that nobody had before."""

    def make(nick: str, id_: int = 1, **fields: Any) -> WebWire:
        wire = web()
        wire.join(f"{nick}-{next(_numbers)}", id_, **fields)
        wire.until("history", end=True)
        return wire

    return make
