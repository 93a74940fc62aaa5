"""Talking: what is said, to whom it goes, and paging through what was said. Pure.

Nothing is delivered or acknowledged here before the log has returned it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from framing.codec import encode
from framing.errors import ErrorWord
from framing.events import History, Message, Ok
from framing.limits import MAX_SEQ, TEXT, TEXT_ENCODED
from framing.names import LOBBY, is_private, is_room, key
from framing.requests import PageOf, Say
from parley.server.accounts import Accounts
from parley.server.archive import Archive
from parley.server.clock import Moment
from parley.server.hall import Hall
from parley.server.index import private_stream, room_stream
from parley.server.limits import Bucket, Rate
from parley.server.outbox import Outbox
from parley.server.records import Origin, Record, Said
from parley.server.session import Session

QUERIES: Final = Rate(20.0, 100)
"""Pages and lists one session may ask for. Each costs up to a millisecond, so that one session
can take two hundredths of the server's time, and a person scrolling never waits."""


class NobodyError(Exception):
    """There is no such nick."""


@dataclass(frozen=True, slots=True)
class Other:
    """The other side of a private conversation: the nick as they write it, and the person."""

    nick: str
    person: str


class Talk:
    """What those in ``hall`` say to each other. ``rate`` limits each session."""

    def __init__(
        self,
        hall: Hall,
        accounts: Accounts,
        archive: Archive,
        outbox: Outbox,
        append: Callable[[Record], None],
        rate: Rate,
    ) -> None:
        self._hall = hall
        self._accounts = accounts
        self._archive = archive
        self._outbox = outbox
        self._append = append
        self._rate = rate
        self._under_way: dict[tuple[str, int, str], tuple[Said, list[Session]]] = {}

    def say(self, session: Session, request: Say, moment: Moment) -> None:
        """Give a message to the log, unless it is there already."""
        ref = request.ref
        text = request.text
        if self._rate.rate and (
            wait := self._messages(session, moment).wait(self._rate, moment.mono)
        ):
            words = f"more than {self._rate.rate:g} messages a second: wait {wait:.1f} s"
            self._hall.refuse(session, ErrorWord.LIMIT_EXCEEDED, words, ref, wait)
            return
        size = len(text) if text.isascii() else len(text.encode())
        if size > TEXT or (size * 6 > TEXT_ENCODED and _encoded_size(text) > TEXT_ENCODED):
            words = f"a message has at most {TEXT} bytes, and {TEXT_ENCODED} with its escapes"
            self._hall.refuse(session, ErrorWord.TOO_LARGE, words, ref)
            return
        if not size:
            self._hall.refuse(session, ErrorWord.BAD_REQUEST, "a message has a text", ref)
            return
        to, person = LOBBY, None
        if request.to != LOBBY:
            try:
                to, person = self._recipient(request.to)
            except NobodyError as problem:
                word = ErrorWord.NO_SUCH_ROOM
                if is_private(request.to):
                    word = ErrorWord.NO_SUCH_NICK
                elif not is_room(request.to):
                    word = ErrorWord.BAD_REQUEST
                self._hall.refuse(session, word, str(problem), ref)
                return
        sent = (session.key, session.id, ref)
        under_way = self._under_way.get(sent)
        if under_way is not None:
            earlier, waiting = under_way
            if self._is_again(session, earlier, to, text):
                waiting.append(session)
            return
        stored = self._archive.sent(*sent, session.floor)
        if stored is not None and not self._is_anothers(session, stored, to, text):
            if self._is_again(session, stored, to, text):
                self._hall.tell(session, Ok(ref, stored.message.seq, stored.message.time))
            return
        if self._rate.rate:
            self._messages(session, moment).take(self._rate, moment.mono)
        message = Message(
            seq=0,
            from_=session.nick,
            id=session.id,
            to=to,
            text=text,
            time=moment.utc,
            size=size,
            sent=request.time,
        )
        said = Said(message, Origin(ref, session.person, person))
        self._under_way[sent] = said, [session]
        self._append(said)

    def said(self, record: Said, body: bytes) -> None:
        """The log has a message: acknowledge it, and deliver ``body`` to all others."""
        message, origin = record.message, record.origin
        _, waiting = self._under_way.pop((key(message.from_), message.id, origin.ref))
        ok = encode(Ok(origin.ref, message.seq, message.time))
        if origin.for_ is None:
            place = self._outbox.say(self._hall.lobby, body)
            for session in waiting:
                self._outbox.replace(session, place, ok)
            return
        for session in waiting:
            self._outbox.tell(session, ok)
        for person in {origin.by, origin.for_}:
            for session in self._hall.people.sessions_of(person):
                if session.live and session not in waiting:
                    self._outbox.tell(session, body)

    def not_said(self, record: Said, text: str) -> None:
        """The log could not take a message."""
        message, ref = record.message, record.origin.ref
        _, waiting = self._under_way.pop((key(message.from_), message.id, ref))
        for session in waiting:
            self._hall.refuse(session, ErrorWord.STORE_UNAVAILABLE, text, ref, retry_after=1.0)

    def page(self, session: Session, request: PageOf, moment: Moment) -> None:
        """Answer with a page of a conversation."""
        if self.too_many_queries(session, request.ref, moment):
            return
        name = request.with_
        if is_room(name) and key(name) == LOBBY:
            stream = room_stream(name)
        elif is_private(name):
            # A private stream is the asker's own: any nick may be named, with nothing to learn.
            stream = private_stream(session.person, name[1:])
        else:
            word = ErrorWord.NO_SUCH_ROOM if is_room(name) else ErrorWord.BAD_REQUEST
            self._hall.refuse(session, word, f"there is no conversation {name!r}", request.ref)
            return
        if request.after is None:
            before = MAX_SEQ if request.before is None else request.before
            messages, end = self._archive.newest([stream], before, request.limit)
        else:
            messages, end = self._archive.after([stream], request.after, request.limit)
            if request.before is not None:
                inside = [m for m in messages if m.seq < request.before]
                end = end or len(inside) < len(messages)
                messages = inside
        self.count_query(session, moment)
        self._hall.tell(session, History(messages, end, request.ref, name))

    def too_many_queries(self, session: Session, ref: str, moment: Moment) -> bool:
        """Tell whether a session must wait before it asks for a page or a list; if so it is
        refused here, if not, whoever answers counts it by ``count_query``."""
        if not self._rate.rate or session.queries is None:
            return False
        wait = session.queries.wait(QUERIES, moment.mono)
        if wait:
            words = f"more than {QUERIES.rate:g} queries a second: wait {wait:.1f} s"
            self._hall.refuse(session, ErrorWord.LIMIT_EXCEEDED, words, ref, wait)
        return wait > 0

    def count_query(self, session: Session, moment: Moment) -> None:
        """Count a query that has been answered."""
        if session.queries is None:
            session.queries = Bucket(QUERIES, moment.mono)
        session.queries.take(QUERIES, moment.mono)

    def _messages(self, session: Session, moment: Moment) -> Bucket:
        if session.messages is None:
            session.messages = Bucket(self._rate, moment.mono)
        return session.messages

    def _is_anothers(self, session: Session, stored: Said, to: str, text: str) -> bool:
        """Tell whether ``stored``, sent under the session's nick, id and ref, is an earlier
        holder's and no concern of this one. What was public and is the same counts as said by
        this one, which may have come back without its token."""
        if stored.origin.by == session.person:
            return False
        same = (key(stored.message.to), stored.message.text) == (key(to), text)
        return not same or stored.origin.for_ is not None

    def _is_again(self, session: Session, earlier: Said, to: str, text: str) -> bool:
        """Tell whether a message is ``earlier`` once more. If its ref was used for another one,
        say so to the session: neither is lost without a word."""
        if (key(earlier.message.to), earlier.message.text) == (key(to), text):
            return True
        words = "this nick and id have used this ref for another message: take a new one"
        self._hall.refuse(session, ErrorWord.BAD_REQUEST, words, earlier.origin.ref)
        return False

    def _recipient(self, to: str) -> tuple[str, str | None]:
        """Return ``to`` as it is written in messages, and the person if it is one.

        Raises ``NobodyError``.
        """
        if key(to) == LOBBY:
            return LOBBY, None
        if is_private(to):
            other = self._other(to[1:])
            return f"@{other.nick}", other.person
        if is_room(to):
            raise NobodyError(f"there is no room {to}")
        raise NobodyError("a message goes to a #room or to a @nick")

    def _other(self, nick: str) -> Other:
        """Find somebody: who is online, has an account, or held the nick last."""
        person = self._hall.people.get(key(nick))
        if person is not None:
            return Other(person.nick, person.name)
        account = self._accounts.get(nick)
        if account is not None:
            return Other(account.nick, account.person)
        holder = self._archive.holder(nick)
        if holder is not None:
            return Other(holder.nick, holder.person)
        raise NobodyError(f"nobody here is or was called {nick}")


def _encoded_size(text: str) -> int:
    """Bytes of ``text`` as JSON: a control character takes six, a quote or a backslash two."""
    return len(msgspec.json.encode(text))
