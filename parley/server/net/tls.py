"""TLS (1.2 and 1.3) under a connection: the standard library's ``ssl``, fed by hand.

A ``TlsSocket`` does for its owner what a plain socket does, so that doors, files and the chat know
nothing of it. The bytes go by way of two buffers in memory that all connections share, which are
empty between two calls: one system call for what a tick brings, nothing read that is not asked
for, and no buffers kept for those who are silent. Everything decrypted is handed out at once: the
selector could not tell of what OpenSSL has already.
"""

import contextlib
import socket
import ssl
from collections.abc import Iterable
from typing import Final

from parley.server.net.certificate import Certificate
from parley.server.net.sockets import Bytes

RECORD: Final = 16 * 1024
"""Bytes of plain text in a TLS record, at most (RFC 8446, 5.1)."""

_HEADER: Final = 5  # bytes before each: type, version, length

_PIECE: Final = 4 * RECORD
"""Bytes that are encrypted before the kernel has taken what was: of a client that reads slowly no
more than this is kept as a copy of its own."""

_UNREAD: Final = 2 * _PIECE
"""Bytes of answers to TLS itself, such as new keys, for somebody who asks and does not read."""


_BARE: Final = 500
"""Records without data that a peer may send, such as new keys: each costs as much as many
messages, and a client needs one for some million records (RFC 8446, 5.5)."""


class Tls:
    """The settings in force, with ``certificate``; ``use`` another for connections to come."""

    def __init__(self, certificate: Certificate) -> None:
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.use(certificate)

    def use(self, certificate: Certificate) -> None:
        """Show ``certificate`` from now on. Raises ``ssl.SSLError`` if OpenSSL does not take it;
        the one before then stays."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Compression tells lengths of secrets (CVE-2012-4929); who renegotiates lets the server
        # work for little of its own (CVE-2011-1473).
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        # One ticket, kept by the client alone: enough for it to come back without signatures.
        context.num_tickets = 1
        certificate.load_into(context)
        self.context = context
        self.binding = certificate.binding


class TlsSocket:
    """The server's side of TLS over ``sock``, as a ``parley.server.net.sockets.Socket``.

    To begin with, ``shake_hands``. ``binding`` are the bytes of ``tls-server-end-point`` (RFC
    5929), None where the certificate has none.
    """

    __slots__ = (
        "_bare",
        "_ended",
        "_established",
        "_head",
        "_missing",
        "_out",
        "_owed",
        "_said_all",
        "_sock",
        "_ssl",
        "_tls",
        "binding",
    )

    def __init__(self, sock: socket.socket, tls: Tls) -> None:
        self._sock = sock
        self._tls = tls
        self._ssl = tls.context.wrap_bio(tls.incoming, tls.outgoing, server_side=True)
        self._out: Bytes = b""  # encrypted, and not taken by the kernel yet
        self._owed = 0  # bytes of plain text in that, which the owner has not been told of
        self._established = False
        self._bare = 0  # records that have brought no data
        self._head = b""  # the beginning of a record's header, when the rest has not come
        self._missing = 0  # bytes of the record that has begun
        self._ended = False  # the peer has said that nothing more will come
        self._said_all = False  # and this side
        self.binding = tls.binding

    def fileno(self) -> int:
        """Return the descriptor, -1 when closed."""
        return self._sock.fileno()

    @property
    def blocked(self) -> bool:
        """Whether something encrypted waits for the kernel to take it."""
        return bool(self._out)

    def shake_hands(self) -> bool:
        """Go on with the handshake as far as that goes now. Return whether it is done.

        What the peer has sent behind its handshake stays in the kernel, so that the selector
        tells of it. Raises ``BlockingIOError`` if nothing has come, another ``OSError`` (as
        ``ssl.SSLError`` is) if there will be no connection.
        """
        if not self._flush():
            return False
        if not self._established:
            came = self._sock.recv(RECORD, socket.MSG_PEEK)
            if not came:
                raise ConnectionResetError("the peer ended it")
            self._tls.incoming.write(came)
            try:
                self._ssl.do_handshake()
                self._established = True
            except ssl.SSLWantReadError:
                pass
            finally:
                self._sock.recv(len(came) - self._tls.incoming.pending)
                self._flush_all()
        return self._established and not self._out

    def send(self, data: Bytes, /) -> int:
        """Encrypt and send. Return how many bytes were taken."""
        if self._out and not self._flush():
            raise BlockingIOError
        taken, self._owed = self._owed, 0
        size = len(data)
        while taken < size:
            piece = data if size <= _PIECE and not taken else memoryview(data)[taken:][:_PIECE]
            self._ssl.write(piece)
            self._out = self._tls.outgoing.read()
            if not self._flush():
                self._owed = len(piece)
                break
            taken += len(piece)
        if not taken:
            raise BlockingIOError
        return taken

    def sendmsg(self, buffers: Iterable[Bytes], /) -> int:
        """Send these, one behind the other. Return how many bytes were taken."""
        parts = []
        size = 0
        for buffer in buffers:
            parts.append(buffer)
            size += len(buffer)
            if size >= _PIECE:
                break
        return self.send(parts[0] if len(parts) == 1 else b"".join(parts))

    def recv(self, size: int, /) -> bytes:
        """Return what has come, at most ``size`` bytes, which must be over 32 KiB; none at the
        end, whether the peer said so or not: what goes over it tells by itself if it is whole."""
        if self._ended:
            return b""
        came = self._sock.recv(size - RECORD)  # part of a record may have come before
        if not came:
            self._ended = True
            return b""
        if self._said_all:
            raise BlockingIOError  # this is nobody's any more
        self._tls.incoming.write(came)
        parts = []
        try:
            while part := self._ssl.read(RECORD):
                parts.append(part)
            self._ended = True
        except ssl.SSLWantReadError:
            pass
        finally:
            self._flush_all()
        self._bare += max(0, self._records(came) - len(parts))
        if self._bare > _BARE:
            raise ConnectionAbortedError("changes keys again and again")
        if self._ended and parts:
            # Nobody would be told of the end if the peer keeps its socket open.
            self._sock.shutdown(socket.SHUT_RD)
        if not parts and not self._ended:
            raise BlockingIOError  # part of a record, or something between the two TLS
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def recv_into(self, buffer: memoryview, /) -> int:
        """Put what has come into ``buffer``, of over 32 KiB. Return how much; 0 at the end."""
        data = self.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def shutdown(self, how: int, /) -> None:
        """Say that nothing more will come (``close_notify``), and end the socket's half too.
        Raises ``BlockingIOError`` if that has to be said again later."""
        if not self._said_all:
            self._said_all = True
            with contextlib.suppress(ssl.SSLWantReadError):  # the peer may have more to say
                self._ssl.unwrap()
            self._out = bytes(self._out) + self._tls.outgoing.read()
        if not self._flush():
            raise BlockingIOError
        self._sock.shutdown(how)

    def close(self) -> None:
        """Close at once; a goodbye is answered, if that goes without waiting."""
        if self._ended and not self._said_all:
            with contextlib.suppress(OSError):
                self.shutdown(socket.SHUT_WR)
        self._sock.close()

    def _records(self, came: bytes) -> int:
        """Return how many records end in what has come."""
        count = 0
        if self._missing:
            if self._missing > len(came):
                self._missing -= len(came)
                return 0
            count = 1
        data = self._head + came if self._head else came
        at = self._missing
        while at + _HEADER <= len(data):
            at += _HEADER + int.from_bytes(data[at + 3 : at + 5])
            count += at <= len(data)
        self._missing = max(0, at - len(data))
        self._head = data[at:]
        return count

    def _flush(self) -> bool:
        """Send what is encrypted. Return whether the kernel has taken all."""
        out = self._out
        if out:
            try:
                sent = self._sock.send(out)
            except BlockingIOError:
                return False
            self._out = b"" if sent == len(out) else memoryview(out)[sent:]
        return not self._out

    def _flush_all(self) -> None:
        """Leave the shared buffers empty, and send what TLS had to say by itself: an answer, or
        why it ends. What the kernel does not take of it goes before what is sent next."""
        self._tls.incoming.read()
        if out := self._tls.outgoing.read():
            self._out = bytes(self._out) + out
            if len(self._out) > _UNREAD:
                raise ConnectionAbortedError("asks for much and reads nothing")
            self._flush()
