"""Handshakes: between a listener that speaks TLS and whoever takes its connections.

A newcomer is here until its handshake is done, and then it is a connection like any other. It
has five seconds for that in all, whatever it does meanwhile; it is never waited for. A handshake
is the most work that anybody can ask for without a word about who they are: so a tick does a
few, in the order in which they come. Who speaks no TLS is told so, without any.
"""

import logging
import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import Final

from parley.server.net.loop import READ, WRITE, Loop, Timer
from parley.server.net.sockets import Socket
from parley.server.net.tls import Tls, TlsSocket

DEADLINE: Final = 5.0
"""Seconds for a handshake, from the first packet: no progress puts it off."""

_AT_ONCE: Final = 12
"""Steps of handshakes in a tick. A server's part takes some 0.7 ms: others wait 8 ms at most."""

_PAUSE: Final = 0.001  # seconds until the next ones, in which others have their turn

_HANDSHAKE: Final = b"\x16"
"""The first byte of TLS: a record of type handshake (RFC 8446, 5.1)."""

logger = logging.getLogger(__name__)


class Handshakes:
    """Newcomers at listeners that speak ``tls``. ``accepted`` gets each that is done; ``farewell``
    is for who speaks no TLS. ``may`` says whether one more of an address may begin; if so,
    ``ended`` is told of its end, however that was, before ``accepted`` is."""

    def __init__(
        self,
        loop: Loop,
        tls: Tls,
        accepted: Callable[[Socket, str], None],
        farewell: bytes,
        clock: Callable[[], float],
        may: Callable[[str], bool],
        ended: Callable[[str], None],
    ) -> None:
        self.loop = loop
        self.tls = tls
        self.accepted = accepted
        self.farewell = farewell
        self.clock = clock
        self._may = may
        self._ended = ended
        self._all: dict[_Handshake, None] = {}
        self._queue: deque[_Handshake] = deque()
        self._turn: Timer | None = None

    def __len__(self) -> int:
        return len(self._all)

    def take(self, sock: socket.socket, address: str) -> None:
        """Begin with somebody who has just connected."""
        if not self._may(address):
            sock.close()
            return
        self._all[_Handshake(self, sock, address)] = None

    def close(self) -> None:
        """Break off all."""
        for handshake in list(self._all):
            handshake.close()

    def wants_turn(self, handshake: "_Handshake") -> None:
        """Something has come for a handshake: give it a turn in this tick or the next."""
        self._queue.append(handshake)
        if self._turn is None:
            self._turn = self.loop.call_at(self.clock(), self._give_turns)

    def over(self, handshake: "_Handshake") -> None:
        """A handshake has ended."""
        del self._all[handshake]
        self._ended(handshake.address)

    def make_room(self, began_before: float) -> bool:
        """Break off the one that is here longest, if it began before that (monotonic seconds).
        Return whether there was such a one."""
        oldest = next(iter(self._all), None)
        if oldest is None or oldest.began >= began_before:
            return False
        oldest.close()
        return True

    def _give_turns(self) -> None:
        self._turn = None
        for _ in range(min(len(self._queue), _AT_ONCE)):
            self._queue.popleft().go_on()
        if self._queue:
            self._turn = self.loop.call_at(self.clock() + _PAUSE, self._give_turns)


class _Handshake:
    """One newcomer. ``began`` is in monotonic seconds."""

    __slots__ = (
        "_deadline",
        "_events",
        "_host",
        "_queued",
        "_refused",
        "_sock",
        "_tls",
        "address",
        "began",
    )

    def __init__(self, host: Handshakes, sock: socket.socket, address: str) -> None:
        self._host = host
        self._sock = sock
        self.address = address
        self._tls: TlsSocket | None = None  # not before it has said that it speaks it
        self._queued = False
        self._refused = False
        self._events = READ
        host.loop.watch(sock, READ, self)
        self.began = host.clock()
        self._deadline = host.loop.call_at(self.began + DEADLINE, self._too_late)

    def ready(self, events: int) -> None:
        """The socket can be read or written."""
        if not self._queued:
            self._queued = True
            self._host.wants_turn(self)

    def go_on(self) -> None:
        """Have a turn."""
        self._queued = False
        if self._sock.fileno() < 0:
            return
        try:
            if self._refused:
                if not self._sock.recv(65536):
                    self.close()
                return
            if self._tls is None:
                first = self._sock.recv(1, socket.MSG_PEEK)
                if first and first != _HANDSHAKE:
                    self._refuse()
                    return
                self._tls = TlsSocket(self._sock, self._host.tls)
            if self._tls.shake_hands():
                self._done(self._tls)
                return
        except BlockingIOError:
            pass
        except OSError as problem:
            self._failed(problem)
            return
        self._watch(WRITE if self._tls is not None and self._tls.blocked else READ)

    def close(self) -> None:
        """Break off."""
        self._leave()
        self._sock.close()

    def _done(self, tls: TlsSocket) -> None:
        self._leave()
        self._host.accepted(tls, self.address)

    def _leave(self) -> None:
        self._watch(0)
        self._deadline.cancel()
        self._host.over(self)

    def _refuse(self) -> None:
        """Say that TLS is spoken here, and wait until the peer has that and closes."""
        logger.info("refused address=%s: it speaks no TLS", self.address)
        self._refused = True
        self._sock.send(self._host.farewell)
        self._sock.shutdown(socket.SHUT_WR)

    def _failed(self, problem: OSError) -> None:
        why = problem.reason if isinstance(problem, ssl.SSLError) else problem.strerror
        logger.info("no TLS with address=%s: %s", self.address, why or problem)
        self.close()

    def _too_late(self) -> None:
        if not self._refused:
            text = "no TLS with address=%s: its handshake took over %g s"
            logger.info(text, self.address, DEADLINE)
        self.close()

    def _watch(self, events: int) -> None:
        if events != self._events:
            self._host.loop.change(self._sock, self._events, events, self)
            self._events = events
