"""A client's session: it connects, gets in, asks, and comes back by itself. No screen here.

One asyncio task, no thread of its own. Whoever shows the session is told in batches of what
happens (``happenings``). Own messages are the ``outbox``'s, what is kept between runs is the
``memory``'s.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Final

from framing.codec import decode_event
from framing.errors import BodyError, ErrorWord, UnknownPurposeError
from framing.events import AnyEvent, Challenge, Error, History, Message, Ok, Pong, Shutdown, Welcome
from framing.names import key
from framing.requests import AnyRequest, Away, Disconnect, Ping, ShutdownAck
from parley.client.ground.store import Store, Waiting
from parley.client.session.batch import Batch
from parley.client.session.connecting import Connecting
from parley.client.session.connection import Connection
from parley.client.session.happenings import (
    Change,
    Happening,
    OtherLog,
    RefusedError,
    Status,
    Trouble,
)
from parley.client.session.joining import AgainNowError, Joining, Settings
from parley.client.session.memory import Memory
from parley.client.session.outbox import Outbox
from parley.client.session.outgoing import Outgoing
from parley.client.session.pending import Pending
from parley.client.session.reconnecting import Reconnecting

JOIN_TIMEOUT: Final = 20.0
_LEAST_PATIENCE: Final = 1.0
"""Seconds for an answer, however soon one gives up: a server may have much to do."""

LEAVE_TIMEOUT: Final = 1.0
"""Seconds in which a server may say goodbye."""

_OUT: Final = frozenset({ErrorWord.BANNED.value, ErrorWord.FORBIDDEN.value})
"""Without a ref: a moderator has sent one out, or keeps one out. One comes back when the person
wants to, and not by itself."""

_ASKS_PASSWORD: Final = (ErrorWord.ACCOUNT_REQUIRED.value, ErrorWord.AUTH_FAILED.value)


class Session:
    """A session by ``settings``; ``listen`` gets each batch of what happens."""

    def __init__(
        self, settings: Settings, store: Store, listen: Callable[[list[Happening]], None]
    ) -> None:
        self.settings = settings
        self.status = Status.CONNECTING
        self.welcome: Welcome | None = None
        self._batch = Batch(listen)
        self._pending = Pending()
        outgoing = Outgoing()
        self.memory = Memory(settings, store, outgoing, lambda t: self._batch.add(Trouble(t)))
        self.outbox = Outbox(outgoing, self.memory, self._batch, self._pending.new_ref)
        self._joining = Joining(settings, self._hang_up)
        self._connecting = Connecting(settings, store, lambda t: self._batch.emit(Trouble(t)))
        self.trust = self._connecting.trust
        self._connection: Connection | None = None
        self._reconnecting = Reconnecting(settings, self._changed)
        self._running: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self._away: str | None = None

    # What a face asks

    @property
    def nick(self) -> str:
        """The nick in force."""
        return self.welcome.nick if self.welcome is not None else self.settings.nick

    async def ask(self, make: Callable[[str], AnyRequest]) -> AnyEvent:
        """Send the request that ``make`` returns for a new ref, and return the answer.

        Raises ``ConnectionError`` if there is no connection, it breaks before the answer, or the
        answer is none.
        """
        return await self.request(make)

    def request(self, make: Callable[[str], AnyRequest]) -> Awaitable[AnyEvent]:
        """Send the request that ``make`` returns for a new ref before anything else is sent, and
        return what its answer is awaited by. Raises, and this raises, as ``ask`` does."""
        connection = self._online()
        ref = self._pending.new_ref()
        connection.send(make(ref))
        return self._pending.expect(ref)

    async def register(self, password: str, change: bool) -> AnyEvent:
        """Make the nick an account with ``password``, or change the account's password.

        Raises ``LoginError`` for a password that cannot be used, ``ConnectionError`` as ``ask``.
        """
        made = await self._joining.register("r", password, change)

        def request(ref: str) -> AnyRequest:
            made.ref = ref
            return made

        answer = await self.ask(request)
        if isinstance(answer, Ok):
            self._joining.registered(password)
            self.memory.token = None
            self.memory.save(at_once=True)
        return answer

    async def be_away(self, text: str | None) -> AnyEvent:
        """Let everybody know that one is away, and why, or without ``text`` back: now, and again
        after each time that the connection broke. Raises ``ConnectionError`` as ``ask``."""
        before, self._away = self._away, text
        answer = await self.ask(lambda ref: Away(ref, text))
        if isinstance(answer, Error):
            self._away = before
        return answer

    @property
    def is_away(self) -> bool:
        """Whether one has said that one is away."""
        return self._away is not None

    def warn_if_exposed(self) -> None:
        """Say that what has to do with a password is about to go over a connection that is not
        encrypted, if that is so and has not been said."""
        if self._connection is not None and self._connection.exposed:
            self._connecting.warn()

    def send_raw(self, request: AnyRequest) -> None:
        """Send any request as it is, if there is a connection. Raises ``ConnectionError``."""
        self._online().send(request)

    def reconnect(self) -> None:
        """Try to connect now instead of at the end of the wait, or have ``wanted`` end."""
        self._reconnecting.try_now()

    async def wanted(self) -> bool:
        """After ``run`` has ended with ``RefusedError``: wait until the person wants to be in again
        by ``reconnect``, and ``run`` is to be called once more. False if they ``quit`` instead."""
        return await self._reconnecting.wanted()

    async def quit(self, patience: float) -> list[Waiting]:
        """Leave, after waiting up to ``patience`` seconds for what is still to be acknowledged.

        Returns what was not: if ``memory`` has kept it, it is sent at the next start.
        """
        deadline = time.monotonic() + patience
        while (
            self.outbox.waiting and time.monotonic() < deadline and self.status is not Status.ENDED
        ):
            await asyncio.sleep(0.02)
        self._reconnecting.stop()
        if self._connection is not None and self._connection.open:
            self._connection.send(Disconnect())
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                await asyncio.wait_for(self._connection.sent(), LEAVE_TIMEOUT)
        self.memory.save_now()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._ended.wait(), LEAVE_TIMEOUT)
        if self._running is not None and not self._ended.is_set():
            self._running.cancel()  # in a question, or with a server that does not hang up
        return self.outbox.waiting

    def _online(self) -> Connection:
        """Return the connection one is in by. Raises ``ConnectionError`` if there is none."""
        if self.status is not Status.ONLINE or self._connection is None:
            raise ConnectionError("not connected just now")
        return self._connection

    # Running

    async def run(self) -> None:
        """Be a session until ``quit``, or until the server refuses for good.

        Raises ``RefusedError`` then, and ``ConnectionError`` if ``keep_trying`` has run out.
        """
        self._running = asyncio.current_task()
        self._ended.clear()
        try:
            await self._reconnecting.run(self._serve)
        except asyncio.CancelledError:
            if not self._reconnecting.stopped:
                raise
            self._changed(Change(Status.ENDED))
        finally:
            self._ended.set()

    def _changed(self, change: Change) -> None:
        """Have a change told at once."""
        self._change(change)
        self._batch.flush()

    def _change(self, change: Change) -> None:
        self.status = change.status
        if change.status in (Status.ONLINE, Status.WAITING, Status.ENDED):
            self.outbox.settled()
        self._batch.add(change)

    async def _serve(self) -> None:
        """Connect, and be connected until that ends."""
        try:
            connection = self._connection = await self._connecting.open()
            self._change(Change(Status.JOINING))
            memory = self.memory
            connection.send(self._joining.request(memory.token, memory.cursor, connection.binding))
            deadline = time.monotonic() + JOIN_TIMEOUT
            while await self._hear(connection, deadline):
                try:
                    for body in connection.bodies():
                        await self._take(body)
                finally:
                    self._batch.flush()
        finally:
            self._disconnected()

    async def _hear(self, connection: Connection, deadline: float) -> bool:
        """Wait for the server to say something. False at the connection's end.

        Silence is asked about once: a server that is well answers. Who hears much and says nothing
        pings too, or the server would take them for lost.
        """
        pinged = False
        while True:
            patience = self._patience(deadline)
            if self.status is Status.ONLINE and connection.own_silence >= patience and not pinged:
                connection.send(Ping(self._pending.new_ref()))
            try:
                return await connection.read(patience)
            except TimeoutError:
                if pinged or self.status is not Status.ONLINE:
                    text = f"the server has said nothing for {connection.silence:.0f} s"
                    raise ConnectionError(text) from None
                connection.send(Ping(self._pending.new_ref()))
                pinged = True

    def _patience(self, deadline: float) -> float:
        """Return the seconds to wait for the server's next word; ``deadline`` is when one must be
        in, in monotonic seconds. Raises ``ConnectionError`` if that has passed."""
        if self.welcome is not None and self.status is Status.ONLINE:
            return max(0.5, self.welcome.limits.timeout / 3)
        left = deadline - time.monotonic()
        if left <= 0:
            raise ConnectionError("the server lets nobody in")
        if self.settings.keep_trying is not None and not self._reconnecting.ever_online:
            return min(left, max(_LEAST_PATIENCE, self.settings.keep_trying))
        return left

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _disconnected(self) -> None:
        self._hang_up()
        self._joining.forget_proof()
        self.outbox.disconnected()
        self._pending.disconnected()
        self.memory.save_now()

    # What the server says

    async def _take(self, body: bytes) -> None:
        """Deal with one event."""
        try:
            event = decode_event(body)
        except UnknownPurposeError:
            return  # of a later version
        except BodyError as problem:
            text = f"the server sent something that is no event: {problem}"
            if not self._pending.fail(problem.ref, text):
                raise ConnectionError(text) from None
            return
        if isinstance(event, Message):
            if not self.memory.news([event]):
                return
        elif isinstance(event, History):
            if event.replay:
                event.messages = self.memory.news(event.messages)
                if event.end and self.memory.cursor is None and self.welcome is not None:
                    self.memory.move(self.welcome.seq)  # nothing was said before one came
            self._pending.answer(event.ref, event)
        elif isinstance(event, Ok):
            self.outbox.acknowledged(event)
            self._pending.answer(event.ref, event)
        elif isinstance(event, Welcome):
            self._take_welcome(event)
        elif isinstance(event, Challenge):
            if (response := await self._joining.response(event)) is not None:
                self._send(response)
            return
        elif isinstance(event, Error):
            if await self._take_error(event):
                return
        elif isinstance(event, Shutdown):
            self._send(ShutdownAck())
        elif isinstance(event, Pong):
            if self._pending.is_own(event.ref):
                return
        else:
            self._pending.answer(getattr(event, "ref", None), event)
        self._batch.add(event)

    def _send(self, request: AnyRequest) -> None:
        if self._connection is not None:
            self._connection.send(request)

    def _take_welcome(self, event: Welcome) -> None:
        if self.status is not Status.JOINING or key(event.nick) != key(self.settings.nick):
            raise ConnectionError("the server welcomes somebody else")
        self._joining.welcomed(event)
        self.welcome = event
        self.settings.nick = event.nick
        memory = self.memory
        if event.token is not None:
            memory.token = event.token
        if memory.cursor is None and self.settings.bot:
            memory.move(event.seq)
        elif memory.cursor is not None and event.seq < memory.cursor:
            # The server's log is shorter than what was read: it is another log.
            memory.cursor = None
            self._batch.add(OtherLog())
        self._reconnecting.online()
        memory.save(at_once=True)
        self._change(Change(Status.ONLINE))
        if self._away is not None:
            self._send(Away(self._pending.new_ref(), self._away))
        self.outbox.connected(event.limits, self._send)

    async def _take_error(self, event: Error) -> bool:
        """Deal with an error. Return whether that was all: a face needs not hear of it."""
        if self.outbox.was_refused(event) or self._pending.answer(event.ref, event):
            return True
        if self.status is Status.JOINING:
            await self._refused(event)
            return True
        if event.error == ErrorWord.EVICTED.value:
            self.memory.stop()
            raise RefusedError(
                f"{event.text}: this client, {self.nick} with id {self.settings.id}, has ended. "
                f"If the other is yours too, give each an id of its own",
                event.error,
            )
        if event.error in _OUT and event.ref is None:
            raise RefusedError(event.text, event.error)
        return False

    async def _refused(self, event: Error) -> None:
        """One is not let in: find out what would help."""
        self._batch.flush()
        if event.tls and not self.trust.encrypts:
            self._connecting.turned_away(event)
        if event.error in _ASKS_PASSWORD:
            self.warn_if_exposed()
        nick = self.settings.nick
        try:
            await self._joining.refused(event, self._reconnecting.ever_online)
        except AgainNowError:
            if self.settings.nick != nick:
                self.memory.moved_from(nick)
            raise
