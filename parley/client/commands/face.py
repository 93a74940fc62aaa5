"""What commands are made of: the face they are typed into, and what one is."""

import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from framing.events import AnyEvent, Error
from parley.client.files.work import Work
from parley.client.ground.preferences import Preferences
from parley.client.model.conversation import Conversation, Entry, Kind
from parley.client.model.model import Model
from parley.client.session.session import Session


class Face(Protocol):
    """What a command needs of the face it was typed into."""

    session: Session
    model: Model
    preferences: Preferences
    work: Work
    downloads: Path
    """Where fetched files go."""
    keys: str
    """What its keys do, as text."""

    def preferred(self) -> None:
        """The preferences have changed."""

    def copy(self, text: str) -> None:
        """Put ``text`` on the clipboard. Raises ``ValueError`` if that cannot be."""

    def go(self, conversation: Conversation) -> None:
        """Go to a conversation."""

    def found(self, title: str, found: list[tuple[str, Entry]], older: "Older | None") -> None:
        """Show what a search found: conversations and messages, newest first. ``older`` shows what
        was found before these, if there is more."""

    async def bare(self) -> None:
        """Show the conversation as the terminal's own text, to be selected and copied."""

    async def ask(self, prompt: str) -> str | None:
        """Ask for something; None if the person would rather not."""

    async def ask_password(self, prompt: str) -> str | None:
        """Ask for something hidden; None if the person would rather not."""

    def show(self, title: str, text: str) -> None:
        """Show a longer text."""

    def clear(self) -> None:
        """Clear what is shown of the current conversation."""

    def leave(self) -> None:
        """End the program."""


class UsageError(Exception):
    """A command was typed wrongly. The text says how it is typed."""


class CannotError(Exception):
    """A command that was typed well cannot be done. The text says why."""


Older = Callable[[], Coroutine[None, None, None]]
"""Shows the next page of what was found."""

Handler = Callable[[Face, str], Awaitable[None] | None]
"""Does a command, or returns what of it must wait."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command. ``arguments`` as they are typed; ``completes``: what its first argument is."""

    name: str
    arguments: str
    summary: str
    handler: Handler
    details: str = ""
    completes: str = ""

    @property
    def usage(self) -> str:
        """How it is typed."""
        return f"/{self.name} {self.arguments}".rstrip()


def say_refusal(face: Face, answer: AnyEvent) -> bool:
    """Say so if the server refused. Return whether it did."""
    if isinstance(answer, Error):
        face.model.note(answer.text, time.time(), Kind.TROUBLE)
        return True
    return False


def say_outcome(face: Face, answer: AnyEvent, done: str) -> None:
    """Say what is ``done`` now, if anything is to be said of it, or that the server refused."""
    if not say_refusal(face, answer) and done:
        face.model.note(done, time.time())
