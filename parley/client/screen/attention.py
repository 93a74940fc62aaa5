"""Whether the person is here: what counts as read, when to ask for them, and when they are away."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine

from prompt_toolkit.output import Output

from framing.requests import Read
from parley.client.ground import terminal
from parley.client.ground.clean import clean
from parley.client.ground.preferences import Preferences
from parley.client.model.model import Model
from parley.client.session.session import Session


class Attention:
    """The attention of whoever sits before ``output``. ``following`` tells whether the end of the
    current conversation is in sight; ``start`` has something done beside everything else."""

    def __init__(
        self,
        model: Model,
        session: Session,
        preferences: Preferences,
        output: Output,
        following: Callable[[], bool],
        start: Callable[[Coroutine[None, None, None]], None],
    ) -> None:
        self._model = model
        self._session = session
        self._preferences = preferences
        self._output = output
        self._following = following
        self._start = start
        self._has_focus: bool | None = None  # as far as the terminal says
        self._alerts = 0
        self._last_key = time.monotonic()
        self._is_away = False  # by itself, for want of keys
        self._second: asyncio.TimerHandle | None = None

    def focused(self, has_focus: bool) -> None:
        """The terminal has the person's attention, or has lost it."""
        self._has_focus = has_focus
        self.attend()

    def attend(self) -> None:
        """Tell the model whether somebody looks at the end of the current conversation."""
        following = self._following()
        self._model.attend(self._has_focus is not False and following, following)

    def happened(self) -> None:
        """Ask for the person if something that is for them has come, unless the terminal says that
        they are here."""
        if self._model.alerts == self._alerts:
            return
        self._alerts = self._model.alerts
        entry = self._model.last_alert
        if self._has_focus and self._model.attentive and not self._model.unread:
            return
        if self._preferences["alert"] == "bell":
            self._output.bell()
        elif self._preferences["alert"] == "notice" and entry is not None:
            terminal.notify(self._output, f"{entry.nick}: {clean(entry.text)}")

    def key_pressed(self) -> None:
        """The person is here."""
        self._last_key = time.monotonic()
        if self._is_away:
            self._is_away = False
            self._start(self._set_away(None))

    def watch(self) -> None:
        """Once a second, from now on: tell one's other devices what has been read, and everybody
        if one is away by now."""
        self._tell_read()
        minutes = self._preferences["autoaway"]
        idle = time.monotonic() - self._last_key
        # Who has said so, and why, stays away as they said; who may not say so is asked for once.
        known = self._is_away or self._session.is_away
        if minutes != "off" and idle > int(minutes) * 60 and not known:
            self._is_away = True
            self._start(self._set_away("away from the keyboard"))
        self._second = asyncio.get_running_loop().call_later(1.0, self.watch)

    def end(self) -> None:
        """Watch no longer, and tell what has been read."""
        self._tell_read()
        if self._second is not None:
            self._second.cancel()

    def _tell_read(self) -> None:
        if not self._model.account:
            return
        if self._model.attentive:
            self._model.current.read()
        show = self._preferences["receipts"] == "on"
        with contextlib.suppress(ConnectionError):
            for conversation in self._model.conversations.values():
                seq = conversation.read_to
                if seq > conversation.told_read:
                    self._session.send_raw(Read(conversation.name, seq, show))
                    conversation.told_read = seq

    async def _set_away(self, text: str | None) -> None:
        with contextlib.suppress(ConnectionError):
            await self._session.be_away(text)
