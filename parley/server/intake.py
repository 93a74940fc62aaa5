"""The intake: whose frames are dealt with in this tick, and how many. No socket here.

A tick is kept short by what it takes in. Everybody with input gets a turn; a turn is shorter when
many are busy; what takes long - pages, lists, searches - waits for a turn of its own kind
(``turns``), and what asks for a past that the index does not reach yet is parked.
Whoever is not served is not read meanwhile, so that TCP tells its sender to stop.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from framing.errors import BodyError, FrameError, TlsHelloError
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
from parley.server.chat.chat import Chat
from parley.server.chat.hall import LONG
from parley.server.doors.door import Interlude
from parley.server.doors.peer import Peer
from parley.server.ground import clock
from parley.server.ground.clock import Moment
from parley.server.index.errors import IndexBehindError, IndexUnavailableError, NextTickError
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

_RETRY_PARKED: Final = 0.25  # seconds

logger = logging.getLogger(__name__)

Carry = Callable[[Peer, Fetch | Store, Moment], None]
"""Lets a connection carry the file for which it has shown a ticket."""


class Intake:
    """Peers with input, in front of ``chat``."""

    def __init__(self, chat: Chat, carry: Carry) -> None:
        self._chat = chat
        self._carry = carry
        self._input: deque[Peer] = deque()
        self._asking: Turns[Peer] = Turns()
        self._asked: dict[Peer, float] = {}  # when they had an answer that took long; monotonic
        self._parked: dict[Peer, None] = {}
        self._owed = b""  # what the wire itself answers to the peer whose turn it is, together
        self._retry_at = 0.0

    @property
    def waiting(self) -> bool:
        """Whether somebody waits for a turn."""
        return bool(self._input or self._asking)

    @property
    def due(self) -> float | None:
        """When the parked are to be tried again, in monotonic seconds; None: nobody is parked."""
        return self._retry_at if self._parked else None

    def has_input(self, peer: Peer) -> None:
        """Give ``peer`` a turn in this tick or the next."""
        if not peer.queued:
            peer.queued = True
            self._input.append(peer)

    def forget(self, peer: Peer) -> None:
        """``peer`` is gone."""
        self._parked.pop(peer, None)
        self._asked.pop(peer, None)

    def retry_parked(self, mono: float) -> None:
        """Give the parked a turn again, if it is time."""
        if self._parked and mono >= self._retry_at:
            self._retry_at = mono + _RETRY_PARKED
            for peer in self._parked:
                self.has_input(peer)
            self._parked.clear()

    def take_in(self, moment: Moment) -> None:
        """Give every peer with input a turn, as far as one tick goes."""
        left, until = FRAMES_PER_TICK, moment.mono + INPUT_SECONDS
        busy = len(self._input)
        most = max(LEAST_PER_TURN, min(FRAMES_PER_TURN, left // busy)) if busy else 0
        for _ in range(busy):
            if left <= 0 or clock.mono() > until:
                break
            peer = self._input.popleft()
            peer.queued = False
            left -= self._give_turn(peer, moment, most)
            if self._owed:
                self._pay(peer)

    def answer(self, moment: Moment) -> None:
        """Answer queries, as far as one tick goes. The log has the tick's records: who has just
        said something finds it."""
        until = clock.mono() + QUERY_SECONDS
        while self._asking and clock.mono() < until:
            peer = self._asking.next()
            peer.queued = False
            if peer.session.state == "closed":
                continue  # it is gone, and is not to be remembered
            self._asked[peer] = moment.mono
            self._give_turn(peer, moment, 1, may_ask=True)
            if self._owed:
                self._pay(peer)

    def _pay(self, peer: Peer) -> None:
        owed, self._owed = self._owed, b""
        peer.reply(owed)

    def _welcome(self, peer: Peer) -> bool:
        """If ``peer`` has joined, let its door know. Return whether it has."""
        if peer.session.state == "joined":
            peer.door.welcomed()
            peer.welcomed = True
        return peer.welcomed

    def _give_turn(self, peer: Peer, moment: Moment, most: int, may_ask: bool = False) -> int:
        """Deal with so many frames of ``peer`` as cost ``most``, at least one. Return what that
        cost. ``may_ask``: the first may be a query."""
        session, door = peer.session, peer.door
        if not peer.welcomed and not self._welcome(peer):
            most = min(most, FRAMES_BEFORE_JOIN)
        count = spent = interludes = 0
        in_frame = True  # as far as is known
        request: AnyRequest | None = None
        while session.state != "closed":
            if count + interludes >= most or session.state == "waiting":
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
                cost = 0
                if not isinstance(request, Say):  # which nearly all are
                    kind = type(request)
                    if kind in _QUERIES and session.state == "joined":
                        if not may_ask:
                            peer.parked = request
                            peer.connection.pause()
                            peer.queued = True
                            last = self._asked.get(peer, peer.connected)
                            self._asking.add(peer, last, session.moderator)
                            return spent + count
                        may_ask = False
                    if session.state == "new" and isinstance(request, (Fetch, Store)):
                        self._carry(peer, request, moment)
                        return spent + count + 1
                    cost = _COSTS.get(kind, 0)
                count += 1
                self._chat.receive(session, request, moment)
                peer.parked = None
                if not peer.welcomed:
                    self._welcome(peer)
                if isinstance(request, (Say, Edit)):
                    spent += len(request.text) // LONG
                count += cost
                in_frame = door.in_frame
                if not in_frame:
                    break  # mostly that was all
            except Interlude as interlude:
                interludes += 1
                spent += 1
                self._owed += interlude.reply
            except BodyError as problem:
                count += _REFUSED
                self._chat.malformed(session, problem)
            except TlsHelloError as problem:
                text = "closed address=%s: it speaks TLS, and this port does not (see --tls-cert)"
                logger.info(text, session.address)
                self._chat.broken(session, problem, moment)
            except FrameError as problem:
                self._chat.broken(session, problem, moment)
            except IndexUnavailableError as problem:
                assert request is not None
                peer.parked = None
                self._chat.unavailable(session, request, problem)
            except NextTickError:
                peer.parked = request
                peer.connection.pause()
                self.has_input(peer)
                return spent + count
            except IndexBehindError:
                peer.parked = request
                self._parked[peer] = None
                peer.connection.pause()
                return spent + count
        if not (in_frame and door.in_frame):
            peer.frame_since = None
        elif count or peer.frame_since is None:
            peer.frame_since = moment.mono
        peer.connection.resume()
        return spent + count
