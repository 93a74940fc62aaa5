"""Which bytes of a file are asked for, or brought (RFC 9110, 14). Pure.

One range at most: an answer in several parts is allowed to nobody, as many small parts of a large
file were an attack (Apache CVE-2011-3192); the whole is sent instead, as the RFC permits.
"""

import re
from typing import Final

_RANGE: Final = re.compile(r"bytes=([0-9]{1,18})?-([0-9]{1,18})?")
_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


class RangeError(ValueError):
    """There are no such bytes."""


def asked(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the first byte of a ``Range`` and the one behind its last, of ``size``; None for
    all. Raises ``RangeError`` if there is nothing there."""
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or found[1] is found[2] is None:
        return None
    if found[1] is None:
        count = min(int(found[2]), size)
        if not count:
            raise RangeError
        return size - count, size
    first = int(found[1])
    last = size - 1 if found[2] is None else int(found[2])
    if last < first and found[2] is not None:
        return None  # not a range at all: passed over
    if first >= size:
        raise RangeError
    return first, min(last + 1, size)


def brought(header: str | None) -> tuple[int, int, int] | None:
    """Return the first byte of a ``Content-Range``, the one behind its last, and the size of the
    whole; None if there is no such header. Raises ``RangeError`` for one without sense."""
    if header is None:
        return None
    found = _CONTENT_RANGE.fullmatch(header.strip())
    if found is None:
        raise RangeError
    first, last, size = map(int, found.groups())
    if not first <= last < size:
        raise RangeError
    return first, last + 1, size
