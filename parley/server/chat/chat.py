"""The chat: every request finds its rule here. Pure: no socket, no file, no clock of its own.

In one tick the chat is asked these things, in this order:

1. ``receive`` each request. What must outlive a restart goes to the log as a record; what can
   be answered at once goes to the outbox. Then ``sent_again``: what of it the log has already.
2. ``applied`` with the records that the log has made durable: only now are they
   acknowledged and delivered. (``not_applied`` if the log could not.)
3. ``advance``: what time has brought, and what somebody still has to be given of the past.
4. after the outbox has been flushed, ``settle``.

To add a request: its type in ``framing.requests``, its handler, and a line in the table below.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from framing.errors import BodyError, ErrorWord, FrameError
from framing.events import Ok, Pong, Presence, Shutdown, Users
from framing.limits import PAGE
from framing.names import LOBBY, key
from framing.requests import (
    AnyRequest,
    Away,
    Ban,
    DeleteFile,
    Disconnect,
    Edit,
    Enter,
    Fetch,
    Get,
    Invite,
    Join,
    Kick,
    Leave,
    ListActs,
    ListFiles,
    ListRooms,
    Login,
    Mute,
    PageOf,
    Ping,
    Put,
    Read,
    Redact,
    Register,
    Response,
    Say,
    Search,
    SetTopic,
    ShutdownAck,
    Store,
    Typing,
    Unban,
    Unmute,
    WhoIs,
)
from parley.server.accounts.accounts import Accounts
from parley.server.accounts.scram import Secret
from parley.server.chat.absence import Absence
from parley.server.chat.addresses import Addresses
from parley.server.chat.answers import Answers
from parley.server.chat.bans import Bans
from parley.server.chat.entrance import Entrance, Greeting
from parley.server.chat.finding import Finding
from parley.server.chat.hall import Hall
from parley.server.chat.moderation import Moderation
from parley.server.chat.outbox import Frame, Outbox
from parley.server.chat.people import People
from parley.server.chat.reading import Reading
from parley.server.chat.searching import Searching
from parley.server.chat.session import Session, State
from parley.server.chat.sharing import Sharing
from parley.server.chat.talk import Saying, Talk
from parley.server.chat.visits import Visits
from parley.server.files.shelf import Shelf
from parley.server.ground.bounds import Bounds
from parley.server.ground.clock import Moment
from parley.server.ground.counts import Counts
from parley.server.ground.limits import Rate
from parley.server.index.archive import Archive
from parley.server.index.errors import IndexUnavailableError, NextTickError
from parley.server.log.log import Stored
from parley.server.log.records import Deed, Guest, Record

SHORT_TEXT_BYTES = 1000
"""Longest text of being away, and last word."""

_NO_STORE = "the server cannot store anything now: try again"
_ALSO_SAYS = frozenset({Away, Invite, SetTopic})
"""Requests by which one could say something to others though one is muted."""

_WHILE_STOPPING: frozenset[type] = frozenset({Ping, Disconnect, ShutdownAck})

Handler = Callable[[Session, Any, Moment], None]


class Chat:
    """The rules, over ``accounts`` and ``archive``.

    ``append`` hands a record to the log; ``new_secret`` returns a new unguessable string;
    ``addresses`` knows what comes from where, and how much may.
    """

    def __init__(
        self,
        accounts: Accounts,
        secret: Secret,
        archive: Archive,
        append: Callable[[Record], None],
        greeting: Greeting,
        rate: Rate,
        new_secret: Callable[[], str],
        shelf: Shelf,
        addresses: Addresses,
    ) -> None:
        self.outbox = Outbox()
        self.addresses = addresses
        self._answers = Answers(self.outbox, append)
        append = self._answers.append
        bounds = addresses.bounds
        self._people = People(accounts)
        self._hall = Hall(self._people, archive, self.outbox, self._answers)
        self._bans = bans = Bans()
        self._finding = finding = Finding(self._people, accounts, archive)
        self._entrance = Entrance(
            self._hall,
            accounts,
            finding,
            bans,
            addresses,
            secret,
            archive,
            append,
            greeting,
            new_secret,
        )
        self._talk = Talk(self._hall, finding, bans, archive, self.outbox, self._answers, rate)
        self._reading = Reading(self._hall, finding, archive, _queries(rate, bounds))
        self._searching = Searching(self._hall, archive, bounds)
        self._visits = Visits(self._hall, finding, append, bounds)
        self._moderation = Moderation(self._hall, bans, finding, archive, append)
        self.sharing = Sharing(
            self._hall, finding, bans, self._talk, shelf, append, new_secret, secret
        )
        self._absence = Absence(self._hall, archive, append, bounds)
        self._stopping = False
        anybody: dict[type, Handler] = {
            Join: self._entrance.join,
            Login: self._entrance.login,
            Response: self._entrance.response,
            Ping: self._ping,
            Disconnect: self._disconnect,
            ShutdownAck: self._shutdown_ack,
            Fetch: self._misplaced,
            Store: self._misplaced,
        }
        joined: dict[type, Handler] = {
            Say: self._talk.say,
            Edit: self._talk.edit,
            Redact: self._talk.redact,
            Read: self._reading.read,
            Typing: self._talk.typing,
            Register: self._entrance.register,
        }
        self._queries: dict[type, Handler] = {
            PageOf: self._reading.page,
            Search: self._searching.search,
            WhoIs: self._users,
            Away: self._away,
            ListRooms: self._visits.rooms,
            Enter: self._visits.enter,
            Leave: self._visits.leave,
            Invite: self._visits.invite,
            SetTopic: self._visits.topic,
            Kick: self._moderation.kick,
            Ban: self._moderation.ban,
            Unban: self._moderation.unban,
            Mute: self._moderation.mute,
            Unmute: self._moderation.unmute,
            ListActs: self._moderation.acts,
            ListFiles: self.sharing.files,
            Get: self.sharing.get,
            Put: self.sharing.put,
            DeleteFile: self.sharing.delete,
        }
        joined |= dict.fromkeys(self._queries, self._query)
        self._handlers: dict[State, dict[type, Handler]] = {
            "new": anybody,
            "waiting": anybody,
            "joined": anybody | joined,
            "closed": {},
        }
        for deed in archive.deeds():
            self._hall.rooms.apply(deed)
            bans.apply(deed)
            shelf.apply(deed)
        self._hall.rooms.remove_empty()
        self.sharing.clear_away({item.to for item in shelf.all_shared()})

    # What the tick asks

    def connect(self, address: str, frame: Frame) -> Session:
        """Return the session of a new connection. ``frame`` is how its door frames a body."""
        return Session(address, frame)

    def receive(self, session: Session, request: AnyRequest, moment: Moment) -> None:
        """Deal with a request.

        Raises ``IndexBehindError`` if the past it asks for cannot be looked up yet: give the
        same request again later, or, if it is an ``IndexUnavailableError``, say so by
        ``unavailable``. Nothing has been done then.
        """
        handle = self._handlers[session.state].get(type(request)) or self._not_now
        self._answers.asking = session
        try:
            handle(session, request, moment)
        finally:
            self._answers.asking = None

    def _not_now(self, session: Session, request: AnyRequest, moment: Moment) -> None:
        """Refuse what nobody may ask any more, or not this one."""
        if session.state == "closed":
            return
        ref = getattr(request, "ref", None)
        if self._stopping:
            self._hall.refuse(session, ErrorWord.SHUTTING_DOWN, "the server is stopping", ref)
        else:
            self._hall.refuse(session, ErrorWord.NOT_JOINED, "join or log in first", ref)

    def _query(self, session: Session, request: AnyRequest, moment: Moment) -> None:
        """Deal with a request of those of which one may ask only so many."""
        kind = type(request)
        if kind in _ALSO_SAYS and self._is_muted(session, request, moment):
            return
        if not self._reading.too_many_queries(session, request.ref or "", moment):  # type: ignore[union-attr]
            self._queries[kind](session, request, moment)
            self._reading.count_query(session, moment)

    @property
    def counts(self) -> Counts:
        """What has been counted since the start."""
        return self._hall.counts

    @property
    def present(self) -> tuple[int, int, int]:
        """How many sessions have joined, how many people they are, and how many rooms there
        are."""
        return len(self._hall), len(self._people), len(self._hall.rooms)

    def _is_muted(self, session: Session, request: AnyRequest, moment: Moment) -> bool:
        """Tell whether a session can say nothing; if so it is refused here. To be back from
        being away, or to ask for a topic, says nothing."""
        says = getattr(request, "text", None) or isinstance(request, Invite)
        return bool(says) and self._talk.is_muted(session, getattr(request, "ref", None), moment)

    def malformed(self, session: Session, problem: BodyError) -> None:
        """A well-framed body was no request."""
        self._hall.refuse(session, ErrorWord.BAD_REQUEST, str(problem), problem.ref)

    def unavailable(
        self, session: Session, request: AnyRequest, problem: IndexUnavailableError
    ) -> None:
        """The past that a request asks for cannot be looked up."""
        self._hall.refuse_unavailable(session, getattr(request, "ref", None), problem)

    def broken(self, session: Session, problem: FrameError, moment: Moment) -> None:
        """The session's bytes were no frame: it can only be told so and closed."""
        self.turn_away(session, ErrorWord.BAD_FRAME, str(problem), "lost", moment)

    def detach(self, session: Session) -> None:
        """A session's connection carries a file from now on, and nothing of the chat."""
        session.state = "closed"

    def turn_away(
        self, session: Session, word: ErrorWord, text: str, reason: str, moment: Moment
    ) -> None:
        """Tell a session why it has to go, and close it."""
        self._hall.refuse(session, word, text)
        self._hall.go(session, reason, moment)
        self._hall.close(session)

    def lost(self, session: Session, reason: str, moment: Moment) -> None:
        """A session's connection is gone."""
        if session.state != "closed":
            self._hall.go(session, "shutdown" if self._stopping else reason, moment)

    def sent_again(self, moment: Moment) -> list[Record]:
        """Return the records of this tick that say what the log has already: they are not to be
        written again. Who has sent them is answered as if they had been."""
        return self._talk.sent_again(moment)

    def applied(self, stored: Sequence[Stored], moment: Moment) -> None:
        """The log has these records."""
        held = self._answers.come()
        said = self._talk.said
        messages = 0
        for one in stored:
            record = one.record
            if isinstance(record, Saying):
                messages += 1
                said(record, one.body)
            elif isinstance(record, Guest):
                self._entrance.taken_in(record, moment)
            elif isinstance(record, Deed):
                self._doers(record).done(record, moment)
                if record.do == "leave":
                    self.sharing.clear_away([record.room or ""])
            if held:
                self._answers.told(record)
        self._answers.all_told()
        self._talk.all_said()
        self.counts.messages += messages

    def not_applied(self, records: Iterable[Record]) -> None:
        """The log could not take these records."""
        self._answers.come()
        for record in records:
            if isinstance(record, Guest):
                self._entrance.not_taken_in(record, _NO_STORE)
            elif isinstance(record, Deed):
                self._doers(record).not_done(record, _NO_STORE)
            elif isinstance(record, Saying):
                self._talk.not_said(record, _NO_STORE)
            self._answers.told(record)
        self._answers.all_told()
        self._talk.all_said()

    def _doers(self, deed: Deed) -> Visits | Moderation | Sharing:
        """Return who asked for a deed."""
        if deed.file is not None:
            return self.sharing
        return self._visits if deed.room is not None else self._moderation

    def commit_accounts(self) -> None:
        """Make durable who has registered, one a tick."""
        self._entrance.commit()

    def advance(self, moment: Moment) -> None:
        """Say what is due, and give those who are catching up their next page."""
        self._hall.tell_roster(moment)
        self._hall.replay(moment)
        self._searching.advance()
        self.sharing.advance(moment)
        self._absence.advance(moment)

    def settle(self) -> list[Session]:
        """The outbox has been flushed. Return the sessions whose connections are to end."""
        self._hall.settle()
        closing, self._hall.closing = self._hall.closing, []
        return closing

    @property
    def due(self) -> float | None:
        """When ``advance`` has something to do, in monotonic seconds; None: no need."""
        clearing = self.sharing.clearing or self._absence.under_way
        if self._searching.under_way or clearing or self._entrance.registering:
            return 0.0
        return self._hall.due

    def reload(self, greeting: Greeting | None, rate: Rate | None, bounds: Bounds | None) -> None:
        """Greet and limit otherwise from now on, if these are given; roles may have changed."""
        if greeting is not None:
            self._entrance.greeting = greeting
        if rate is not None:
            self._talk.rate = rate
        if bounds is not None:
            self.addresses.bounds = self._visits.bounds = self._searching.bounds = bounds
            self._absence.bounds = bounds
        self._reading.queries = _queries(self._talk.rate, self.addresses.bounds)
        for session in self._people.sessions():
            session.role = self._finding.role(session.person, session.nick)

    def stop(self, reason: str, grace: float) -> None:
        """Tell everybody that the server stops within ``grace`` seconds."""
        self._stopping = True
        for state, handlers in self._handlers.items():
            self._handlers[state] = {
                kind: handlers[kind] for kind in _WHILE_STOPPING if kind in handlers
            }
        self._hall.announce(Shutdown(reason, grace))

    # The small requests

    def _ping(self, session: Session, request: Ping, moment: Moment) -> None:
        self._hall.tell(session, Pong(request.ref, moment.utc))

    def _disconnect(self, session: Session, request: Disconnect, moment: Moment) -> None:
        if self._answers.waits(session):
            raise NextTickError  # nobody hears of the leaving before what was said last
        self._hall.tell(session, Ok(request.ref))
        said = request.text or ""
        text = said if 0 < len(said.encode()) <= SHORT_TEXT_BYTES else None
        if self._bans.muted(session.person, session.key, moment) is not None:
            text = None
        self._hall.go(session, "disconnect", moment, text)
        self._hall.close(session)

    def _misplaced(self, session: Session, request: Fetch | Store, moment: Moment) -> None:
        text = "files go over a connection of their own, which has not joined"
        self._hall.refuse(session, ErrorWord.BAD_REQUEST, text)

    def _shutdown_ack(self, session: Session, request: ShutdownAck, moment: Moment) -> None:
        if self._stopping:
            self._hall.close(session)

    def _users(self, session: Session, request: WhoIs, moment: Moment) -> None:
        limit = min(request.limit, PAGE)
        after = key(request.after or "")
        if request.room is None or key(request.room) == LOBBY:
            users, total, end = self._people.page(after, limit)
        else:
            room = self._hall.rooms.seen_by(request.room, session.person)
            if room is None:
                text = f"there is no room {request.room}"
                self._hall.refuse(session, ErrorWord.NO_SUCH_ROOM, text, request.ref)
                return
            users, total, end = self._people.among(room.members, after, limit)
        self._hall.tell(session, Users(request.ref, users, total, end))

    def _away(self, session: Session, request: Away, moment: Moment) -> None:
        if request.text and len(request.text.encode()) > SHORT_TEXT_BYTES:
            text = f"a text for being away has at most {SHORT_TEXT_BYTES} bytes"
            self._hall.refuse(session, ErrorWord.TOO_LARGE, text, request.ref)
            return
        person = self._people.get(session.key)
        assert person is not None
        person.be("online" if request.text is None else "away", request.text, moment.utc)
        self._hall.tell(session, Ok(request.ref))
        self._hall.announce(Presence(person.nick, person.status, person.since, person.text))


def _queries(rate: Rate, bounds: Bounds) -> Rate:
    """Return how much one may ask: where no limit is wanted to what one says, there is none."""
    return bounds.queries.rate if rate.rate else rate
