"""Commands about rooms and who is in them."""

import time
from collections.abc import Awaitable

from framing.errors import ErrorWord
from framing.events import AnyEvent, Error, Room, Rooms, Users
from framing.names import LOBBY, is_nick, is_room, key
from framing.requests import (
    Enter,
    Invite,
    Leave,
    ListRooms,
    SetTopic,
    WhoIs,
)
from parley.client.commands.face import CannotError, Face, UsageError, say_outcome, say_refusal
from parley.client.ground.clean import clean
from parley.client.model.conversation import Conversation, Fate
from parley.client.model.people import Person, presence


def join(face: Face, rest: str) -> Awaitable[None]:
    name, _, how = rest.partition(" ")
    name = name if name.startswith("#") else f"#{name}"
    if not rest:
        raise UsageError("Which room?")
    if not is_room(name) or how.strip() not in ("", "private"):
        raise UsageError("A room's name has letters a to z, digits, and _ - . alone, 32 at most.")
    answer = face.session.request(lambda ref: Enter(ref, name, how.strip() == "private"))
    # What is typed next is meant for the room, and follows the request on its way.
    before, was_there = face.model.current, key(name) in face.model.conversations
    face.model.show(face.model.conversation(name))
    return _joined(face, name, answer, None if was_there else before)


async def _joined(
    face: Face, name: str, answer: Awaitable[AnyEvent], before: Conversation | None
) -> None:
    """Go back to ``before`` from a room that one may not enter, or perhaps has not entered."""
    try:
        answered = await answer
    except ConnectionError:
        _go_back(face, name, before)
        raise
    if isinstance(answered, Error):
        _go_back(face, name, before)
        say_refusal(face, answered)


def _go_back(face: Face, name: str, before: Conversation | None) -> None:
    """Take a room out and go to ``before``, unless something was said to it already, or is being
    typed: that stays, to be copied."""
    room = face.model.conversations.get(key(name))
    if room is None or before is None or face.session.memory.drafts.get(room.name):
        return
    if not any(entry.fate is not Fate.NONE for entry in room.entries):
        if face.model.current is room:
            face.go(before)
        face.model.take_out(name)


def leave(face: Face, rest: str) -> Awaitable[None] | None:
    name = rest or face.model.current.name
    if name.startswith("@"):
        _take_out(face, name)
        return None
    if not name.startswith("#"):
        raise UsageError("Which room?")
    known = _open(face, name)
    return _left(face, name, known, face.session.request(lambda ref: Leave(ref, name)))


async def _left(
    face: Face, name: str, known: set[tuple[str, Fate]], answer: Awaitable[AnyEvent]
) -> None:
    """Take a room out, unless something was said to it or refused meanwhile: that stays, to be
    copied. ``known`` is what was open before."""
    answered = await answer
    if not _is_not_in(face, name, answered) and say_refusal(face, answered):
        return
    if _open(face, name) <= known:
        _take_out(face, name)


def _open(face: Face, name: str) -> set[tuple[str, Fate]]:
    """Return the refs of what was said to a conversation and is not acknowledged, and its fates."""
    open_ = face.model.fates.open
    return {(entry.ref, entry.fate) for place, entry in open_ if key(place.name) == key(name)}


def _is_not_in(face: Face, name: str, answer: AnyEvent) -> bool:
    """Tell whether a room stands here that one never got into: something was said to it before it
    was known that one may not."""
    here = key(name) in face.model.conversations and key(name) != LOBBY
    words = (ErrorWord.NO_SUCH_ROOM.value, ErrorWord.FORBIDDEN.value)
    return here and isinstance(answer, Error) and answer.error in words


def _take_out(face: Face, name: str) -> None:
    gone, lobby = face.model.conversation(name), face.model.lobby
    memory = face.session.memory
    if face.model.current is gone:
        # What is typed behind /leave is meant for where that leads.
        typed = [draft for draft in (lobby.draft, memory.drafts.get(gone.name)) if draft]
        lobby.draft = "\n".join(typed)
        face.go(lobby)
    memory.keep_draft(gone.name, "")
    face.model.take_out(name)


def topic(face: Face, rest: str) -> Awaitable[None]:
    current = face.model.current
    room = current.name
    if not is_room(room):
        raise CannotError("This is no room.")
    if rest in ("lock", "unlock"):
        locked = rest == "lock"
        return _done(face, face.session.request(lambda ref: SetTopic(ref, room, None, locked)))
    if rest:
        return _done(face, face.session.request(lambda ref: SetTopic(ref, room, rest)))
    return _topic(face, current, face.session.request(lambda ref: SetTopic(ref, room)))


async def _topic(face: Face, current: Conversation, answer: Awaitable[AnyEvent]) -> None:
    known = current.topic
    current.asks_topic = True  # what comes now is no news
    try:
        if say_refusal(face, await answer):
            return
    finally:
        current.asks_topic = False
    room, topic = current.name, current.topic
    if topic == known:  # else it has been told
        said = f"{room} is about {topic}." if topic else f"Nobody has said what {room} is about."
        face.model.note(said, time.time())


def invite(face: Face, rest: str) -> Awaitable[None]:
    nick, room = rest.removeprefix("@"), face.model.current.name
    if not is_nick(nick) or not is_room(room):
        raise UsageError("Whom? In the room you invite to.")
    answer = face.session.request(lambda ref: Invite(ref, room, nick))
    return _done(face, answer, f"{nick} may enter {room} now, and was told.")


async def _done(face: Face, answer: Awaitable[AnyEvent], done: str = "") -> None:
    say_outcome(face, await answer, done)


async def rooms(face: Face, rest: str) -> None:
    found: list[Room] = []
    after: str | None = None
    while True:
        answer = await face.session.ask(lambda ref, a=after: ListRooms(ref, a))  # type: ignore[misc]
        if say_refusal(face, answer):
            return
        if not isinstance(answer, Rooms):
            raise ConnectionError("the server's answer makes no sense")
        found += answer.rooms
        last = answer.rooms[-1].room if answer.rooms else ""
        if answer.end or key(last) <= key(after or ""):
            break
        after = last
    wanted = [room for room in found if rest.lower() in key(room.room)]
    names = [clean(room.room[:64]) for room in wanted]
    column = max(map(len, names), default=0)
    lines = [
        f"{name:<{column}}  {room.people:>4} here  {_about_room(room)}".rstrip()
        for name, room in zip(names, wanted, strict=True)
    ]
    face.show("Rooms", "\n".join([*lines, "/join NAME goes into one, or makes it."]))


def _about_room(room: Room) -> str:
    words = ["you are in it"] if room.member else []
    words += ["private"] if room.private else []
    topic = clean(room.topic[:500])
    return f"{topic} ({', '.join(words)})".lstrip() if words else topic


async def users(face: Face, rest: str) -> None:
    await _list_people(face, "People", rest, None)


def who(face: Face, rest: str) -> Awaitable[None]:
    name = face.model.current.name
    if not is_room(name):
        raise CannotError("This is no room.")
    return _list_people(face, f"In {name}", rest, name)


async def _list_people(face: Face, title: str, rest: str, room: str | None) -> None:
    found, total = await people(face, room)
    wanted = [person for person in found if rest.lower() in key(person.nick)]
    column = max((len(person.nick) for person in wanted), default=0)
    lines = [f"{person.nick:<{column}}  {_about(person)}" for person in wanted]
    lines.append(f"{len(wanted)} of {total}" if rest else f"{total} in all")
    face.show(title, "\n".join(lines))


async def people(face: Face, room: str | None) -> tuple[list[Person], int]:
    """Ask who is here, or in ``room``, page by page; return them, and how many there are in all.

    Raises ``CannotError`` if that is refused, ``ConnectionError``.
    """
    found: list[Person] = []
    after: str | None = None
    while True:
        answer = await face.session.ask(
            lambda ref, a=after: WhoIs(ref, a, room=room)  # type: ignore[misc]
        )
        if isinstance(answer, Error):
            raise CannotError(answer.text)
        if not isinstance(answer, Users):
            raise ConnectionError("the server's answer makes no sense")
        found += face.model.people.told(answer.users)
        last = answer.users[-1].nick if answer.users else ""
        if answer.end or key(last) <= key(after or ""):
            return found, answer.total
        after = last


def _about(person: Person) -> str:
    return f"{presence(person, time.time())}, {'registered' if person.account else 'guest'}"
