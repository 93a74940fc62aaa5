"""A peer: one connection, its door and its session held together, with its deadlines."""

from dataclasses import dataclass
from typing import Protocol

from framing.requests import AnyRequest
from parley.server.chat.session import Session
from parley.server.doors.door import Door
from parley.server.ground.bounds import Bounds
from parley.server.ground.counts import Counts
from parley.server.net.backlog import Backlog
from parley.server.net.connection import Connection
from parley.server.net.loop import Loop
from parley.server.net.sockets import Socket


@dataclass(frozen=True, slots=True)
class Settings:
    """``max_clients`` sessions; ``timeout`` seconds of silence before a client is taken for lost;
    ``grace`` seconds for clients to acknowledge a shutdown; ``backlog`` bytes that may wait for a
    client before it is given up as too slow; ``bounds`` for all else."""

    max_clients: int
    timeout: float
    grace: float
    backlog: int
    bounds: Bounds


class Host(Protocol):
    """The server, as a peer sees it. ``mono`` is the tick's time, in monotonic seconds; ``held``
    counts what waits for all peers, ``counts`` has the bytes received."""

    mono: float
    held: Backlog
    settings: Settings
    counts: Counts

    def has_input(self, peer: "Peer") -> None:
        """Bytes of this peer wait to be dealt with."""

    def gone(self, peer: "Peer", reason: str) -> None:
        """The connection of this peer is closed."""


class Peer:
    """``heard`` is when it last sent anything, ``frame_since`` when the frame began that has not
    ended, both in monotonic seconds; ``parked`` a request that waits for the index or for its turn.
    ``queued``: it has its place in a queue. ``counted``: it is one of its address's connections.
    ``welcomed``: its door knows that it has joined.

    Ten thousand of them are normal: no slot that only some need.
    """

    __slots__ = (
        "_host",
        "connected",
        "connection",
        "counted",
        "door",
        "frame_since",
        "heard",
        "parked",
        "queued",
        "session",
        "welcomed",
    )

    def __init__(
        self,
        host: Host,
        sock: Socket,
        loop: Loop,
        door: Door,
        session: Session,
        counted: bool,
    ) -> None:
        self._host = host
        self.door = door
        self.session = session
        self.connection = session.carrier = Connection(sock, loop, self, host.held)
        self.counted = counted
        self.connected = self.heard = host.mono
        self.frame_since: float | None = None
        self.parked: AnyRequest | None = None
        self.queued = False
        self.welcomed = False

    @property
    def allowed(self) -> int:
        """Bytes that may wait for it."""
        settings = self._host.settings
        joined = self.session.state == "joined"
        return settings.backlog if joined else settings.bounds.backlog_newcomer

    def received(self, connection: Connection, data: bytes) -> None:
        """Bytes have come."""
        host = self._host
        self.heard = host.mono
        host.counts.received += len(data)
        self.door.receive_data(data)
        host.has_input(self)

    def blocked(self, connection: Connection) -> None:
        """The client takes no more for now."""
        self.session.congested = True

    def drained(self, connection: Connection) -> None:
        """The client has taken all that was sent."""
        self.session.congested = False

    def ended(self, connection: Connection, reason: str) -> None:
        """The connection is closed."""
        self._host.gone(self, reason)

    def detach(self) -> Socket:
        """Give the socket away: nothing of the chat may be sent over it any more."""
        return self.connection.detach()

    def finish(self) -> None:
        """Let the connection end when all has been sent."""
        self.reply(self.door.farewell())
        self.connection.finish()

    def reply(self, data: bytes) -> None:
        """Send what the wire itself has to say, which is none of the chat's."""
        if data:
            self.connection.send([data], len(data))
