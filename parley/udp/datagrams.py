"""Datagrams in and out of one UDP socket, many in one system call where the kernel can (Linux:
UDP_SEGMENT, UDP_GRO)."""

import contextlib
import socket
import struct
from collections import deque
from typing import Final, NamedTuple

_SOL_UDP: Final = 17
_UDP_SEGMENT: Final = 103
_UDP_GRO: Final = 104
_BUFFER: Final = 4 << 20  # bytes asked for; the system may give less
_AT_ONCE: Final = 64  # datagrams in one call
_LARGEST: Final = 65_000  # bytes in one call

Address = tuple[str, int] | tuple[str, int, int, int]


class Arrived(NamedTuple):
    """Datagrams that came together from one address."""

    datagrams: list[bytes]
    address: Address


class _Batch(NamedTuple):
    data: bytes
    segment: int  # 0: one datagram
    address: Address


class Datagrams:
    """Sends and receives over ``sock``, which does not block."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
        self._segments = True
        try:
            sock.setsockopt(_SOL_UDP, _UDP_GRO, 1)
        except OSError:
            self._segments = False
        self._out: deque[_Batch] = deque()

    @property
    def blocked(self) -> bool:
        """Whether something waits until the socket takes more."""
        return bool(self._out)

    def receive(self) -> Arrived | None:
        """Return what has come, None if nothing has."""
        try:
            data, extra, _, address = self.sock.recvmsg(65535, 64)
        except (BlockingIOError, ConnectionRefusedError):
            return None
        segment = len(data)
        for level, kind, value in extra:
            if (level, kind) == (_SOL_UDP, _UDP_GRO):
                segment = struct.unpack("=i", value[:4])[0]
        if len(data) <= segment:
            return Arrived([data], address)
        parts = [data[at : at + segment] for at in range(0, len(data), segment)]
        return Arrived(parts, address)

    def send(self, datagrams: list[tuple[bytes, Address]]) -> None:
        """Send, or keep what the socket does not take now."""
        run: list[bytes] = []
        to: Address = ("", 0)
        closed = True
        for data, address in datagrams:
            fits = len(run) < _AT_ONCE and (len(run) + 1) * len(run[0]) <= _LARGEST if run else True
            if run and (closed or address != to or len(data) > len(run[0]) or not fits):
                self._queue(run, to)
                run = []
            run.append(data)
            to = address
            closed = not self._segments or len(data) < len(run[0])
        if run:
            self._queue(run, to)
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it."""
        while self._out:
            data, segment, address = self._out[0]
            try:
                if segment:
                    size = struct.pack("=H", segment)
                    self.sock.sendmsg([data], [(_SOL_UDP, _UDP_SEGMENT, size)], 0, address)
                else:
                    self.sock.sendto(data, address)
            except BlockingIOError:
                return
            except OSError:
                if segment:
                    self._split(data, segment, address)
                    continue
                # A datagram that cannot be sent is one that was lost: QUIC copes.
            self._out.popleft()

    def close(self) -> None:
        """Close the socket."""
        with contextlib.suppress(OSError):
            self.sock.close()

    def _queue(self, run: list[bytes], to: Address) -> None:
        segment = len(run[0]) if len(run) > 1 else 0
        self._out.append(_Batch(b"".join(run), segment, to))

    def _split(self, data: bytes, segment: int, address: Address) -> None:
        """This kernel, or this way, does not take several at once: send them one by one."""
        self._segments = False
        self._out.popleft()
        for at in reversed(range(0, len(data), segment)):
            self._out.appendleft(_Batch(data[at : at + segment], 0, address))


def destination(datagram: bytes, cid_length: int) -> tuple[bytes, int | None]:
    """Return the connection id a datagram is for, and the QUIC version of a long header (None: a
    short one), by what all versions have in common (RFC 8999)."""
    if datagram[0] & 0x80:
        length = datagram[5]
        return datagram[6 : 6 + length], int.from_bytes(datagram[1:5], "big")
    return datagram[1 : 1 + cid_length], None
