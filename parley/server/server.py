"""The server: the tick. Everything that happens, happens in this order:

    wait -> read what is ready -> deal with requests -> write the log, sync once
         -> apply what is durable -> one send for each client that has something -> index

Between two waits nothing blocks but the log's one sync. The rules of the chat
are in ``parley.server.chat``, sockets in ``connection`` and ``listener``; this file only
brings them together and watches the deadlines.
"""

import logging
import signal
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from framing.codec import encode
from framing.errors import BodyError, ErrorWord, FrameError, TlsHelloError
from framing.events import Error
from framing.requests import (
    AnyRequest,
    Edit,
    Fetch,
    Get,
    Join,
    ListActs,
    ListFiles,
    ListRooms,
    Login,
    PageOf,
    Put,
    Read,
    Redact,
    Response,
    Say,
    Search,
    Store,
    WhoIs,
)
from parley.server import clock
from parley.server.backlog import Backlog
from parley.server.chat import Chat
from parley.server.clock import Moment
from parley.server.counts import Counts
from parley.server.doors import Door, Interlude, Porch
from parley.server.handshakes import Handshakes
from parley.server.index import Index, IndexBehindError, IndexUnavailableError
from parley.server.listener import Listener
from parley.server.log import Log, StoreUnavailableError
from parley.server.loop import Loop
from parley.server.native import NativeDoor
from parley.server.peer import Peer, Settings
from parley.server.quic_files import QuicFiles
from parley.server.retention import Retention
from parley.server.session import State
from parley.server.sockets import Socket
from parley.server.systemd import Notifier
from parley.server.tcp_files import TcpFiles
from parley.server.tickets import TicketError
from parley.server.tls import Tls, TlsSocket
from parley.server.transfers import Transfers
from parley.server.turns import Turns

FRAMES_PER_TURN: Final = 64
"""Frames of one client in one tick. Ten thousand in one segment are dealt with in many."""

FRAMES_BEFORE_JOIN: Final = 16
"""The same of a client that has not joined: it needs three."""

LEAST_PER_TURN: Final = 8
"""When many are busy each has a shorter turn, down to this, so that a thousand who flood keep
nobody waiting for more than a few ticks."""

FRAMES_PER_TICK: Final = 2048
"""Frames of all clients in one tick: some 30 ms at most. Who does not get a turn is first in
the next tick."""

INPUT_SECONDS: Final = 0.025
"""After so long a tick takes in no more, whatever it was: some requests cost ten times what others
do, and to be refused may cost as much as to be served."""

QUERY_SECONDS: Final = 0.015
"""After so long a tick answers no more queries: eight pages, or one list of 20,000 files."""

NEWCOMER_KEPT: Final = 3.0
"""Seconds for which a client that has not joined keeps its place when there is no room: those
who only connect must not keep out those who would join."""

LINGER: Final = 2.0
"""Seconds for a client to take its last frames once it has been told to go."""

TURNED_AWAY_AT_ONCE: Final = 16
"""Clients over the limit that are being told so; any more are closed without a word."""

_QUERIES: Final = frozenset({PageOf, Search, WhoIs, ListRooms, ListFiles, ListActs})
"""Requests that take long: they wait for their turn, and nobody else waits for them."""

_COSTS: Final[dict[type, int]] = {
    PageOf: 128,
    Search: 256,
    WhoIs: 64,
    ListRooms: 64,
    ListFiles: 256,
    ListActs: 64,
    Get: 16,
    Put: 16,
    Login: 64,
    Response: 64,
    Join: 4,
    Edit: 8,
    Redact: 8,
    Read: 2,
}
"""What requests cost beside a short message, as time: a page takes up to 2 ms."""

_REFUSED: Final = 3  # what a body costs that is no request: it is read twice, to say why

_SWEEP: Final = 1.0  # seconds between two looks at the deadlines
_INDEX_LAG: Final = 0.5  # seconds that records wait for the index when the server is quiet
_INDEX_AT_ONCE: Final = 512  # records that wait for the index however busy the server is
_REFUSALS: Final = {
    ErrorWord.SERVER_FULL: "the server has no room for another client: try again later",
    ErrorWord.LIMIT_EXCEEDED: "too many connections from this address: close some, or try again "
    "later",
}
_RETRY_PARKED: Final = 0.25  # seconds
_REFUSED_LATELY: Final = 10.0  # seconds for which a write of the log that failed tells against it

logger = logging.getLogger(__name__)


class Beside(Protocol):
    """Something else that turns in the loop."""

    def close(self) -> None:
        """Let go of its sockets."""


class Server:
    """One process's server, over its parts. ``run`` is all there is to call."""

    def __init__(
        self,
        loop: Loop,
        listening: Sequence[socket.socket],
        chat: Chat,
        log: Log,
        index: Index,
        retention: Retention,
        transfers: Transfers,
        quic_files: Sequence[QuicFiles],
        settings: Settings,
        tls: Tls | None = None,
    ) -> None:
        """``tls``: what ``listening`` speaks, None for nothing."""
        self._loop = loop
        self._chat = chat
        self.counts: Counts = chat.counts
        self._log = log
        self._index = index
        self.retention = retention
        self._transfers = transfers
        self._tcp_files = TcpFiles(loop, transfers)
        self._quic_files = quic_files
        self._carriers: list[TcpFiles | QuicFiles | Porch] = [self._tcp_files, *quic_files]
        self._porches: list[Porch] = []
        self.settings = settings
        self.mono = clock.now().mono
        self._peers: dict[Peer, None] = {}
        self._finishing: dict[Peer, None] = {}
        self._newcomers: dict[Peer, None] = {}  # and some who have joined since
        self.held = Backlog()
        self._input: deque[Peer] = deque()
        self._asking: Turns[Peer] = Turns()
        self._parked: dict[Peer, None] = {}
        self._retry_parked_at = 0.0
        self._index_due: float | None = None
        self._storing = True
        self._refused_at: float | None = None
        self._indexing = True
        self._refused = 0  # connections, in this second
        self._signals = 0
        self._reload_wanted = False
        self.reload: Callable[[], None] = lambda: None
        """Reads again what may change while it runs."""
        self.mark: Callable[[str], None] = _unmarked
        """Called after each stage of a tick: ``StageClock.mark``, if anybody wants to know."""
        self.supervisor = Notifier({})
        """Is told that the server is ready, lives, and stops."""
        self.beside: list[Beside] = []
        """What else turns in the loop, to be closed with it."""
        self._stop_by: float | None = None
        full = ErrorWord.SERVER_FULL
        farewell = NativeDoor.frame(encode(Error(full.code, full.value, _REFUSALS[full])))
        self._tls = tls
        self._handshakes: list[Handshakes] = []
        self._listeners: list[Listener] = []
        self._listen(listening, self._accepted, farewell, _speak_tls())

    def open_door(self, listening: Sequence[socket.socket], porch: Porch) -> None:
        """Let ``porch`` have those who connect to other sockets, too."""
        self._porches.append(porch)
        self._carriers.append(porch)
        self._listen(listening, porch.accepted, porch.farewell, porch.speak_tls)

    def _listen(
        self,
        listening: Sequence[socket.socket],
        accepted: Callable[[Socket, str], None],
        full: bytes,
        speak_tls: bytes,
    ) -> None:
        """``full`` is for somebody for whom there is no descriptor, ``speak_tls`` for who does
        not where that is spoken."""
        farewell = full if self._tls is None else b""  # which goes without a handshake
        take = self.over_tls(accepted, speak_tls)
        for sock in listening:
            listener = Listener(sock, self._loop, take, farewell, lambda: self.mono)
            self._listeners.append(listener)

    def run(self) -> None:
        """Serve until a SIGINT or SIGTERM, and end in good order. A SIGHUP reloads.

        Raises ``LogBrokenError`` if the disk cannot be trusted any more: nothing is
        acknowledged after that.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.on_signal(number, self._signalled)
        self._loop.on_signal(signal.SIGHUP, self._reload_signalled)
        self._loop.call_at(self.mono + _SWEEP, self._sweep)
        self.supervisor.ready("serving")
        self.supervisor.keep_alive(self._loop, lambda: self.mono)
        mark = self.mark
        while not self._stopped():
            ready = self._loop.wait(self.mono, self._next_wake())
            mark("wait")
            for watcher, events in ready:
                watcher.ready(events)
            mark("read")
            self._tick(clock.now())
        for handshakes in self._handshakes:
            handshakes.close()
        for peer in [*self._peers, *self._finishing]:
            peer.connection.close()
        for carrier in self._carriers:
            carrier.close()
        for other in self.beside:
            other.close()
        self._log.close()
        self._index.close()

    # The tick

    def _tick(self, moment: Moment) -> None:
        self.mono = self._tcp_files.mono = moment.mono
        if self._signals:
            self._heed_signals(moment)
        if self._reload_wanted:
            self._reload_wanted = False
            self.supervisor.reloading()
            self.reload()
            self.supervisor.ready("serving")
        self._loop.run_timers(moment.mono)
        mark = self.mark
        self._deal_with_input(moment)
        mark("requests")
        self._commit(moment)
        mark("apply")
        self._chat.advance(moment)
        mark("replay")
        self._send()
        for quic in self._quic_files:
            if quic.busy:
                quic.turn()
        mark("send")
        self._keep_index(moment)
        mark("index")

    def _deal_with_input(self, moment: Moment) -> None:
        """Give every peer with input a turn, as far as one tick goes."""
        left = FRAMES_PER_TICK
        busy = len(self._input)
        most = max(LEAST_PER_TURN, min(FRAMES_PER_TURN, left // busy)) if busy else 0
        for _ in range(busy):
            if left <= 0 or clock.mono() > moment.mono + INPUT_SECONDS:
                break
            peer = self._input.popleft()
            peer.queued = False
            left -= self._give_turn(peer, moment, most)
            if peer.owed:
                peer.pay()
        until = clock.mono() + QUERY_SECONDS
        while self._asking and clock.mono() < until:
            peer = self._asking.next()
            peer.queued = False
            peer.asked = moment.mono
            self._give_turn(peer, moment, LEAST_PER_TURN, may_ask=True)

    def _give_turn(self, peer: Peer, moment: Moment, most: int, may_ask: bool = False) -> int:
        """Deal with so many frames of ``peer`` as cost ``most``, at least one. Return what that
        cost. ``may_ask``: the first may be a query."""
        session, door = peer.session, peer.door
        if session.state is State.JOINED:
            door.welcomed()
        else:
            most = min(most, FRAMES_BEFORE_JOIN)
        count = spent = interludes = 0
        request: AnyRequest | None = None
        while session.state is not State.CLOSED:
            if count + interludes >= most or session.state is State.WAITING:
                if not (door.in_frame or peer.parked):
                    break
                # Nothing more is read from it until this has been dealt with.
                peer.connection.pause()
                self.has_input(peer)
                return spent + count
            try:
                request = peer.parked or door.next_request()
                if request is None:
                    break
                if type(request) in _QUERIES and session.state is State.JOINED:
                    if not may_ask:
                        peer.parked = request
                        peer.connection.pause()
                        peer.queued = True
                        self._asking.add(peer, peer.asked, session.moderator)
                        return spent + count
                    may_ask = False
                count += 1
                if isinstance(request, (Fetch, Store)) and session.state is State.NEW:
                    self._carry_file(peer, request, moment)
                    return spent + count
                self._chat.receive(session, request, moment)
                peer.parked = None
                if session.state is State.JOINED:
                    door.welcomed()
                count += _COSTS.get(type(request), 0)
                spent += _length(request)
            except Interlude as interlude:
                interludes += 1
                spent += 1
                peer.owed += interlude.reply
            except BodyError as problem:
                count += _REFUSED
                self._chat.malformed(session, problem)
            except TlsHelloError as problem:
                text = "closed address=%s: it speaks TLS, and this port does not (see --tls-cert)"
                logger.info(text, session.address)
                self._chat.broken(session, problem, moment)
            except FrameError as problem:
                self._chat.broken(session, problem, moment)
            except IndexUnavailableError:
                assert request is not None
                peer.parked = None
                self._chat.unavailable(session, request)
            except IndexBehindError:
                peer.parked = request
                self._parked[peer] = None
                peer.connection.pause()
                return spent + count
        if not door.in_frame:
            peer.frame_since = None
        elif count or peer.frame_since is None:
            peer.frame_since = moment.mono
        peer.connection.resume()
        return spent + count

    def _carry_file(self, peer: Peer, request: Fetch | Store, moment: Moment) -> None:
        """A peer has shown a ticket: its connection carries a file from now on."""
        try:
            file = self._tcp_files.open(request, peer.door.rest(), moment)
        except TicketError as problem:
            text = str(problem)
            self._chat.turn_away(peer.session, problem.word, text, "ticket", moment)
            return
        self._chat.detach(peer.session)
        self._peers.pop(peer, None)
        self._newcomers.pop(peer, None)
        if peer.counted:
            address = peer.session.address
            self._chat.addresses.arrived(address)
            file.ended = lambda: self._chat.addresses.disconnect(address, arrived=True)
        self._tcp_files.take(peer.detach(), file)

    def _commit(self, moment: Moment) -> None:
        """Make the tick's records durable, and only then tell of them."""
        try:
            stored = self._log.commit(moment.mono)
        except StoreUnavailableError as problem:
            if self._storing:
                logger.error("cannot write the log: %s; refusing until it can", problem.strerror)
                self._storing = False
            self._refused_at = moment.mono
            self.mark("write")
            for record in self._log.take_back():
                self._chat.not_applied(record)
        else:
            self.mark("write")
            if stored:
                if not self._storing:
                    logger.info("the log can be written again")
                    self._storing = True
                self._index.add(stored)
                for record, body, _, _ in stored:
                    self._chat.applied(record, body, moment)
        self._chat.commit_accounts()

    def _send(self) -> None:
        """Send every client its share of the tick, in one call each."""
        deliveries = sent_bytes = 0
        for recipients, buffers, size in self._chat.outbox.flush():
            deliveries += len(recipients)
            sent_bytes += len(recipients) * size
            if len(buffers) > 1:
                for recipient in recipients:
                    recipient.deliver(buffers, size)
                continue
            # Here is most of a tick's time: so there is nothing in it but the system call.
            data = buffers[0]
            for recipient in recipients:
                try:
                    sent = recipient.send(data)
                except BlockingIOError:
                    sent = 0
                except OSError:
                    recipient.carrier.connection.close("lost")
                    continue
                if sent != size:
                    recipient.carrier.connection.keep(buffers, size, sent)
        if self.held.size > self.settings.bounds.backlog_total:
            self._shed()
        self.counts.deliveries += deliveries
        self.counts.sent += sent_bytes
        for session in self._chat.settle():
            peer = session.carrier
            if peer in self._peers:
                del self._peers[peer]
                self._finishing[peer] = None
                peer.finish()

    def _shed(self) -> None:
        """Give up those for whom most waits until there is memory again. They come back, and the
        log has what they missed."""
        enough = self.settings.bounds.backlog_total * 7 // 8  # or it would be again in a moment
        slow = [peer for peer in [*self._peers, *self._finishing] if peer.connection.unsent]
        slow.sort(key=lambda peer: peer.connection.unsent)
        before, count = self.held.size, len(slow)
        while slow and self.held.size > enough:
            slow.pop().connection.close("slow")
        dropped = count - len(slow)
        logger.warning("%d bytes waited for %d clients: dropped %d", before, count, dropped)

    def _keep_index(self, moment: Moment) -> None:
        """Bring the index up to the log, and a slice further back if it is being filled."""
        waiting = self._index.waiting
        if waiting:
            self.retention.look(moment.utc)
        due = self._index_due is not None and moment.mono >= self._index_due
        try:
            if due or (waiting >= _INDEX_AT_ONCE and self._indexing):
                self._index_due = None
                self._index.flush()
                self._indexing = True
            elif waiting and self._index_due is None:
                self._index_due = moment.mono + _INDEX_LAG
            if self._index.behind and self._indexing and not self._index.fill():
                logger.info("the index is complete")
        except IndexUnavailableError as problem:
            if self._indexing:
                logger.error("cannot write the index: %s; trying again", problem)
                self._indexing = False
            self._index_due = moment.mono + _INDEX_LAG
        if self._transfers.busy:
            self._transfers.work()
        if self.retention.under_way:
            self.retention.step(moment.utc)
        if self._parked and moment.mono >= self._retry_parked_at:
            self._retry_parked_at = moment.mono + _RETRY_PARKED
            for peer in self._parked:
                self.has_input(peer)
            self._parked.clear()

    def _next_wake(self) -> float | None:
        """When the next tick must come even if no socket is ready; None: no need."""
        filling = self._index.behind and self._indexing
        working = filling or self.retention.under_way or self._transfers.busy
        working = working or self._log.waiting or any(quic.busy for quic in self._quic_files)
        if self._input or self._asking or working or not self._chat.outbox.empty:
            return self.mono
        parked = self._retry_parked_at if self._parked else None
        dues = (self._log.sync_due(), self._chat.due, self._index_due, self._stop_by, parked)
        return min((due for due in dues if due is not None), default=None)

    # Peers

    def has_input(self, peer: Peer) -> None:
        """Give ``peer`` a turn in this tick or the next."""
        if not peer.queued:
            peer.queued = True
            self._input.append(peer)

    def gone(self, peer: Peer, reason: str) -> None:
        """The connection of ``peer`` is closed."""
        self._peers.pop(peer, None)
        self._finishing.pop(peer, None)
        self._parked.pop(peer, None)
        self._newcomers.pop(peer, None)
        if peer.counted:
            peer.counted = False
            arrived = bool(peer.session.person)
            self._chat.addresses.disconnect(peer.session.address, arrived)
        self._chat.lost(peer.session, reason, clock.now())

    def over_tls(
        self, accepted: Callable[[Socket, str], None], farewell: bytes
    ) -> Callable[[socket.socket, str], None]:
        """Return what a listener calls so that ``accepted`` gets its connections: over TLS if this
        server speaks it. ``farewell`` is for who then does not."""
        if self._tls is None:
            return accepted
        handshakes = Handshakes(
            self._loop,
            self._tls,
            accepted,
            farewell,
            lambda: self.mono,
            self._may_shake_hands,
            lambda address: self._chat.addresses.disconnect(address, arrived=False),
        )
        self._handshakes.append(handshakes)
        return handshakes.take

    def _may_shake_hands(self, address: str) -> bool:
        clients = len(self._peers) + sum(map(len, self._handshakes))
        if clients >= self.settings.max_clients + TURNED_AWAY_AT_ONCE:
            long_ago = self.mono - NEWCOMER_KEPT
            if not any(handshakes.make_room(long_ago) for handshakes in self._handshakes):
                return False
        return self._chat.addresses.connect(address)

    def _accepted(self, sock: Socket, address: str) -> None:
        why = self.refusal(address)
        if why is not None and len(self._finishing) >= TURNED_AWAY_AT_ONCE:
            self.counts.connections += 1
            self.counts.refusals[why.value] += 1
            sock.close()
            return
        peer = self._peer(sock, address, NativeDoor(), counted=why is None)
        if why is not None:
            self._chat.turn_away(peer.session, why, _REFUSALS[why], "full", clock.now())

    def refusal(self, address: str) -> ErrorWord | None:
        """Count a connection from ``address``; or return why there is no room for it."""
        why = None
        if self._is_full() and not self._make_room():
            why = ErrorWord.SERVER_FULL
        elif not self._chat.addresses.connect(address):
            why = ErrorWord.LIMIT_EXCEEDED
        if why is not None:
            self._refused += 1
            if self._refused == 1:  # a line a second: the log is no place for a flood either
                here = len(self._peers)
                text = "refused address=%s %s: %d clients are here"
                logger.warning(text, address, why.value, here)
        return why

    def admit(self, sock: Socket, address: str, door: Door, first: bytes, rest: bytes) -> None:
        """Give a connection that has asked for it a session, behind ``door``: ``first`` goes out
        before all else, ``rest`` has come already."""
        self._chat.addresses.returned(address)
        peer = self._peer(sock, address, door, counted=True)
        peer.reply(first)
        if rest:
            peer.received(peer.connection, rest)

    def asked(self, address: str) -> None:
        """A connection that is counted has asked for something: it is no silent one."""
        self._chat.addresses.arrived(address)

    def left(self, address: str, asked: bool) -> None:
        """A connection that was counted is no more, and had no session; whether it had ``asked``
        for anything."""
        self._chat.addresses.disconnect(address, asked)

    def _peer(self, sock: Socket, address: str, door: Door, counted: bool) -> Peer:
        self.counts.connections += 1
        session = self._chat.connect(address, door.frame)
        session.binding = sock.binding if isinstance(sock, TlsSocket) else None
        peer = Peer(self, sock, self._loop, door, session, counted)
        self._peers[peer] = None
        if counted:
            self._newcomers[peer] = None
        return peer

    def _is_full(self) -> bool:
        # A connection for a file has the file open too.
        here = len(self._peers) + 2 * len(self._tcp_files)
        return here + sum(porch.descriptors for porch in self._porches) >= self.settings.max_clients

    def _make_room(self) -> bool:
        """Turn away who has been here longest without joining, if that is too long. Return
        whether there was such a one."""
        while self._newcomers:
            peer = next(iter(self._newcomers))
            session = peer.session
            if session.state is State.NEW and self.mono - peer.connected < NEWCOMER_KEPT:
                return False
            del self._newcomers[peer]
            if session.state is State.NEW:
                self._peers.pop(peer)
                peer.connection.close("full")
                return True
        return False

    def _sweep(self) -> None:
        """Look at every deadline. They are absolute: no progress puts them off."""
        now = self.mono
        self._loop.call_at(now + _SWEEP, self._sweep)
        moment = clock.now()
        bounds = self.settings.bounds
        if self._refused > 1:
            logger.warning("refused %d more connections", self._refused - 1)
        self._refused = 0
        self.retention.look(moment.utc)
        for carrier in self._carriers:
            carrier.sweep(now)
        self._chat.sharing.tickets.sweep(now)
        self._transfers.sweep(moment)
        for peer in list(self._finishing):
            if peer.finished_at is not None and now - peer.finished_at > LINGER:
                peer.connection.close()
        for peer in list(self._peers):
            session = peer.session
            if peer.parked is not None:
                continue  # it waits for this side
            if session.state is State.JOINED:
                if now - peer.heard > self.settings.timeout:
                    peer.connection.close("timeout")
                    continue
            elif now - peer.connected > bounds.join_timeout:
                text = f"not joined within {bounds.join_timeout:g} s of connecting"
                self._chat.turn_away(session, ErrorWord.NOT_JOINED, text, "timeout", moment)
                continue
            if peer.frame_since is not None and now - peer.frame_since > bounds.frame_timeout:
                text = f"a frame took over {bounds.frame_timeout:g} s"
                self._chat.turn_away(session, ErrorWord.BAD_FRAME, text, "timeout", moment)

    # For those who watch over it

    @property
    def backlogs(self) -> Iterator[int]:
        """Yield what waits for each client, in bytes; what several wait for counts for each."""
        return (peer.connection.unsent for peer in (*self._peers, *self._finishing))

    @property
    def connections(self) -> int:
        """How many connections of the chat there are."""
        return len(self._peers) + len(self._finishing)

    def unready(self) -> list[str]:
        """Return why nobody should be sent here now, as sentences; none if all is well."""
        reasons = []
        if self._stop_by is not None:
            reasons.append("the server is stopping")
        elif self._is_full():
            reasons.append(f"there are {len(self._peers)} clients, and no room for more")
        elif not all(listener.accepting for listener in self._listeners):
            reasons.append("there are no descriptors for another client")
        if self._refused_at is not None and self.mono - self._refused_at < _REFUSED_LATELY:
            reasons.append("the log could not be written lately")
        if not self._indexing:
            reasons.append("the index cannot be written")
        elif self._index.behind:
            reasons.append("the index is being made: not all that was said is found yet")
        return reasons

    # Stopping

    def _signalled(self) -> None:
        self._signals += 1

    def _reload_signalled(self) -> None:
        self._reload_wanted = True

    def _heed_signals(self, moment: Moment) -> None:
        """The first signal begins the end, a second one brings it."""
        if self._stop_by is not None:
            if self._signals > 1:
                self._stop_by = moment.mono
            return
        logger.info("stopping: telling %d clients", len(self._peers))
        self.supervisor.stopping(f"telling {len(self._peers)} clients")
        self._stop_by = moment.mono + self.settings.grace
        for listener in self._listeners:
            listener.close()
        for handshakes in self._handshakes:
            handshakes.close()
        self._chat.stop("shut down by its operator", self.settings.grace)
        for peer in list(self._peers):
            if peer.session.state is not State.JOINED:
                text = "the server is being stopped"
                self._chat.turn_away(
                    peer.session, ErrorWord.SHUTTING_DOWN, text, "shutdown", moment
                )

    def _stopped(self) -> bool:
        if self._stop_by is None:
            return False
        return self.mono >= self._stop_by or not (self._peers or self._finishing)


def _speak_tls() -> bytes:
    """Return what a client is told that speaks no TLS where that is spoken."""
    word = ErrorWord.BAD_FRAME
    text = "this port speaks TLS, and nothing else: connect with TLS 1.2 or newer"
    return NativeDoor.frame(encode(Error(word.code, word.value, text, tls=True)))


def _unmarked(stage: str) -> None:
    """Nobody wants to know how long a stage took."""


def _length(request: AnyRequest) -> int:
    """Return what a long text costs the tick beside, in short messages: a tick must not bring
    more than clients can be sent."""
    if type(request) is Say or type(request) is Edit:
        return len(request.text) // 512
    return 0
