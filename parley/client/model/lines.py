"""An entry as lines of plain text, each to be understood alone."""

import time
from collections.abc import Mapping, Sequence

from parley.client.ground.clean import clean_name, clean_text
from parley.client.ground.store import Waiting
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


def not_stored(messages: Sequence[Waiting], kept: bool) -> str:
    """Say that ``messages`` wait for the next start, or if they are not ``kept`` what they are."""
    one = len(messages) == 1
    what = "1 message is" if one else f"{len(messages)} messages are"
    if kept:
        return f"{what} not stored yet; the next start sends {'it' if one else 'them'}."
    what = f"{what} not stored, and could NOT be kept for the next start:"
    return "\n".join([what, *(_to(m.to, m.text) for m in messages)])


def not_kept(drafts: Mapping[str, str]) -> str:
    """Say what was being typed, by conversation, and could not be kept for the next start."""
    what = "What was being typed could NOT be kept for the next start:"
    return "\n".join([what, *(_to(*draft) for draft in drafts.items())])


def _to(name: str, text: str) -> str:
    return f"to {clean_name(name)}: " + clean_text(text).replace("\n", "\n    ")


def found_line(name: str, entry: Entry, brief: bool = False) -> str:
    """Return what a search found as one line; ``brief``: for where a line is short."""
    at = time.strftime("%m-%d" if brief else "%Y-%m-%d %H:%M", time.localtime(entry.time))
    gap = " " if brief else "  "
    return f"{at}{gap}{name}{gap}{entry.nick}: {' '.join(entry.text.split())}"
