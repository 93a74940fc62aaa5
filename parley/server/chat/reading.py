"""Reading: pages of what was said, what somebody has read, and how often one may ask. Pure."""

from framing.errors import ErrorWord
from framing.events import HasRead, History
from framing.limits import MAX_SEQ
from framing.names import LOBBY, is_private, is_room
from framing.requests import PageOf, Read
from parley.server.chat.finding import Finding, NobodyError
from parley.server.chat.hall import Hall
from parley.server.chat.session import Session
from parley.server.ground.clock import Moment
from parley.server.ground.limits import Bucket, Rate
from parley.server.index.archive import Archive


class Reading:
    """What those in ``hall`` read. ``queries`` limits what each session asks for."""

    def __init__(self, hall: Hall, finding: Finding, archive: Archive, queries: Rate) -> None:
        self._hall = hall
        self._finding = finding
        self._archive = archive
        self.queries = queries

    def page(self, session: Session, request: PageOf, moment: Moment) -> None:
        """Answer with a page of a conversation."""
        name = request.with_
        stream = None
        if is_room(name) or is_private(name):
            stream = self._hall.rooms.stream(session.person, name)
        if stream is None:
            self._hall.refuse_conversation(session, name, request.ref)
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
        self._hall.tell(session, History(messages, end, request.ref, name))

    def read(self, session: Session, request: Read, moment: Moment) -> None:
        """Note what an account has read, and tell its other sessions; and the other in a private
        conversation if the account likes."""
        stream = None
        if is_room(request.with_) or is_private(request.with_):
            stream = self._hall.rooms.stream(session.person, request.with_)
        if stream is None or not session.account or not self._archive.knows(stream.name):
            return
        seq = min(request.seq, self._archive.seq)
        if self._archive.has_read(session.person, stream.name, seq):
            told = HasRead(self._as_written(request.with_), seq)
            for other in self._hall.people.sessions_of(session.person):
                if other is not session:
                    self._hall.tell(other, told)
            # Not more often than it may ask for something: others are not to be flooded with that.
            if request.show and is_private(request.with_) and not self._query_wait(session, moment):
                self.count_query(session, moment)
                self._show_read(session, request.with_[1:], seq)

    def _show_read(self, session: Session, nick: str, seq: int) -> None:
        try:
            other = self._finding.other(nick)
        except NobodyError:
            return
        for theirs in self._hall.people.sessions_of(other.person):
            self._hall.tell(theirs, HasRead(f"@{session.nick}", seq, session.nick))

    def _as_written(self, conversation: str) -> str:
        if is_private(conversation):
            return f"@{self._finding.as_written(conversation[1:])}"
        room = self._hall.rooms.get(conversation)
        return LOBBY if room is None else room.name

    def too_many_queries(self, session: Session, ref: str, moment: Moment) -> bool:
        """Tell whether a session must wait before it asks for a page or a list; if so it is
        refused here, if not, whoever answers counts it by ``count_query``."""
        wait = self._query_wait(session, moment)
        if wait:
            words = f"more than {self.queries.rate:g} queries a second: wait {max(0.1, wait):.1f} s"
            self._hall.refuse(session, ErrorWord.LIMIT_EXCEEDED, words, ref, wait)
        return wait > 0

    def _query_wait(self, session: Session, moment: Moment) -> float:
        """Return the seconds that a session must wait before its next query."""
        if not self.queries.rate or session.queries is None:
            return 0.0
        return session.queries.wait(self.queries, moment.mono)

    def count_query(self, session: Session, moment: Moment) -> None:
        """Count a query that has been answered."""
        if not self.queries.rate:
            return
        if session.queries is None:
            session.queries = Bucket(self.queries, moment.mono)
        session.queries.take(self.queries, moment.mono)
