"""A connection of the door for browsers, for as long as it speaks HTTP.

One request at a time; while an answer or a file is on its way nothing more is read. What a request
means is decided in ``site``; here are the socket, its deadlines, and what is carried over it.
"""

import socket
from typing import Final, Protocol

from framing.errors import ErrorWord
from parley.server.carrying.transfers import STALL
from parley.server.doors.door import Door
from parley.server.doors.peer import Settings
from parley.server.ground import clock
from parley.server.net.http import End, Http, HttpError, Request
from parley.server.net.loop import READ, WRITE, Loop
from parley.server.net.sockets import Socket
from parley.server.web import handshake
from parley.server.web.answers import Answer, of_text
from parley.server.web.carrying import Carried
from parley.server.web.proxies import ForwardedError
from parley.server.web.site import Site
from parley.server.web.steps import PER_TURN, Steps
from parley.server.web.websocket import WebSocketDoor

HEAD_BYTES: Final = 16 * 1024
"""Longest head of a request. Browsers send under 2 KB to a server without cookies."""

KEEP_OPEN: Final = 5.0
"""Seconds for another head, from the last answer on, however it trickles. A browser asks for what
it needs at once, on up to six connections; a class behind one address has hundreds."""

ANSWER_DEADLINE: Final = 60.0
"""Seconds in which an answer must have been taken."""

LINGER: Final = 2.0
"""Seconds for a client to take the last answer once the connection ends."""

_RECV: Final = 64 * 1024


class Host(Protocol):
    """The server, as a connection sees it. ``mono`` is the tick's time, in monotonic seconds."""

    mono: float
    settings: Settings

    def asked(self, address: str) -> None:
        """A connection that is counted has asked for something: it is no silent one."""

    def belongs(self, was: str, asked: bool, address: str) -> ErrorWord | None:
        """Count a connection of ``was``, which had ``asked`` for something or not, as one of
        ``address`` that has not; or return why there is no room for it."""

    def left(self, address: str, asked: bool) -> None:
        """A connection that was counted is no more, and had no session; whether it had ``asked``
        for anything."""

    def admit(self, sock: Socket, address: str, door: Door, first: bytes, rest: bytes) -> None:
        """Give a connection that has asked for it a session, behind ``door``: ``first`` goes out
        before all else, ``rest`` has come already."""


class Owner(Protocol):
    """What all connections share."""

    @property
    def loop(self) -> Loop: ...

    @property
    def host(self) -> Host: ...

    @property
    def site(self) -> Site: ...

    @property
    def steps(self) -> Steps: ...

    def gone(self, connection: "Connection") -> None:
        """A connection is closed, or somebody else's from now on."""


class Connection:
    """One of them. It is the ``Wire`` of what is carried."""

    __slots__ = (
        "_address",
        "_asked_once",
        "_carried",
        "_events",
        "_given_away",
        "_http",
        "_lingering",
        "_out",
        "_owner",
        "_peer",
        "_resting",
        "_said_all",
        "_sock",
        "_turning",
        "_until",
    )

    def __init__(self, owner: Owner, sock: Socket, address: str) -> None:
        self._owner = owner
        self._sock = sock
        self._peer = address
        self._address = address  # whose it is: a proxy may say another with each request
        self._http = Http(HEAD_BYTES)
        self._out: bytes | memoryview = b""
        self._carried: Carried | None = None
        self._asked_once = False
        self._lingering = False
        self._said_all = False
        self._given_away = False
        self._resting = False
        self._turning = False
        self._events = 0
        self._until = self.mono + owner.host.settings.bounds.join_timeout
        self._watch(READ)

    @property
    def mono(self) -> float:
        """The tick's time, in monotonic seconds."""
        return self._owner.host.mono

    @property
    def closed(self) -> bool:
        """Whether the socket is gone, or another's."""
        return self._given_away or self._sock.fileno() < 0

    @property
    def busy(self) -> bool:
        """Whether it carries a file."""
        return self._carried is not None

    # What the loop and the front say

    def ready(self, events: int) -> None:
        """The socket can be read or written."""
        try:
            if events & WRITE:
                self._write()
            if events & READ and self._events & READ:
                self._read()
        except BlockingIOError:
            pass
        except OSError:
            self.close()
        else:
            self._turn()

    def sweep(self, mono: float) -> None:
        """Close if a deadline has passed."""
        carried = self._carried
        if carried is not None and carried.waits_here:
            return
        if mono > (self._until if carried is None else carried.moved + STALL):
            self.close()

    def close(self) -> None:
        """Close now."""
        if not self.closed:
            self._watch(0)
            self._sock.close()
            self._owner.host.left(self._address, self._asked_once)
            self._gone()

    def _gone(self) -> None:
        self._owner.gone(self)
        carried, self._carried = self._carried, None
        if carried is not None:
            carried.break_off()

    # Reading

    def _read(self) -> None:
        data = self._sock.recv(_RECV)
        if not data:
            self.close()
        elif not self._lingering:
            self._http.receive_data(data)

    def _turn(self) -> None:
        """Deal with what has come, as far as one turn goes."""
        if self._turning:
            return
        self._turning = True
        for _ in range(PER_TURN):
            if not self._owner.steps.may_step():
                self._rest()
                break
            if not self._step():
                break
        else:
            self._rest()
        self._turning = False
        self._end_if_over()
        self._watch(self._wanted())

    def _rest(self) -> None:
        if not self._resting and not self.closed:
            self._resting = True
            self._owner.steps.rest(self)

    def wake(self) -> None:
        """Go on behind a rest."""
        self._resting = False
        if not self.closed:
            self._turn()

    def _wanted(self) -> int:
        """What the socket is to be watched for."""
        if self._lingering:
            return READ if self._said_all else READ | WRITE
        carried = self._carried
        if self._out or (carried is not None and carried.feeds):
            return WRITE
        # What comes while a request is dealt with stays in the kernel: nothing piles up here.
        return 0 if self._resting or (carried is not None and not carried.hungry) else READ

    def _step(self) -> bool:
        """Deal with the next event; return whether there may be another."""
        carried = self._carried
        busy = carried is not None and not carried.hungry
        if self.closed or busy or self._out or self._lingering or self._resting:
            return False
        if self._http.renew():
            self._until = self.mono + KEEP_OPEN
        try:
            event = self._http.next_event()
        except HttpError as problem:
            self._answer_bad(problem)
            return False
        if event is None:
            return False
        if isinstance(event, Request):
            self._asked(event)
        elif carried is None:
            return event is End.OF_REQUEST
        elif event is End.OF_REQUEST:
            carried.all_taken()
        else:
            carried.moved = self.mono
            carried.take(event)
        return True

    def _asked(self, asked: Request) -> None:
        self._until = self.mono + ANSWER_DEADLINE
        refused = self._refused_to(asked)
        if refused is not None:
            self.answer(refused)
            return
        if not self._asked_once:
            self._asked_once = True
            self._owner.host.asked(self._address)
        if asked.version not in ("1.0", "1.1"):
            self.answer(of_text(505, "HTTP/1.1 is spoken here", close=True))
            return
        found = self._owner.site.asked(asked, self)
        if isinstance(found, Answer):
            if asked.has_body:
                found.close = True  # it is not read: nothing of it may be taken for a request
            self.answer(found)
        elif found is None:
            self._go_over(handshake.accepted(asked.headers))
        else:
            self._carried = found
            found.begin()

    def _refused_to(self, asked: Request) -> Answer | None:
        """Note whose request it is. Return why they get no answer to it, or None."""
        try:
            address = self._owner.site.proxies.client(self._peer, asked.headers)
        except ForwardedError as problem:
            return of_text(400, str(problem), close=True)
        if address == self._address:
            return None
        if self._owner.host.belongs(self._address, self._asked_once, address) is not None:
            wait = ("Retry-After", "5")
            return of_text(429, "too many connections from this address", wait, close=True)
        self._address, self._asked_once = address, False
        return None

    def _answer_bad(self, problem: HttpError) -> None:
        """What has come is no request, or no body: say so, and nothing more is read."""
        if self._carried is not None:
            self._carried.break_off()
        if problem.status is None:
            self.close()
        else:
            self.answer(of_text(problem.status, "this is no request of HTTP/1.1", close=True))

    def _go_over(self, headers: list[tuple[str, str]]) -> None:
        """Let the connection go on as WebSocket, in the chat."""
        first, rest = self._http.switch(headers)
        self._watch(0)
        self._given_away = True
        self._gone()
        self._owner.host.admit(self._sock, self._address, WebSocketDoor(), first, rest)

    # Writing: what is carried calls these too

    def answer(self, answer: Answer) -> None:
        """Send an answer whose body, if it has one, is here."""
        if self.closed:
            return
        self._carried = None
        self._put(self._head(answer) + self._http.body(answer.body) + self._http.end())
        self._turn()

    def begin_file(self, answer: Answer) -> None:
        """Send the head of an answer whose body is sent by what is carried."""
        self._put(self._head(answer))
        self._turn()

    def sent(self, size: int) -> None:
        """So many bytes of a body have gone out by the socket itself."""
        self._http.passed(size)

    def file_over(self) -> None:
        """All of a body has gone out."""
        self._carried = None
        self._put(self._http.end())
        self._turn()

    def continue_(self) -> None:
        """Let a client send its body that waits for leave to (RFC 9110, 10.1.1)."""
        if self._http.wants_leave:
            self._put(self._http.leave())
        self._turn()

    def _head(self, answer: Answer) -> bytes:
        return self._http.head(answer.status, answer.head(clock.now().utc))

    def _put(self, data: bytes) -> None:
        """Send, or keep what is not taken."""
        if self.closed or not data:
            return
        if self._out:
            self._out = bytes(self._out) + data
            return
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        if sent < len(data):
            self._out = memoryview(data)[sent:]

    def _write(self) -> None:
        if self._lingering:
            self._say_all()
        elif self._out:
            self._out = self._out[self._sock.send(self._out) :]
        elif self._carried is not None and self._carried.feeds:
            self._carried.moved = self.mono
            self._carried.give(self._sock)

    def _end_if_over(self) -> None:
        """Say that nothing more will come, if so; the end is when the other side has too."""
        if not self._http.over or self._out or self._lingering or self.closed:
            return
        self._lingering = True
        self._until = self.mono + LINGER
        self._say_all()

    def _say_all(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
            self._said_all = True
        except BlockingIOError:
            pass  # TLS says so in bytes of its own
        except OSError:
            self.close()

    def _watch(self, events: int) -> None:
        if not self.closed and events != self._events:
            self._owner.loop.change(self._sock, self._events, events, self)
            self._events = events
