"""One's own messages: taken at any time, kept until they are acknowledged, and sent when that is
possible.

A message is kept over a broken connection, a server that restarts, and the end of this program. It
is sent again under the same ref, which the server takes once. Which may go now is ``outgoing``'s
to know.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from framing.codec import encode
from framing.errors import ErrorWord
from framing.events import Error, Limits, Ok
from framing.limits import FRAME
from framing.requests import Say
from parley.client.ground.store import Waiting
from parley.client.session.batch import Batch
from parley.client.session.happenings import Dropped, Failed, Happening, Queued, Stored
from parley.client.session.memory import Memory
from parley.client.session.outgoing import Outgoing

_AGAIN: Final = frozenset(
    word.value
    for word in (
        ErrorWord.LIMIT_EXCEEDED,
        ErrorWord.STORE_UNAVAILABLE,
        ErrorWord.SHUTTING_DOWN,
        ErrorWord.INTERNAL_ERROR,
    )
)


class Outbox:
    """The own messages of one session. ``new_ref`` makes refs; ``batch`` is told what becomes of
    each message, and ``memory`` keeps those of ``outgoing``."""

    def __init__(
        self, outgoing: Outgoing, memory: Memory, batch: Batch, new_ref: Callable[[], str]
    ) -> None:
        self._outgoing = outgoing
        self._memory = memory
        self._batch = batch
        self._new_ref = new_ref
        self._send: Callable[[Say], None] | None = None
        self._frame = FRAME
        self._timer: asyncio.TimerHandle | None = None
        self._typed_ahead: list[str] | None = []  # None once the server's state is known

    @property
    def waiting(self) -> list[Waiting]:
        """The messages that are not acknowledged and not refused."""
        return self._outgoing.waiting

    @property
    def refused(self) -> list[Waiting]:
        """The messages that were refused."""
        return self._outgoing.refused

    @property
    def open(self) -> list[Happening]:
        """What has happened to the messages that are not acknowledged."""
        happened: list[Happening] = []
        for message in self._outgoing.all:
            happened.append(Queued(message.ref, message.to, message.text, message.time))
            if message.refused is not None:
                happened.append(Failed(message.ref, message.refused))
        return happened

    def say(self, text: str, to: str) -> str:
        """Send ``text`` to a room or ``@nick``, now or when that is possible. Return its ref."""
        ref = self._new_ref()
        message = Waiting(ref, to, text, round(time.time(), 3))
        self._outgoing.add([message])
        if self._typed_ahead is not None:
            self._typed_ahead.append(ref)
        self._memory.save(at_once=True)
        self._batch.emit(Queued(ref, to, text, message.time))
        self._send_due()
        return ref

    def retry(self, ref: str) -> None:
        """Send a refused message again."""
        message = self._outgoing.retry(ref, self._new_ref())
        if message is not None:
            self._batch.emit(Queued(message.ref, message.to, message.text, message.time))
            self._send_due()

    def drop(self, ref: str) -> None:
        """Forget a refused message."""
        if self._outgoing.drop(ref):
            self._memory.save(at_once=True)
            self._batch.emit(Dropped(ref))

    def settled(self) -> None:
        """It is known whether the server is there: who types from now on sees what they do."""
        self._typed_ahead = None

    def take_back(self) -> list[Waiting]:
        """Forget, and return, what was said in this run before ``settled``: none of it was sent."""
        taken = self._outgoing.take_back(self._typed_ahead or ())
        if taken:
            self._typed_ahead = []
            self._memory.save(at_once=True)
            for message in taken:
                self._batch.emit(Dropped(message.ref))
        return taken

    def connected(self, limits: Limits, send: Callable[[Say], None]) -> None:
        """The server takes messages, within ``limits``, by ``send``: all go (again)."""
        self._send = send
        self._frame = limits.frame
        self._outgoing.connected(limits, time.monotonic())
        self._send_due()

    def disconnected(self) -> None:
        """Nothing can be sent, and nobody knows what has become of what was on its way."""
        self._send = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._outgoing.disconnected()

    def acknowledged(self, event: Ok) -> None:
        """A request was done: if it was a message, it is stored."""
        ref = event.ref or ""
        if ref in self._outgoing and event.seq is not None and event.time is not None:
            self._outgoing.stored(ref)
            self._batch.add(Stored(ref, event.seq, event.time))
            self._memory.save(at_once=not self._outgoing)
            self._send_due()

    def was_refused(self, event: Error) -> bool:
        """A request was refused, for now or for good. False if it was no message."""
        ref = event.ref or ""
        if ref not in self._outgoing:
            return False
        # What cannot be read back will not be there in a second.
        lasts = event.error == ErrorWord.STORE_UNAVAILABLE.value and event.retry_after is None
        if event.error in _AGAIN and not lasts:
            self._outgoing.put_off(ref, event.retry_after or 1.0, time.monotonic())
        else:
            self._outgoing.fail(ref, event.text)
            self._batch.add(Failed(ref, event.text))
            self._memory.save(at_once=True)
        self._send_due()
        return True

    def _send_due(self) -> None:
        """Send messages in their order, as far as the server takes them now."""
        if self._send is None:
            return
        messages, again_in = self._outgoing.due(time.monotonic())
        for message in messages:
            say = Say(message.ref, message.text, message.to, message.time)
            size = len(encode(say))
            if size <= self._frame:
                self._send(say)
                continue
            # The server could only hang up, each time that it is sent.
            why = f"it takes {size} bytes to send, longer than a frame, which holds {self._frame}"
            self._outgoing.fail(message.ref, why)
            self._batch.add(Failed(message.ref, why))
            self._memory.save(at_once=True)
        if again_in is not None and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(again_in, self._send_later)

    def _send_later(self) -> None:
        self._timer = None
        self._send_due()
