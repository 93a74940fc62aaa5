"""Sizes both ends agree on. A server may announce smaller ones in ``welcome.limits``.

All sizes are in bytes unless the name says otherwise. A frame's size is the
size of its BODY: what the LENGTH digits count.
"""

from typing import Final

FRAME_BEFORE_JOIN: Final = 16 * 1024
"""Longest body from a peer that has not joined: a join or a SCRAM step needs under 1 KiB."""

FRAME: Final = 64 * 1024
"""Longest body in either direction once joined."""

LENGTH_DIGITS: Final = 7
"""Longest LENGTH. Ten million is far over any frame, so a longer one is an attack
(an unbounded length field was Redis CVE-2021-32675)."""

TEXT: Final = 16_000
"""Longest message text, as UTF-8."""

TEXT_ENCODED: Final = 60_000
"""Longest message text as JSON. A control character takes six bytes there, so a text within
``TEXT`` can still overflow the frame that would deliver it."""

PAGE: Final = 500
"""Most messages in one ``history`` frame and most entries in one ``users`` frame."""

NICK_CHARS: Final = 32
REF_CHARS: Final = 64
MAX_ID: Final = 2**31 - 1
MAX_SEQ: Final = 2**63 - 1

TOPIC: Final = 500
"""Longest topic, and longest reason of an act of moderation, as UTF-8."""
