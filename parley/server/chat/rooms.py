"""The rooms: which there are, who is in them, who may see what of them. State only; pure.

It is what the log's deeds make of it, one after the other: ``apply`` gives the same state at
every start. A room is made by who enters it first; who is in it stays in it, online or not,
until they leave; with the last it goes. A room of the same name later is another one: nothing
is seen there of what was said in the first.
"""

import bisect
from collections.abc import Iterator

from framing.events import Room as Described
from framing.names import LOBBY, key
from parley.server.chat.outbox import Audience
from parley.server.chat.people import Comings
from parley.server.index.streams import Stream, inbox_stream, private_stream, room_stream
from parley.server.log.records import Deed


class Room:
    """A room, made at the seq ``made``. ``members`` are persons, each with the seq from which on
    they are in it; ``online`` says how many of them are, which the hall keeps."""

    __slots__ = (
        "audience",
        "comings",
        "invited",
        "locked",
        "made",
        "members",
        "name",
        "online",
        "owner",
        "owner_nick",
        "private",
        "topic",
    )

    def __init__(self, name: str, owner: str, owner_nick: str, private: bool, made: int) -> None:
        self.name = name
        self.made = made
        self.owner = owner
        self.owner_nick = owner_nick
        self.private = private
        self.topic = ""
        self.locked = False
        self.members: dict[str, int] = {}
        self.online = 0
        self.invited: set[str] = set()
        self.audience = Audience()
        self.comings = Comings()

    def may_enter(self, person: str) -> bool:
        """Tell whether ``person`` may go in."""
        return (
            not self.private
            or person in self.members
            or person == self.owner
            or person in self.invited
        )

    def floor(self, person: str) -> int:
        """Return the seq after which a member may see what was said."""
        return self.members[person] - 1 if self.private else self.made

    def described(self, person: str) -> Described:
        """Return what ``person`` is told of it."""
        member = person in self.members or self.name == LOBBY
        owner = self.owner_nick or None
        return Described(
            self.name, self.online, self.topic, self.private, member, owner, self.locked
        )


class Rooms:
    """All rooms. ``lobby`` is everybody's and for ever: of it there is only what it is about. The
    others are what is counted, and what can be entered and left."""

    def __init__(self) -> None:
        self.lobby = Room(LOBBY, "", "", False, 0)
        self._rooms: dict[str, Room] = {}
        self._keys: list[str] = []
        self._of: dict[str, dict[str, Room]] = {}
        self._made: dict[str, int] = {}
        self._nicks: dict[str, str] = {}  # of those in rooms
        self.being_made: set[str] = set()
        self.under_way: set[str] = set()
        """Keys of rooms and slots of deeds that the log is being given in this tick."""

    def __len__(self) -> int:
        return len(self._rooms)

    def get(self, name: str) -> Room | None:
        """Return the room of this name, or None."""
        return self._rooms.get(key(name))

    def seen_by(self, name: str, person: str) -> Room | None:
        """Return the room of this name if ``person`` may know of it, or None."""
        room = self._rooms.get(key(name))
        return room if room is not None and room.may_enter(person) else None

    def is_changing(self, name: str, person: str) -> bool:
        """Tell whether in this tick the room is being made, ``person`` is going in or out, or all
        go out, which is the room's end."""
        name = key(name)
        if name in self.being_made or f"member {name} {person}" in self.under_way:
            return True
        room = self._rooms.get(name)
        return room is not None and all(
            f"member {name} {member}" in self.under_way for member in room.members
        )

    def of(self, person: str) -> list[Room]:
        """Return the rooms that ``person`` is in."""
        return list(self._of.get(person, {}).values())

    def guests(self) -> list[str]:
        """Return the guests who are in any room."""
        return [person for person in self._of if person.startswith("~")]

    def nick_of(self, person: str) -> str:
        """Return the nick under which somebody who is in rooms last entered one."""
        return self._nicks[person]

    def made_by(self, person: str) -> int:
        """Count the rooms that ``person`` has made."""
        return self._made.get(person, 0)

    def is_public(self, name: str) -> bool:
        """Tell whether everybody may know of what goes on in a room: of one that is gone nobody
        knows whether they may."""
        room = self.get(name)
        return name == LOBBY or (room is not None and not room.private)

    def after(self, name_key: str, person: str) -> Iterator[Room]:
        """Yield the rooms that ``person`` may know of, by name, with keys over ``name_key``."""
        keys = self._keys[bisect.bisect_right(self._keys, name_key) :]
        if name_key < LOBBY:
            bisect.insort(keys, LOBBY)
        for other in keys:
            if other == LOBBY:
                yield self.lobby
            elif self._rooms[other].may_enter(person):
                yield self._rooms[other]

    def apply(self, deed: Deed) -> None:
        """Take in a deed that the log has."""
        if deed.room is None:
            return
        name = key(deed.room)
        if deed.do == "make":
            if name not in self._rooms:
                self._rooms[name] = Room(deed.room, deed.by, deed.nick, deed.private, deed.seq)
                bisect.insort(self._keys, name)
                self._made[deed.by] = self._made.get(deed.by, 0) + 1
            return
        room = self.lobby if name == LOBBY else self._rooms.get(name)
        if room is None:
            return
        if deed.do == "enter" and deed.who is not None:
            if deed.who not in room.members:
                room.members[deed.who] = deed.seq
                self._of.setdefault(deed.who, {})[name] = room
                self._nicks[deed.who] = deed.whom or deed.nick
        elif deed.do == "leave" and deed.who is not None:
            room.members.pop(deed.who, None)
            mine = self._of.get(deed.who, {})
            mine.pop(name, None)
            if not mine:
                self._of.pop(deed.who, None)
                self._nicks.pop(deed.who, None)
            if not room.members:
                self._remove(name)
        elif deed.do == "invite" and deed.who is not None:
            room.invited.add(deed.who)
        elif deed.do == "topic":
            room.topic = deed.text or ""
            room.locked = deed.locked

    def remove_empty(self) -> None:
        """All deeds have been taken in: rooms that nobody is in are gone."""
        for name in [name for name, room in self._rooms.items() if not room.members]:
            self._remove(name)

    def _remove(self, name: str) -> None:
        room = self._rooms.pop(name)
        del self._keys[bisect.bisect_left(self._keys, name)]
        self._made[room.owner] -= 1
        if not self._made[room.owner]:
            del self._made[room.owner]

    # What somebody may see

    def stream(self, person: str, conversation: str) -> Stream | None:
        """Return what ``person`` may see of a conversation; None if it is none of theirs.

        A private room is seen from when one entered it. A private conversation is the asker's
        own: any nick may be named, with nothing to learn.
        """
        if conversation.startswith("@"):
            return Stream(private_stream(person, conversation[1:]))
        if key(conversation) == LOBBY:
            return Stream(LOBBY)
        room = self.get(conversation)
        if room is None or person not in room.members:
            return None
        return Stream(room_stream(room.name), room.floor(person))

    def streams(self, person: str) -> list[Stream]:
        """Return all that ``person`` may see."""
        streams = [Stream(LOBBY), Stream(inbox_stream(person))]
        for name, room in self._of.get(person, {}).items():
            streams.append(Stream(name, room.floor(person)))
        return streams
