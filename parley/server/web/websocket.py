"""The WebSocket wire, as one peer speaks it: a text message is a request, or a body. Sans-IO.

What comes in is read by ``websockets``; what goes out needs two to ten bytes before a body, the
same for every browser, so that all of them share one bytes object a tick. There is no compression
(RFC 7692): it would need a state of its own for each peer, and leaks what stands beside a secret
(CRIME).
"""

import logging
from codecs import IncrementalDecoder, getincrementaldecoder
from collections import deque
from typing import Final

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol, Side

from framing.codec import decode_request
from framing.errors import BodyError, FrameError
from framing.limits import FRAME, FRAME_BEFORE_JOIN
from framing.requests import AnyRequest, Disconnect, Fetch, Store
from parley.server.doors.door import Interlude

_LEAST: Final = 128
_MOST: Final = 2048
"""Bytes that are read at once. As few as that may be 21 frames, a quarter of a millisecond; more
are read while they turn out to be parts of one long frame."""

_logger = logging.getLogger(__name__)
_logger.setLevel(logging.WARNING)  # for debugging it would write down what people say


def encode_text(body: bytes) -> bytes:
    """Return ``body`` as a text message of one frame, from a server: unmasked (RFC 6455, 5.2)."""
    size = len(body)
    if size < 126:
        return b"\x81%c%b" % (size, body)
    if size < 1 << 16:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), body)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), body)


class _Reader(Protocol):
    """Knows too whether a frame has begun: ``behind`` counts what is fed and in no whole frame.
    And a Close may come between the parts of a message like any control frame (RFC 6455, 5.4)."""

    behind = 0

    def receive_data(self, data: bytes | bytearray) -> None:
        """Take in bytes, at least one."""
        self.behind = len(data)
        super().receive_data(data)

    def recv_frame(self, frame: Frame) -> None:
        """A frame is whole."""
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None
        super().recv_frame(frame)
        self.behind = len(self.reader.buffer)


class WebSocketDoor:
    """A ``parley.server.doors.door.Door``, from behind the handshake on.

    ``receive_data`` keeps bytes; they are read a slice at a time as requests are asked for. That
    a peer closes is its ``disconnect``.
    """

    __slots__ = (
        "_at",
        "_frames",
        "_message",
        "_over",
        "_protocol",
        "_slice",
        "_utf8",
        "_waiting",
    )

    frame = staticmethod(encode_text)
    decode = staticmethod(decode_request)
    """What a text is taken for."""
    longest = FRAME
    """Bytes of a message of who has joined."""

    def __init__(self) -> None:
        self._protocol = _Reader(Side.SERVER, max_size=FRAME_BEFORE_JOIN, logger=_logger)
        self._waiting = b""
        self._at = 0
        self._slice = _LEAST
        self._frames: deque[Frame] = deque()
        self._message: list[bytes] | None = None
        self._utf8: IncrementalDecoder | None = None
        self._over = False

    @property
    def in_frame(self) -> bool:
        """Whether a message has begun and not ended, or bytes wait that have not been looked at."""
        return not self._over and bool(
            self._frames
            or self._at < len(self._waiting)
            or self._message is not None
            or self._protocol.behind
        )

    def welcomed(self) -> None:
        """The peer has joined: it may send longer messages now."""
        self._protocol.max_message_size = self.longest

    def receive_data(self, data: bytes) -> None:
        """Take in bytes of the peer."""
        self._waiting = self._waiting[self._at :] + data
        self._at = 0

    def next_request(self) -> AnyRequest | None:
        """Return the next request, or None until more bytes come.

        Raises ``BodyError`` for a message that is no request, ``Interlude`` for a ping, pong or
        part of a message, ``FrameError`` for what breaks the protocol.
        """
        while not self._over:
            if self._frames:
                return self._dealt_with(self._frames.popleft())
            if self._protocol.parser_exc is not None:
                self._over = True
                raise FrameError(f"WebSocket: {self._protocol.parser_exc}")
            if self._at >= len(self._waiting):
                break
            self._protocol.receive_data(self._waiting[self._at : self._at + self._slice])
            self._at += self._slice
            self._protocol.data_to_send()  # said at its place in the order: see farewell
            events = self._protocol.events_received()
            self._frames.extend(event for event in events if isinstance(event, Frame))
            self._slice = _LEAST if events else min(2 * self._slice, _MOST)
        return None

    def farewell(self) -> bytes:
        """Return the Close that answers the peer's, says what it did wrong, or is the first."""
        if self._protocol.close_sent is None:
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
        close = self._protocol.close_sent
        assert close is not None
        bare = close.code == CloseCode.NO_STATUS_RCVD
        return Frame(Opcode.CLOSE, b"" if bare else close.serialize()).serialize(mask=False)

    def rest(self) -> bytes:
        """Nothing comes behind requests here but requests."""
        return b""

    def _dealt_with(self, frame: Frame) -> AnyRequest:
        """Return the request that ends with ``frame``; see ``next_request`` for the rest."""
        if frame.opcode is Opcode.CLOSE:
            self._over = True
            return Disconnect()
        if frame.opcode is Opcode.PING:
            raise Interlude(Frame(Opcode.PONG, frame.data).serialize(mask=False))
        if frame.opcode is Opcode.PONG:
            raise Interlude
        if frame.opcode is Opcode.BINARY:
            raise self._failed(CloseCode.UNSUPPORTED_DATA, "messages are text here")
        try:
            body = self._message_with(frame)
        except UnicodeDecodeError:
            raise self._failed(CloseCode.INVALID_DATA, "a text is UTF-8") from None
        if body is None:
            raise Interlude
        request = self.decode(body)
        if isinstance(request, (Fetch, Store)):
            raise BodyError("files go by HTTP here: GET or PUT /files/ and the ticket")
        return request

    def _message_with(self, frame: Frame) -> bytes | None:
        """Return the message that ends with ``frame``, None if more of it is to come.

        Raises ``UnicodeDecodeError``, for a message in parts at the first that cannot be right.
        """
        data = bytes(frame.data)
        if self._message is None:
            if frame.fin:
                data.decode()
                return data
            self._message = []
            self._utf8 = getincrementaldecoder("utf-8")()
        assert self._utf8 is not None
        self._utf8.decode(data, final=frame.fin)
        if data:
            self._message.append(data)
        if not frame.fin:
            return None
        body = b"".join(self._message)
        self._message = self._utf8 = None
        return body

    def _failed(self, code: CloseCode, text: str) -> FrameError:
        self._over = True
        self._frames.clear()
        self._protocol.fail(code, text)
        return FrameError(f"WebSocket: {text}")
