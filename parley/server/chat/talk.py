"""Talking: what is said, and to whom it goes. Pure.

Nothing is delivered or acknowledged here before the log has returned it.
"""

from typing import Final

import msgspec

from framing.codec import encode
from framing.errors import ErrorWord
from framing.events import IsTyping, Message, Ok
from framing.limits import TEXT, TEXT_ENCODED
from framing.names import LOBBY, is_private, is_room, key
from framing.requests import Edit, Redact, Say, Typing
from parley.server.chat.answers import Answers
from parley.server.chat.bans import Bans
from parley.server.chat.finding import Finding, NobodyError
from parley.server.chat.hall import Hall
from parley.server.chat.outbox import Audience, Outbox
from parley.server.chat.session import Session
from parley.server.ground.clock import Moment
from parley.server.ground.limits import Bucket, Rate
from parley.server.index.archive import Archive
from parley.server.index.errors import NextTickError, PastUnreadableError
from parley.server.log.records import Deed, Origin, Record, Said, Sent

_FITS: Final = min(TEXT, TEXT_ENCODED // 6)
"""Bytes of a text that can be said whatever its escapes: the longest is of six."""

TYPING_EVERY: Final = 3.0
"""Seconds between two times that somebody is said to be writing, at least."""


class Saying(Said, gc=False):
    """Something said that is on its way to the log, with those who wait to be told that it is
    there."""

    sent: Sent
    waiting: list[Session]


class Talk:
    """What those in ``hall`` say to each other. ``rate`` limits what each session says."""

    def __init__(
        self,
        hall: Hall,
        finding: Finding,
        bans: Bans,
        archive: Archive,
        outbox: Outbox,
        answers: Answers,
        rate: Rate,
    ) -> None:
        self._hall = hall
        self._finding = finding
        self._bans = bans
        self._archive = archive
        self._outbox = outbox
        self._answers = answers
        self._append = answers.append
        self.rate = rate
        self._taking_back: set[int] = set()  # messages, in this tick
        self._under_way: dict[Sent, Saying] = {}
        self._unasked: list[Sent] = []  # those of them that may have been sent before
        self._again: list[Record] = []  # and those that were, in this tick

    def say(self, session: Session, request: Say, moment: Moment) -> None:
        """Give a message to the log, unless it is there already."""
        ref = request.ref
        if self._too_fast(session, ref, moment):
            return
        size = self._size(session, request, moment)
        if not size:
            return
        to, person = LOBBY, None
        if request.to != LOBBY:
            try:
                to, person = self.recipient(session, request.to)
            except NoWayError as problem:
                if not self._sent_before(session, request):
                    self._hall.refuse(session, problem.word, str(problem), ref)
                return
        message = Message(
            seq=0,
            from_=session.nick,
            id=session.id,
            to=to,
            text=request.text,
            time=moment.utc,
            size=size,
            sent=request.time,
        )
        self._give(session, message, Origin(ref, session.person, person), moment)

    def edit(self, session: Session, request: Edit, moment: Moment) -> None:
        """Say an own message anew."""
        if self._too_fast(session, request.ref, moment) or self._sent_before(session, request):
            return
        size = self._size(session, request, moment)
        original = self._changeable(session, request) if size else None
        if original is not None:
            self._change(session, request, original, moment, request.text, size)

    def redact(self, session: Session, request: Redact, moment: Moment) -> None:
        """Take a message back."""
        if self._too_fast(session, request.ref, moment) or self._sent_before(session, request):
            return
        if self.is_muted(session, request.ref, moment):
            return
        original = self._changeable(session, request)
        if original is not None and self._change(session, request, original, moment, "", 0):
            self._taking_back.add(request.seq)
            if original.origin.by != session.person:
                deed = Deed(0, moment.utc, "redact", session.person, session.nick)
                deed.who, deed.whom = original.origin.by, original.message.from_
                to = original.message.to
                where = to if self._hall.rooms.is_public(to) else "a private room"
                deed.text = f"message {request.seq} in {where}"
                self._append(deed)

    def _change(
        self,
        session: Session,
        request: Edit | Redact,
        original: Said,
        moment: Moment,
        text: str,
        size: int,
    ) -> bool:
        """Give a change to the log. Return whether it is on its way."""
        message = Message(
            seq=0,
            from_=session.nick,
            id=session.id,
            to=original.message.to,
            text=text,
            time=moment.utc,
            size=size,
        )
        if isinstance(request, Edit):
            message.edit_of = request.seq
        else:
            message.redact_of = request.seq
        origin = Origin(request.ref, session.person, original.origin.for_)
        return self._give(session, message, origin, moment, at_once=True)

    def _changeable(self, session: Session, request: Edit | Redact) -> Said | None:
        """Return the message that a request is about if the session may change it so; else
        refuse. A moderator may take back what is not said by another with a role; nobody can
        give anybody else's message another text."""
        seq, ref = request.seq, request.ref
        said = self._archive.said(seq)
        if (
            said is None
            or not self._sees(session, said)
            or said.message.edit_of is not None
            or said.message.redact_of is not None
            or seq in self._taking_back
        ):
            said = None
        if said is None or self._archive.is_redacted(seq):
            self._hall.refuse(session, ErrorWord.NO_SUCH_MESSAGE, f"there is no message {seq}", ref)
            return None
        if said.origin.by != session.person:
            role = self._finding.role(said.origin.by, said.message.from_)
            may = isinstance(request, Redact) and session.moderator and said.origin.for_ is None
            if not may or (role is not None and session.role != "admin"):
                text = "only who said it can change a message, and a moderator take it back"
                self._hall.refuse(session, ErrorWord.FORBIDDEN, text, ref)
                return None
        return said

    def _sent_before(self, session: Session, request: Say | Edit | Redact) -> bool:
        """Tell whether this very message or change is made, or on its way, already: sent once
        more it gets its answer, though by now it could not be made."""
        sent = (session.key, session.id, request.ref)
        under_way = self._under_way.get(sent)
        earlier = under_way or self._archive.sent(*sent, session.floor)
        if earlier is None or not _is_same(request, earlier.message):
            return False
        if under_way is not None:
            under_way.waiting.append(session)
        elif earlier.origin.by == session.person:
            self._hall.tell(session, Ok(request.ref, earlier.seq, earlier.message.time))
        else:
            return False
        return True

    def _too_fast(self, session: Session, ref: str, moment: Moment) -> bool:
        """Tell whether a session must wait before it says more; if so it is refused here."""
        if not self.rate.rate:
            return False
        messages = self._messages(session, moment)
        wait = messages.wait(self.rate, moment.mono)
        if wait and self._unasked:
            self._ask_together(moment)  # what was sent again gives back what it took
            wait = messages.wait(self.rate, moment.mono)
        if wait:
            words = f"more than {self.rate.rate:g} messages a second: wait {max(0.1, wait):.1f} s"
            self._hall.refuse(session, ErrorWord.LIMIT_EXCEEDED, words, ref, wait)
        return wait > 0

    def _sees(self, session: Session, said: Said) -> bool:
        """Tell whether a message is one that the session may see."""
        if said.origin.for_ is not None:
            return session.person in (said.origin.by, said.origin.for_)
        stream = self._hall.rooms.stream(session.person, said.message.to)
        return stream is not None and said.seq > stream.floor

    def _size(self, session: Session, request: Say | Edit, moment: Moment) -> int:
        """Return the size of a text that may be said, in bytes; 0 if it is refused."""
        text, ref = request.text, request.ref
        until = self._bans.muted(session.person, session.key, moment)
        if until is not None:
            if not self._sent_before(session, request):
                self._refuse_muted(session, until, ref)
            return 0
        size = len(text) if text.isascii() else len(text.encode())
        if size > _FITS and (size > TEXT or _encoded_size(text) > TEXT_ENCODED):
            words = f"a message has at most {TEXT} bytes, and {TEXT_ENCODED} with its escapes"
            self._hall.refuse(session, ErrorWord.TOO_LARGE, words, ref)
            return 0
        if not size:
            self._hall.refuse(session, ErrorWord.BAD_REQUEST, "a message has a text", ref)
        return size

    def is_muted(self, session: Session, ref: str | None, moment: Moment) -> bool:
        """Tell whether a session can say nothing; if so it is refused here."""
        until = self._bans.muted(session.person, session.key, moment)
        if until is not None:
            self._refuse_muted(session, until, ref)
        return until is not None

    def _refuse_muted(self, session: Session, until: str, ref: str | None) -> None:
        self._hall.refuse(session, ErrorWord.MUTED, f"you can say nothing {until}", ref)

    def _give(
        self,
        session: Session,
        message: Message,
        origin: Origin,
        moment: Moment,
        at_once: bool = False,
    ) -> bool:
        """Give a message to the log, unless it is on its way. Return whether it was given.

        Whether it is there already is asked ``at_once``, or if the answer may have to be waited
        for; else for all of a tick together, by ``sent_again``.
        """
        sent = (session.key, session.id, origin.ref)
        asked = at_once or self._archive.behind
        if asked and sent not in self._under_way:
            stored = self._archive.sent(*sent, session.floor)
            if stored is not None and not self._is_anothers(session, stored, message):
                self._answer_again(session, stored, message)
                return False
        saying = Saying(message, origin, sent, [session])
        under_way = self._under_way.setdefault(sent, saying)
        if under_way is not saying:
            if self._is_again(session, under_way, message):
                under_way.waiting.append(session)
            return False
        if not asked:
            self._unasked.append(sent)
        if self.rate.rate:
            self._messages(session, moment).take(self.rate, moment.mono)
        self._append(saying)
        return True

    def sent_again(self, moment: Moment) -> list[Record]:
        """Answer those messages of this tick that the log has already. Return them: they are not to
        be written again."""
        if self._unasked:
            self._ask_together(moment)
        again, self._again = self._again, []
        return again

    def _ask_together(self, moment: Moment) -> None:
        """Find out which of the messages that are on their way the log has already."""
        unasked, self._unasked = self._unasked, []
        for sent, span in self._archive.find_sent(unasked).items():
            saying = self._under_way[sent]
            message, sender = saying.message, saying.waiting[0]
            stored: Said | PastUnreadableError
            try:
                stored = self._archive.read_sent(span)
                if self._is_anothers(sender, stored, message):
                    continue
            except PastUnreadableError as problem:
                stored = problem
            with self._answers.in_place_of(saying, sender):
                for session in saying.waiting:
                    if isinstance(stored, Said):
                        self._answer_again(session, stored, message)
                    else:
                        self._hall.refuse_unavailable(session, sent[2], stored)
            if self.rate.rate:
                self._messages(sender, moment).give_back(self.rate, moment.mono)
            del self._under_way[sent]
            self._again.append(saying)

    def say_for(self, person: str, message: Message, ref: str, for_: str | None) -> None:
        """Give a message to the log that comes of something ``person`` did. All their sessions
        are sent it too."""
        sent = (key(message.from_), message.id, ref)
        self._under_way[sent] = saying = Saying(message, Origin(ref, person, for_), sent, [])
        self._append(saying)

    def said(self, saying: Saying, body: bytes) -> None:
        """The log has a message: acknowledge it, and deliver ``body`` to all others."""
        message, origin, waiting = saying.message, saying.origin, saying.waiting
        ok = encode(Ok(origin.ref, message.seq, message.time))
        if waiting and waiting[0].account:
            # Who says something in a conversation has read it.
            stream = self._hall.rooms.stream(origin.by, message.to)
            if stream is not None:
                self._archive.has_read(origin.by, stream.name, message.seq)
        if origin.for_ is None:
            self._tell_room(saying, body, ok)
            return
        tell, sessions_of = self._outbox.tell, self._hall.people.sessions_of
        for session in waiting:
            tell(session, ok)
        for session in sessions_of(origin.for_):
            if session.live and session not in waiting:
                tell(session, body)
        if origin.by != origin.for_:
            for session in sessions_of(origin.by):
                if session.live and session not in waiting:
                    tell(session, body)

    def _tell_room(self, saying: Saying, body: bytes, ok: bytes) -> None:
        """Deliver what was said in a room; who waits hears ``ok`` in its place."""
        message, waiting = saying.message, saying.waiting
        room = None if message.to == LOBBY else self._hall.rooms.get(message.to)
        if room is None and message.to != LOBBY:
            heard = Audience()  # the room went in this very tick: nobody is in it
        else:
            heard = self._hall.lobby if room is None else room.audience
        place = self._outbox.say(heard, body)
        original = message.edit_of or message.redact_of
        if room is not None and room.private and original is not None:
            # Who came in after something was said learns nothing of it by its change.
            for person, since in room.members.items():
                if original < since:
                    for session in self._hall.people.sessions_of(person):
                        if session not in waiting:
                            self._outbox.replace(session, place, None)
        for session in waiting:
            self._outbox.replace(session, place, ok)

    def not_said(self, saying: Saying, text: str) -> None:
        """The log could not take a message."""
        ref = saying.origin.ref
        for session in saying.waiting:
            self._hall.refuse(session, ErrorWord.STORE_UNAVAILABLE, text, ref, retry_after=1.0)

    def all_said(self) -> None:
        """The log has answered for all messages: none is on its way any more."""
        self._under_way.clear()
        self._taking_back.clear()

    def typing(self, session: Session, request: Typing, moment: Moment) -> None:
        """Tell those it concerns that somebody is writing: now and then, not for each key."""
        if self._bans.muted(session.person, session.key, moment) is not None:
            return
        to = key(request.to)
        active = request.state == "active"
        last = session.typing
        if active:
            if last is not None and moment.mono - last[1] < TYPING_EVERY:
                return
        elif last is None or last[0] != to:
            return
        try:
            name, person = self.recipient(session, request.to)
        except NoWayError:
            return
        session.typing = (to, moment.mono) if active or last is None else ("", last[1])
        event = IsTyping(session.nick, name, request.state)
        if person is not None:
            for other in self._hall.people.sessions_of(person):
                self._hall.tell(other, event)
            return
        room = self._hall.rooms.get(name)
        heard = self._hall.lobby if room is None else room.audience
        place = self._outbox.say(heard, encode(event))
        self._outbox.replace(session, place, None)

    def _messages(self, session: Session, moment: Moment) -> Bucket:
        if session.messages is None:
            session.messages = Bucket(self.rate, moment.mono)
        return session.messages

    def _is_anothers(self, session: Session, stored: Said, message: Message) -> bool:
        """Tell whether ``stored``, sent under the session's nick, id and ref, is an earlier
        holder's and no concern of this one. What was public and is the same counts as said by
        this one, which may have come back without its token."""
        if stored.origin.by == session.person:
            return False
        return _said(stored.message) != _said(message) or stored.origin.for_ is not None

    def _answer_again(self, session: Session, stored: Said, message: Message) -> None:
        """Answer a session for a message whose ref it has used already, for ``stored``."""
        if self._is_again(session, stored, message):
            ok = Ok(stored.origin.ref, stored.seq, stored.message.time)
            self._answers.tell(session, encode(ok))  # though it may have been told to go since

    def _is_again(self, session: Session, earlier: Said, message: Message) -> bool:
        """Tell whether a message is ``earlier`` once more. If its ref was used for another one,
        say so to the session: neither is lost without a word."""
        if _said(earlier.message) == _said(message):
            return True
        words = "this nick and id have used this ref for another message: take a new one"
        self._hall.refuse(session, ErrorWord.BAD_REQUEST, words, earlier.origin.ref)
        return False

    def recipient(self, session: Session, to: str) -> tuple[str, str | None]:
        """Return ``to`` as it is written in messages, and the person if it is one.

        Raises ``NoWayError``.
        """
        if to.startswith("@") and to.isascii():  # who is online has a nick that is one
            person = self._hall.people.get(key(to[1:]))
            if person is not None:
                return f"@{person.nick}", person.name
        if is_private(to):
            try:
                other = self._finding.other(to[1:])
            except NobodyError as problem:
                raise NoWayError(ErrorWord.NO_SUCH_NICK, str(problem)) from None
            return f"@{other.nick}", other.person
        if not is_room(to):
            text = "a message goes to a #room or to a @nick"
            raise NoWayError(ErrorWord.BAD_REQUEST, text)
        if key(to) == LOBBY:
            return LOBBY, None
        if self._hall.rooms.is_changing(to, session.person):
            raise NextTickError  # what comes of that is known then
        room = self._hall.rooms.seen_by(to, session.person)
        if room is None:
            raise NoWayError(ErrorWord.NO_SUCH_ROOM, f"there is no room {to}")
        if session.person not in room.members:
            raise NoWayError(ErrorWord.FORBIDDEN, f"enter {room.name} first")
        return room.name, None


class NoWayError(Exception):
    """Nothing can be said there."""

    def __init__(self, word: ErrorWord, text: str) -> None:
        super().__init__(text)
        self.word = word


def _is_same(request: Say | Edit | Redact, message: Message) -> bool:
    """Tell whether ``message`` is what became of ``request``."""
    if isinstance(request, Say):
        return (key(request.to), request.text, None, None) == _said(message)
    if isinstance(request, Edit):
        return (message.edit_of, message.text) == (request.seq, request.text)
    return message.redact_of == request.seq


def _said(message: Message) -> tuple[object, ...]:
    """Return what makes two messages the same one sent twice."""
    return key(message.to), message.text, message.edit_of, message.redact_of


def _encoded_size(text: str) -> int:
    """Bytes of ``text`` as JSON: a control character takes six, a quote or a backslash two."""
    return len(msgspec.json.encode(text))
