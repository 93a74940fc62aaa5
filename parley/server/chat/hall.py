"""The hall: where sessions are together. Coming, going, being told, and what one missed.

It knows who is there and who hears what; what they say is not its subject. Pure:
what is to be sent goes to the outbox, time is passed in.
"""

import logging
from math import ceil
from typing import Final

from framing.codec import encode
from framing.errors import ErrorWord
from framing.events import Error, Event, History, Joined, Left, Roster
from framing.names import is_room
from parley.server.chat.answers import Answers
from parley.server.chat.outbox import Audience, Outbox
from parley.server.chat.people import ROSTER_ENTRIES, ROSTER_EVERY, ROSTER_OVER, Comings, People
from parley.server.chat.rooms import Room, Rooms
from parley.server.chat.session import Session
from parley.server.ground.clock import Moment
from parley.server.ground.counts import Counts
from parley.server.index.archive import Archive
from parley.server.index.errors import IndexBehindError, IndexUnavailableError, PastUnreadableError

ERROR_CHARS: Final = 500
"""Longest text of an error: it may quote what was asked, which may be long."""

REPLAY_WITHOUT_SINCE: Final = 50
"""Messages that a client gets which does not say what it has."""

REPLAY_PER_TICK: Final = 2000
"""Messages read for replays in one tick: about 5 ms."""

LONG: Final = 512
"""Characters, or bytes, of a text that cost a tick as much as another short message: it must bring
no more than clients can be sent."""

REPLAY_AGAIN: Final = 0.05
"""Seconds until a page is asked for again that the index did not have yet."""

logger = logging.getLogger(__name__)


class Hall:
    """Everybody who has joined, the room they are all in, and the other rooms."""

    def __init__(self, people: People, archive: Archive, outbox: Outbox, answers: Answers) -> None:
        self.people = people
        self.counts = Counts()
        self.lobby = Audience()
        self.rooms = Rooms()
        self.crowded: dict[Room, None] = {}  # rooms with comings that are to be told together
        self.closing: list[Session] = []
        self._archive = archive
        self._outbox = outbox
        self._answers = answers
        self._comings = Comings()
        self._catching_up: dict[Session, None] = {}
        self._arrived: dict[Session, None] = {}
        self._sessions = 0
        self._replay_at = 0.0

    # Being told

    def tell(self, session: Session, event: Event) -> None:
        """Tell one session."""
        if session.state != "closed":
            self._answers.tell(session, encode(event))

    def refuse(
        self,
        session: Session,
        word: ErrorWord,
        text: str,
        ref: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Tell a session that what it asked is not done, and why."""
        self.counts.refusals[word.value] += 1
        # Rounded up: after less than that it would be refused again, or not be told to wait at all.
        wait = None if retry_after is None else ceil(retry_after * 1000) / 1000
        self.tell(session, Error(word.code, word.value, text[:ERROR_CHARS], ref, wait))

    def refuse_unavailable(
        self, session: Session, ref: str | None, problem: IndexUnavailableError
    ) -> None:
        """Tell a session that the past it asked for cannot be looked up: not soon, or never."""
        again = None if isinstance(problem, PastUnreadableError) else 1.0
        self.refuse(session, ErrorWord.STORE_UNAVAILABLE, problem.told, ref, again)

    def refuse_conversation(self, session: Session, name: str, ref: str) -> None:
        """Tell a session that it has no part in a conversation. Of a private room it is not to
        learn that there is one."""
        room = self.rooms.seen_by(name, session.person)
        if room is not None:
            self.refuse(session, ErrorWord.FORBIDDEN, f"enter {room.name} first", ref)
        elif is_room(name):
            self.refuse(session, ErrorWord.NO_SUCH_ROOM, f"there is no room {name}", ref)
        else:
            text = f"a conversation is a #room or a @nick, not {name!r}"
            self.refuse(session, ErrorWord.BAD_REQUEST, text, ref)

    def announce(self, event: Event) -> None:
        """Tell everybody who has joined, those too who are still being given what they missed."""
        body = encode(event)
        self._outbox.say(self.lobby, body)
        for session in self._catching_up:
            self._outbox.tell(session, body)

    def say_in(self, room: Room, body: bytes) -> int:
        """Tell those in a room, those too who are still being given what they missed. Return
        the place in the order at which the others hear it."""
        place = self._outbox.say(room.audience, body)
        for session in self._catching_up:
            if session.person in room.members:
                self._outbox.tell(session, body)
        return place

    # How many of a room are online is counted as they come and go: to look through the members
    # of five hundred rooms for one list would take longer than a tick.

    def take_into(self, room: Room, person: str) -> None:
        """From now on the sessions of ``person``, who has entered a room, hear it."""
        room.online += self.people.by_name(person) is not None
        for session in self.people.sessions_of(person):
            if session.live:
                self._outbox.enter(room.audience, session)

    def take_from(self, room: Room, person: str) -> None:
        """``person`` has left it: from now on they no longer do."""
        room.online -= self.people.by_name(person) is not None
        for session in self.people.sessions_of(person):
            self._outbox.leave(room.audience, session)

    def close(self, session: Session) -> None:
        """Let a session's connection end, once it has been sent what it was told."""
        if session.state == "joined":
            self._take_out(session)
        session.state = "closed"
        self.closing.append(session)

    # Coming and going

    def evict(self, session: Session, text: str) -> None:
        """End a session whose place somebody takes who may. Nobody else is told."""
        self.refuse(session, ErrorWord.EVICTED, text)
        logger.info("evicted nick=%s id=%d address=%s", session.nick, session.id, session.address)
        self.close(session)

    def come(self, session: Session, moment: Moment, quietly: bool) -> None:
        """Take in a session that has just been welcomed. ``quietly``: it replaces another."""
        session.state = "joined"
        session.messages = session.queries = None
        session.entered = self._archive.seq
        if not quietly:
            if self._together():
                self._comings.come(session.nick, session.id)
            else:
                self.announce(Joined(session.nick, session.id, moment.utc))
        if self.people.by_name(session.person) is None:
            for room in self.rooms.of(session.person):
                room.online += 1
        self.people.add(session, moment.utc)
        self._sessions += 1
        self.counts.joins["account" if session.account else "guest"] += 1
        logger.info(
            "joined nick=%s id=%d address=%s %s",
            session.nick,
            session.id,
            session.address,
            "account" if session.account else "guest",
        )
        if session.bot:
            session.cursor = self._archive.seq
        self._catching_up[session] = None

    def go(self, session: Session, reason: str, moment: Moment, text: str | None = None) -> None:
        """Take out a session that leaves or is lost, and tell the others."""
        if session.state != "joined":
            session.state = "closed"
            return
        self._take_out(session)
        session.state = "closed"
        self.counts.left[reason] += 1
        logger.info(
            "left nick=%s id=%d address=%s reason=%s",
            session.nick,
            session.id,
            session.address,
            reason,
        )
        if self._together():
            self._comings.go(session.nick, session.id, reason)
        else:
            self.announce(Left(session.nick, session.id, moment.utc, reason, None, text))

    def _take_out(self, session: Session) -> None:
        self._sessions -= 1
        self.people.remove(session)
        self.lobby.members.pop(session, None)
        offline = self.people.by_name(session.person) is None
        for room in self.rooms.of(session.person):
            room.audience.members.pop(session, None)
            room.online -= offline
        self._catching_up.pop(session, None)

    def __len__(self) -> int:
        """Count the sessions that have joined."""
        return self._sessions

    # Big rooms: comings and goings together (a storm of joins must not cost n squared frames)

    def _together(self) -> bool:
        return self._sessions > ROSTER_OVER or bool(self._comings)

    def tell_roster(self, moment: Moment) -> None:
        """Tell who came and went, if there is something to tell and it is time."""
        if self._comings and moment.mono >= self._comings.due:
            while self._comings:
                came, went = self._comings.take(ROSTER_ENTRIES)
                self.announce(Roster(came, went, len(self.people), moment.utc))
            self._comings.due = moment.mono + ROSTER_EVERY
        for room in list(self.crowded):
            if moment.mono >= room.comings.due:
                del self.crowded[room]
                while room.comings:
                    came, went = room.comings.take(ROSTER_ENTRIES)
                    told = Roster(came, went, room.online, moment.utc, room.name)
                    self.say_in(room, encode(told))

    # What one missed. A session hears its rooms as things happen only when it has been given
    # all that came before: so it gets everything once, in order, and however much there is, no
    # more of it is kept in memory than one page.

    def replay(self, moment: Moment) -> None:
        """Give those who are catching up their next page, in turn, as far as one tick goes."""
        left = REPLAY_PER_TICK
        if moment.mono < self._replay_at:
            return
        for session in list(self._catching_up):
            if left <= 0:
                return
            if session.congested or session in self._arrived:
                continue
            # To the end of the queue: the next tick begins with those who had to wait.
            del self._catching_up[session]
            self._catching_up[session] = None
            try:
                left -= self._replay_page(session)
            except IndexBehindError:
                self._replay_at = moment.mono + REPLAY_AGAIN

    @property
    def due(self) -> float | None:
        """When there is a ``roster`` to tell or a page to give, in monotonic seconds; 0 for now,
        None for not as things are."""
        dues = [self._comings.due] if self._comings else []
        dues += [room.comings.due for room in self.crowded]
        if any(not session.congested for session in self._catching_up):
            dues.append(self._replay_at)
        return min(dues, default=None)

    def _replay_page(self, session: Session) -> int:
        """Tell a session its next page. Return what that cost, in messages."""
        streams = self.rooms.streams(session.person)
        if session.cursor is None:
            session.cursor = self._archive.before_newest(streams, REPLAY_WITHOUT_SINCE)
        messages, session.cursor, end, told = self._archive.missed(streams, session.cursor)
        if told is not None:
            self.refuse(session, ErrorWord.STORE_UNAVAILABLE, told)
        # What it has said itself since it came it knows by the reply.
        mine = session.nick, session.id
        others = [m for m in messages if m.seq <= session.entered or (m.from_, m.id) != mine]
        if session.bot:
            # It wants nothing of the past; this came between its welcome and now.
            for message in others:
                self.tell(session, message)
        else:
            self.tell(session, History(others, end, replay=True))
        if end:
            self._arrived[session] = None
        read = sum(message.size for message in messages) // LONG
        return len(messages) + read + 10 + 5 * len(streams)

    def settle(self) -> None:
        """After a tick's ``flush``: who has been given everything hears the rest as it happens."""
        for session in self._arrived:
            if session.state == "joined":
                session.live = True
                del self._catching_up[session]
                self._outbox.enter(self.lobby, session)
                for room in self.rooms.of(session.person):
                    self._outbox.enter(room.audience, session)
        self._arrived.clear()
