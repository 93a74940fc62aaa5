"""Searching the whole log, a stretch at a time, so that no search holds the loop. Pure."""

from dataclasses import dataclass, field
from typing import Final

from framing.codec import encode
from framing.errors import ErrorWord
from framing.events import History, Message
from framing.limits import FRAME, PAGE
from framing.names import is_nick, is_private, is_room
from framing.requests import Search
from parley.server.chat.hall import Hall
from parley.server.chat.session import Session
from parley.server.ground import clock
from parley.server.ground.bounds import Bounds
from parley.server.ground.clock import Moment
from parley.server.index.archive import Archive
from parley.server.index.errors import IndexBehindError, IndexUnavailableError
from parley.server.index.lookup import Sight
from parley.server.index.streams import Stream
from parley.server.index.words import too_costly

STRETCH: Final = 100_000
"""Most seqs that are looked through at once: a few milliseconds for the commonest words."""

_FIRST: Final = 256
"""Seqs that a search looks through first. While that is quick, twice as many each time: long
messages that are nothing but what is asked for take a hundred times as long as others."""

_SECONDS: Final = 0.004
"""After so long a search goes on in the next tick."""

_BYTES: Final = FRAME - 4096


@dataclass(slots=True)
class _Job:
    """A search under way: all before ``below`` down to ``floor`` is still to be looked through."""

    session: Session
    request: Search
    sight: Sight
    floor: int
    below: int
    found: list[Message] = field(default_factory=list)
    size: int = 0
    stretch: int = _FIRST


class Searching:
    """The searches under way, as many as ``bounds`` says."""

    def __init__(self, hall: Hall, archive: Archive, bounds: Bounds) -> None:
        self.bounds = bounds
        self._hall = hall
        self._archive = archive
        self._jobs: list[_Job] = []

    def search(self, session: Session, request: Search, moment: Moment) -> None:
        """Begin a search."""
        ref = request.ref
        rooms = self._hall.rooms
        streams: list[Stream] | None = rooms.streams(session.person)
        if request.with_ is not None:
            known = is_room(request.with_) or is_private(request.with_)
            stream = rooms.stream(session.person, request.with_) if known else None
            streams = None if stream is None else [stream]
        if streams is None:
            self._hall.refuse_conversation(session, request.with_ or "", ref)
            return
        sender = request.from_.removeprefix("@") if request.from_ is not None else None
        if sender is not None and not is_nick(sender):
            self._hall.refuse(session, ErrorWord.NO_SUCH_NICK, f"no nick is {sender!r}", ref)
            return
        if not (any(c.isalnum() for c in request.text) or sender or request.with_):
            text = "search for what? Words, from a nick, or in a conversation"
            self._hall.refuse(session, ErrorWord.BAD_REQUEST, text, ref)
            return
        if (costly := too_costly(request.text)) is not None:
            self._hall.refuse(session, ErrorWord.BAD_REQUEST, costly, ref)
            return
        if (busy := self._busy(session)) is not None:
            self._hall.refuse(session, ErrorWord.LIMIT_EXCEEDED, busy, ref, retry_after=1.0)
            return
        span = self._archive.seqs_between(request.since, request.until)
        below = span.stop if request.before is None else min(span.stop, request.before)
        job = _Job(session, request, self._archive.sight(streams), span.start, below)
        # It begins at once: that nearly always is enough.
        if not self._work(job):
            self._jobs.append(job)

    def _busy(self, session: Session) -> str | None:
        """Say why a session may not search now; None if it may. Others do not keep a moderator
        from finding what they must see."""
        if sum(job.session is session for job in self._jobs) >= self.bounds.searches:
            return f"{self.bounds.searches} searches of yours are under way: wait for one"
        if len(self._jobs) >= self.bounds.searches_total and not session.moderator:
            return "many are searching just now: wait a moment"
        return None

    def advance(self) -> None:
        """Take the search that has waited longest further."""
        if self._jobs:
            job = self._jobs.pop(0)
            try:
                over = job.session.state == "closed" or self._work(job)
            except IndexUnavailableError as problem:
                over = True
                self._hall.refuse_unavailable(job.session, job.request.ref, problem)
            except IndexBehindError:
                over = False
            if not over:
                self._jobs.append(job)

    @property
    def under_way(self) -> bool:
        """Whether ``advance`` has something to do."""
        return bool(self._jobs)

    def _work(self, job: _Job) -> bool:
        """Look through stretches, for a few milliseconds. Return whether the search has been
        answered."""
        until = clock.mono() + _SECONDS
        while not self._go_on(job):
            if clock.mono() >= until:
                job.stretch = max(_FIRST, job.stretch // 2)
                return False
            job.stretch = min(STRETCH, job.stretch * 2)
        return True

    def _go_on(self, job: _Job) -> bool:
        """Look through one stretch. Return whether the search has been answered."""
        request = job.request
        limit = min(request.limit, PAGE)
        start = max(job.floor, job.below - min(job.stretch, STRETCH), 0)
        nick = request.from_.removeprefix("@") if request.from_ is not None else None
        span = range(start, job.below)
        wanted = limit - len(job.found) + 1
        records, reached = self._archive.search(request.text, job.sight, nick, span, wanted * 2)
        full = False
        for record in records:
            message = next(iter(self._archive.now([record])), None)
            job.below = record.seq
            if message is None or not self._in_time(message, request):
                continue
            if is_room(message.to) and not self._saw(job.session, message):
                continue  # found by a change, but said before one could see it
            size = len(encode(message)) + 1
            if len(job.found) == limit or (job.found and job.size + size > _BYTES):
                full = True
                break
            job.found.append(message)
            job.size += size
        if not full:
            job.below = reached
        if not full and job.below > job.floor:
            return False
        job.found.sort(key=lambda message: message.seq)
        self._hall.tell(job.session, History(job.found, not full, request.ref, request.with_))
        return True

    def _saw(self, session: Session, message: Message) -> bool:
        stream = self._hall.rooms.stream(session.person, message.to)
        return stream is not None and message.seq > stream.floor

    def _in_time(self, message: Message, request: Search) -> bool:
        if request.since is not None and message.time < request.since:
            return False
        return request.until is None or message.time <= request.until
