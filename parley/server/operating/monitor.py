"""The port for those who run the server: metrics, health, readiness, over HTTP in the same loop.

Few connections, each with a deadline: it is a side door, and must never be the way in which
the chat is slowed down. What is said on it is given from outside, by path.
"""

import socket
from collections.abc import Callable, Mapping
from typing import Final

from parley.server.net.backlog import Backlog
from parley.server.net.connection import Connection
from parley.server.net.http import Request
from parley.server.net.listener import Listener
from parley.server.net.loop import Loop, Timer
from parley.server.operating.http import HttpDoor, Response

CONNECTIONS: Final = 16
"""Most connections at once; the one that has been quiet longest makes room for a newcomer."""

_REQUEST_DEADLINE: Final = 10.0
"""Seconds from a request's first byte to its last, and for an answer to be taken."""

_IDLE: Final = 300.0
"""Seconds that a connection may be quiet: Prometheus asks once a minute by default."""

_BACKLOG: Final = 4 * 1024 * 1024  # bytes that may wait for one who asks and does not read
_SWEEP: Final = 1.0  # seconds between two looks at the deadlines

Page = Callable[[Request], Response]


class Monitor:
    """Answers on the sockets ``listening`` with ``pages``, by path."""

    def __init__(
        self,
        loop: Loop,
        listening: list[socket.socket],
        pages: Mapping[str, Page],
        clock: Callable[[], float],
    ) -> None:
        self._loop = loop
        self._pages = pages
        self._clock = clock
        self.held = Backlog()
        self._links: dict[_Link, None] = {}  # in the order of their last request
        self._listeners = [Listener(s, loop, self._accepted, b"", clock) for s in listening]
        self._timer: Timer = loop.call_at(clock() + _SWEEP, self._sweep)

    def answer(self, request: Request) -> Response:
        """Return what stands at the path that is asked for."""
        page = self._pages.get(request.path)
        if page is not None:
            return page(request)
        return Response(404, f"here are {', '.join(self._pages)}\n".encode())

    def asked(self, link: "_Link") -> None:
        """A connection has been of use."""
        if link in self._links:
            del self._links[link]
            self._links[link] = None

    def gone(self, link: "_Link") -> None:
        """A connection is closed."""
        self._links.pop(link, None)

    def close(self) -> None:
        """Answer nobody any more."""
        self._timer.cancel()
        for listener in self._listeners:
            listener.close()
        for link in list(self._links):
            link.connection.close()

    def _accepted(self, sock: socket.socket, address: str) -> None:
        if len(self._links) >= CONNECTIONS:
            next(iter(self._links)).connection.close()
        self._links[_Link(self, sock, self._loop, self._clock)] = None

    def _sweep(self) -> None:
        now = self._clock()
        self._timer = self._loop.call_at(now + _SWEEP, self._sweep)
        for link in list(self._links):
            if link.late(now):
                link.connection.close()


class _Link:
    """One connection. ``since`` is when it last began to ask, or was answered, in monotonic
    seconds."""

    allowed = _BACKLOG

    def __init__(
        self, monitor: Monitor, sock: socket.socket, loop: Loop, clock: Callable[[], float]
    ) -> None:
        self._monitor = monitor
        self._clock = clock
        self.door = HttpDoor(monitor.answer)
        self.connection = Connection(sock, loop, self, monitor.held)
        self.since = clock()

    def late(self, now: float) -> bool:
        """Whether it has been given time enough."""
        busy = self.door.in_request or self.door.over or self.connection.unsent
        return now - self.since > (_REQUEST_DEADLINE if busy else _IDLE)

    def received(self, connection: Connection, data: bytes) -> None:
        """Bytes have come."""
        began = not self.door.in_request
        out = self.door.receive_data(data)
        if began or out:
            self.since = self._clock()
        if out:
            self._monitor.asked(self)
            connection.send([out], len(out))
        if self.door.over:
            connection.finish()

    def blocked(self, connection: Connection) -> None:
        """The answer is not taken at once: until it is, nothing more is answered."""
        connection.pause()

    def drained(self, connection: Connection) -> None:
        """All has been taken."""
        connection.resume()

    def ended(self, connection: Connection, reason: str) -> None:
        """The connection is closed."""
        self._monitor.gone(self)
