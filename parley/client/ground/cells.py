"""Text in cells: how wide it is on a terminal, and how it breaks into lines. Pure.

Terminals disagree on how wide joined emoji are, and one cell of disagreement shifts
everything behind it. So joiners, variation selectors and skin tones are left out on the
screen: the parts of such an emoji stand side by side, in a width all terminals know. A flag is
shown as its two letters. Spacing marks, as in Devanagari, cannot be left out: a terminal is asked
how wide it takes them to be (``set_mark_width``).
"""

import re
import sys
import unicodedata
from functools import cache
from typing import Final

from prompt_toolkit.utils import _CHAR_SIZES_CACHE, get_cwidth

_UNSURE: Final = re.compile(
    "(?<![\u0600-\u08ff\u0900-\u0fff\u1000-\u109f\u1780-\u18af])\u200d|[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]"
)

_NOT_FIRST: Final = frozenset(
    "、。，．！？：；）」』】》〉〕］｝…ー々"  # noqa: RUF001
    "ぁぃぅぇぉっゃゅょァィゥェォッャュョ"
)
"""Wide characters that do not begin a line (JIS X 4051, GB/T 15834)."""

_FLAG: Final = re.compile("[🇦-🇿]")
MARK_SAMPLE: Final = "\u0915\u093f"
"""A letter and a spacing mark, to ask a terminal about."""


@cache
def _spacing_marks() -> frozenset[str]:
    every = map(chr, range(sys.maxunicode + 1))
    return frozenset(char for char in every if unicodedata.category(char) == "Mc")


def set_mark_width(cells: int) -> None:
    """Take spacing marks to be ``cells`` (0 or 1) wide: 1 in most terminals."""
    # prompt_toolkit measures by this table too, and has no other way to be told.
    for mark in _spacing_marks():
        _CHAR_SIZES_CACHE[mark] = cells


def in_cells(text: str) -> str:
    """Return ``text`` without what terminals disagree on."""
    if text.isascii():
        return text
    return _FLAG.sub(lambda flag: chr(ord(flag[0]) - 0x1F1E6 + 0xFF21), _UNSURE.sub("", text))


def places_in_cells(text: str) -> list[int]:
    """Return where each character of ``text`` is in ``in_cells(text)``, and the end last."""
    places = [0]
    left_out = {found.start() for found in _UNSURE.finditer(text)}
    for at in range(len(text)):
        places.append(places[-1] + (at not in left_out))
    return places


def width_of(text: str) -> int:
    """Cells that ``text`` takes."""
    return len(text) if text.isascii() else sum(map(get_cwidth, text))


def cut(text: str, width: int) -> str:
    """Return ``text`` in at most ``width`` cells, with an ellipsis if some had to go."""
    if width_of(text) <= width:
        return text
    kept: list[str] = []
    left = width - 1
    for char in text:
        left -= get_cwidth(char)
        if left < 0:
            break
        kept.append(char)
    return "".join(kept) + "…" if width > 0 else ""


def wrap(text: str, width: int) -> list[str]:
    """Break ``text`` into lines of at most ``width`` cells (at least 1): at spaces, and between
    the wide characters of scripts that have none; else anywhere, never inside a character."""
    width = max(1, width)
    lines: list[str] = []
    for line in in_cells(text).split("\n"):
        lines += _wrap_line(line, width)
    return lines


def _wrap_line(line: str, width: int) -> list[str]:
    if width_of(line) <= width:
        return [line]
    lines: list[str] = []
    start = 0  # of the line being filled
    cells = 0
    end = after = -1  # where it could break, and where the next one would begin
    cells_to_after = 0
    at = 0
    before = 0  # the cells of the character before
    while at < len(line):
        char = line[at]
        size = 1 if " " <= char <= "~" else get_cwidth(char)
        if size == before == 2 and char not in _NOT_FIRST:
            end = after = at
            cells_to_after = cells
        if cells + size > width and at > start:
            if char == " ":
                lines.append(line[start:at])
                start = at + 1
                cells = 0
                end = -1
                at += 1
                before = 0
                continue
            if end > start:
                lines.append(line[start:end])
                start = after
                cells -= cells_to_after
            else:
                while at > start + 1 and _goes_with_the_one_before(line[at]):
                    at -= 1
                lines.append(line[start:at])
                start = at
                cells = 0
            end = -1
            before = 0
            continue
        cells += size
        if char == " ":
            end, after = at, at + 1
            cells_to_after = cells
        before = size
        at += 1
    lines.append(line[start:])
    return lines


def _goes_with_the_one_before(char: str) -> bool:
    return not char.isascii() and (char in _spacing_marks() or get_cwidth(char) == 0)
