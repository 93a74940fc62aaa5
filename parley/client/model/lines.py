"""An entry as lines of plain text, each to be understood alone."""

import time

from parley.client.model.conversation import Conversation, Entry, Kind


def lines_of(conversation: Conversation, entry: Entry, nick: str) -> list[str]:
    """Return an entry as lines that can be understood alone."""
    at = time.strftime("%H:%M", time.localtime(entry.time))
    if entry.kind is not Kind.SAID:
        return [f"[{at}] {entry.text}"]
    who = entry.nick
    if entry.to.startswith("@"):
        who = f"{entry.nick} to {entry.to[1:]}"
    elif conversation.name != "#lobby":
        who = f"{entry.nick} in {conversation.name}"
    mark = "[History] " if entry.past else ""
    if entry.redacted:
        return [f"{mark}[{at}] {who}: (taken back)"]
    changed = " (edited)" if entry.changed else ""
    if entry.text.startswith("/me "):
        return [f"{mark}[{at}] {who} {entry.text[4:]}{changed}"]
    first, *rest = f"{entry.text}{changed}".split("\n")
    return [f"{mark}[{at}] {who}: {first}", *(f"    {line}" for line in rest)]


def not_stored(count: int) -> str:
    """Say that ``count`` messages wait for the next start."""
    what = "1 message is" if count == 1 else f"{count} messages are"
    return f"{what} not stored yet; the next start sends {'it' if count == 1 else 'them'}."


def found_line(name: str, entry: Entry, brief: bool = False) -> str:
    """Return what a search found as one line; ``brief``: for where a line is short."""
    at = time.strftime("%m-%d" if brief else "%Y-%m-%d %H:%M", time.localtime(entry.time))
    gap = " " if brief else "  "
    return f"{at}{gap}{name}{gap}{entry.nick}: {' '.join(entry.text.split())}"
