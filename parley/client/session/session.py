"""A client's session: it connects, joins, sends, and comes back by itself. No screen here.

One asyncio task, no thread of its own. Whoever shows the session gets everything in
batches, one for each read of the socket, so that a flood costs a redraw for each batch
and not for each message.

A message that was given to ``say`` is kept until the server has acknowledged it: over a
broken connection, a server that restarts, and the end of this program. It is sent again
under the same ref, which the server takes once.
"""

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import Callable
from typing import Final

from framing.codec import decode_event, encode
from framing.errors import BodyError, ErrorWord, FrameError, UnknownPurposeError
from framing.events import AnyEvent, Challenge, Error, History, Message, Ok, Pong, Shutdown, Welcome
from framing.frames import FrameDecoder, encode_frame
from framing.names import key
from framing.requests import (
    AnyRequest,
    Disconnect,
    Ping,
    Say,
    ShutdownAck,
)
from parley.client.ground.store import Identity, Store, StoreError, Waiting
from parley.client.session.connecting import Connecting, Opened
from parley.client.session.happenings import (
    Change,
    Dropped,
    Failed,
    Happening,
    OtherLog,
    Queued,
    RefusedError,
    ServerBusyError,
    Status,
    Stored,
    Trouble,
)
from parley.client.session.joining import AgainNowError, Joining, Settings
from parley.client.session.outgoing import IN_FLIGHT, Outgoing

JOIN_TIMEOUT: Final = 20.0
_LEAST_PATIENCE: Final = 1.0
"""Seconds for an answer, however soon one gives up: a server may have much to do."""

FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 30.0
"""Seconds. A try comes after a random part of a delay that doubles up to this: clients of a
server that has restarted must not all come at once ("full jitter")."""

_READ: Final = 64 * 1024
"""Bytes that are read and dealt with at once: more would hold the screen under a flood."""

STEADY: Final = 10.0
"""Seconds online after which a connection that breaks is tried again soon."""

LEAVE_TIMEOUT: Final = 1.0
"""Seconds in which a server may say goodbye."""

SAVE_EVERY: Final = 1.0
"""Seconds within which the cursor is written."""

_AGAIN: Final = frozenset(
    word.value
    for word in (
        ErrorWord.LIMIT_EXCEEDED,
        ErrorWord.STORE_UNAVAILABLE,
        ErrorWord.SHUTTING_DOWN,
        ErrorWord.INTERNAL_ERROR,
    )
)

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
        self.cursor: int | None = None
        self._store = store
        self._listen = listen
        self._identity = Identity()
        self._outgoing = Outgoing()
        self._prefix = secrets.token_hex(5)
        self._count = 0
        self._writer: asyncio.StreamWriter | None = None
        self._joining = Joining(settings, self._hang_up)
        self._connecting = Connecting(settings, store, lambda text: self._emit(Trouble(text)))
        self.trust = self._connecting.trust
        self._opened: Opened | None = None
        self._answers: dict[str, asyncio.Future[AnyEvent]] = {}
        self._batch: list[Happening] = []
        self._send_timer: asyncio.TimerHandle | None = None
        self._quitting = False
        self._now = asyncio.Event()
        self._save_timer: asyncio.TimerHandle | None = None
        self._store_failed = False
        self._ever_online = False
        self._online_since = 0.0
        self._running: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self._load()

    # What a face asks

    @property
    def nick(self) -> str:
        """The nick in force."""
        return self.welcome.nick if self.welcome is not None else self.settings.nick

    @property
    def waiting(self) -> list[Waiting]:
        """The own messages that are not acknowledged and not refused."""
        return self._outgoing.waiting

    @property
    def refused(self) -> list[Waiting]:
        """The own messages that were refused."""
        return self._outgoing.refused

    def say(self, text: str, to: str) -> str:
        """Send ``text`` to a room or ``@nick``, now or when that is possible. Return its ref."""
        ref = self._new_ref()
        message = Waiting(ref, to, text, round(time.time(), 3))
        self._outgoing.add([message])
        self._save(at_once=True)
        self._emit(Queued(ref, to, text, message.time))
        self._send_own()
        return ref

    def retry(self, ref: str) -> None:
        """Send a refused message again."""
        message = self._outgoing.retry(ref, self._new_ref())
        if message is not None:
            self._emit(Queued(message.ref, message.to, message.text, message.time))
            self._send_own()

    def drop(self, ref: str) -> None:
        """Forget a refused message."""
        if self._outgoing.drop(ref):
            self._save(at_once=True)
            self._emit(Dropped(ref))

    @property
    def drafts(self) -> dict[str, str]:
        """What was being typed, by conversation, when it was last kept."""
        return self._identity.drafts

    def keep_draft(self, conversation: str, text: str) -> None:
        """Remember what is being typed, for the next start."""
        if self._identity.drafts.get(conversation, "") != text:
            self._identity.drafts.pop(conversation, None)
            if text:
                self._identity.drafts[conversation] = text
            self._save(at_once=False)

    async def ask(self, make: Callable[[str], AnyRequest]) -> AnyEvent:
        """Send the request that ``make`` returns for a new ref, and return the answer.

        Raises ``ConnectionError`` if there is no connection, it breaks before the answer, or the
        answer is none.
        """
        if self.status is not Status.ONLINE:
            raise ConnectionError("not connected just now")
        ref = self._new_ref()
        answer: asyncio.Future[AnyEvent] = asyncio.get_running_loop().create_future()
        self._answers[ref] = answer
        self._send(make(ref))
        try:
            return await answer
        finally:
            self._answers.pop(ref, None)

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
            self._identity.token = None
            self._save(at_once=True)
        return answer

    def warn_if_exposed(self) -> None:
        """Say that what has to do with a password is about to go over a connection that is not
        encrypted, if that is so and has not been said."""
        if self._opened is not None and self._opened.exposed:
            self._connecting.warn()

    def send_raw(self, request: AnyRequest) -> None:
        """Send any request as it is, if there is a connection. Raises ``ConnectionError``."""
        if self.status is not Status.ONLINE:
            raise ConnectionError("not connected just now")
        self._send(request)

    def reconnect(self) -> None:
        """Try to connect now instead of at the end of the wait."""
        self._now.set()

    async def quit(self, patience: float) -> list[Waiting]:
        """Leave, after waiting up to ``patience`` seconds for what is still to be acknowledged.

        Returns what was not: it is remembered, and sent at the next start.
        """
        deadline = time.monotonic() + patience
        while self.waiting and time.monotonic() < deadline and self.status is not Status.ENDED:
            await asyncio.sleep(0.02)
        self._quitting = True
        self._now.set()
        if self._writer is not None:
            self._send(Disconnect())
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                await asyncio.wait_for(self._writer.drain(), LEAVE_TIMEOUT)
        self._save_now()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._ended.wait(), LEAVE_TIMEOUT)
        if self._running is not None and not self._ended.is_set():
            self._running.cancel()  # in a question, or with a server that does not hang up
        return self.waiting

    # Running

    async def run(self) -> None:
        """Be a session until ``quit``, or until the server refuses for good.

        Raises ``RefusedError`` then, and ``ConnectionError`` if ``keep_trying`` has run out.
        """
        self._running = asyncio.current_task()
        try:
            await self._run()
        except asyncio.CancelledError:
            if not self._quitting:
                raise
            self._disconnected()
            self._change(Status.ENDED)
            self._flush()
        finally:
            self._ended.set()

    async def _run(self) -> None:
        began = time.monotonic()
        tries = 0
        while not self._quitting:
            self._now.clear()
            self._change(Status.CONNECTING)
            self._flush()
            word = None
            try:
                await self._connect_and_serve()
                problem = "the server closed the connection"
            except RefusedError as refusal:
                self._change(Status.ENDED, str(refusal), refusal.word)
                self._flush()
                raise
            except AgainNowError:
                continue
            except (TimeoutError, OSError) as failure:
                problem = _sentence(failure, self.settings.host, self.settings.port)
                word = getattr(failure, "word", None)
            finally:
                was_online = self.status is Status.ONLINE
                self._disconnected()
            if self._quitting:
                break
            steady = was_online and time.monotonic() - self._online_since > STEADY
            tries = 0 if steady else tries
            delay = random.uniform(0, min(LONGEST_DELAY, FIRST_DELAY * 2**tries))
            tries += 1
            patience = self.settings.keep_trying
            if patience is not None and not self._ever_online:
                left = began + patience - time.monotonic()
                if left <= 0:
                    self._change(Status.ENDED, problem, word)
                    self._flush()
                    raise ServerBusyError(problem, word) if word else ConnectionError(problem)
                delay = min(delay, left)
            self._change(Status.WAITING, problem, word, time.monotonic() + delay)
            self._flush()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._now.wait(), delay)
        self._change(Status.ENDED)
        self._flush()

    async def _connect_and_serve(self) -> None:
        opened = self._opened = await self._connecting.open()
        self._writer = opened.writer
        decoder = FrameDecoder()
        self._change(Status.JOINING)
        self._send(self._joining.request(self._identity.token, self.cursor, opened.binding))
        began = heard = time.monotonic()
        pinged = False
        while True:
            patience = began + JOIN_TIMEOUT - time.monotonic()
            if self.welcome is not None and self.status is Status.ONLINE:
                patience = max(0.5, self.welcome.limits.timeout / 3)
            elif patience <= 0:
                raise ConnectionError("the server lets nobody in")
            elif self.settings.keep_trying is not None and not self._ever_online:
                patience = min(patience, max(_LEAST_PATIENCE, self.settings.keep_trying))
            try:
                data = await asyncio.wait_for(opened.reader.read(_READ), patience)
            except TimeoutError:
                if pinged or self.status is not Status.ONLINE:
                    silent = time.monotonic() - heard
                    raise ConnectionError(
                        f"the server has said nothing for {silent:.0f} s"
                    ) from None
                # Silence is asked about once; a server that is well answers.
                self._send(Ping(self._new_ref()))
                pinged = True
                continue
            if not data:
                return
            heard = time.monotonic()
            pinged = False
            decoder.receive_data(data)
            try:
                while (body := decoder.next_body()) is not None:
                    await self._take(body)
            except FrameError as problem:
                raise ConnectionError(f"what answers there is no chat server ({problem})") from None
            finally:
                self._flush()

    async def _take(self, body: bytes) -> None:
        """Deal with one event."""
        try:
            event = decode_event(body)
        except UnknownPurposeError:
            return  # of a later version
        except BodyError as problem:
            text = f"the server sent something that is no event: {problem}"
            if not self._answer_broken(problem.ref, text):
                raise ConnectionError(text) from None
            return
        if isinstance(event, Message):
            if self.cursor is not None and event.seq <= self.cursor:
                return
            self._moved(event.seq)
        elif isinstance(event, History):
            self._take_history(event)
        elif isinstance(event, Ok):
            self._take_ok(event)
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
            self._answer(event.ref, event)
            return
        else:
            self._answer(getattr(event, "ref", None), event)
        self._batch.append(event)

    def _take_history(self, event: History) -> None:
        if event.replay:
            if self.cursor is not None:
                cursor = self.cursor
                event.messages = [m for m in event.messages if m.seq > cursor]
            if event.messages:
                self._moved(event.messages[-1].seq)
        self._answer(event.ref, event)

    def _take_ok(self, event: Ok) -> None:
        ref = event.ref or ""
        if ref in self._outgoing and event.seq is not None and event.time is not None:
            self._outgoing.stored(ref)
            self._batch.append(Stored(ref, event.seq, event.time))
            self._save(at_once=not self._outgoing)
            self._send_own()
        self._answer(event.ref, event)

    def _take_welcome(self, event: Welcome) -> None:
        if self.status is not Status.JOINING or key(event.nick) != key(self.settings.nick):
            raise ConnectionError("the server welcomes somebody else")
        self._joining.welcomed(event)
        self.welcome = event
        self.settings.nick = event.nick
        if event.token is not None:
            self._identity.token = event.token
        if self.cursor is None and self.settings.bot:
            self._moved(event.seq)
        elif self.cursor is not None and event.seq < self.cursor:
            # The server's log is shorter than what was read: it is another log.
            self.cursor = None
            self._batch.append(OtherLog())
        self._ever_online = True
        self._online_since = time.monotonic()
        self._save(at_once=True)
        self._change(Status.ONLINE)
        self._outgoing.connected(event.limits, time.monotonic())
        self._send_own()

    async def _take_error(self, event: Error) -> bool:
        """Deal with an error. Return whether that was all: a face needs not hear of it."""
        if event.ref in self._outgoing:
            self._own_refused(event.ref or "", event)
            return True
        if event.ref in self._answers:
            self._answer(event.ref, event)
            return True
        if self.status is Status.JOINING:
            await self._refused(event)
            return True
        if event.error == ErrorWord.EVICTED.value:
            raise RefusedError(
                f"another client has joined as {self.nick} with id {self.settings.id}: "
                f"this one has ended. Give each window an id of its own",
                event.error,
            )
        if event.error in _OUT and event.ref is None:
            raise RefusedError(event.text, event.error)
        return False

    async def _refused(self, event: Error) -> None:
        self._flush()
        if event.tls and not self.trust.encrypts:
            self._connecting.turned_away(event)
        if event.error in _ASKS_PASSWORD:
            self.warn_if_exposed()
        nick = self.settings.nick
        try:
            await self._joining.refused(event, self._ever_online)
        except AgainNowError:
            if self.settings.nick != nick:
                self._load()
            raise

    def _own_refused(self, ref: str, event: Error) -> None:
        if event.error in _AGAIN:
            self._outgoing.put_off(ref, event.retry_after or 1.0, time.monotonic())
        else:
            self._outgoing.fail(ref)
            self._batch.append(Failed(ref, event.text))
            self._save(at_once=True)
        self._send_own()

    def _hang_up(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _disconnected(self) -> None:
        self._hang_up()
        self._joining.forget_proof()
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None
        self._outgoing.disconnected()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the connection broke"))
        self._answers.clear()
        self._save_now()

    # Sending

    def _send(self, request: AnyRequest) -> None:
        if self._writer is not None:
            self._writer.write(encode_frame(encode(request)))

    def _send_own(self) -> None:
        """Send own messages in their order, as far as the server takes them now."""
        if self.status is not Status.ONLINE or self._writer is None:
            return
        messages, again_in = self._outgoing.due(time.monotonic())
        for message in messages:
            self._send(Say(message.ref, message.text, message.to, message.time))
        if again_in is not None and self._send_timer is None:
            loop = asyncio.get_running_loop()
            self._send_timer = loop.call_later(again_in, self._send_later)

    def _send_later(self) -> None:
        self._send_timer = None
        self._send_own()

    # Small things

    def _answer(self, ref: str | None, event: AnyEvent) -> None:
        answer = self._answers.get(ref or "")
        if answer is not None and not answer.done():
            answer.set_result(event)

    def _answer_broken(self, ref: str | None, why: str) -> bool:
        """Fail a request whose answer cannot be read. Return whether there is such a one."""
        answer = self._answers.get(ref or "")
        if answer is not None and not answer.done():
            answer.set_exception(ConnectionError(why))
        return answer is not None

    def _new_ref(self) -> str:
        self._count += 1
        return f"{self._prefix}-{self._count}"

    def _change(
        self,
        status: Status,
        text: str = "",
        word: str | None = None,
        retry_at: float | None = None,
    ) -> None:
        self.status = status
        self._batch.append(Change(status, text, word, retry_at))

    def _emit(self, happening: Happening) -> None:
        self._batch.append(happening)
        self._flush()

    def _flush(self) -> None:
        if self._batch:
            batch, self._batch = self._batch, []
            try:
                self._listen(batch)
            except OSError as problem:
                # Not the connection's trouble, which OSError stands for here.
                raise RuntimeError(f"what happened could not be shown: {problem}") from problem

    def _moved(self, seq: int) -> None:
        self.cursor = seq
        self._save(at_once=False)

    def _load(self) -> None:
        settings = self.settings
        where = settings.host, settings.port, settings.nick
        self._identity = self._store.identity(*where, settings.id)
        if self._identity.token is None:
            self._identity.token = self._store.token_of(*where)
        self.cursor = self._identity.cursor if settings.since is None else settings.since
        if settings.bot and settings.since is None:
            self.cursor = None
        if settings.remember_waiting:
            self._outgoing.add(self._identity.waiting)

    def _save(self, at_once: bool) -> None:
        """Remember, now or within ``SAVE_EVERY``: always the latter while much is on its way, so
        that sending a long text does not write it out for each of its lines."""
        if at_once and len(self._outgoing) <= IN_FLIGHT:
            self._save_now()
        elif self._save_timer is None:
            loop = asyncio.get_running_loop()
            self._save_timer = loop.call_later(SAVE_EVERY, self._save_now)

    def _save_now(self) -> None:
        if self._save_timer is not None:
            self._save_timer.cancel()
            self._save_timer = None
        self._identity.cursor = self.cursor
        if self.settings.remember_waiting:
            self._identity.waiting = self._outgoing.all
        settings = self.settings
        try:
            self._store.save_identity(
                settings.host, settings.port, settings.nick, settings.id, self._identity
            )
        except StoreError as problem:
            if not self._store_failed:
                self._store_failed = True
                self._batch.append(Trouble(f"{problem}: nothing is remembered of this session"))


def _sentence(failure: BaseException, host: str, port: int) -> str:
    """Say what went wrong with a connection, and what one can do."""
    where = f"{host}:{port}"
    if isinstance(failure, asyncio.TimeoutError) and not str(failure):
        return f"{where} does not answer"
    if isinstance(failure, ConnectionRefusedError):
        return f"no server is listening on {where}: is it running, and is this its port?"
    if isinstance(failure, (ConnectionResetError, BrokenPipeError)):
        return f"{where} has broken off the connection"
    if isinstance(failure, OSError) and failure.errno is not None:
        if "Multiple exceptions" in str(failure):
            return f"no server is listening on {where}: is it running, and is this its port?"
        return f"cannot reach {where}: {failure.strerror or failure}"
    return str(failure) or f"{where} cannot be reached"
