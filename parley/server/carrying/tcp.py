"""Files over TCP: a connection that has shown a ticket carries one file, and nothing else.

Sent straight from the page cache by ``os.sendfile``, or read and encrypted where the connection
speaks TLS; received into one buffer for all. Each
connection moves one chunk when it is ready, so that many transfers and the chat have their turns.
"""

import os
import socket
from collections.abc import Callable
from typing import Final

from framing.codec import encode
from framing.events import Error, Event, Ok
from framing.frames import encode_frame
from framing.requests import Fetch, Store
from parley.server.carrying.transfers import STALL, Incoming, Outgoing, Transfers, begins
from parley.server.files.tickets import TicketError
from parley.server.ground.clock import Moment
from parley.server.net.loop import READ, WRITE, Loop
from parley.server.net.sockets import Socket

_buffer: Final = memoryview(bytearray(1024 * 1024))  # for what comes; used within one turn


class TcpFiles:
    """The connections that carry files. ``sweep`` now and then."""

    def __init__(self, loop: Loop, transfers: Transfers) -> None:
        self.loop = loop
        self.transfers = transfers
        self.mono = 0.0
        self._all: dict[TcpFile, None] = {}

    def __len__(self) -> int:
        return len(self._all)

    def take(self, sock: Socket, file: "TcpFile") -> None:
        """Carry ``file`` over ``sock`` from now on."""
        self._all[file] = None
        self.transfers.running += 1
        file.begin(sock)

    def open(self, request: Fetch | Store, rest: bytes, moment: Moment) -> "TcpFile":
        """Return the transfer that a ticket is for. ``rest`` are bytes that came behind it.

        Raises ``TicketError``.
        """
        self.mono = moment.mono
        file = TcpFile(self, rest)
        if isinstance(request, Fetch):
            file.outgoing = self.transfers.fetch(request, moment)
        else:
            upload = self.transfers.store(request, moment)
            file.incoming = self.transfers.gather(upload, request.offset, file)
        return file

    def sweep(self, mono: float) -> None:
        """Close what has not moved for long."""
        self.mono = mono
        for file in list(self._all):
            if not file.waits_here and mono - file.moved > STALL:
                file.close()

    def gone(self, file: "TcpFile") -> None:
        """A connection is closed."""
        if file in self._all:
            del self._all[file]
            self.transfers.running -= 1

    def close(self) -> None:
        """Close all."""
        for file in list(self._all):
            file.close()


class TcpFile:
    """One file over one connection: to the peer (``outgoing``) or from it (``incoming``)."""

    def __init__(self, host: TcpFiles, rest: bytes) -> None:
        self._host = host
        self._rest = rest
        self._sock: Socket | None = None
        self._events = 0
        self._head = b""
        self._ending = False
        self.outgoing: Outgoing | None = None
        self.incoming: Incoming | None = None
        self.moved = host.mono
        self.ended: Callable[[], None] = lambda: None
        """Is called when its connection is closed."""

    @property
    def waits_here(self) -> bool:
        """Whether it waits for this side: for the disk."""
        return not self._events

    def begin(self, sock: Socket) -> None:
        """Carry it over ``sock``."""
        self._sock = sock
        if self.outgoing is not None:
            self._tell(begins(self.outgoing))
        elif self.incoming is not None and self.incoming.caught_up:
            self.caught_up()

    def caught_up(self) -> None:
        """What came in earlier tries has been read again: more may come."""
        assert self.incoming is not None
        self._tell(begins(self.incoming))
        if self._sock is not None:
            self._watch(self._events | READ)
            self._take(self._rest)
        self._rest = b""

    def ready(self, events: int) -> None:
        """The socket can be read or written."""
        if self._sock is None:
            return
        self.moved = self._host.mono
        try:
            if events & WRITE:
                self._send()
            if events & READ and self._sock is not None:
                self._receive()
        except BlockingIOError:
            pass
        except OSError:
            self.close()

    def close(self) -> None:
        """Close now."""
        if self._sock is None:
            return
        self._watch(0)
        self._sock.close()
        self._sock = None
        self._host.gone(self)
        self.ended()
        if self.outgoing is not None:
            self.outgoing.close()
            self.outgoing = None
        if self.incoming is not None:
            self._host.transfers.broken_off(self.incoming)
            self.incoming = None

    def _send(self) -> None:
        assert self._sock is not None
        if self._head:
            self._head = self._head[self._sock.send(self._head) :]
            if self._head:
                return
        file = self.outgoing
        if file is not None and file.left:
            file.look_ahead()
            size = min(self._host.transfers.chunk, file.left)
            if isinstance(self._sock, socket.socket):
                sent = os.sendfile(self._sock.fileno(), file.fd, file.at, size)
            else:
                # What was encrypted and not taken is the beginning of what is read now again.
                sent = self._sock.send(file.peek(size))
            if not sent:
                raise OSError("the file became shorter")
            file.at += sent
            self._host.transfers.counts.file_sent += sent
            if file.left:
                return
        self._watch(self._events & ~WRITE)
        if file is not None or self._ending:
            self._finish()

    def _receive(self) -> None:
        assert self._sock is not None
        if self.incoming is None:
            # All is said: wait until the peer has closed too, so that it gets everything.
            if not self._sock.recv_into(_buffer):
                self.close()
            return
        count = self._sock.recv_into(_buffer[: self._host.transfers.chunk])
        if not count:
            self.close()
            return
        self._take(_buffer[:count])

    def _take(self, data: bytes | memoryview) -> None:
        incoming = self.incoming
        if incoming is None:
            return
        try:
            before = incoming.at
            incoming.write(data[: incoming.left])
            self._host.transfers.counts.file_received += incoming.at - before
        except OSError as problem:
            self.incoming = None
            self._answer(self._host.transfers.failed(incoming, problem))
            return
        if not incoming.left:
            self.incoming = None
            self._watch(self._events & ~READ)
            self._host.transfers.whole(incoming, self._answer)

    def _answer(self, answer: Ok | TicketError) -> None:
        """Say how it ended, and end."""
        if self._sock is None:
            return
        self._ending = True
        if isinstance(answer, Ok):
            self._tell(answer)
        else:
            self._host.transfers.counts.refusals[answer.word.value] += 1
            self._tell(Error(answer.word.code, answer.word.value, str(answer)))

    def _tell(self, event: Event) -> None:
        self._head += encode_frame(encode(event))
        self._watch(self._events | WRITE)

    def _finish(self) -> None:
        assert self._sock is not None
        if self.outgoing is not None:
            self._host.transfers.counts.downloads += 1
            self.outgoing.close()
            self.outgoing = None
        self._ending = True
        self._watch(READ | WRITE)
        self._sock.shutdown(socket.SHUT_WR)
        self._watch(READ)

    def _watch(self, events: int) -> None:
        if self._sock is not None and events != self._events:
            self._host.loop.change(self._sock, self._events, events, self)
            self._events = events
