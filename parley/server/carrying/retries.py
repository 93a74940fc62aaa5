"""Retries: QUIC's proof that somebody is at the address they send from (RFC 9000, 8.1). Pure.

Nothing is kept for who has not proved it: the token that they bring back says all that is needed,
and a keyed hash says that it is ours.
"""

import hmac
import secrets
import struct
from typing import Final

LASTS: Final = 10.0
"""Seconds for which a token proves something."""

_TAG: Final = 16  # bytes of the hash that go along
_HEAD: Final = struct.Struct("!dBB")


class Retries:
    """Makes and checks tokens, under a key of this run."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def make(self, first: bytes, own: bytes, address: tuple[object, ...], mono: float) -> bytes:
        """Return a token for a client at ``address``, which first wrote to the connection id
        ``first`` and is asked to write to ``own``. ``mono`` is monotonic seconds."""
        body = _HEAD.pack(mono, len(first), len(own)) + first + own
        return self._tag(body, address) + body

    def check(
        self, token: bytes, address: tuple[object, ...], mono: float
    ) -> tuple[bytes, bytes] | None:
        """Return ``first`` and ``own`` of a token that was made for this address and not long ago;
        None if it was not."""
        tag, body = token[:_TAG], token[_TAG:]
        if len(body) < _HEAD.size or not hmac.compare_digest(tag, self._tag(body, address)):
            return None
        made, first, own = _HEAD.unpack_from(body)
        if not 0 <= mono - made <= LASTS:
            return None
        rest = body[_HEAD.size :]
        return rest[:first], rest[first : first + own]

    def _tag(self, body: bytes, address: tuple[object, ...]) -> bytes:
        where = f"{address[0]} {address[1]} ".encode()
        return hmac.digest(self._key, where + body, "sha256")[:_TAG]


def token_in(datagram: bytes) -> bytes:
    """Return the token in a version 1 Initial packet (RFC 9000, section 17.2.2); b"" if there is
    none."""
    try:
        at = 6 + datagram[5]
        at += 1 + datagram[at]
        size = 1 << (datagram[at] >> 6)
        length = int.from_bytes(datagram[at : at + size]) & ((1 << (8 * size - 2)) - 1)
    except IndexError:
        return b""
    return datagram[at + size : at + size + length]
