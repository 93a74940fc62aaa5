"""What is asked of the server so that there is something to show: older messages, who is here, what
a room is about, what was said around a message.

Nobody waits for it, so that neither a refusal nor a connection which breaks is a fault: the next
time asks again.
"""

import contextlib
from typing import Final

from framing.names import key
from framing.requests import SetTopic
from parley.client.commands import rooms, searching, talking
from parley.client.commands.face import CannotError, Face
from parley.client.model.conversation import Conversation, Entry
from parley.client.model.lines import lines_of

_OLDER: Final = 200  # messages in a page that scrolling up brings
_CONTEXT: Final = 15  # messages before and after one that was found


async def older(face: Face) -> None:
    """Bring an older page of the current conversation, if there is one."""
    with contextlib.suppress(ConnectionError):
        await talking.load_older(face.session, face.model, _OLDER)


async def people(face: Face) -> None:
    """Ask for those who are here and did not fit the welcome: their nicks are completed too."""
    with contextlib.suppress(ConnectionError, CannotError):
        await rooms.people(face, None)


async def room(face: Face, room: Conversation) -> None:
    """Ask who is in a room, and what it is about."""
    with contextlib.suppress(ConnectionError, CannotError):
        if room is not face.model.lobby:
            found, _ = await rooms.people(face, room.name)
            room.members = {key(person.nick) for person in found}
        room.asks_topic = True
        try:
            await face.session.ask(lambda ref: SetTopic(ref, room.name))
        finally:
            room.asks_topic = False


async def context(face: Face, name: str, entry: Entry) -> tuple[list[str], int] | None:
    """Return what was said around a message as lines, and which of them is its first; None if
    there is no connection."""
    with contextlib.suppress(ConnectionError):
        around = await searching.context(face, name, entry.seq, _CONTEXT)
        at = 0
        lines: list[str] = []
        where = Conversation(name)
        for other in around:
            here = other.seq == entry.seq
            at = len(lines) if here else at
            said = lines_of(where, other, face.model.nick)
            lines += [f"{'▶' if here else ' '} {line}" for line in said]
        return lines, at
    return None
