"""The listener: takes in new connections, and copes when there are too many or no descriptors.

A loop that cannot accept and goes on asking turns for nothing at full speed, since
the newcomer keeps the listening socket ready. So one descriptor is held in reserve, to
accept with, say no, and close; and if even that fails, accepting pauses.
"""

import errno
import logging
import os
import socket
from collections.abc import Callable
from typing import Final

from parley.server.net.loop import READ, Loop

ACCEPTS_PER_TICK: Final = 128
"""A storm of reconnecting clients must not keep those who are here waiting."""

_PAUSE: Final = 0.5  # seconds
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

logger = logging.getLogger(__name__)


class Listener:
    """Accepts on ``sock``. ``accepted`` gets each connection, ``exhausted`` the frame to send to
    one that there is no descriptor for."""

    def __init__(
        self,
        sock: socket.socket,
        loop: Loop,
        accepted: Callable[[socket.socket, str], None],
        farewell: bytes,
        clock: Callable[[], float],
    ) -> None:
        self.sock = sock
        self._loop = loop
        self._accepted = accepted
        self._farewell = farewell
        self._clock = clock
        self._reserve: int | None = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._events = READ
        loop.watch(sock, READ, self)

    def ready(self, events: int) -> None:
        """Somebody wants to connect."""
        for _ in range(ACCEPTS_PER_TICK):
            try:
                sock, address = self.sock.accept()
            except BlockingIOError:
                return
            except OSError as problem:
                if problem.errno in _EXHAUSTED:
                    if not self._say_no():
                        return
                    continue
                continue  # this one went away before it was accepted
            sock.setblocking(False)
            # A socket for both families, handed over by a supervisor, maps addresses of IPv4.
            self._accepted(sock, str(address[0]).removeprefix("::ffff:"))

    @property
    def accepting(self) -> bool:
        """Whether it does not pause for want of descriptors."""
        return bool(self._events)

    def close(self) -> None:
        """Accept nobody any more."""
        self._watch(0)
        self.sock.close()
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None

    def _say_no(self) -> bool:
        """Accept one connection with the reserve and close it. Return whether to go on."""
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None
            try:
                sock, _ = self.sock.accept()
            except OSError:
                pass
            else:
                with sock:
                    sock.setblocking(False)
                    try:
                        sock.send(self._farewell)
                        sock.shutdown(socket.SHUT_WR)
                    except OSError:
                        pass  # gone already: nobody to tell
        try:
            self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            logger.warning("no descriptors left: nobody is accepted for %.1f s", _PAUSE)
            self._watch(0)
            self._loop.call_at(self._clock() + _PAUSE, self._resume)
            return False
        return True

    def _resume(self) -> None:
        if self.sock.fileno() >= 0:
            self._watch(READ)

    def _watch(self, events: int) -> None:
        if events != self._events and self.sock.fileno() >= 0:
            self._loop.change(self.sock, self._events, events, self)
            self._events = events


def listen(host: str, port: int, timeout: float) -> list[socket.socket]:
    """Return listening sockets on every address of ``host``, on one port.

    Port 0 takes a free one. ``timeout``, in seconds, is when the kernel gives up a peer whose
    machine no longer answers. Raises ``OSError`` (``socket.gaierror`` for a bad host).
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    socks: list[socket.socket] = []
    try:
        for family, *_, address in dict.fromkeys(found):
            if port == 0 and socks:
                address = (address[0], socks[0].getsockname()[1], *address[2:])
            sock = socket.create_server(address, family=family, backlog=4096)
            socks.append(sock)
            set_up(sock, timeout)
    except BaseException:
        for sock in socks:
            sock.close()
        raise
    return socks


def set_up(sock: socket.socket, timeout: float) -> None:
    """Let ``sock`` listen as ``listen`` says. Connections take its options over."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, int(timeout / 2)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, int(timeout / 6)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(timeout * 1000))
