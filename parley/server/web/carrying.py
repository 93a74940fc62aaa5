"""Files over HTTP: a ticket lets one be got (GET) or brought (PUT), from any place on.

The rules and the disk are ``transfers``' business, the socket is that of the connection
(``Wire``); what is got goes out by ``sendfile``.
"""

import os
import socket
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Protocol

from framing.errors import ErrorWord
from framing.events import Ok
from framing.requests import Fetch, Store
from parley.server.carrying.transfers import Incoming, Outgoing, Transfers
from parley.server.files.tickets import Download, TicketError, Upload
from parley.server.ground import clock
from parley.server.net.sockets import Socket
from parley.server.web import ranges
from parley.server.web.answers import Answer, matches, of_bad, of_error, of_file, of_ok, of_text

_OFFSET: Final = "Upload-Offset"
"""How much of an upload is here, as in the IETF's draft for resumable uploads."""


class Wire(Protocol):
    """A connection of HTTP with one request under way. ``mono`` is in monotonic seconds."""

    @property
    def mono(self) -> float: ...

    def begin_file(self, answer: Answer) -> None:
        """Send the head of an answer, and ask for its body when it can be sent."""

    def sent(self, size: int) -> None:
        """Count bytes of a body that have gone out."""

    def file_over(self) -> None:
        """All of a body has gone out."""

    def continue_(self) -> None:
        """Read the body of the request, which may wait for leave."""

    def answer(self, answer: Answer) -> None:
        """Answer, and be done with the request."""

    def close(self) -> None:
        """Close now."""


class Carried(Protocol):
    """A file on its way over a connection. ``moved`` is when last a byte was, in monotonic
    seconds."""

    moved: float

    @property
    def waits_here(self) -> bool:
        """Whether it waits for this side: for the disk."""

    @property
    def hungry(self) -> bool:
        """Whether it takes what comes."""

    @property
    def feeds(self) -> bool:
        """Whether it has something to send."""

    def begin(self) -> None:
        """The connection is ready."""

    def take(self, data: bytes) -> None:
        """Bytes of the request's body have come."""

    def all_taken(self) -> None:
        """That was the request's body."""

    def give(self, sock: Socket) -> None:
        """Send some. Raises ``OSError``."""

    def break_off(self) -> None:
        """The connection is gone."""


def fetch(
    transfers: Transfers, method: str, ticket: str, headers: Mapping[str, str], wire: Wire
) -> "Answer | Carried":
    """Answer a GET or HEAD of a file. A HEAD leaves the ticket good."""
    moment = clock.now()
    try:
        leave = transfers.tickets.look(ticket, moment.mono)
        if not isinstance(leave, Download):
            raise TicketError(ErrorWord.BAD_REQUEST, "this ticket is to store a file")
        etag = f'"{leave.sha256}"'
        if matches(headers.get("if-none-match"), etag):
            return Answer(304, [("ETag", etag)])
        same = headers.get("if-range", etag).strip() == etag
        try:
            part = ranges.asked(headers.get("range"), leave.size) if same else None
        except ranges.RangeError:
            text = f"the file has {leave.size} bytes"
            return of_text(416, text, ("Content-Range", f"bytes */{leave.size}"))
        answer = of_file(leave.name, leave.sha256, leave.size, part)
        if method == "HEAD":
            return answer
        first, end = part or (0, leave.size)
        outgoing = transfers.fetch(Fetch(ticket, first), moment)
    except TicketError as problem:
        return of_error(problem)
    outgoing.size = end
    again = partial(transfers.tickets.again, ticket, leave)
    return Sending(transfers, outgoing, answer, wire, again)


def store(
    transfers: Transfers,
    ticket: str,
    offset: str | None,
    headers: Mapping[str, str],
    wire: Wire,
) -> "Answer | Carried":
    """Answer a PUT of a file, from ``offset`` or the first byte of ``Content-Range`` on."""
    moment = clock.now()
    try:
        leave = transfers.tickets.look(ticket, moment.mono)
        if not isinstance(leave, Upload):
            raise TicketError(ErrorWord.BAD_REQUEST, "this ticket is to fetch a file")
        try:
            brought = ranges.brought(headers.get("content-range"))
        except ranges.RangeError:
            return of_bad("this Content-Range makes no sense", close=True)
        if brought is not None and brought[2] != leave.size:
            return of_bad(f"the ticket is for {leave.size} bytes", close=True)
        start = brought[0] if brought is not None else 0
        if offset is not None:
            if not (offset.isascii() and offset.isdigit() and len(offset) < 19):
                return of_bad("an offset is a number of bytes", close=True)
            start = int(offset)
        comes = headers.get("content-length")
        if start > leave.size or (comes is not None and start + int(comes) > leave.size):
            text = f"the ticket is for {leave.size} bytes"
            return of_error(TicketError(ErrorWord.TOO_LARGE, text), close=True)
        upload = transfers.store(Store(ticket, start), moment)
        receiving = Receiving(transfers, wire)
        receiving.incoming = transfers.gather(upload, start, receiving)
    except TicketError as problem:
        return of_error(problem, close=True)
    if receiving.incoming.offset != start:
        here = receiving.incoming.offset
        receiving.break_off()
        text = f"{here} bytes are here: go on from there, with another ticket"
        conflict = TicketError(ErrorWord.FILE_EXISTS, text)
        return of_error(conflict, (_OFFSET, str(here)), close=True)
    return receiving


class Sending:
    """A file that is got. ``again`` is called, with the time, if it breaks off: browsers go on with
    what they save by asking for the rest under the same address."""

    waits_here = False
    hungry = False
    feeds = True

    def __init__(
        self,
        transfers: Transfers,
        file: Outgoing,
        answer: Answer,
        wire: Wire,
        again: Callable[[float], None],
    ) -> None:
        self._transfers = transfers
        self._file: Outgoing | None = file
        self._again = again
        self._answer = answer
        self._wire = wire
        self.moved = wire.mono

    def begin(self) -> None:
        """Send the head."""
        self._transfers.running += 1
        self._wire.begin_file(self._answer)

    def give(self, sock: Socket) -> None:
        """Send a chunk. Raises ``OSError``."""
        file = self._file
        assert file is not None
        if file.left:
            file.look_ahead()
            size = min(self._transfers.chunk, file.left)
            if isinstance(sock, socket.socket):
                sent = os.sendfile(sock.fileno(), file.fd, file.at, size)
            else:
                # What was encrypted and not taken is the beginning of what is read now again.
                sent = sock.send(file.peek(size))
            if not sent:
                raise OSError("the file became shorter")
            file.at += sent
            self._wire.sent(sent)
        if not file.left:
            self.break_off()
            self._wire.file_over()

    def take(self, data: bytes) -> None:
        """A request for a file has no body that matters."""

    def all_taken(self) -> None:
        """A request for a file has no body that matters."""

    def break_off(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._transfers.running -= 1
            if self._file.left:
                self._again(self._wire.mono)
            self._file.close()
            self._file = None


class Receiving:
    """A file that is brought."""

    feeds = False

    def __init__(self, transfers: Transfers, wire: Wire) -> None:
        self._transfers = transfers
        self._wire = wire
        self._begun = False
        self.incoming: Incoming | None = None
        self.moved = wire.mono

    @property
    def waits_here(self) -> bool:
        """Whether the disk is waited for: before the first byte, or behind the last."""
        return self.incoming is None or not self.incoming.caught_up

    @property
    def hungry(self) -> bool:
        """Whether it takes what comes."""
        return not self.waits_here

    def begin(self) -> None:
        """The connection is ready."""
        self._transfers.running += 1
        self._begun = True
        if self.incoming is not None and self.incoming.caught_up:
            self.caught_up()

    def caught_up(self) -> None:
        """What came in earlier tries has been read again: more may come."""
        if self._begun:
            self.moved = self._wire.mono
            self._wire.continue_()

    def take(self, data: bytes) -> None:
        """Write what has come."""
        incoming = self.incoming
        if incoming is None:
            return
        if len(data) > incoming.left:
            self._done(of_bad("more bytes than the ticket is for", close=True))
            return
        try:
            incoming.write(data)
        except OSError as problem:
            self.incoming = None
            self._over()
            self._wire.answer(of_error(self._transfers.failed(incoming, problem), close=True))

    def all_taken(self) -> None:
        """The body is over: if that was all, check it and share it."""
        incoming = self.incoming
        if incoming is None:
            return
        if incoming.left:
            at = incoming.at
            self._done(of_ok(202, Ok(offset=at, size=incoming.upload.size), (_OFFSET, str(at))))
            return
        self.incoming = None
        self._over()
        self._transfers.whole(incoming, self._answer)

    def give(self, sock: Socket) -> None:
        """There is nothing to send but the answer."""

    def close(self) -> None:
        """Another connection goes on with this upload."""
        self._wire.close()

    def break_off(self) -> None:
        """The connection is gone; what has come stays for another try."""
        incoming, self.incoming = self.incoming, None
        if incoming is not None:
            self._over()
            self._transfers.broken_off(incoming)

    def _done(self, answer: Answer) -> None:
        self.break_off()
        self._wire.answer(answer)

    def _over(self) -> None:
        if self._begun:
            self._transfers.running -= 1
            self._begun = False

    def _answer(self, result: Ok | TicketError) -> None:
        if isinstance(result, Ok):
            self._wire.answer(of_ok(201, result))
        else:
            self._wire.answer(of_error(result))
