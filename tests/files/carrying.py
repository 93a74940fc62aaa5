"""Carrying files by the wire, as docs/PROTOCOL.md says, on connections of their own."""

import hashlib
import json
import socket
from typing import Any

from tests.conftest import ChatServer
from tests.server.test_rooms import ask
from tests.wire import Wire, frame


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Carrying:
    """A connection for one file."""

    def __init__(self, port: int, **request: Any) -> None:
        self.begin(socket.create_connection(("127.0.0.1", port), 20), **request)

    def begin(self, sock: socket.socket, **request: Any) -> None:
        """Ask for the file over ``sock``."""
        self.sock = sock
        self.sock.sendall(frame(json.dumps(request).encode()))
        self._buffer = b""

    def event(self) -> dict[str, Any]:
        """Return the next event; what comes behind it stays."""
        while True:
            head, brace, _ = self._buffer.partition(b"{")
            if brace:
                length = int(head[1:])
                end = len(head) + length
                if len(self._buffer) > end:
                    body = self._buffer[len(head) : end]
                    assert self._buffer[end : end + 1] == b"$"
                    self._buffer = self._buffer[end + 1 :]
                    event: dict[str, Any] = json.loads(body)
                    return event
            data = self.sock.recv(65536)
            assert data, f"ended: {self._buffer!r}"
            self._buffer += data

    def rest(self) -> bytes:
        """Return all that comes to the end."""
        parts = [self._buffer]
        while data := self.sock.recv(1 << 20):
            parts.append(data)
        return b"".join(parts)

    def some(self, size: int) -> bytes:
        """Return the next ``size`` bytes."""
        while len(self._buffer) < size:
            data = self.sock.recv(65536)
            assert data
            self._buffer += data
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def close(self) -> None:
        self.sock.close()


def put(wire: Wire, name: str, data: bytes, **more: Any) -> dict[str, Any]:
    """Return the answer to a ``put``."""
    return ask(wire, "put", name=name, size=len(data), sha256=sha256(data), **more)


def bring(server: ChatServer, wire: Wire, name: str, data: bytes, **more: Any) -> dict[str, Any]:
    """Upload a file and return the last answer."""
    ticket = put(wire, name, data, **more)
    assert ticket["purpose"] == "ticket", ticket
    carrying = Carrying(server.port, purpose="store", ticket=ticket["ticket"], offset=0)
    ok = carrying.event()
    assert ok == {"purpose": "ok", "offset": 0, "size": len(data)}
    carrying.sock.sendall(data)
    answer = carrying.event()
    assert carrying.rest() == b""
    carrying.close()
    return answer


def fetch(
    server: ChatServer, wire: Wire, name: str, offset: int = 0, with_: str | None = None
) -> bytes:
    """Download a file, from ``offset`` on."""
    more = {} if with_ is None else {"with": with_}
    ticket = ask(wire, "get", name=name, **more)
    assert ticket["purpose"] == "ticket", ticket
    carrying = Carrying(server.port, purpose="fetch", ticket=ticket["ticket"], offset=offset)
    ok = carrying.event()
    assert ok == {"purpose": "ok", "offset": offset, "size": ticket["size"]}
    data = carrying.rest()
    carrying.close()
    if not offset:
        assert sha256(data) == ticket["sha256"] and len(data) == ticket["size"]
    return data


def names(wire: Wire, **more: Any) -> list[str]:
    """Return the names of the files that one may have."""
    return [file["name"] for file in ask(wire, "files", **more)["files"]]
