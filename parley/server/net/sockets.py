"""What a connection asks of a socket: the few calls of ``socket.socket`` that doors, files and
listeners use, and that a TLS connection (``parley.server.net.tls``) offers alike. Types only."""

from collections.abc import Iterable
from typing import Protocol

Bytes = bytes | memoryview


class Socket(Protocol):
    """A connected stream socket that does not block: what cannot be done now raises
    ``BlockingIOError``, anything else that goes wrong another ``OSError``.

    Who was told by ``send`` or ``sendmsg`` that less than all was taken, or nothing, comes again
    with the rest before anything else: TLS may have encrypted it already.
    """

    def fileno(self) -> int:
        """Return the descriptor, to be waited for; -1 when closed."""

    def send(self, data: Bytes, /) -> int:
        """Send, and return how many bytes were taken."""

    def sendmsg(self, buffers: Iterable[Bytes], /) -> int:
        """Send these, one behind the other, and return how many bytes were taken."""

    def recv(self, size: int, /) -> bytes:
        """Return bytes that have come, up to ``size``; none at the end."""

    def recv_into(self, buffer: memoryview, /) -> int:
        """Put bytes that have come into ``buffer``. Return how many; 0 at the end."""

    def shutdown(self, how: int, /) -> None:
        """Say that nothing more will come (``SHUT_WR``)."""

    def close(self) -> None:
        """Close at once."""
