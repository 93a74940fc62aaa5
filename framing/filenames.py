"""What a file may be called, on a server's shelf and in a client's folder: one plain component.

Names come from strangers on both sides: a client must not reach out of the shelf, nor a server out
of the folder that a client saves to (a server's path escaped its folder in CVE-2024-23334). What
one system allows may be a device or a flag on another, so the rule is the strictest of them all.
"""

import unicodedata
from typing import Final

from pathvalidate import ValidationError, validate_filename

from framing.names import is_line

NAME_BYTES: Final = 200
"""Longest name, in bytes of UTF-8. File systems take 255; what is not whole has a longer one."""

NAME_CHARS: Final = 4 * NAME_BYTES
"""Longer than this is no name, however it is composed. To compose a text takes time by the square
of its length, if it is made for that."""


class FileNameError(ValueError):
    """A file cannot be called so. The text says why."""


def plain_name(name: str) -> str:
    """Return ``name`` as it is stored and compared by: composed (NFC).

    Raises ``FileNameError`` if it is not one plain component of a path on every system, or holds
    what would act on a terminal.
    """
    too_long = FileNameError(f"a file's name has at most {NAME_BYTES} bytes")
    if len(name) > NAME_CHARS:
        raise too_long
    name = unicodedata.normalize("NFC", name)
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise FileNameError("a file's name is text in UTF-8: rename it") from None
    if size > NAME_BYTES:
        raise too_long
    if not is_line(name):
        raise FileNameError("a file's name has no control characters")
    if "/" in name or "\\" in name:
        raise FileNameError("that is a path: a file's name is what stands behind its last / or \\")
    if name[:1] in (".", "-", "~"):
        raise FileNameError(f"a file's name does not begin with {name[0]}")
    if name != name.strip():
        raise FileNameError("a file's name neither begins nor ends with a space")
    try:
        validate_filename(name, platform="universal")
    except ValidationError as problem:
        why = problem.description or problem.reason.description
        raise FileNameError(f"not a file's name: {why}") from None
    return name


def name_key(name: str) -> str:
    """Return the form in which two names of one file are equal: some systems see no difference
    between upper and lower case. What is behind ``NAME_CHARS`` does not count."""
    name = name[:NAME_CHARS]
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
