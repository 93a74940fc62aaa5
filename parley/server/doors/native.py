"""The native door: the wire of ``framing``, as one peer speaks it. Sans-IO."""

from framing.codec import decode_request
from framing.frames import FrameDecoder, encode_frame
from framing.limits import FRAME, FRAME_BEFORE_JOIN
from framing.requests import AnyRequest


class NativeDoor(FrameDecoder):
    """Turns one peer's bytes into requests, and bodies into its bytes.

    Requests are handed out one at a time, so that the caller decides how many of one peer
    are dealt with in a turn.
    """

    __slots__ = ()

    frame = staticmethod(encode_frame)
    """How a body goes out: the same for all peers of this door, who can share the bytes."""

    def __init__(self) -> None:
        super().__init__(FRAME_BEFORE_JOIN)

    def welcomed(self) -> None:
        """The peer has joined: it may send longer frames now."""
        self.limit = FRAME

    def next_request(self) -> AnyRequest | None:
        """Return the next request, or None until more bytes come.

        Raises ``BodyError`` for a body that is no request (the next call goes on behind it),
        ``FrameError`` when the bytes are no frame (there is no going on).
        """
        body = self.next_body()
        return None if body is None else decode_request(body)

    def farewell(self) -> bytes:
        """This wire has no last word of its own: what the chat says is enough."""
        return b""
