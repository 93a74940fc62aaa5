"""What a session tells its face: the wire's events, and what becomes of the connection and of
one's own messages. Types only."""

from dataclasses import dataclass
from enum import Enum, auto

from framing.events import AnyEvent


class Status(Enum):
    """Where the session is with the server."""

    CONNECTING = auto()
    JOINING = auto()
    ONLINE = auto()
    WAITING = auto()
    """Not connected; tries again at ``Change.retry_at``."""
    ENDED = auto()
    """Will not try again."""


@dataclass(frozen=True, slots=True)
class Change:
    """The session's status has changed. ``text`` is a sentence for people, ``word`` the server's
    error if it was one, ``retry_at`` in monotonic seconds."""

    status: Status
    text: str = ""
    word: str | None = None
    retry_at: float | None = None


@dataclass(frozen=True, slots=True)
class Queued:
    """An own message has been taken to be sent."""

    ref: str
    to: str
    text: str
    time: float


@dataclass(frozen=True, slots=True)
class Stored:
    """An own message is in the log."""

    ref: str
    seq: int
    time: float


@dataclass(frozen=True, slots=True)
class Failed:
    """An own message was refused for good; ``retry`` of the session sends it again."""

    ref: str
    text: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """An own message that was refused, or was taken back before it was sent, will not be sent."""

    ref: str


@dataclass(frozen=True, slots=True)
class OtherLog:
    """The server's log is not the one that was read before: its places begin anew."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something went wrong that the person should know; the session goes on."""

    text: str


Happening = AnyEvent | Change | Queued | Stored | Failed | Dropped | OtherLog | Trouble


class RefusedError(Exception):
    """The server refuses this client, and trying again would not help."""

    def __init__(self, text: str, word: str | None = None) -> None:
        super().__init__(text)
        self.word = word


class ServerBusyError(ConnectionError):
    """The server cannot take this client now; ``word`` is its error."""

    def __init__(self, text: str, word: str) -> None:
        super().__init__(text)
        self.word = word
