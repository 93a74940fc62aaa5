"""Streams: the ascending lists of messages by which the past is found.

There is one for each room, one for everything private a person may see, and one for each private
conversation of a person. A private stream bears its person's name, so what is not one's own
cannot be asked for.
"""

from typing import NamedTuple

from framing.names import key
from parley.server.log.records import Said


class Stream(NamedTuple):
    """What somebody may see of a stream: all after seq ``floor``."""

    name: str
    floor: int = 0


def room_stream(room: str) -> str:
    """Name the stream of everything said in ``room``."""
    return key(room)


def inbox_stream(person: str) -> str:
    """Name the stream of everything private that ``person`` sent or received."""
    return f"@{person}"


def private_stream(person: str, nick: str) -> str:
    """Name the stream of what ``person`` and whoever held ``nick`` said to each other."""
    return f"@{person} {key(nick)}"


def streams_of(record: Said) -> list[str]:
    """Name the streams that a message belongs to."""
    message, origin = record.message, record.origin
    if origin.for_ is None:
        return [room_stream(message.to)]
    names = {
        inbox_stream(origin.by),
        inbox_stream(origin.for_),
        private_stream(origin.by, message.to[1:]),
        private_stream(origin.for_, message.from_),
    }
    return sorted(names)
