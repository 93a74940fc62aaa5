"""What a session remembers for the next run: its token, how far one has read, drafts, and own
messages that are not acknowledged.

It is written soon after it changes and not for each change: a flood moves the cursor a thousand
times a second.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from framing.events import Message
from framing.names import key
from parley.client.ground.store import Identity, Store, StoreError
from parley.client.session.joining import Settings
from parley.client.session.outgoing import IN_FLIGHT, Outgoing

SAVE_EVERY: Final = 1.0
"""Seconds within which the cursor is written."""


class Memory:
    """What is known of the identity by ``settings``. ``outgoing`` are the own messages, which it
    fills with those of an earlier run; ``tell`` gets a sentence if nothing can be remembered.

    ``cursor`` is the seq up to which all has come, None at the first time. ``kept``: whether the
    next run will find what is to be remembered; ``stopped``: another client remembers instead.
    """

    def __init__(
        self, settings: Settings, store: Store, outgoing: Outgoing, tell: Callable[[str], None]
    ) -> None:
        self.cursor: int | None = None
        self._settings = settings
        self._store = store
        self._outgoing = outgoing
        self._tell = tell
        self._identity = Identity()
        self._timer: asyncio.TimerHandle | None = None
        self.kept = True
        self._told = False
        self.stopped = False
        self.load()

    def load(self) -> None:
        """Read what is known of the nick in force."""
        settings = self._settings
        where = settings.host, settings.port, settings.nick
        self._identity = self._store.identity(*where, settings.id)
        if self._identity.token is None:
            self._identity.token = self._store.token_of(*where)
        self.cursor = self._identity.cursor if settings.since is None else settings.since
        if settings.bot and settings.since is None:
            self.cursor = None
        if settings.remember_waiting:
            self._outgoing.add(self._identity.waiting)

    def moved_from(self, nick: str) -> None:
        """One has been ``nick`` until now, and is called otherwise: what was not sent yet goes
        along, and is not sent by the next run under that nick too."""
        left = self._identity
        self.load()
        settings = self._settings
        if key(nick) == key(settings.nick) or not settings.remember_waiting:
            return
        self.save_now()
        if self.kept:
            left.waiting = []
            with contextlib.suppress(StoreError):
                self._store.save_identity(settings.host, settings.port, nick, settings.id, left)

    @property
    def token(self) -> str | None:
        """What lets one in without a password. Who changes it saves."""
        return self._identity.token

    @token.setter
    def token(self, token: str | None) -> None:
        self._identity.token = token

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
            self.save(at_once=False)

    def news(self, messages: list[Message]) -> list[Message]:
        """Return those of ``messages``, ascending, that had not come before, and move on to the
        last of them."""
        cursor = self.cursor
        new = messages if cursor is None else [m for m in messages if m.seq > cursor]
        if new:
            self.move(new[-1].seq)
        return new

    def move(self, seq: int) -> None:
        """All up to ``seq`` has come."""
        self.cursor = seq
        self.save(at_once=False)

    def stop(self) -> None:
        """Remember nothing more: the file is another client's from now on."""
        self.stopped = True
        self.kept = False

    def save(self, at_once: bool) -> None:
        """Remember, now or within ``SAVE_EVERY``: always the latter while much is on its way, so
        that sending a long text does not write it out for each of its lines."""
        if at_once and len(self._outgoing) <= IN_FLIGHT:
            self.save_now()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(SAVE_EVERY, self.save_now)

    def save_now(self) -> None:
        """Remember now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.stopped:
            return
        self._identity.cursor = self.cursor
        if self._settings.remember_waiting:
            self._identity.waiting = self._outgoing.all
        settings = self._settings
        try:
            self._store.save_identity(
                settings.host, settings.port, settings.nick, settings.id, self._identity
            )
            self.kept = True
        except StoreError as problem:
            self.kept = False
            if not self._told:
                self._told = True
                self._tell(f"{problem}: nothing is remembered of this session")
