"""An entry of the timeline as the lines of the screen. Pure.

A message is: when, who (right-aligned, so that texts begin in one column), a bar, and the
text, which keeps its column when it wraps. On an own message the bar tells its fate.
"""

import time
from typing import Final

from prompt_toolkit.formatted_text import OneStyleAndTextTuple

from framing.names import key
from parley.client.ground.cells import cut, in_cells, width_of, wrap
from parley.client.model.conversation import Entry, Fate, Kind
from parley.client.screen.style import of_nick

Line = list[OneStyleAndTextTuple]

NARROW: Final = 50
"""Columns under which the time is left out."""

FOLD: Final = 25
"""Most lines of one message that are shown: a log somebody pasted must not bury the chat."""


def fold(rows: int) -> int:
    """Return the lines of one message that are shown on a terminal of ``rows`` lines: so many that
    who said it is still in sight above them."""
    return min(FOLD, max(6, rows - 4))


_FATES: Final = {
    Fate.NONE: ("class:bar", "│"),
    Fate.SENT: ("class:sent", "…"),
    Fate.STORED: ("class:stored", "✓"),
    Fate.FAILED: ("class:failed", "✗"),
}


def nick_column(width: int) -> int:
    """Return the cells for nicks on a screen of this width."""
    return 8 if width < NARROW else min(16, max(10, width // 7))


def rows_of(
    entry: Entry, before: Entry | None, width: int, own: str, new: bool, most: int = FOLD
) -> list[Line]:
    """Return the lines of ``entry`` in ``width`` cells; ``before`` is the entry above it,
    ``new`` whether it is the first that is new. Of a message ``most`` lines are shown."""
    rows: list[Line] = []
    if before is None or _day(before) != _day(entry):
        rows.append(_rule(time.strftime("%A, %d %B %Y", time.localtime(entry.time)), width, "line"))
    if new:
        rows.append(_rule("new", width, "new"))
    if entry.kind is Kind.SAID:
        rows += _said(entry, width, own, most)
    else:
        style = {Kind.COMINGS: "coming", Kind.TROUBLE: "trouble"}.get(entry.kind, "notice")
        rows += _aside(entry, width, f"class:{style}")
    return rows


def _said(entry: Entry, width: int, own: str, most: int) -> list[Line]:
    column = nick_column(width)
    mine = key(entry.nick) == key(own)
    nick = cut(entry.nick, column)
    nick_style = of_nick(entry.nick) + (" class:own" if mine else "")
    text = entry.text
    text_style = "class:mention" if entry.mention else ""
    nick_style += " class:mention.nick" if entry.mention else ""
    if text.startswith("/me "):
        text = f"{entry.nick} {text[4:]}"
        nick, text_style = "*", f"{text_style} italic"
    if entry.redacted:
        text, text_style = "taken back", "class:notice italic"
    elif entry.changed:
        text = f"{text} (edited)"
    at = time.strftime("%H:%M ", time.localtime(entry.time)) if width >= NARROW else ""
    indent = len(at) + column + 3
    lead = "[History] " if entry.past else ""
    if entry.file and not entry.redacted:
        text_style = "class:file"
        text = text if entry.file in text else f"{text}: {entry.file}"
        text += "" if mine else " · click or Alt+G fetches it"
    lines = wrap(lead + text, max(10, width - indent))
    more = len(lines) - most
    if more > 0:
        lines = lines[: most - 1]
    bar_style, bar = _FATES[entry.fate]
    rows: list[Line] = []
    for number, line in enumerate(lines):
        row: Line
        if number == 0:
            padding = " " * (column - width_of(nick))
            row = [
                ("class:time", at),
                ("", padding),
                (nick_style, nick),
                ("", " "),
                (bar_style, bar),
                ("", " "),
            ]
            if lead and line.startswith(lead.rstrip()):
                row.append(("class:history", line[: len(lead)]))
                line = line[len(lead) :]
        else:
            row = [("", " " * (indent - 2)), ("class:bar", "│"), ("", " ")]
        row.append((text_style, line))
        rows.append(row)
    margin: Line = [("", " " * (indent - 2)), ("class:bar", "│"), ("", " ")]
    if more > 0:
        rows.append([*margin, ("class:notice", f"… {more + 1} more lines: Alt+Z shows all")])
    if entry.fate is Fate.FAILED:
        why = wrap(
            f"not sent: {entry.why} · Alt+R sends it again, /drop forgets it", width - indent
        )
        rows += [
            [("", " " * (indent - 2)), ("class:bar", "│"), ("", " "), ("class:trouble", line)]
            for line in why
        ]
    return rows


def _aside(entry: Entry, width: int, style: str) -> list[Line]:
    at = time.strftime("%H:%M ", time.localtime(entry.time)) if width >= NARROW else ""
    indent = len(at) + nick_column(width) + 3
    if width < NARROW:
        indent = 2
    lines = wrap(entry.text, max(10, width - indent))
    margin = " " * (indent - len(at) - 2)
    rows: list[Line] = [[("class:time", at), ("", margin), (style, "· "), (style, lines[0])]]
    rows.extend([("", " " * indent), (style, line)] for line in lines[1:])
    return rows


def _rule(text: str, width: int, style: str) -> Line:
    text = cut(in_cells(text), max(1, width - 8))
    left = max(0, (width - len(text) - 2) // 2)
    right = max(0, width - len(text) - 2 - left)
    return [(f"class:{style}", f"{'─' * left} {text} {'─' * right}")]


def _day(entry: Entry) -> tuple[int, int]:
    local = time.localtime(entry.time)
    return local.tm_year, local.tm_yday
