"""What may be called what: nicks, rooms, and the names of conversations.

A name has one shape for people (as it was given) and one for comparing (its
*key*). Names are ASCII, so that two names which look alike are alike: with
Unicode, a Cyrillic letter or a full-width one makes a twin of somebody's nick
(Spotify's account takeovers of 2013 came from such twins).
"""

import re
import unicodedata
from typing import Final

from framing.limits import NICK_CHARS

LOBBY: Final = "#lobby"
"""The room everyone who joins is in."""

_HARMLESS: Final = frozenset({"Cn", "Co"})
_JOINERS: Final = frozenset("\u200c\u200d")  # within words of Persian, and within emoji

_NAME: Final = re.compile(rf"[A-Za-z0-9_.\-]{{1,{NICK_CHARS}}}")


def is_nick(name: str) -> bool:
    """Tell whether ``name`` is 1 to 32 ASCII letters, digits, ``_``, ``-`` or ``.``."""
    return _NAME.fullmatch(name) is not None


def is_room(name: str) -> bool:
    """Tell whether ``name`` is ``#`` and then a name under the rule for nicks."""
    return name.startswith("#") and is_nick(name[1:])


def is_private(conversation: str) -> bool:
    """Tell whether ``conversation`` is a private one: ``@`` and the other person's nick."""
    return conversation.startswith("@") and is_nick(conversation[1:])


def is_line(text: str) -> bool:
    """Tell whether ``text`` is one line, without anything that would act on a terminal: no
    control, no override of the writing's direction. Topics, reasons and names of files are."""
    return text.isprintable() or not any(map(_acts, text))


def _acts(char: str) -> bool:
    if char in _JOINERS:
        return False
    category = unicodedata.category(char)
    return category in ("Zl", "Zp") or (category[0] == "C" and category not in _HARMLESS)


def key(name: str) -> str:
    """Return the form in which two names of the same person or room are equal."""
    return name.lower()
