"""Foreign text, made safe to show. Every string from elsewhere passes here once, where it enters.

A terminal obeys what it is sent: an escape sequence in a message can rewrite
the screen or the clipboard, a bidi override can make a name read as another,
a zero-width character can make two nicks look the same. None of these is
dropped without a trace: each becomes a visible mark, so that one sees what was there.

What is kept although it has no width of its own: combining marks, up to a few on one letter;
the joiners between letters of scripts that need them, and inside emoji.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

MARKS_ON_A_LETTER: Final = 4
"""Combining marks kept on one letter. Vietnamese needs two, pointed Hebrew three; a pile
of them climbs over the lines above."""

NAME_CHARS: Final = 64
"""Characters of a name that are looked at: twice what any server should let one have."""

REASON_CHARS: Final = 500
"""Characters of a server's reason that are shown."""

LATEST: Final = 253_370_764_800.0
"""UTC seconds at which the year 9999 begins, about where calendars end."""

_ZWNJ, _ZWJ = "\u200c", "\u200d"
_JOINING: Final = (
    *("ARABIC", "SYRIAC", "MONGOLIAN", "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI"),
    *("ORIYA", "TAMIL", "TELUGU", "KANNADA", "MALAYALAM", "SINHALA", "KHMER", "MYANMAR"),
    *("TIBETAN", "NKO", "ADLAM"),
)
_SURROGATES: Final = re.compile(r"[\ud800-\udfff]")
_ONLY_PLAIN: Final = re.compile(r"[ -~\u00a1-\u00ac\u00ae-\u02ff\u03a3-\u0481\u048a-\u052f]*")


def clean(text: str) -> str:
    """Return ``text`` as one line that does nothing but show: a newline or tab is marked too."""
    if _ONLY_PLAIN.fullmatch(text):
        return text
    return _clean(text.replace("\r\n", "\n"), "")


def clean_text(text: str) -> str:
    """Return a message's text, which may have lines; a tab becomes spaces."""
    if _ONLY_PLAIN.fullmatch(text):
        return text
    return _clean(text.replace("\r\n", "\n").expandtabs(4), "\n")


@lru_cache(maxsize=1024)
def clean_name(text: str) -> str:
    """Clean a name. The few that there are occur again and again: done once, held once."""
    return clean(text[:NAME_CHARS])


def sendable(text: str) -> str:
    """Return what a person has typed without what no message can hold: bytes that are no UTF-8,
    which Python keeps as lone surrogates (PEP 383)."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def sane(time: float) -> float:
    """Return a time that a calendar knows: a foreign one may be any number."""
    return min(max(time, 0.0), LATEST) if time == time else 0.0


def mark(char: str) -> str:
    """Return what is shown for a character that is not let through."""
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)  # the pictures of the control characters
    if code == 0x7F:
        return "\u2421"
    return f"<U+{code:04X}>"


def _clean(text: str, keep: str) -> str:
    out: list[str] = []
    marks = 0
    for at, char in enumerate(text):
        if char in keep:
            out.append(char)
            marks = 0
            continue
        if " " <= char <= "~":
            out.append(char)
            marks = 0
            continue
        category = unicodedata.category(char)
        if category in ("Mn", "Me") and not _is_blank(char):
            if char == "\u034f" or 0xFE00 <= ord(char) <= 0xFE0D or ord(char) >= 0xE0100:
                out.append(mark(char))  # graphemes glued or varied invisibly
            elif 0xFE0E <= ord(char) <= 0xFE0F:
                out.append(char if at and _is_symbol(text[at - 1]) else mark(char))
            elif marks < MARKS_ON_A_LETTER and at and out[-1] != "\n":
                marks += 1
                out.append(char)
            else:
                out.append(mark(char))
            continue
        marks = 0
        if category in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") or _is_blank(char):
            # What stands before it must have been let through: else nothing is joined.
            shown = at > 0 and out[-1] == text[at - 1]
            out.append(char if shown and _joins(text, at) else mark(char))
        elif category == "Zs":
            out.append(" ")
        else:
            out.append(char)
    return "".join(out)


def _is_blank(char: str) -> bool:
    """Tell whether a letter or symbol by category shows nothing (fillers, blank braille)."""
    return char in "\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800\ufffc"


def _is_symbol(char: str) -> bool:
    return unicodedata.category(char) in ("So", "Sm", "Po", "Nd") or char in "\u20e3"


def _joins(text: str, at: int) -> bool:
    """Tell whether the joiner at this place joins what needs joining."""
    if text[at] not in (_ZWJ, _ZWNJ) or not 0 < at < len(text) - 1:
        return False
    before, after = text[at - 1], text[at + 1]
    if text[at] == _ZWJ and unicodedata.category(after) == "So" and not _is_blank(after):
        # Emoji: the part before may end in a variation selector or a skin tone.
        return before == "\ufe0f" or unicodedata.category(before) in ("So", "Sk")
    return _joining(before) and _joining(after)


def _joining(char: str) -> bool:
    is_letter = unicodedata.category(char)[0] in "LM"  # not the ARABIC LETTER MARK, a control
    return is_letter and unicodedata.name(char, "").startswith(_JOINING)
