"""Going in and out of rooms, inviting, saying what a room is about. Pure.

What changes a room is a deed in the log: nobody is told before it is there.
"""

from collections.abc import Callable
from typing import Final

from framing.codec import encode
from framing.errors import ErrorWord
from framing.events import Invited, Joined, Left, Ok, Rooms, Topic
from framing.events import Room as Described
from framing.limits import PAGE, TOPIC
from framing.names import LOBBY, is_line, is_nick, is_room, key
from framing.requests import Enter, Invite, Leave, ListRooms, SetTopic
from parley.server.chat.finding import Finding, NobodyError
from parley.server.chat.hall import Hall
from parley.server.chat.people import ROSTER_EVERY, ROSTER_OVER
from parley.server.chat.rooms import Room
from parley.server.chat.session import Session
from parley.server.ground.bounds import Bounds
from parley.server.ground.clock import Moment
from parley.server.index.errors import NextTickError
from parley.server.log.records import Deed, Record

_ROOMS_BYTES: Final = 48 * 1024


class Visits:
    """Who is in which room of ``hall``; ``bounds`` says how many there may be. ``append`` hands
    a record to the log."""

    def __init__(
        self, hall: Hall, finding: Finding, append: Callable[[Record], None], bounds: Bounds
    ) -> None:
        self.bounds = bounds
        self._hall = hall
        self._finding = finding
        self._append = append
        self._asked: dict[int, tuple[Session, str]] = {}

    # Requests

    def rooms(self, session: Session, request: ListRooms, moment: Moment) -> None:
        """Answer with a page of the rooms one may know of."""
        found: list[Described] = []
        size = 0
        limit = min(request.limit, PAGE)
        end = True
        self._hall.rooms.lobby.online = len(self._hall.people)
        for room in self._hall.rooms.after(key(request.after or ""), session.person):
            described = room.described(session.person)
            size += len(encode(Rooms("", [described], True)))
            if len(found) == limit or size > _ROOMS_BYTES:
                end = False
                break
            found.append(described)
        self._hall.tell(session, Rooms(request.ref, found, end))

    def enter(self, session: Session, request: Enter, moment: Moment) -> None:
        """Go in; make the room if there is none."""
        name, ref = request.room, request.ref
        if not is_room(name):
            text = f"a room is # and 1 to 32 ASCII letters, digits, and _ - . only: {name!r}"
            self._hall.refuse(session, ErrorWord.BAD_REQUEST, text, ref)
            return
        room = self._hall.rooms.get(name)
        self._wait_for(session, name)
        if key(name) == LOBBY or (room is not None and session.person in room.members):
            self._hall.tell(session, Ok(ref))
            return
        if room is not None and not room.may_enter(session.person):
            text = f"{name} is private: somebody in it must invite you"
            self._hall.refuse(session, ErrorWord.FORBIDDEN, text, ref)
            return
        mine = self._hall.rooms
        most, made_by_one = self.bounds.rooms, self.bounds.rooms_made
        if len(mine.of(session.person)) >= self.bounds.rooms_entered:
            text = f"one can be in {self.bounds.rooms_entered} rooms at most"
            self._hall.refuse(session, ErrorWord.LIMIT_EXCEEDED, text, ref)
            return
        if room is None:
            if len(mine) >= most or mine.made_by(session.person) >= made_by_one:
                text = f"there can be no more rooms: {most} in all, {made_by_one} by one"
                self._hall.refuse(session, ErrorWord.LIMIT_EXCEEDED, text, ref)
                return
            self._hall.rooms.being_made.add(key(name))
            made = self._deed(session, "make", name, moment)
            made.private = request.private
            self._append(made)
        deed = self._deed(session, "enter", name if room is None else room.name, moment)
        deed.who, deed.whom = session.person, session.nick
        self._ask(session, deed, ref)

    def leave(self, session: Session, request: Leave, moment: Moment) -> None:
        """Go out."""
        room = self._mine(session, request.room, request.ref)
        if room is not None:
            deed = self._deed(session, "leave", room.name, moment)
            deed.who, deed.whom = session.person, session.nick
            self._ask(session, deed, request.ref)

    def invite(self, session: Session, request: Invite, moment: Moment) -> None:
        """Let somebody into a private room."""
        room = self._mine(session, request.room, request.ref)
        if room is None:
            return
        nick = request.nick.removeprefix("@")
        try:
            other = self._finding.other(nick if is_nick(nick) else "")
        except NobodyError as problem:
            self._hall.refuse(session, ErrorWord.NO_SUCH_NICK, str(problem), request.ref)
            return
        deed = self._deed(session, "invite", room.name, moment)
        deed.who, deed.whom = other.person, other.nick
        self._ask(session, deed, request.ref)

    def topic(self, session: Session, request: SetTopic, moment: Moment) -> None:
        """Say what a room is about, or tell what was said."""
        lobby = key(request.room) == LOBBY
        room = self._hall.rooms.lobby if lobby else self._mine(session, request.room, request.ref)
        if room is None:
            return
        if request.text is None and request.locked is None:
            known = Topic(room.name, room.topic, room.owner_nick, moment.utc, room.locked)
            self._hall.tell(session, known)
            self._hall.tell(session, Ok(request.ref))
            return
        may_lock = session.person == room.owner or session.moderator
        if (room.locked or request.locked is not None) and not may_lock:
            whom = f"{room.owner_nick} and moderators" if room.owner else "moderators"
            text = f"the topic of {room.name} is for {whom} to set"
            self._hall.refuse(session, ErrorWord.FORBIDDEN, text, request.ref)
            return
        text = room.topic if request.text is None else request.text
        if len(text.encode()) > TOPIC:
            words = f"a topic has at most {TOPIC} bytes"
            self._hall.refuse(session, ErrorWord.TOO_LARGE, words, request.ref)
            return
        if not is_line(text):
            words = "a topic is one line, without control characters"
            self._hall.refuse(session, ErrorWord.BAD_REQUEST, words, request.ref)
            return
        deed = self._deed(session, "topic", room.name, moment)
        deed.text = text
        deed.locked = room.locked if request.locked is None else request.locked
        self._ask(session, deed, request.ref)

    # The log's answer

    def done(self, deed: Deed, moment: Moment) -> None:
        """The log has a deed to a room: it is so from now on; tell those it concerns."""
        hall = self._hall
        self._hall.rooms.under_way.discard(deed.slot)
        room = hall.rooms.get(deed.room or "")  # leaving may be its end
        hall.rooms.apply(deed)
        room = room or hall.rooms.get(deed.room or "")
        if deed.room == LOBBY:
            room = hall.rooms.lobby
        assert room is not None
        if deed.do == "make":
            self._hall.rooms.being_made.discard(key(room.name))
            return
        asked = self._asked.pop(id(deed), None)
        if asked is not None:
            hall.tell(asked[0], Ok(asked[1], deed.seq, deed.time))
        who = deed.who or ""
        # One's own other sessions are told too: they hear the room from now on, or no more.
        others = [s for s in hall.people.sessions_of(who) if asked is None or s is not asked[0]]
        if deed.do == "enter":
            self._tell_coming(room, deed, moment, came=True)
            for other in others:
                hall.tell(other, Joined(other.nick, other.id, deed.time, room.name))
            hall.take_into(room, who)
        elif deed.do == "leave":
            hall.take_from(room, who)
            for other in others:
                hall.tell(other, Left(other.nick, other.id, deed.time, "left", room.name))
            self._tell_coming(room, deed, moment, came=False)
        elif deed.do == "invite":
            for session in hall.people.sessions_of(who):
                hall.tell(session, Invited(room.name, deed.nick, deed.time))
        else:
            told = Topic(room.name, room.topic, deed.nick, deed.time, room.locked)
            if room is hall.rooms.lobby:
                hall.announce(told)
            else:
                hall.say_in(room, encode(told))

    def not_done(self, deed: Deed, text: str) -> None:
        """The log could not take a deed."""
        self._hall.rooms.being_made.discard(key(deed.room or ""))
        self._hall.rooms.under_way.discard(deed.slot)
        asked = self._asked.pop(id(deed), None)
        if asked is not None:
            session, ref = asked
            self._hall.refuse(session, ErrorWord.STORE_UNAVAILABLE, text, ref, retry_after=1.0)

    def _tell_coming(self, room: Room, deed: Deed, moment: Moment, came: bool) -> None:
        """Tell those in a room who came or went; in a big one, with others and later."""
        sessions = sorted(session.id for session in self._hall.people.sessions_of(deed.who or ""))
        nick = deed.whom or deed.nick
        crowded = len(room.audience.members) > ROSTER_OVER or bool(room.comings)
        if crowded and not room.comings:
            room.comings.due = moment.mono + ROSTER_EVERY
            self._hall.crowded[room] = None
        for id_ in sessions or [0]:
            if crowded and came:
                room.comings.come(nick, id_)
            elif crowded:
                room.comings.go(nick, id_, "left")
            elif came:
                self._hall.say_in(room, encode(Joined(nick, id_, deed.time, room.name)))
            else:
                self._hall.say_in(room, encode(Left(nick, id_, deed.time, "left", room.name)))

    def _mine(self, session: Session, name: str, ref: str) -> Room | None:
        """Return the room if the session is in it, of those one may leave; else refuse."""
        if key(name) == LOBBY:
            self._hall.refuse(session, ErrorWord.FORBIDDEN, f"everybody is in {LOBBY}", ref)
            return None
        self._wait_for(session, name)
        room = self._hall.rooms.get(name)
        if room is not None and session.person in room.members:
            return room
        if room is not None and room.may_enter(session.person):
            self._hall.refuse(session, ErrorWord.FORBIDDEN, f"enter {room.name} first", ref)
        else:
            self._hall.refuse(session, ErrorWord.NO_SUCH_ROOM, f"there is no room {name}", ref)
        return None

    def _wait_for(self, session: Session, name: str) -> None:
        """What comes of a room that is being made or entered is known in the next tick."""
        if self._hall.rooms.is_changing(name, session.person):
            raise NextTickError

    def _ask(self, session: Session, deed: Deed, ref: str) -> None:
        if deed.slot in self._hall.rooms.under_way:
            raise NextTickError  # one after the other: each on what the one before made
        self._hall.rooms.under_way.add(deed.slot)
        self._asked[id(deed)] = session, ref
        self._append(deed)

    def _deed(self, session: Session, do: str, room: str, moment: Moment) -> Deed:
        return Deed(0, moment.utc, do, session.person, session.nick, room)
