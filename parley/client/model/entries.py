"""A message of the wire as an entry of a timeline: made safe, and told whether it names one."""

from framing.events import Message
from framing.names import key
from parley.client.ground.clean import clean, clean_name, clean_text, sane
from parley.client.model.conversation import Entry, Kind


def entry_of(message: Message, nick: str, past: bool) -> Entry:
    """Return a message as an entry, seen by ``nick``; ``past``: it was said before one came."""
    entry = Entry(
        Kind.SAID,
        sane(message.time),
        clean_text(message.text),
        clean(message.from_),
        clean_name(message.to),
    )
    entry.seq = message.seq
    entry.past = past
    entry.changed = message.changed is not None and not message.redacted
    entry.redacted = message.redacted
    if message.file is not None and clean(message.file.name) == message.file.name:
        entry.file = message.file.name
    if key(entry.nick) != key(nick):
        entry.mention = mentions(message.text, key(nick))
    return entry


def place_of(message: Message, nick: str) -> str:
    """Name the conversation that a message belongs to, seen by ``nick``."""
    if not message.to.startswith("@"):
        return clean_name(message.to)
    other = message.to[1:] if key(message.from_) == key(nick) else message.from_
    return f"@{clean_name(other)}"


def mentions(text: str, nick_key: str) -> bool:
    """Tell whether ``text`` names the nick, as a word of its own."""
    lowered = text.lower()
    at = lowered.find(nick_key) if nick_key else -1
    while at >= 0:
        end = at + len(nick_key)
        before = lowered[at - 1] if at else " "
        after = lowered[end] if end < len(lowered) else " "
        if not (before.isalnum() or before in "_-") and not (after.isalnum() or after in "_-"):
            return True
        at = lowered.find(nick_key, at + 1)
    return False
