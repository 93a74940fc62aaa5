"""A file over QUIC, in UDP datagrams. Blocking, for a thread of its own."""

import select
import socket
import time
from collections.abc import Callable
from typing import Final

from qh3.quic.connection import QuicConnection, QuicConnectionError
from qh3.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    StreamDataReceived,
    StreamReset,
)

from framing.codec import encode
from framing.events import Ok, Quic
from framing.frames import FrameDecoder, encode_frame
from framing.requests import Fetch, Request, Store
from parley.client.files.disk import Saving, open_regular
from parley.client.files.job import Job, State
from parley.client.files.link import QUIET, CarryingError, no_answer_in, ok_in, where_from
from parley.udp.datagrams import Datagrams
from parley.udp.settings import for_client

_GETS_THROUGH: Final = 4.0
"""Seconds in which a server must answer, or UDP is taken for blocked."""

_SILENT: Final = 5.0
"""Seconds without a datagram, while a file moves, after which the server is taken for gone: a
connection that ended with its server says nothing."""

_CREDIT: Final = 512 * 1024  # bytes that are given to QUIC ahead of what it has sent


class NoWayError(Exception):
    """No datagram gets there and back, or who answers is somebody else."""


class QuicLink:
    """A connection that carries one file: to ``host``, which shows the certificate of ``quic``.
    Close it."""

    def __init__(self, job: Job, host: str, quic: Quic) -> None:
        """Connect. Raises ``NoWayError``, or ``CancelledByPersonError``."""
        self._job = job
        self._decoder = FrameDecoder()
        self._ok: Ok | None = None
        self._raw: Callable[[bytes], None] | None = None
        self._ended = ""
        self._stream = -1  # none yet
        self._open = False
        self._moved = time.monotonic()
        try:
            family, _, _, _, address = socket.getaddrinfo(host, quic.port, type=socket.SOCK_DGRAM)[
                0
            ]
            self._socket = Datagrams(socket.socket(family, socket.SOCK_DGRAM))
            self._quic = QuicConnection(configuration=for_client(quic.fingerprint))
            self._quic.connect(address, time.monotonic())
        except (OSError, ValueError) as problem:
            raise NoWayError(str(problem)) from None
        try:
            self._shake_hands()
        except BaseException:
            self.close()
            raise

    def _shake_hands(self) -> None:
        until = time.monotonic() + _GETS_THROUGH
        while not self._open:
            self._job.check_cancelled()
            if self._ended or time.monotonic() > until:
                raise NoWayError(self._ended or "no answer")
            self._turn()

    def fetch(self, ticket: str, saving: Saving) -> None:
        """Fetch what is missing. Raises ``OSError`` or ``CarryingError``."""
        begins = self._ask(Fetch(ticket, saving.offset))
        if begins.offset != saving.offset or begins.size != self._job.size:
            raise CarryingError("the server sends another file than it said", "CHANGED")
        self._job.state = State.MOVING

        def save(data: bytes) -> None:
            saving.write_bytes(data[: self._job.size - saving.offset])

        self._raw = save
        save(self._decoder.rest())
        while saving.offset < self._job.size:
            self._turn()
            self._check()

    def store(self, ticket: str, offset: int, sha256: str) -> None:
        """Bring the job's file from where the server has it. Raises ``OSError`` or
        ``CarryingError``."""
        job = self._job
        begins = self._ask(Store(ticket, offset))
        job.moved = where_from(begins, offset)
        job.state = State.MOVING
        with open_regular(job.path) as file:
            file.seek(job.moved)
            given = job.moved
            while given < job.size:
                no_answer_in(self._decoder)
                waiting = self._waiting
                job.moved = given - waiting
                if waiting < _CREDIT:
                    data = file.read(min(_CREDIT, job.size - given))
                    if not data:
                        raise CarryingError("the file became shorter", "CHANGED")
                    given += len(data)
                    self._give(data)
                self._turn()
                self._check()
        job.moved = job.size
        job.state = State.CHECKING
        if self._next_ok().sha256 != sha256:
            raise CarryingError("the server has something else", "CHANGED")

    def close(self) -> None:
        """Close the connection."""
        try:
            self._quic.close()
            self._socket.send(self._quic.datagrams_to_send(time.monotonic()))
        except (QuicConnectionError, ValueError):
            pass  # it has ended by itself
        self._socket.close()

    def _ask(self, request: Request) -> Ok:
        self._stream = self._quic.get_next_available_stream_id()
        self._give(encode_frame(encode(request)))
        return self._next_ok()

    def _next_ok(self) -> Ok:
        """Return the next event, which must be an ``ok``."""
        while True:
            if (event := ok_in(self._decoder)) is not None:
                return event
            self._turn()
            self._check()

    @property
    def _waiting(self) -> int:
        return self._quic.get_send_buffer_size(self._stream)

    def _give(self, data: bytes) -> None:
        try:
            self._quic.send_stream_data(self._stream, data)
        except (QuicConnectionError, ValueError) as problem:
            raise CarryingError(self._ended or str(problem)) from None

    def _check(self) -> None:
        self._job.check_cancelled()
        if self._ended:
            raise CarryingError(self._ended)
        quiet = _SILENT if self._job.state is State.MOVING else QUIET
        if time.monotonic() - self._moved > quiet:
            raise CarryingError(f"nothing came for {quiet:g} s")

    def _turn(self) -> None:
        """Send what is due, wait for datagrams, and take them in."""
        now = time.monotonic()
        if not self._socket.blocked:
            self._socket.send(self._quic.datagrams_to_send(now))
        timer = self._quic.get_timer()
        wait = 0.5 if timer is None else min(0.5, max(0.0, timer - time.monotonic()))
        if self._open and self._job.upload and self._job.moved < self._job.size:
            wait = 0.0 if not self._waiting else wait  # all that was given is on its way
        writing = [self._socket.sock] if self._socket.blocked else []
        select.select([self._socket.sock], writing, [], wait)
        self._socket.flush()
        now = time.monotonic()
        while (arrived := self._socket.receive()) is not None:
            self._quic.receive_many_datagrams(arrived.datagrams, arrived.address, now)
            self._moved = now
        if (timer := self._quic.get_timer()) is not None and timer <= now:
            self._quic.handle_timer(now)
        while (event := self._quic.next_event()) is not None:
            if isinstance(event, HandshakeCompleted):
                self._open = True
            elif isinstance(event, StreamDataReceived):
                self._receive(event)
            elif isinstance(event, StreamReset) and event.stream_id == self._stream:
                self._ended = "the server broke off"
            elif isinstance(event, ConnectionTerminated):
                self._ended = event.reason_phrase or "the connection ended"

    def _receive(self, event: StreamDataReceived) -> None:
        """Take in what came on the stream of the file; others are not asked for."""
        if event.stream_id != self._stream:
            return
        if self._raw is not None:
            self._raw(event.data)
        else:
            self._decoder.receive_data(event.data)
