"""The gate: every connection of the chat, from its first byte until it is closed.

Listeners, TLS handshakes and the doors' porches hand connections over here; each becomes a peer, if
there is room and its address has not too many. Here are the deadlines - absolute, no
progress puts them off - and here it is decided who has to go when there is no room or no memory.
What is said over a connection is no concern of the gate.
"""

import contextlib
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from framing.codec import encode
from framing.errors import ErrorWord
from framing.events import Error
from framing.requests import Fetch, Store
from parley.server.carrying.tcp import TcpFiles
from parley.server.carrying.transfers import Transfers
from parley.server.chat.chat import Chat
from parley.server.chat.session import Session
from parley.server.doors.door import Door, Porch
from parley.server.doors.native import NativeDoor
from parley.server.doors.peer import Peer, Settings
from parley.server.files.tickets import TicketError
from parley.server.ground import clock
from parley.server.ground.clock import Moment
from parley.server.ground.counts import Counts
from parley.server.intake import Intake
from parley.server.net.backlog import Backlog
from parley.server.net.handshakes import Handshakes
from parley.server.net.listener import Listener
from parley.server.net.loop import Loop
from parley.server.net.sockets import Socket
from parley.server.net.tls import Tls, TlsSocket

NEWCOMER_KEPT: Final = 3.0
"""Seconds for which a client that has not joined keeps its place when there is no room: those
who only connect must not keep out those who would join."""

LINGER: Final = 2.0
"""Seconds for a client to take its last frames once it has been told to go."""

TURNED_AWAY_AT_ONCE: Final = 16
"""Clients over the limit that are given time to take what they are told; any more are told in
passing and closed."""

_REFUSALS: Final = {
    ErrorWord.SERVER_FULL: "the server has no room for another client: try again later",
    ErrorWord.LIMIT_EXCEEDED: "too many connections from this address: close some, or try again "
    "later",
}

_FAREWELLS: Final = {
    word: NativeDoor.frame(encode(Error(word.code, word.value, text)))
    for word, text in _REFUSALS.items()
}

_STOPPING: Final = "the server is being stopped"

logger = logging.getLogger(__name__)


class Gate:
    """Those who are here. ``settings`` may be replaced while it runs; ``mono`` is the tick's time,
    in monotonic seconds; ``held`` counts what waits for all. ``tls``: what is spoken here, None for
    nothing."""

    def __init__(
        self, loop: Loop, chat: Chat, transfers: Transfers, settings: Settings, tls: Tls | None
    ) -> None:
        self._loop = loop
        self._chat = chat
        self._tls = tls
        self.settings = settings
        self.counts: Counts = chat.counts
        self.mono = clock.now().mono
        self.held = Backlog()
        self.intake = Intake(chat, self._carry_file)
        self.has_input = self.intake.has_input
        self._tcp_files = TcpFiles(loop, transfers)
        self._porches: list[Porch] = []
        self._listeners: list[Listener] = []
        self._handshakes: list[Handshakes] = []
        self._peers: dict[Peer, None] = {}
        self._finishing: dict[Peer, float] = {}  # since when, in monotonic seconds
        self._newcomers: dict[Peer, None] = {}  # and some who have joined in this second
        self._refused = 0  # connections, in this second

    # Ways in

    def open(self, listening: Sequence[socket.socket]) -> None:
        """Let those in who connect to ``listening`` and speak the native wire."""
        full = _FAREWELLS[ErrorWord.SERVER_FULL]
        self._listen(listening, self._accepted, full, _speak_tls())

    def open_door(self, listening: Sequence[socket.socket], porch: Porch) -> None:
        """Let ``porch`` have those who connect to other sockets."""
        self._porches.append(porch)
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
        take = self._over_tls(accepted, speak_tls)
        for sock in listening:
            listener = Listener(sock, self._loop, take, farewell, lambda: self.mono)
            self._listeners.append(listener)

    def _over_tls(
        self, accepted: Callable[[Socket, str], None], farewell: bytes
    ) -> Callable[[socket.socket, str], None]:
        """Return what a listener calls so that ``accepted`` gets its connections: over TLS if
        that is spoken here. ``farewell`` is for who then does not."""
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
            with contextlib.suppress(OSError):  # nobody waits for who does not take it
                sock.send(_FAREWELLS[why])
                sock.shutdown(socket.SHUT_WR)
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
            self._note_refusal(address, why)
        return why

    def belongs(self, was: str, asked: bool, address: str) -> ErrorWord | None:
        """Count a connection of ``was``, which had ``asked`` for something or not, as one of
        ``address`` that has not; or return why there is no room for it."""
        if not self._chat.addresses.connect(address):
            self._note_refusal(address, ErrorWord.LIMIT_EXCEEDED)
            return ErrorWord.LIMIT_EXCEEDED
        self._chat.addresses.disconnect(was, asked)
        return None

    def _note_refusal(self, address: str, why: ErrorWord) -> None:
        self._refused += 1
        if self._refused == 1:  # a line a second: the log is no place for a flood either
            here = len(self._peers)
            logger.warning("refused address=%s %s: %d clients are here", address, why.value, here)

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
            if session.state == "new" and self.mono - peer.connected < NEWCOMER_KEPT:
                return False
            del self._newcomers[peer]
            if session.state == "new":
                self._peers.pop(peer)
                peer.connection.close("full")
                return True
        return False

    # While they are here

    @property
    def empty(self) -> bool:
        """Whether nobody is here."""
        return not (self._peers or self._finishing)

    @property
    def backlogs(self) -> Iterator[int]:
        """Yield what waits for each client, in bytes; what several wait for counts for each."""
        return (peer.connection.unsent for peer in (*self._peers, *self._finishing))

    @property
    def connections(self) -> int:
        """How many connections of the chat there are."""
        return len(self._peers) + len(self._finishing)

    def unready(self) -> str | None:
        """Return why nobody else can come in now, as a sentence; None if anybody can."""
        if self._is_full():
            return f"there are {len(self._peers)} clients, and no room for more"
        if not all(listener.accepting for listener in self._listeners):
            return "there are no descriptors for another client"
        return None

    def at(self, mono: float) -> None:
        """A tick begins at ``mono``."""
        self.mono = self._tcp_files.mono = mono

    def gone(self, peer: Peer, reason: str) -> None:
        """The connection of ``peer`` is closed."""
        self._peers.pop(peer, None)
        self._finishing.pop(peer, None)
        self._newcomers.pop(peer, None)
        self.intake.forget(peer)
        if peer.counted:
            peer.counted = False
            arrived = bool(peer.session.person)
            self._chat.addresses.disconnect(peer.session.address, arrived)
        self._chat.lost(peer.session, reason, clock.now())

    def let_go(self, sessions: Sequence[Session]) -> None:
        """End the connections of ``sessions`` when all has been sent."""
        for session in sessions:
            peer = session.carrier.owner
            if peer in self._peers:
                del self._peers[peer]
                self._finishing[peer] = self.mono
                peer.finish()

    def shed(self) -> None:
        """If too much waits in all, give up those for whom most waits until there is memory again.
        They come back, and the log has what they missed."""
        most = self.settings.bounds.backlog_total
        if self.held.size <= most:
            return
        enough = most * 7 // 8  # or it would be again in a moment
        slow = [peer for peer in [*self._peers, *self._finishing] if peer.connection.unsent]
        slow.sort(key=lambda peer: peer.connection.unsent)
        before, count = self.held.size, len(slow)
        while slow and self.held.size > enough:
            slow.pop().connection.close("slow")
        dropped = count - len(slow)
        logger.warning("%d bytes waited for %d clients: dropped %d", before, count, dropped)

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

    def sweep(self, moment: Moment) -> None:
        """Look at every deadline."""
        now = moment.mono
        bounds = self.settings.bounds
        if self._refused > 1:
            logger.warning("refused %d more connections", self._refused - 1)
        self._refused = 0
        self._tcp_files.sweep(now)
        for porch in self._porches:
            porch.sweep(now)
        new = [peer for peer in self._newcomers if peer.session.state != "joined"]
        self._newcomers = dict.fromkeys(new)
        for peer, since in list(self._finishing.items()):
            if now - since > LINGER:
                peer.connection.close()
        for peer in list(self._peers):
            session = peer.session
            if peer.parked is not None:
                continue  # it waits for this side
            if session.state == "joined":
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

    # The end

    def stop(self, moment: Moment) -> None:
        """Let nobody in any more, and tell those to go who have not joined."""
        for listener in self._listeners:
            listener.close()
        for handshakes in self._handshakes:
            handshakes.close()
        word = ErrorWord.SHUTTING_DOWN
        for peer in list(self._peers):
            if peer.session.state != "joined":
                self._chat.turn_away(peer.session, word, _STOPPING, "shutdown", moment)

    def close(self) -> None:
        """Close all that is open."""
        for handshakes in self._handshakes:
            handshakes.close()
        for peer in [*self._peers, *self._finishing]:
            peer.connection.close()
        self._tcp_files.close()
        for porch in self._porches:
            porch.close()


def _speak_tls() -> bytes:
    """Return what a client is told that speaks no TLS where that is spoken."""
    word = ErrorWord.BAD_FRAME
    text = "this port speaks TLS, and nothing else: connect with TLS 1.2 or newer"
    return NativeDoor.frame(encode(Error(word.code, word.value, text, tls=True)))
