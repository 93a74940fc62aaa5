"""Going from one conversation to another; each keeps its own draft."""

from collections.abc import Callable

from framing.names import key
from parley.client.model.conversation import Conversation
from parley.client.model.model import Model
from parley.client.screen.composer import Composer


class Navigation:
    """Ways to ``model.current``. ``arrived`` is called when that is another one."""

    def __init__(self, model: Model, composer: Composer, arrived: Callable[[], None]) -> None:
        self._model = model
        self._composer = composer
        self._arrived = arrived
        self._previous = model.current
        self._round_began: Conversation | None = None  # where ``next_unread`` was first asked for

    def switch(self, conversation: Conversation) -> None:
        """Go to a conversation."""
        if conversation is not self._model.current:
            before, draft = self._model.current, self._composer.buffer.text
            self._model.show(conversation)
            self.left(before, draft)

    def left(self, before: Conversation, draft: str) -> None:
        """The current conversation is another one than ``before``, where ``draft`` was typed."""
        before.draft = draft
        self._previous = before
        self._composer.show_draft()
        self._arrived()

    def to_name(self, name: str) -> None:
        """Go to a room, or to ``@nick`` if that is not oneself."""
        if key(name) != key(f"@{self._model.nick}"):
            self.switch(self._model.conversation(name))

    def to_number(self, number: int) -> None:
        """Go to the conversation of this number, from 1, if there is one."""
        conversations = list(self._model.conversations.values())
        if number <= len(conversations):
            self.switch(conversations[number - 1])

    def by(self, step: int) -> None:
        """Go to the conversation so many after this one."""
        conversations = list(self._model.conversations.values())
        at = conversations.index(self._model.current) + step
        self.switch(conversations[at % len(conversations)])

    def back(self) -> None:
        """Go where one was before."""
        self.switch(self._previous)

    def next_unread(self) -> None:
        """Go to a conversation with something unread; after the last, to where one began."""
        waiting = [c for c in self._model.conversations.values() if c.unread]
        if waiting:
            self._round_began = self._round_began or self._model.current
            self.switch(max(waiting, key=lambda c: c.mentions))
        elif self._round_began is not None:
            began, self._round_began = self._round_began, None
            self.switch(began)
