"""A connection: it owns a socket and what could not be sent yet. It parses nothing, and does not
know whether what it sends is encrypted (``parley.server.net.sockets``).

A tick's share for a client goes out in one call. What the kernel does not take
stays as it is, slices of bytes that all clients share, and only then the loop is asked
to say when more can be sent.
"""

import errno
import socket
from collections import deque
from typing import Final, Protocol

from parley.server.net.backlog import Backlog
from parley.server.net.loop import READ, WRITE, Loop
from parley.server.net.sockets import Bytes, Socket

RECV_BYTES: Final = 64 * 1024
"""Read from one client in one tick: about what a client with much to say has sent by then."""

_BUFFERS_PER_SEND: Final = 512  # the kernel takes 1024 (IOV_MAX)


_MANY: Final = 8
_SMALL: Final = 16 * 1024
"""More than so many buffers with no more than so many bytes are kept as one: they are answers to
this client alone, each shorter than what it takes to keep it."""


class Owner(Protocol):
    """Whoever is told what a connection lives through."""

    @property
    def allowed(self) -> int:
        """Bytes that may wait: a client that lets more than this wait is too slow, and is given
        up."""

    def received(self, connection: "Connection", data: bytes) -> None:
        """Bytes have come."""

    def blocked(self, connection: "Connection") -> None:
        """Not all that was to be sent has been taken."""

    def drained(self, connection: "Connection") -> None:
        """All that was to be sent has been taken."""

    def ended(self, connection: "Connection", reason: str) -> None:
        """The connection is closed. ``reason``: ``lost``, ``slow``, or ``closed``, by this side."""


class Connection:
    """One client's connection, of which ``owner`` is told. ``held`` counts what waits for all of
    them."""

    __slots__ = (
        "_backlog",
        "_events",
        "_finishing",
        "_given_away",
        "_held",
        "_loop",
        "_sock",
        "descriptor",
        "owner",
        "unsent",
        "way",
    )

    def __init__(self, sock: Socket, loop: Loop, owner: Owner, held: Backlog) -> None:
        self._sock = sock
        self._loop = loop
        self.owner = owner
        self._held = held
        self._backlog: deque[Bytes] | None = None
        self.unsent = 0
        self._events = READ
        self._finishing = False
        self._given_away = False
        self.way: Socket | None
        """The socket while nothing waits: the shortest way. Whoever sends by it gives ``keep`` what
        it did not take, and closes a connection of which it raises ``OSError``."""
        self.descriptor: int
        """That of ``way``, if what is sent there goes out as it is; else -1."""
        self._open_way()
        loop.watch(sock, READ, self)

    @property
    def closed(self) -> bool:
        """Whether the socket is gone."""
        return self._given_away or self._sock.fileno() < 0

    def ready(self, events: int) -> None:
        """The loop says that the socket can be read or written."""
        if events & WRITE and self._events & WRITE:
            self._send_backlog()
        if not events & self._events & READ:  # which it may not be any more
            return
        try:
            data = self._sock.recv(RECV_BYTES)
        except BlockingIOError:
            return
        except OSError as problem:
            self.close("timeout" if problem.errno == errno.ETIMEDOUT else "lost")
            return
        if not data:
            self.close("lost")
        elif not self._finishing:
            self.owner.received(self, data)

    def pause(self) -> None:
        """Read nothing until ``resume``."""
        self._watch(self._events & ~READ)

    def resume(self) -> None:
        """Read again."""
        if not self._events & READ and not self.closed:
            self._watch(self._events | READ)

    def send(self, buffers: list[Bytes], size: int) -> None:
        """Send ``size`` bytes in ``buffers``, now as far as they are taken, the rest later."""
        sent = 0
        if self.way is not None:
            try:
                sent = self.way.sendmsg(buffers[:_BUFFERS_PER_SEND])
            except BlockingIOError:
                pass
            except OSError:
                self.close("lost")
                return
        if sent != size:
            self.keep(buffers, size, sent)

    def keep(self, buffers: list[Bytes], size: int, sent: int) -> None:
        """Send later what of ``size`` bytes in ``buffers`` is behind the first ``sent``."""
        if self.closed or self._finishing:
            return
        self.unsent += size - sent
        if self.unsent > self.owner.allowed:
            self.close("slow")
            return
        self._keep(buffers, sent)
        self.owner.blocked(self)

    def finish(self) -> None:
        """Send what is left, say that nothing more will come, and close once the other side
        has too. Closing at once could destroy what the other side has not read yet."""
        if self.closed or self._finishing:
            return
        self._finishing = True
        self._close_way()
        self._watch(self._events | READ)
        if not self.unsent:
            self._shut_down()

    def detach(self) -> Socket:
        """Give the socket away: from now on it is another's, and this connection is no more."""
        self._watch(0)
        self._close_way()
        self._given_away = True
        self._let_go()
        return self._sock

    def close(self, reason: str = "closed") -> None:
        """Close now, whatever was to be sent."""
        if self.closed:
            return
        self._watch(0)
        self._close_way()
        self._sock.close()
        self._let_go()
        self.owner.ended(self, reason)

    def _open_way(self) -> None:
        """Nothing waits."""
        self.way = self._sock
        self.descriptor = self._sock.fileno() if type(self._sock) is socket.socket else -1

    def _close_way(self) -> None:
        """Something waits, or nothing may be sent any more."""
        self.way = None
        self.descriptor = -1

    def _keep(self, buffers: list[Bytes], sent: int) -> None:
        """Keep ``buffers`` but for their first ``sent`` bytes, in front of which all is sent."""
        self._close_way()
        if self._backlog is None:
            self._backlog = deque()
        if len(buffers) > _MANY and sum(map(len, buffers)) <= _SMALL:
            buffers = [b"".join(buffers)]
        for buffer in buffers:
            if sent >= len(buffer):
                sent -= len(buffer)
            else:
                self._backlog.append(memoryview(buffer)[sent:] if sent else buffer)
                self._held.hold(buffer)
                sent = 0
        self._watch(self._events | WRITE)

    def _let_go(self) -> None:
        """Forget what was to be sent."""
        for buffer in self._backlog or ():
            self._held.release(buffer)
        self._backlog = None
        self.unsent = 0

    def _send_backlog(self) -> None:
        backlog = self._backlog
        if not backlog:
            if self._finishing:
                self._shut_down()
            return
        buffers = [backlog[i] for i in range(min(len(backlog), _BUFFERS_PER_SEND))]
        try:
            sent = self._sock.sendmsg(buffers)
        except BlockingIOError:
            return
        except OSError:
            self.close("lost")
            return
        self.unsent -= sent
        while backlog and sent >= len(backlog[0]):
            gone = backlog.popleft()
            sent -= len(gone)
            self._held.release(gone)
        if sent:
            backlog[0] = memoryview(backlog[0])[sent:]
        if not self.unsent:
            self._backlog = None
            self._watch(self._events & ~WRITE)
            if self._finishing:
                self._shut_down()
            else:
                self._open_way()
                self.owner.drained(self)

    def _shut_down(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
            self._watch(self._events & ~WRITE)
        except BlockingIOError:
            self._watch(self._events | WRITE)  # TLS says so in bytes of its own
        except OSError:
            self.close()

    def _watch(self, events: int) -> None:
        if events != self._events:
            self._loop.change(self._sock, self._events, events, self)
            self._events = events
