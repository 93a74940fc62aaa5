"""A peer: one connection, its door and its session held together, with its deadlines."""

import socket
from typing import Protocol

from framing.requests import AnyRequest
from parley.server.connection import Connection
from parley.server.loop import Loop
from parley.server.native import NativeDoor
from parley.server.session import Session


class Host(Protocol):
    """The server, as a peer sees it. ``mono`` is the tick's time, in monotonic seconds."""

    mono: float

    def has_input(self, peer: "Peer") -> None:
        """Bytes of this peer wait to be dealt with."""

    def gone(self, peer: "Peer", reason: str) -> None:
        """The connection of this peer is closed."""


class Peer:
    """``heard`` is when it last sent anything, ``frame_since`` when the frame began that has not
    ended, ``parked`` a request that waits for the index; times in monotonic seconds."""

    __slots__ = (
        "_host",
        "connected",
        "connection",
        "door",
        "finished_at",
        "frame_since",
        "heard",
        "parked",
        "queued",
        "session",
    )

    def __init__(
        self,
        host: Host,
        sock: socket.socket,
        loop: Loop,
        door: NativeDoor,
        session: Session,
        backlog_limit: int,
    ) -> None:
        self._host = host
        self.door = door
        self.session = session
        session.carrier = self
        self.connection = Connection(sock, loop, self, backlog_limit)
        session.send = self.connection.direct
        session.deliver = self.connection.send
        self.connected = self.heard = host.mono
        self.frame_since: float | None = None
        self.finished_at: float | None = None
        self.parked: AnyRequest | None = None
        self.queued = False

    def received(self, connection: Connection, data: bytes) -> None:
        """Bytes have come."""
        self.heard = self._host.mono
        self.door.receive_data(data)
        self._host.has_input(self)

    def blocked(self, connection: Connection) -> None:
        """The client takes no more for now."""
        self.session.congested = True
        self.session.send = connection.hold

    def drained(self, connection: Connection) -> None:
        """The client has taken all that was sent."""
        self.session.congested = False
        self.session.send = connection.direct

    def ended(self, connection: Connection, reason: str) -> None:
        """The connection is closed."""
        self._host.gone(self, reason)

    def finish(self) -> None:
        """Let the connection end when all has been sent."""
        if self.finished_at is None:
            self.finished_at = self._host.mono
            self.connection.finish()
