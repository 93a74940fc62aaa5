"""Whatever bytes come to the door for browsers, whole or damaged, in any pieces: the server lives,
answers others meanwhile, and keeps nothing of it open."""

import contextlib
import os
import random
import socket
import struct
import time
from pathlib import Path

import pytest

from tests.conftest import ChatServer
from tests.files.carrying import sha256
from tests.server.test_rooms import ask
from tests.web.conftest import Join
from tests.web.test_websocket import KEY, body
from tests.web.webwire import MASK, WebWire, frame, upgrade
from tests.wire import PATIENCE

METHODS = ["GET", "HEAD", "PUT", "POST", "OPTIONS", "CONNECT", "TRACE"]
PATHS = ["/", "/chat", "/files/", "/files/x/y?offset=9", "*", "//", "//[", "http://localhost/"]
HEADERS = [
    "",
    "Transfer-Encoding: chunked\r\n",
    "Expect: 100-continue\r\nContent-Length: 5\r\n",
    "Content-Length: 5\r\n",
    "Range: bytes=1-2\r\nIf-Range: x\r\n",
    "Content-Range: bytes 0-4/5\r\n",
    "Connection: close\r\n",
    "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n",
]
DATA = b"a file of the shelf"


class Garbage:
    """What strangers send, by a seed. ``wire`` gets them tickets."""

    def __init__(self, seed: int, wire: WebWire, port: int) -> None:
        self._random = random.Random(seed)
        self._wire = wire
        self._port = port
        self._seed = seed

    def send(self) -> None:
        """Connect, send something, and leave in some way."""
        chance = self._random
        data = bytearray(self._request() if chance.random() < 0.5 else self._frames())
        if chance.random() < 0.6:
            for _ in range(chance.randrange(1, 4)):
                data[chance.randrange(len(data))] = chance.randrange(256)
        with socket.create_connection(("127.0.0.1", self._port), PATIENCE) as sock:
            with contextlib.suppress(OSError):
                while data and chance.random() > 0.02:
                    size = chance.choice([1, 7, 500, len(data)])
                    sock.sendall(data[:size])
                    del data[:size]
                if chance.random() < 0.5:
                    sock.settimeout(0.02)
                    sock.recv(100_000)
            if chance.random() < 0.3:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _request(self) -> bytes:
        chance = self._random
        parts = []
        for _ in range(chance.choice([1, 1, 2, 30])):
            path = chance.choice(PATHS)
            if chance.random() < 0.2:
                path = f"/files/{self._ticket()}"
            head = f"{chance.choice(METHODS)} {path} HTTP/1.1\r\nHost: localhost\r\n"
            parts.append(f"{head}{chance.choice(HEADERS)}\r\n".encode())
            parts.append(chance.choice([b"", b"", b"5\r\nabcde\r\n0\r\n\r\n", DATA]))
        return b"".join(parts)

    def _ticket(self) -> str:
        if self._random.random() < 0.5:
            asked = ask(self._wire, "get", name="garbage")
        else:
            name = f"garbage-{self._random.random()}"
            asked = ask(self._wire, "put", name=name, size=len(DATA), sha256=sha256(DATA))
        return str(asked.get("ticket", "none"))

    def _frames(self) -> bytes:
        chance = self._random
        join = body(purpose="join", nick=f"g{self._seed}-{chance.randrange(99)}", id=1, time=0)
        bodies = [b"", b"{}", join, body(purpose="ping", ref="r"), chance.randbytes(130)]
        frames = [
            frame(
                chance.choice([0, 1, 1, 1, 2, 3, 8, 9, 10]),
                chance.choice(bodies),
                fin=chance.random() < 0.8,
                rsv=chance.choice([0] * 9 + [1]),
                mask=chance.choice([MASK] * 9 + [None]),
            )
            for _ in range(chance.choice([1, 5, 200]))
        ]
        head = b"" if chance.random() < 0.1 else upgrade(self._port, KEY, {})
        return head + frame(1, join) * (chance.random() < 0.5) + b"".join(frames) or b"?"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_garbage(join: Join, web_server: ChatServer, port: int, seed: int) -> None:
    wire = join("canary")
    refused = ask(wire, "put", name="garbage", size=len(DATA), sha256=sha256(DATA))
    if refused["purpose"] == "ticket":
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
            head = f"PUT /files/{refused['ticket']} HTTP/1.1\r\nHost: localhost\r\n"
            sock.sendall(f"{head}Content-Length: {len(DATA)}\r\n\r\n".encode() + DATA)
            assert sock.recv(65536).startswith(b"HTTP/1.1 201 ")
    wire.quiet()
    before = len(os.listdir(f"/proc/{web_server.pid}/fd"))
    garbage = Garbage(seed, wire, port)
    for _ in range(200):
        garbage.send()
        wire.quiet()
    deadline = time.monotonic() + 20  # idle connections stay for five seconds
    while len(os.listdir(f"/proc/{web_server.pid}/fd")) > before:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "Traceback" not in web_server.said
    assert Path(web_server.data, "history.json").exists()
