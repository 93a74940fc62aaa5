"""A TCP connection for a file, encrypted or not, for a thread that looks now and then whether it
was cancelled.

Each call waits for at most a second, in the kernel, and raises ``BlockingIOError`` if nothing could
be done in it, other ``OSError`` if the connection broke. Who could not send comes again with the
same bytes.
"""

import os
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_CONNECT: Final = 10.0  # seconds
_WAIT: Final = 1.0
_PIECE: Final = 256 * 1024  # bytes that are read and encrypted at a time


class PlainStream:
    """A connection that is not encrypted. The kernel moves whole buffers, and files by itself."""

    def __init__(self, host: str, port: int) -> None:
        """Connect. Raises ``OSError``."""
        self._sock = socket.create_connection((host, port), _CONNECT)
        # A system call waits for a whole buffer, and at most a second. Waiting in the kernel
        # leaves the other threads alone.
        self._sock.settimeout(None)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", int(_WAIT), 0))

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._sock.fileno()

    def wait(self, does: bool) -> None:
        """Wait in calls from now on, or not at all."""
        self._sock.setblocking(does)

    def send_all(self, data: bytes) -> None:
        """Send a little."""
        self._sock.sendall(data)

    def send_file(self, fd: int, at: int, size: int) -> int:
        """Send up to ``size`` bytes of a file, from ``at`` on. Return how many were taken; 0 at
        its end."""
        return os.sendfile(self._sock.fileno(), fd, at, size)

    def receive(self, view: memoryview) -> int:
        """Put what has come into ``view``. Return how much; 0 at the end."""
        return self._sock.recv_into(view)

    def receive_whole(self, view: memoryview) -> int:
        """Fill ``view``, as far as that goes in a second. Return how much came; 0 at the end."""
        return self._sock.recv_into(view, 0, socket.MSG_WAITALL)

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()


class TlsStream:
    """A connection over TLS, by ``context``. ``certificate`` is the server's, as DER."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext) -> None:
        """Connect. Raises ``OSError``; as ``ssl.SSLCertVerificationError``, nobody vouches for the
        server."""
        plain = socket.create_connection((host, port), _CONNECT)
        try:
            self._sock = context.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise
        self._sock.settimeout(_WAIT)
        self.certificate = self._sock.getpeercert(binary_form=True) or b""

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._sock.fileno()

    def wait(self, does: bool) -> None:
        """Wait in calls from now on, or not at all."""
        self._sock.settimeout(_WAIT if does else 0.0)

    def send_all(self, data: bytes) -> None:
        """Send a little."""
        self._sock.sendall(data)

    def send_file(self, fd: int, at: int, size: int) -> int:
        """Send up to ``size`` bytes of a file, from ``at`` on. Return how many were taken; 0 at
        its end."""
        data = os.pread(fd, min(size, _PIECE), at)
        with _patiently():
            return self._sock.send(data) if data else 0

    def receive(self, view: memoryview) -> int:
        """Put what has come into ``view``. Return how much; 0 at the end."""
        with _patiently():
            return self._sock.recv_into(view)

    def receive_whole(self, view: memoryview) -> int:
        """Fill ``view``, as far as that goes. Return how much came; 0 at the end."""
        count = self.receive(view)
        while 0 < count < len(view):
            try:
                more = self.receive(view[count:])
            except BlockingIOError:
                break
            if not more:
                break
            count += more
        return count

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()


@contextmanager
def _patiently() -> Iterator[None]:
    """Say in the same way as without TLS that something cannot be done yet."""
    try:
        yield
    except (TimeoutError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        raise BlockingIOError from None
