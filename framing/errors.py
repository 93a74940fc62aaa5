"""The errors of the wire: a number a program tests, a fixed word, a text for people.

This table is the single place where a word gets its number.
"""

from enum import Enum


class ErrorWord(Enum):
    """A fixed error word; its value is the number sent as ``code``."""

    def __new__(cls, word: str, code: int) -> "ErrorWord":
        member = object.__new__(cls)
        member._value_ = word
        member.code = code
        return member

    code: int

    BAD_FRAME = "BAD_FRAME", 400
    BAD_REQUEST = "BAD_REQUEST", 400
    INVALID_NICK = "INVALID_NICK", 400
    AUTH_FAILED = "AUTH_FAILED", 401
    ACCOUNT_REQUIRED = "ACCOUNT_REQUIRED", 401
    NOT_JOINED = "NOT_JOINED", 401
    FORBIDDEN = "FORBIDDEN", 403
    BANNED = "BANNED", 403
    MUTED = "MUTED", 403
    NO_SUCH_NICK = "NO_SUCH_NICK", 404
    NO_SUCH_ROOM = "NO_SUCH_ROOM", 404
    NO_SUCH_MESSAGE = "NO_SUCH_MESSAGE", 404
    NO_SUCH_FILE = "NO_SUCH_FILE", 404
    USER_IN_USE = "USER_IN_USE", 409
    ACCOUNT_EXISTS = "ACCOUNT_EXISTS", 409
    FILE_EXISTS = "FILE_EXISTS", 409
    EVICTED = "EVICTED", 410
    TICKET_EXPIRED = "TICKET_EXPIRED", 410
    TOO_LARGE = "TOO_LARGE", 413
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED", 429
    INTERNAL_ERROR = "INTERNAL_ERROR", 500
    SERVER_FULL = "SERVER_FULL", 503
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE", 503
    SHUTTING_DOWN = "SHUTTING_DOWN", 503


class FrameError(ValueError):
    """The bytes are not a frame. Nothing after them can be understood: close the connection."""


class TlsHelloError(FrameError):
    """Where the first frame should be, a TLS handshake begins."""


class BodyError(ValueError):
    """A well-framed body is not a valid message. The connection lives on.

    ``ref`` is the request's own ref where one could be read, else None.
    """

    def __init__(self, text: str, ref: str | None = None) -> None:
        super().__init__(text)
        self.ref = ref


class UnknownPurposeError(BodyError):
    """A well-formed object whose ``purpose`` this version does not know."""
