"""The wire that server and client speak: frames, message types, names, limits, errors.

Nothing here has a socket, a file or a clock. The rules are in
``docs/PROTOCOL.md``; this package is those rules as code, and both programs
use it, so that neither can drift from the other. The way of a message is

    bytes -> FrameDecoder -> body -> decode_request / decode_event -> a typed message

and back by ``encode`` and ``encode_frame``.
"""

from framing.codec import decode_event, decode_request, encode
from framing.errors import BodyError, ErrorWord, FrameError, UnknownPurposeError
from framing.frames import FrameDecoder, encode_frame

__all__ = [
    "BodyError",
    "ErrorWord",
    "FrameDecoder",
    "FrameError",
    "UnknownPurposeError",
    "decode_event",
    "decode_request",
    "encode",
    "encode_frame",
]
