"""Streams: the ascending lists of messages by which the past is found.

There is one for each room, one for everything private a person may see, and one for each private
conversation of a person. A private stream bears its person's name, so what is not one's own
cannot be asked for.

A private message stands in four streams: for each of the two who wrote to each other in what they
have with that nick, and in all they have, their *inbox*. What they have with each other is kept
once, as their *conversation*: two of the four are names under which that is seen.
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


def is_private(stream: str) -> bool:
    """Tell whether a stream is of what is private."""
    return stream.startswith("@")


def private_stream(person: str, nick: str) -> str:
    """Name the stream of what ``person`` and whoever held ``nick`` said to each other."""
    return f"@{person} {key(nick)}"


class Conversation(NamedTuple):
    """Where a message is kept: the conversation's ``name``; if it is private, the ``inboxes`` of
    those whose it is too, and the private streams (``sides``) in which each of them sees it."""

    name: str
    inboxes: tuple[str, ...] = ()
    sides: tuple[str, ...] = ()


def conversation_of(record: Said) -> Conversation:
    """Return the conversation that a message belongs to."""
    message, origin = record.message, record.origin
    if origin.for_ is None:
        return Conversation(room_stream(message.to))
    mine = private_stream(origin.by, message.to[1:])
    theirs = private_stream(origin.for_, message.from_)
    sides = tuple(sorted({mine, theirs}))
    inboxes = tuple(sorted({inbox_stream(origin.by), inbox_stream(origin.for_)}))
    return Conversation("\n".join(sides), inboxes, sides)
