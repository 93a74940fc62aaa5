"""A file over a TCP connection of its own. Blocking, for a thread of its own."""

import os
import select
import socket
import struct
from collections.abc import Callable
from typing import Final

from framing.codec import encode
from framing.events import Ok
from framing.frames import FrameDecoder, encode_frame
from framing.requests import Fetch, Request, Store
from parley.client.files.disk import CHUNK, Saving, open_regular
from parley.client.files.job import Job, State
from parley.client.files.link import QUIET, CarryingError, no_answer_in, ok_in, where_from

CONNECT: Final = 10.0


class TcpLink:
    """A connection to ``host`` and ``port`` that carries one file. Close it."""

    def __init__(self, job: Job, host: str, port: int) -> None:
        """Connect. Raises ``OSError``."""
        self._job = job
        self._decoder = FrameDecoder()
        self._sock = socket.create_connection((host, port), CONNECT)
        # A system call waits for a whole buffer, and at most a second: then one looks whether it
        # was cancelled. Waiting in the kernel leaves the other threads alone.
        self._sock.settimeout(None)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", 1, 0))

    def fetch(self, ticket: str, saving: Saving) -> None:
        """Fetch what is missing. Raises ``OSError`` or ``CarryingError``."""
        begins = self._ask(Fetch(ticket, saving.offset))
        if begins.offset != saving.offset or begins.size != self._job.size:
            raise CarryingError("the server sends another file than it said", "CHANGED")
        self._job.state = State.MOVING
        if rest := self._decoder.rest():
            saving.write_bytes(rest[: self._job.size - saving.offset])
        while (left := self._job.size - saving.offset) > 0:
            if not saving.fill(self._receive_whole, saving.offset + left):
                raise CarryingError("the connection ended before the file did")

    def store(self, ticket: str, offset: int, sha256: str) -> None:
        """Bring the job's file from where the server has it. Raises ``OSError`` or
        ``CarryingError``."""
        job = self._job
        begins = self._ask(Store(ticket, offset))
        job.moved = where_from(begins, offset)
        job.state = State.MOVING
        with open_regular(job.path) as file:
            self._sock.setblocking(False)
            while job.moved < job.size:
                sent = self._patiently(lambda: self._send_some(file.fileno()))
                if not sent:
                    raise CarryingError("the file became shorter", "CHANGED")
                job.moved += sent
            self._sock.settimeout(None)
        job.state = State.CHECKING
        answer = self._event()
        if answer.sha256 != sha256:
            raise CarryingError("the server has something else", "CHANGED")

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()

    def _ask(self, request: Request) -> Ok:
        self._sock.sendall(encode_frame(encode(request)))
        return self._event()

    def _event(self) -> Ok:
        """Return the next event, which must be an ``ok``."""
        buffer = bytearray(65536)
        while True:
            if (event := ok_in(self._decoder)) is not None:
                return event
            self._decode(memoryview(buffer), self._receive(memoryview(buffer)))

    def _send_some(self, file: int) -> int:
        """Send what goes at once, within a second; an answer comes before that."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN | select.POLLOUT)
        ready = dict(poll.poll(1000)).get(self._sock.fileno(), 0)
        if ready & ~select.POLLOUT:
            buffer = bytearray(65536)
            self._decode(memoryview(buffer), self._sock.recv_into(buffer))
            no_answer_in(self._decoder)
        if not ready & select.POLLOUT:
            raise BlockingIOError
        size = min(CHUNK, self._job.size - self._job.moved)
        return os.sendfile(self._sock.fileno(), file, self._job.moved, size)

    def _decode(self, view: memoryview, count: int) -> None:
        if not count:
            raise CarryingError("the connection ended")
        self._decoder.receive_data(bytes(view[:count]))

    def _receive(self, view: memoryview) -> int:
        return self._patiently(lambda: self._sock.recv_into(view))

    def _receive_whole(self, view: memoryview) -> int:
        return self._patiently(lambda: self._sock.recv_into(view, 0, socket.MSG_WAITALL))

    def _patiently(self, move: Callable[[], int]) -> int:
        """Do it as soon as it can be done, and no later than ``QUIET`` seconds."""
        for _ in range(int(QUIET)):
            self._job.check_cancelled()
            try:
                return move()
            except BlockingIOError:
                continue
        raise CarryingError("nothing moved for a minute")
