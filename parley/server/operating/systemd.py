"""What systemd and a service say to each other: sockets handed over, and notices sent back.

Two small protocols, stable since 2013 and written down in sd_listen_fds(3) and sd_notify(3): three
environment variables with descriptors from 3 on, and datagrams of ``NAME=value`` lines. Other
supervisors speak them too. Without the variables nothing here does anything.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, MutableMapping
from typing import Final

from parley.server.net.loop import Loop

FIRST: Final = 3
"""The first descriptor handed over (``SD_LISTEN_FDS_START``)."""

METRICS: Final = "metrics"
"""The ``FileDescriptorName=`` of sockets for ``--metrics``. Other stream sockets are for the chat,
datagram sockets for files over QUIC."""

logger = logging.getLogger(__name__)

Environment = MutableMapping[str, str]


class Sockets:
    """The sockets handed over: for the ``chat``, for its ``files`` over QUIC, for ``metrics``."""

    def __init__(self) -> None:
        self.chat: list[socket.socket] = []
        self.files: list[socket.socket] = []
        self.metrics: list[socket.socket] = []


def take_sockets(environment: Environment, first: int = FIRST) -> Sockets:
    """Take over the sockets that ``environment`` tells of, and take the variables out of it, so
    that no process started from here takes them for its own.

    Raises ``ValueError`` with a sentence for people if one of them is of no use here.
    """
    found = Sockets()
    pid = environment.pop("LISTEN_PID", "")
    count = environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count.isdecimal():
        return found
    for number in range(int(count)):
        fd = first + number
        os.set_inheritable(fd, False)
        try:
            sock = socket.socket(fileno=fd)
        except OSError as problem:
            raise ValueError(f"descriptor {fd} was handed over: {problem.strerror}") from None
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            raise ValueError(f"descriptor {fd} was handed over: no internet socket")
        sock.setblocking(False)
        name = names[number] if number < len(names) else ""
        if sock.type == socket.SOCK_DGRAM:
            found.files.append(sock)
        elif not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ValueError(
                f"descriptor {fd} was handed over: a connection. The socket unit must say Accept=no"
            )
        elif name == METRICS:
            found.metrics.append(sock)
        else:
            found.chat.append(sock)
    return found


class Notifier:
    """Tells the supervisor how the service is. Does nothing if nobody wants to know."""

    def __init__(self, environment: Environment) -> None:
        path = environment.pop("NOTIFY_SOCKET", "")
        usec = environment.pop("WATCHDOG_USEC", "")
        pid = environment.pop("WATCHDOG_PID", str(os.getpid()))
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._sock: socket.socket | None = None
        if path:
            self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._sock.setblocking(False)
        self._every: float | None = None
        if path and usec.isdecimal() and int(usec) and pid == str(os.getpid()):
            self._every = int(usec) / 2e6

    def ready(self, status: str) -> None:
        """The service serves, for the first time or again. ``status`` is for people."""
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """It reads its options again; ``ready`` follows. With the time (microseconds) that
        ``Type=notify-reload`` wants."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str) -> None:
        """It is going down."""
        self._send(f"STOPPING=1\nSTATUS={status}")

    def keep_alive(self, loop: Loop, clock: Callable[[], float]) -> None:
        """Send a sign of life at half the time after which the watchdog bites. A timer of ``loop``
        sends it: a loop that does not turn sends none."""
        if self._every is not None:
            self._send("WATCHDOG=1")
            loop.call_at(clock() + self._every, lambda: self.keep_alive(loop, clock))

    def _send(self, text: str) -> None:
        if self._sock is None:
            return
        try:
            self._sock.sendto(text.encode(), self._address)
        except OSError as problem:
            logger.warning("the supervisor cannot be told %r: %s", text, problem.strerror)
