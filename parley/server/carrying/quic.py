"""Files over QUIC: the same tickets as over TCP, in datagrams, through the same loop.

qh3 does the protocol and no I/O. Each tick moves a bounded number of bytes each way; a file is
fed to QUIC by credit, never more ahead of what has gone out than ``_CREDIT``. Nobody is answered
who could have no ticket: as long as none is out, a datagram that opens a connection is dropped.
"""

import contextlib
import logging
import os
import socket
from typing import Final

from qh3.quic.configuration import QuicConfiguration
from qh3.quic.connection import QuicConnection, QuicConnectionError
from qh3.quic.events import (
    ConnectionIdIssued,
    ConnectionIdRetired,
    ConnectionTerminated,
    QuicEvent,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)
from qh3.quic.packet import encode_quic_retry, encode_quic_version_negotiation

from framing.codec import decode_request, encode
from framing.errors import BodyError, ErrorWord, FrameError
from framing.events import Error, Event, Ok
from framing.frames import FrameDecoder, encode_frame
from framing.limits import FRAME_BEFORE_JOIN
from framing.requests import Fetch, Store
from parley.server.carrying.retries import Retries, token_in
from parley.server.carrying.transfers import STALL, Incoming, Outgoing, Transfers, begins
from parley.server.chat.sharing import Sharing
from parley.server.files.tickets import TicketError
from parley.server.ground import clock
from parley.server.net.certificate import Certificate
from parley.server.net.loop import READ, WRITE, Loop, Timer
from parley.udp.datagrams import Address, Arrived, Datagrams, destination
from parley.udp.settings import CID_LENGTH, for_server

_CREDIT: Final = 256 * 1024
_IN_FLIGHT: Final = 4 << 20  # bytes to one peer that are not acknowledged
_IN_A_TICK: Final = 512 * 1024  # bytes, each way: about 5 ms
_CONNECTIONS: Final = 256
_HANDSHAKES: Final = 128  # connections that have shown no ticket yet
_UNPROVEN: Final = 8  # of them, whose addresses may be anybody's
_OF_ONE: Final = 64  # connections of one address
_BEGUN_AT_ONCE: Final = 8  # in a tick: a handshake takes a millisecond or two
_IDLE: Final = 10.0  # seconds without a file under way: to the ticket, and behind the last file
_STREAMS: Final = 16  # of one connection

logging.getLogger("quic").setLevel(logging.ERROR)  # what a peer says is not news


class QuicFiles:
    """The QUIC connections to the UDP socket ``sock``."""

    def __init__(
        self,
        sock: socket.socket,
        loop: Loop,
        transfers: Transfers,
        sharing: Sharing,
        certificate: Certificate,
    ) -> None:
        self.transfers = transfers
        self._loop = loop
        self._sharing = sharing
        self._datagrams = Datagrams(sock)
        self._settings: QuicConfiguration
        self.use(certificate)
        self._retries = Retries()
        self._routes: dict[bytes, _Connection] = {}
        self._connections: dict[_Connection, None] = {}
        self._timer: tuple[float, Timer] | None = None
        self._events = READ
        self._begun = 0  # in this turn
        self.mono = clock.now().mono
        loop.watch(sock, READ, self)

    def use(self, certificate: Certificate) -> None:
        """Show ``certificate`` to connections to come."""
        self._settings = for_server(certificate.certificate, certificate.key)

    @property
    def busy(self) -> bool:
        """Whether more can be sent at once."""
        return not self._datagrams.blocked and any(c.hungry for c in self._connections)

    def ready(self, events: int) -> None:
        """Datagrams have come, or can be sent again."""
        self.mono = clock.now().mono
        if events & WRITE:
            self._datagrams.flush()
        self._begun = 0
        if events & READ:
            left = _IN_A_TICK
            while left > 0 and (arrived := self._datagrams.receive()) is not None:
                left -= sum(map(len, arrived.datagrams))
                self._arrived(arrived)
        self.turn()

    def turn(self) -> None:
        """Deal with what has come, and send what is due and what there is room for."""
        self.mono = clock.now().mono
        left = _IN_A_TICK
        for connection in list(self._connections):
            connection.heed(self.mono)
            if left > 0 and not self._datagrams.blocked:
                # To the end of the queue: the next tick begins with those who had to wait.
                if connection in self._connections:
                    del self._connections[connection]
                    self._connections[connection] = None
                connection.feed(min(left, self.transfers.chunk))
                out = connection.quic.datagrams_to_send(self.mono)
                left -= sum(len(data) for data, _ in out)
                self._datagrams.send(out)
        self._watch(READ | WRITE if self._datagrams.blocked else READ)
        self._set_timer()

    def sweep(self, mono: float) -> None:
        """Close what has shown no ticket in time, or does not move."""
        for connection in list(self._connections):
            connection.sweep(mono)

    def close(self) -> None:
        """Close all."""
        for connection in list(self._connections):
            connection.end("the server is being stopped")
            self._datagrams.send(connection.quic.datagrams_to_send(clock.now().mono))
        self._watch(0)
        self._datagrams.close()

    def forget(self, connection: "_Connection") -> None:
        """A connection has ended."""
        self._connections.pop(connection, None)
        for cid in connection.cids:
            if self._routes.get(cid) is connection:
                del self._routes[cid]

    def route(self, cid: bytes, connection: "_Connection") -> None:
        """From now on datagrams for ``cid`` are this connection's."""
        self._routes[cid] = connection

    def retire(self, cid: bytes) -> None:
        """Nothing comes for ``cid`` any more."""
        self._routes.pop(cid, None)

    def _arrived(self, arrived: Arrived) -> None:
        """Give datagrams to the connections they are for."""
        run: list[bytes] = []
        owner: _Connection | None = None
        for datagram in arrived.datagrams:
            to = self._owner(datagram, arrived.address)
            if to is not owner and owner is not None:
                owner.quic.receive_many_datagrams(run, arrived.address, self.mono)
                run = []
            owner = to
            if to is not None:
                run.append(datagram)
        if owner is not None:
            owner.quic.receive_many_datagrams(run, arrived.address, self.mono)

    def _owner(self, datagram: bytes, address: Address) -> "_Connection | None":
        if len(datagram) < 1 + CID_LENGTH:
            return None
        cid, version = destination(datagram, CID_LENGTH)
        return self._routes.get(cid) or self._accept(datagram, cid, version, address)

    def _accept(
        self, datagram: bytes, cid: bytes, version: int | None, address: Address
    ) -> "_Connection | None":
        """Open a connection if that is what a datagram is for."""
        if version is None or len(datagram) < 1200 or not self._sharing.tickets.out:
            return None
        at = 6 + len(cid)
        source = datagram[at + 1 : at + 1 + datagram[at]]
        if version not in self._settings.supported_versions:
            if version:
                answer = encode_quic_version_negotiation(
                    cid, source, self._settings.supported_versions
                )
                self._datagrams.send([(answer, address)])
            return None
        if datagram[0] & 0x30 or len(self._connections) >= _CONNECTIONS:
            return None
        known = self._retries.check(token_in(datagram), address, self.mono)
        waiting = sum(not connection.known for connection in self._connections)
        if known is None and waiting >= _UNPROVEN:
            # Many are beginning: let them prove first that they are where they say.
            own = os.urandom(CID_LENGTH)
            token = self._retries.make(cid, own, address, self.mono)
            answer = encode_quic_retry(version, own, source, cid, token)
            self._datagrams.send([(answer, address)])
            return None
        mine = sum(connection.address == address[0] for connection in self._connections)
        if waiting >= _HANDSHAKES or mine >= _OF_ONE or self._begun >= _BEGUN_AT_ONCE:
            return None  # it will be sent again
        self._begun += 1
        first, retried = (cid, None) if known is None else known
        quic = QuicConnection(
            configuration=self._settings,
            original_destination_connection_id=first,
            retry_source_connection_id=retried,
        )
        connection = _Connection(self, quic, cid, address, self.mono)
        self._connections[connection] = None
        return connection

    def _set_timer(self) -> None:
        """Be called when the first connection has something to do."""
        dues = [due for c in self._connections if (due := c.quic.get_timer()) is not None]
        if not dues:
            return
        due = min(dues)
        if self._timer is not None and self._timer[0] <= due:
            return  # it comes early enough, and sets the next
        if self._timer is not None:
            self._timer[1].cancel()
        self._timer = due, self._loop.call_at(due, self._timed)

    def _timed(self) -> None:
        self._timer = None
        self.mono = clock.now().mono
        for connection in list(self._connections):
            due = connection.quic.get_timer()
            if due is not None and due <= self.mono:
                connection.quic.handle_timer(self.mono)
        self.turn()

    def _watch(self, events: int) -> None:
        if events != self._events:
            self._loop.change(self._datagrams.sock, self._events, events, self)
            self._events = events


class _Connection:
    """One QUIC connection. ``known``: it has shown a ticket."""

    def __init__(
        self, host: QuicFiles, quic: QuicConnection, cid: bytes, address: Address, mono: float
    ) -> None:
        self.host = host
        self.address = address[0]
        self.quic = quic
        self.cids = {cid, quic.host_cid}
        self.known = False
        self._busy_at = mono
        self.files: dict[int, _QuicFile] = {}
        for known in self.cids:
            host.route(known, self)

    @property
    def hungry(self) -> bool:
        """Whether a file of it can be fed at once: nothing waits to go out before."""
        return (
            any(
                file.outgoing is not None and not self.quic.get_send_buffer_size(stream)
                for stream, file in self.files.items()
            )
            and self._in_flight < _IN_FLIGHT
        )

    @property
    def _in_flight(self) -> int:
        # Not public in qh3 (2.1); without it the peer's window is the bound.
        return int(getattr(getattr(self.quic, "_core", None), "bytes_in_flight", 0))

    def heed(self, mono: float) -> None:
        """Deal with what has come."""
        while (event := self.quic.next_event()) is not None:
            self._heed(event, mono)

    def _heed(self, event: QuicEvent, mono: float) -> None:
        if isinstance(event, ConnectionIdIssued):
            self.cids.add(event.connection_id)
            self.host.route(event.connection_id, self)
        elif isinstance(event, ConnectionIdRetired):
            self.cids.discard(event.connection_id)
            self.host.retire(event.connection_id)
        elif isinstance(event, StreamDataReceived):
            file = self.files.get(event.stream_id)
            if file is None:
                if len(self.files) >= _STREAMS:
                    return
                file = self.files[event.stream_id] = _QuicFile(self, event.stream_id, mono)
            file.received(event.data, mono)
        elif isinstance(event, (StreamReset, StopSendingReceived)):
            if event.stream_id in self.files:
                self.files[event.stream_id].close()
        elif isinstance(event, ConnectionTerminated):
            for file in list(self.files.values()):
                file.close()
            self.host.forget(self)

    def feed(self, size: int) -> None:
        """Give QUIC more of the files, up to about ``size`` bytes."""
        if self._in_flight >= _IN_FLIGHT:
            return
        for stream, file in list(self.files.items()):
            room = min(size, _CREDIT - self.quic.get_send_buffer_size(stream))
            if file.outgoing is not None and room > 0:
                file.feed(room)

    def send(self, stream: int, data: bytes, end: bool = False) -> bool:
        """Send ``data``. False if nobody takes it any more."""
        try:
            self.quic.send_stream_data(stream, data, end)
        except (QuicConnectionError, ValueError):
            return False
        return True

    def end(self, reason: str) -> None:
        """Close it."""
        for file in list(self.files.values()):
            file.close()
        self.quic.close(reason_phrase=reason)

    def sweep(self, mono: float) -> None:
        """Close it if no file is under way for long; close files that do not move."""
        if any(file.under_way for file in self.files.values()):
            self._busy_at = mono
        pending = self._in_flight or any(map(self.quic.get_send_buffer_size, self.files))
        if mono - self._busy_at > (STALL if pending and self.known else _IDLE):
            self.end("no file under way")
        for file in list(self.files.values()):
            if not file.waits_here and mono - file.moved > STALL:
                file.close()


class _QuicFile:
    """One stream: a frame with a ticket, then a file one way or the other."""

    def __init__(self, connection: _Connection, stream: int, mono: float) -> None:
        self._connection = connection
        self._stream = stream
        self._decoder: FrameDecoder | None = FrameDecoder(FRAME_BEFORE_JOIN)
        self._early = b""
        self.under_way = False
        self.waits_here = False
        self.moved = mono
        self.outgoing: Outgoing | None = None
        self.incoming: Incoming | None = None

    def received(self, data: bytes, mono: float) -> None:
        """Bytes have come."""
        self.moved = mono
        if self._decoder is not None:
            self._decoder.receive_data(data)
            self._begin()
        elif self.waits_here:
            self._early += data
            if len(self._early) > _CREDIT:  # it was not told to begin
                self._break_off()
        else:
            self._take(data)

    def caught_up(self) -> None:
        """What came in earlier tries has been read again: more may come."""
        assert self.incoming is not None
        self.waits_here = False
        self._tell(begins(self.incoming))
        early, self._early = self._early, b""
        self._take(early)

    def feed(self, size: int) -> None:
        """Send the next bytes."""
        file = self.outgoing
        assert file is not None
        try:
            file.look_ahead()
            data = file.read(size)
        except OSError:
            self._break_off()
            return
        host = self._connection.host
        self.moved = host.mono
        host.transfers.counts.file_sent += len(data)
        if not self._connection.send(self._stream, data, not file.left):
            self.close()
        elif not file.left:
            host.transfers.counts.downloads += 1
            file.close()
            self.outgoing = None
            self._uncount()

    def close(self) -> None:
        """Be done with it."""
        self._connection.files.pop(self._stream, None)
        self._uncount()
        if self.outgoing is not None:
            self.outgoing.close()
            self.outgoing = None
        if self.incoming is not None:
            incoming, self.incoming = self.incoming, None
            self._connection.host.transfers.broken_off(incoming)

    def _begin(self) -> None:
        assert self._decoder is not None
        transfers = self._connection.host.transfers
        try:
            body = self._decoder.next_body()
            if body is None:
                return
            request = decode_request(body)
            if isinstance(request, Fetch):
                self.outgoing = transfers.fetch(request, clock.now())
            elif isinstance(request, Store):
                upload = transfers.store(request, clock.now())
                self.incoming = transfers.gather(upload, request.offset, self)
            else:
                raise TicketError(ErrorWord.BAD_REQUEST, "here go files: fetch or store")
        except FrameError as problem:
            self._refuse(TicketError(ErrorWord.BAD_FRAME, str(problem)))
            return
        except BodyError as problem:
            self._refuse(TicketError(ErrorWord.BAD_REQUEST, str(problem)))
            return
        except TicketError as problem:
            self._refuse(problem)
            return
        self._connection.known = True
        self.under_way = True
        transfers.running += 1
        self._early = self._decoder.rest()
        self._decoder = None
        if self.outgoing is not None:
            self._tell(begins(self.outgoing))
            if not self.outgoing.left:
                self.feed(1)
        elif self.incoming is not None and self.incoming.caught_up:
            self.caught_up()
        else:
            self.waits_here = True

    def _take(self, data: bytes) -> None:
        incoming = self.incoming
        if incoming is None:
            return
        transfers = self._connection.host.transfers
        try:
            before = incoming.at
            incoming.write(data[: incoming.left])
            transfers.counts.file_received += incoming.at - before
        except OSError as problem:
            self.incoming = None
            self._refuse(transfers.failed(incoming, problem))
            return
        if not incoming.left:
            self.incoming = None
            transfers.whole(incoming, self._answer)

    def _answer(self, answer: Ok | TicketError) -> None:
        if isinstance(answer, TicketError):
            self._refuse(answer)
            return
        self._tell(answer, end=True)
        self._uncount()
        self._connection.host.turn()

    def _refuse(self, problem: TicketError) -> None:
        self._connection.host.transfers.counts.refusals[problem.word.value] += 1
        self._tell(Error(problem.word.code, problem.word.value, str(problem)), end=True)
        self._decoder = None
        self._uncount()

    def _break_off(self) -> None:
        """Let the peer know that what it has is not whole."""
        self.close()
        with contextlib.suppress(QuicConnectionError, ValueError):  # it has ended by itself
            self._connection.quic.reset_stream(self._stream, 1)

    def _tell(self, event: Event, end: bool = False) -> None:
        self._connection.send(self._stream, encode_frame(encode(event)), end)

    def _uncount(self) -> None:
        if self.under_way:
            self.under_way = False
            self._connection.host.transfers.running -= 1
