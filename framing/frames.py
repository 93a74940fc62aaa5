"""Frames: ``$`` LENGTH BODY ``$``, without sockets, files or a clock.

BODY is one JSON object as UTF-8 bytes, LENGTH its size in ASCII decimal
digits. LENGTH needs no terminator: BODY begins with ``{``, which no digit is.

The decoder holds what has come and not been asked for, and hands out one body
at a time, so that the caller decides how many frames of one peer are dealt
with in a turn. It never reserves memory from a peer's word: a LENGTH over the
limit is refused as soon as its digits are read, before any of BODY is kept.
"""

import re
from typing import Final

from framing.errors import FrameError, TlsHelloError
from framing.limits import FRAME, LENGTH_DIGITS

# Of bytes isdigit() knows only 0 to 9. int() alone takes "1_0" and "+1".
_PART_OF_HEAD: Final = re.compile(rb"\$(?:[1-9][0-9]{0,%d})?" % (LENGTH_DIGITS - 1))
_DOLLAR: Final = 0x24
_ZERO: Final = 0x30
_ONE_TOO_LONG: Final = "the frame's length counts the closing $ too"
# No JSON object ends so. Who miscounts is told at once: else each would wait for the other.
_TLS_HANDSHAKE: Final = 0x16  # RFC 8446, 5.1
_LONGEST_HEAD: Final = 1 + LENGTH_DIGITS
_LONGEST_HEAD_AND_BRACE: Final = _LONGEST_HEAD + 1
_COMPACT_AFTER: Final = 64 * 1024


def _head_alone(size: int) -> bytes:
    """Return how ``size`` bytes begin, with the brace, if they are one frame and no more; if none
    has that size, what they cannot begin with."""
    for digits in range(1, LENGTH_DIGITS + 1):
        length = size - digits - 2
        if length > 0 and len(str(length)) == digits:
            return b"$%d{" % length
    return b"$" * (size + 1)


_HEADS_ALONE: Final = [_head_alone(size) for size in range(1024)]
"""Nearly always what has come is one frame, and a short one: it is known by its size."""


def encode_frame(body: bytes) -> bytes:
    """Return ``body``, one encoded JSON object, as a frame."""
    return b"$%d%b$" % (len(body), body)


class FrameDecoder:
    """Cuts a stream of bytes into bodies.

    ``limit`` is the longest body accepted, in bytes. It may be raised while the
    stream runs, as it is when a peer joins.

    ``receive_data`` takes bytes of any length, split anywhere; ``next_body``
    returns the next whole body, or None until more bytes come. Once
    ``next_body`` has raised ``FrameError`` the stream is beyond repair and every
    further call raises it again.
    """

    __slots__ = ("_broken", "_buffer", "_start", "limit")

    def __init__(self, limit: int = FRAME) -> None:
        self.limit = limit
        self._buffer: bytes | bytearray = b""
        self._start = 0  # where in the buffer the next frame begins
        self._broken: str | None = None

    def receive_data(self, data: bytes) -> None:
        """Add ``data`` to what has come so far."""
        if self._start == len(self._buffer):
            self._buffer = data
            self._start = 0
        else:
            # Growing a bytearray costs what is added, not what is there: a frame that comes
            # a byte at a time must not be copied whole for each of them.
            if isinstance(self._buffer, bytes):
                self._buffer = bytearray(self._buffer[self._start :])
                self._start = 0
            elif self._start > _COMPACT_AFTER:
                del self._buffer[: self._start]
                self._start = 0
            self._buffer += data

    def next_body(self) -> bytes | None:
        """Return the next whole body, or None if its end has not come yet.

        Raises ``FrameError`` if the bytes cannot be the beginning of a frame or
        the frame is over the limit.
        """
        if self._broken is not None:
            raise FrameError(self._broken)
        buffer, start = self._buffer, self._start
        size = len(buffer)
        if not start and size < len(_HEADS_ALONE) and size <= self.limit:
            head = _HEADS_ALONE[size]
            if buffer.startswith(head) and buffer.endswith(b"}$"):
                self._buffer = b""
                return bytes(buffer[len(head) - 1 : -1])
        opening = buffer.find(b"{", start, start + _LONGEST_HEAD_AND_BRACE)
        digits = buffer[start + 1 : opening] if opening > 0 else b""
        if not digits.isdigit() or digits[0] == _ZERO or buffer[start] != _DOLLAR:
            self._check_part_of_head(buffer[start : start + _LONGEST_HEAD_AND_BRACE])
            return None
        length = int(digits)
        if length > self.limit:
            raise self._fail(f"a frame of {length} bytes; at most {self.limit} are taken here")
        closing = opening + length
        end = buffer[closing - 1 : closing + 1]
        if end != b"}$" and not self._is_end(end):
            return None
        body = bytes(buffer[opening:closing])
        if size == closing + 1:
            self._buffer = b""
            self._start = 0
        else:
            self._start = closing + 1
        return body

    @property
    def in_frame(self) -> bool:
        """Whether a frame has begun and not been handed out."""
        return self._start < len(self._buffer)

    def rest(self) -> bytes:
        """Return, and forget, the bytes behind the last body: what follows is no frame."""
        rest = bytes(self._buffer[self._start :])
        self._buffer = b""
        self._start = 0
        return rest

    def _is_end(self, end: bytes | bytearray) -> bool:
        """Tell whether ``end``, the last byte of a body and the ``$`` behind it, have come. Raise
        if they can never come."""
        if end[:1] == b"$":
            raise self._fail(_ONE_TOO_LONG)
        if end[1:] not in (b"", b"$"):
            raise self._fail("no $ where the frame's length says it ends")
        return len(end) == 2

    def _check_part_of_head(self, part: bytes | bytearray) -> None:
        """Raise if ``part``, what has come of a head, can never become one."""
        if not part:
            return
        if part[0] == _TLS_HANDSHAKE:
            raise TlsHelloError(str(self._fail("TLS is not spoken here")))
        if len(part) > _LONGEST_HEAD or _PART_OF_HEAD.fullmatch(part) is None:
            raise self._fail("a frame begins with $, its length in digits, and {")
        digits = part[1:]
        if digits and int(digits) > self.limit:
            raise self._fail(f"a frame of over {self.limit} bytes")

    def _fail(self, text: str) -> FrameError:
        self._broken = text
        self._buffer = b""
        self._start = 0
        return FrameError(text)
