"""A file over a TCP connection of its own. Blocking, for a thread of its own."""

import contextlib
import select
import ssl
from collections.abc import Callable

from framing.codec import encode
from framing.events import Ok
from framing.frames import FrameDecoder, encode_frame
from framing.requests import Fetch, Request, Store
from parley.client.files.disk import CHUNK, Saving, open_regular
from parley.client.files.job import Job, State
from parley.client.files.link import QUIET, CarryingError, no_answer_in, ok_in, where_from
from parley.client.files.stream import PlainStream, TlsStream
from parley.client.session.trust import Trust, UntrustedError


class TcpLink:
    """A connection to the server of ``trust`` that carries one file. Close it."""

    def __init__(self, job: Job, trust: Trust) -> None:
        """Connect. Raises ``OSError``, or ``CarryingError`` if who answers is not to be trusted."""
        self._job = job
        self._decoder = FrameDecoder()
        try:
            self._stream = _connected(trust)
        except (UntrustedError, ssl.SSLCertVerificationError) as problem:
            raise CarryingError(
                f"the server is another than before: {problem}", "CHANGED"
            ) from None

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
            self._stream.wait(False)
            while job.moved < job.size:
                sent = self._patiently(lambda: self._send_some(file.fileno()))
                if not sent:
                    raise CarryingError("the file became shorter", "CHANGED")
                job.moved += sent
            self._stream.wait(True)
        job.state = State.CHECKING
        answer = self._event()
        if answer.sha256 != sha256:
            raise CarryingError("the server has something else", "CHANGED")

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def _ask(self, request: Request) -> Ok:
        self._stream.send_all(encode_frame(encode(request)))
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
        poll.register(self._stream, select.POLLIN | select.POLLOUT)
        ready = dict(poll.poll(1000)).get(self._stream.fileno(), 0)
        if ready & ~select.POLLOUT:
            view = memoryview(bytearray(65536))
            with contextlib.suppress(BlockingIOError):  # TLS itself may have had something to say
                self._decode(view, self._stream.receive(view))
            no_answer_in(self._decoder)
        if not ready & select.POLLOUT:
            raise BlockingIOError
        size = min(CHUNK, self._job.size - self._job.moved)
        return self._stream.send_file(file, self._job.moved, size)

    def _decode(self, view: memoryview, count: int) -> None:
        if not count:
            raise CarryingError("the connection ended")
        self._decoder.receive_data(bytes(view[:count]))

    def _receive(self, view: memoryview) -> int:
        return self._patiently(lambda: self._stream.receive(view))

    def _receive_whole(self, view: memoryview) -> int:
        return self._patiently(lambda: self._stream.receive_whole(view))

    def _patiently(self, move: Callable[[], int]) -> int:
        """Do it as soon as it can be done, and no later than ``QUIET`` seconds."""
        for _ in range(int(QUIET)):
            self._job.check_cancelled()
            try:
                return move()
            except BlockingIOError:
                continue
        raise CarryingError("nothing moved for a minute")


def _connected(trust: Trust) -> PlainStream | TlsStream:
    context = trust.context()
    if context is None:
        return PlainStream(trust.host, trust.port)
    stream = TlsStream(trust.host, trust.port, context)
    try:
        trust.check(stream.certificate)
    except BaseException:
        stream.close()
        raise
    return stream
