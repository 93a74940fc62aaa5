"""The front of the web door: connections that speak HTTP, until they go on as WebSocket or end.

One request at a time on each; while an answer or a file is on its way nothing more is read. What a
request means is decided in ``site``; here are sockets, deadlines and turns.
"""

import contextlib
import socket
from collections import deque
from http import HTTPStatus
from typing import Final, Protocol

import h11

from framing.errors import ErrorWord
from parley.server.carrying.transfers import STALL
from parley.server.doors.door import Door
from parley.server.doors.peer import Settings
from parley.server.ground import clock
from parley.server.net.loop import READ, WRITE, Loop
from parley.server.net.sockets import Socket
from parley.server.web import handshake
from parley.server.web.answers import Answer, of_text
from parley.server.web.carrying import Carried
from parley.server.web.site import Asked, Site
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

STEPS_PER_TURN: Final = 16
"""Heads, ends and pieces of bodies of one connection in one tick: a segment can hold hundreds."""

STEPS_PER_TICK: Final = 48
"""Those of all connections together: some 5 ms. Who does not get a turn is first in the next."""

_PAUSE: Final = 0.001  # seconds until the next turns, in which others have theirs
_RECV: Final = 64 * 1024
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\n"
    b"Connection: close\r\n\r\n"
)
_CROWDED: Final = _FULL.replace(b"503 Service Unavailable", b"429 Too Many Requests")
_SPEAK_TLS: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 29\r\n"
    b"Connection: close\r\n\r\nthis port is for https alone\n"
)


class Host(Protocol):
    """The server, as this door sees it. ``mono`` is the tick's time, in monotonic seconds."""

    mono: float
    settings: Settings

    def refusal(self, address: str) -> ErrorWord | None:
        """Count a connection from ``address``; or return why there is no room for it."""

    def asked(self, address: str) -> None:
        """A connection that is counted has asked for something: it is no silent one."""

    def left(self, address: str, asked: bool) -> None:
        """A connection that was counted is no more, and had no session; whether it had ``asked``
        for anything."""

    def admit(self, sock: Socket, address: str, door: Door, first: bytes, rest: bytes) -> None:
        """Give a connection that has asked for it a session, behind ``door``: ``first`` goes out
        before all else, ``rest`` has come already."""


class Front:
    """Accepts for ``site``. ``sweep`` now and then."""

    farewell = _FULL
    speak_tls = _SPEAK_TLS

    def __init__(self, loop: Loop, host: Host, site: Site) -> None:
        self.loop = loop
        self.host = host
        self.site = site
        self._all: dict[Connection, None] = {}
        self._resting: deque[Connection] = deque()
        self._left = STEPS_PER_TICK
        self._ticked = 0.0

    @property
    def descriptors(self) -> int:
        """How many are open for the connections that are here, and the files on them."""
        return len(self._all) + sum(connection.busy for connection in self._all)

    def accepted(self, sock: Socket, address: str) -> None:
        """Somebody has connected."""
        why = self.host.refusal(address)
        if why is not None:
            with contextlib.suppress(OSError):  # gone already: nobody to tell
                sock.send(_CROWDED if why is ErrorWord.LIMIT_EXCEEDED else _FULL)
            sock.close()
            return
        connection = Connection(self, sock, address)
        self._all[connection] = None

    def sweep(self, mono: float) -> None:
        """Close what has overstayed."""
        for connection in list(self._all):
            connection.sweep(mono)

    def may_step(self) -> bool:
        """Count a step, unless this tick has had enough of them."""
        if self._ticked != self.host.mono:
            self._ticked = self.host.mono
            self._left = STEPS_PER_TICK
        self._left -= 1
        return self._left >= 0

    def rest(self, connection: "Connection") -> None:
        """Let a connection that has more to be dealt with go on later, behind others."""
        if not self._resting:
            self.loop.call_at(self.host.mono + _PAUSE, self._wake)
        self._resting.append(connection)

    def _wake(self) -> None:
        waiting, self._resting = self._resting, deque()
        while waiting and self._left_now:
            waiting.popleft().wake()
        if waiting and not self._resting:
            self.loop.call_at(self.host.mono + _PAUSE, self._wake)
        waiting.extend(self._resting)
        self._resting = waiting

    @property
    def _left_now(self) -> bool:
        return self._ticked != self.host.mono or self._left > 0

    def gone(self, connection: "Connection") -> None:
        """A connection is closed, or somebody else's from now on."""
        self._all.pop(connection, None)

    def close(self) -> None:
        """Close all."""
        for connection in list(self._all):
            connection.close()


class Connection:
    """One connection, for as long as it speaks HTTP. It is the ``Wire`` of what is carried."""

    __slots__ = (
        "_address",
        "_asked_once",
        "_carried",
        "_events",
        "_front",
        "_given_away",
        "_head_only",
        "_http",
        "_lingering",
        "_out",
        "_resting",
        "_said_all",
        "_sock",
        "_turning",
        "_until",
    )

    def __init__(self, front: Front, sock: Socket, address: str) -> None:
        self._front = front
        self._sock = sock
        self._address = address
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        self._out: bytes | memoryview = b""
        self._carried: Carried | None = None
        self._head_only = False
        self._asked_once = False
        self._lingering = False
        self._said_all = False
        self._given_away = False
        self._resting = False
        self._turning = False
        self._events = 0
        self._until = self.mono + front.host.settings.bounds.join_timeout
        self._watch(READ)

    @property
    def mono(self) -> float:
        """The tick's time, in monotonic seconds."""
        return self._front.host.mono

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
            self._front.host.left(self._address, self._asked_once)
            self._gone()

    def _gone(self) -> None:
        self._front.gone(self)
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
        for _ in range(STEPS_PER_TURN):
            if not self._front.may_step():
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
            self._front.rest(self)

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
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self._head_only = False
            self._until = self.mono + KEEP_OPEN
        try:
            event = self._http.next_event()
        except h11.RemoteProtocolError as problem:
            self._answer_bad(problem)
            return False
        if isinstance(event, h11.Request):
            self._asked(event)
        elif isinstance(event, h11.Data) and carried is not None:
            carried.moved = self.mono
            carried.take(event.data)
        elif isinstance(event, h11.EndOfMessage):
            if carried is not None:
                carried.all_taken()
        else:
            return False
        return True

    def _asked(self, event: h11.Request) -> None:
        asked = Asked(
            event.method.decode("ascii"),
            event.target.decode("ascii", "replace"),
            {name.decode("ascii"): value.decode("latin-1") for name, value in event.headers},
        )
        if not self._asked_once:
            self._asked_once = True
            self._front.host.asked(self._address)
        self._head_only = asked.method == "HEAD"
        self._until = self.mono + ANSWER_DEADLINE
        if event.http_version not in (b"1.0", b"1.1"):
            self.answer(of_text(505, "HTTP/1.1 is spoken here", close=True))
            return
        found = self._front.site.asked(asked, self)
        if isinstance(found, Answer):
            if asked.has_body:
                found.close = True  # it is not read: nothing of it may be taken for a request
            self.answer(found)
        elif found is None:
            self._go_over(handshake.accepted(asked.headers))
        else:
            self._carried = found
            found.begin()

    def _answer_bad(self, problem: h11.RemoteProtocolError) -> None:
        """What has come is no request, or no body: say so, and nothing more is read."""
        if self._carried is not None:
            self._carried.break_off()
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            status = problem.error_status_hint
            self.answer(of_text(status, "this is no request of HTTP/1.1", close=True))
        else:
            self.close()

    def _go_over(self, headers: list[tuple[str, str]]) -> None:
        """Let the connection go on as WebSocket, in the chat."""
        host = self._front.host
        switch = h11.InformationalResponse(
            status_code=101, headers=headers, reason="Switching Protocols"
        )
        first = self._http.send(switch) or b""
        rest, _ = self._http.trailing_data
        self._watch(0)
        self._given_away = True
        self._gone()
        host.admit(self._sock, self._address, WebSocketDoor(), first, rest)

    # Writing: what is carried calls these too

    def answer(self, answer: Answer) -> None:
        """Send an answer whose body, if it has one, is here."""
        if self.closed:
            return
        self._carried = None
        data = self._head(answer)
        if answer.body and not self._head_only:
            data += self._http.send(h11.Data(data=answer.body)) or b""
        data += self._http.send(h11.EndOfMessage()) or b""
        self._put(data)
        self._turn()

    def begin_file(self, answer: Answer) -> None:
        """Send the head of an answer whose body is sent by what is carried."""
        self._put(self._head(answer))
        self._turn()

    def sent(self, size: int) -> None:
        """So many bytes of a body have gone out by the socket itself."""
        self._http.send_with_data_passthrough(h11.Data(data=_Size(size)))  # type: ignore[arg-type]

    def file_over(self) -> None:
        """All of a body has gone out."""
        self._carried = None
        self._put(self._http.send(h11.EndOfMessage()) or b"")
        self._turn()

    def continue_(self) -> None:
        """Let a client send its body that waits for leave to (RFC 9110, 10.1.1)."""
        if self._http.they_are_waiting_for_100_continue:
            go = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
            self._put(self._http.send(go) or b"")
        self._turn()

    def _head(self, answer: Answer) -> bytes:
        headers = answer.head(clock.now().utc)
        reason = HTTPStatus(answer.status).phrase
        head = h11.Response(status_code=answer.status, headers=headers, reason=reason)
        return self._http.send(head) or b""

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
        over = self._http.our_state in (h11.MUST_CLOSE, h11.CLOSED, h11.ERROR)
        if not over or self._out or self._lingering or self.closed:
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
            self._front.loop.change(self._sock, self._events, events, self)
            self._events = events


class _Size:
    """Stands for bytes that h11 only has to count (as its documentation has it, for sendfile)."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size
