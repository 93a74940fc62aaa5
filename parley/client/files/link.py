"""What all connections that carry files have in common: the server's words before and after the
bytes."""

from typing import Final

from framing.codec import decode_event
from framing.errors import BodyError, FrameError
from framing.events import Error, Ok
from framing.frames import FrameDecoder

QUIET: Final = 60.0
"""Seconds without a byte after which a transfer is taken for broken."""


class CarryingError(Exception):
    """A transfer broke off. ``word`` is the server's, if it said why, or ours; without, it can be
    gone on with."""

    def __init__(self, text: str, word: str | None = None) -> None:
        super().__init__(text)
        self.word = word


def where_from(begins: Ok, offset: int) -> int:
    """Return from where on a server wants a file of which it was offered all from ``offset``.

    Raises ``CarryingError`` if that makes no sense.
    """
    if not 0 <= (begins.offset or 0) <= offset:
        raise CarryingError("the server's answer makes no sense", "CHANGED")
    return begins.offset or 0


def no_answer_in(decoder: FrameDecoder) -> None:
    """See to it that the server has not answered while it is being brought a file: it has no
    reason to, unless something is wrong. What may remain is part of one frame.

    Raises ``CarryingError``.
    """
    if ok_in(decoder) is not None:
        raise CarryingError("the server's answer makes no sense", "CHANGED")


def ok_in(decoder: FrameDecoder) -> Ok | None:
    """Return the next event that has come, which must be an ``ok``; None if none has.

    Raises ``CarryingError`` for anything else.
    """
    try:
        body = decoder.next_body()
        event = None if body is None else decode_event(body)
    except (FrameError, BodyError) as problem:
        text = f"the server's answer makes no sense: {problem}"
        raise CarryingError(text, "CHANGED") from None
    if event is None or isinstance(event, Ok):
        return event
    if isinstance(event, Error):
        raise CarryingError(event.text, event.error)
    raise CarryingError("the server's answer makes no sense", "CHANGED")
