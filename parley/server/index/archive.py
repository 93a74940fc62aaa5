"""What was said, to be read again: the log, found by the index. Reads, never writes.

What was changed later is given as it is now: with its new text, or without any if it was
taken back.
"""

import contextlib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from framing.codec import encode
from framing.events import Message
from framing.limits import FRAME, PAGE
from parley.server.index.errors import PastUnreadableError
from parley.server.index.index import Holder, Index
from parley.server.index.lookup import Lookup, Sight
from parley.server.index.streams import Stream
from parley.server.log.log import Log, Span, UnreadableError
from parley.server.log.records import Deed, Record, Said, Sent

_PAGE_BYTES: Final = FRAME - 2048
"""Bytes of records in one page. A record's line is longer than the message in it, so that a
page of this size fits a frame with all else that is there."""

_SEARCH_BYTES: Final = 4 * FRAME
"""Bytes of records that are read at once for a search."""


class Missed(NamedTuple):
    """A page of what somebody has missed: all up to the seq ``upto``, whether there is no more, and
    what to say to them if something of it cannot be read back."""

    messages: list[Message]
    upto: int
    end: bool
    told: str | None


class Archive:
    """The past. Every question may raise ``IndexBehindError``."""

    def __init__(self, log: Log, index: Index) -> None:
        self._log = log
        self._lookup = Lookup(index)
        self._index = index

    @property
    def seq(self) -> int:
        """The newest place that is durable."""
        return self._log.seq

    def newest(
        self, streams: Sequence[Stream], before: int, limit: int
    ) -> tuple[list[Message], bool]:
        """Return the last messages of ``streams`` before seq ``before``, ascending, and whether
        there is none older. At most ``limit``, at most ``PAGE``, and at most a frame's bytes."""
        page = self._lookup.newest(streams, before, min(limit, PAGE), _PAGE_BYTES)
        fitting = _fitting(self._current(self._said(page.spans)[::-1]))
        return fitting[::-1], page.end and len(fitting) == len(page.spans)

    def after(
        self, streams: Sequence[Stream], after: int, limit: int
    ) -> tuple[list[Message], bool]:
        """Return the first messages of ``streams`` after seq ``after``, and whether there is
        none newer. Bounded as ``newest`` is."""
        page = self._lookup.after(streams, after, min(limit, PAGE), _PAGE_BYTES)
        fitting = _fitting(self._current(self._said(page.spans)))
        return fitting, page.end and len(fitting) == len(page.spans)

    def missed(self, streams: Sequence[Stream], after: int) -> Missed:
        """Return the first messages of ``streams`` after seq ``after``. Bounded as ``newest`` is.

        What cannot be read back is left out: who has missed it must not wait for it for ever.
        """
        told = None
        try:
            page = self._lookup.after(streams, after, PAGE, _PAGE_BYTES)
        except PastUnreadableError as problem:
            told = problem.told
            page = self._lookup.after(streams, self._index.low - 1, PAGE, _PAGE_BYTES)
        try:
            readable = self._current(self._said(page.spans))
            whole = len(readable) == len(page.spans)
        except PastUnreadableError as problem:
            told = problem.told
            readable, whole = self._readable(page.spans)
        fitting = _fitting(readable)
        whole = whole and len(fitting) == len(readable)
        upto = max(after, page.last) if whole else fitting[-1].seq
        return Missed(fitting, upto, page.end and whole, told)

    def _readable(self, spans: Sequence[Span]) -> tuple[list[Message], bool]:
        """Return the messages at ``spans`` that can be read, a page of them, and whether these are
        all."""
        readable: list[Message] = []
        size = 0
        for span in spans:
            if size > _PAGE_BYTES:
                return readable, False
            with contextlib.suppress(PastUnreadableError):
                messages = self._current(self._said([span]))
                readable += messages
                size += sum(message.size for message in messages)
        return readable, True

    def before_newest(self, streams: Sequence[Stream], count: int) -> int:
        """Return the seq after which the last ``count`` messages of ``streams`` begin, of those
        that can be found."""
        try:
            return self._lookup.before_newest(streams, count)
        except PastUnreadableError:
            return self._index.low - 1

    def sent(self, nick_key: str, id_: int, ref: str, floor: int) -> Said | None:
        """Return what a nick and ``id_`` sent under ``ref``, if anything. ``floor``: a seq up to
        which there is known to be nothing."""
        span = self._lookup.find_ref(nick_key, id_, ref, floor)
        if span is None:
            return None
        return self.read_sent(span)

    @property
    def behind(self) -> bool:
        """Whether not all of the past can be found yet."""
        return self._index.behind

    def find_sent(self, sent: Sequence[Sent]) -> dict[Sent, Span]:
        """Return which of these messages there are already, and where. Not while ``behind``."""
        return self._lookup.find_refs(sent)

    def read_sent(self, span: Span) -> Said:
        """Return the message that ``find_sent`` has found."""
        record = self._read([span])[0]
        assert isinstance(record, Said)
        return record

    def guest(self, token: str) -> Holder | None:
        """Return whom the token with this SHA-256 (hex) proves, or None."""
        return self._lookup.guest(token)

    def holder(self, nick: str) -> Holder | None:
        """Return the guest who last held ``nick``, or None."""
        return self._lookup.holder(nick)

    def said(self, seq: int) -> Said | None:
        """Return what was said at ``seq``, as it was; None if nothing was."""
        span = self._lookup.at(seq)
        record = self._read([span])[0] if span is not None else None
        return record if isinstance(record, Said) else None

    def is_redacted(self, seq: int) -> bool:
        """Tell whether the message ``seq`` was taken back."""
        change = self._lookup.changes([seq]).get(seq)
        record = None if change is None else self._read([change.span])[0]
        return isinstance(record, Said) and record.message.redact_of is not None

    def deeds(self) -> list[Deed]:
        """Return the deeds that make the state of rooms and people, ascending."""
        return [d for d in self._read(self._lookup.deeds()) if isinstance(d, Deed)]

    def acts(self, before: int, limit: int) -> tuple[list[Deed], bool]:
        """Return the last acts of moderation before a seq, and whether there is none older."""
        spans, end = self._lookup.acts(before, min(limit, PAGE))
        return [d for d in self._read(spans) if isinstance(d, Deed)], end

    def sight(self, streams: Sequence[Stream]) -> Sight:
        """Prepare ``streams`` for searches in them."""
        return self._lookup.sight(streams)

    def search(
        self, text: str, sight: Sight, nick: str | None, span: range, limit: int
    ) -> tuple[list[Said], int]:
        """Look, from the newest on, at up to ``limit`` records with seqs in ``span`` that have
        all words of ``text``. Return, descending, those that are still what their message says,
        and the seq down to which all has been looked at."""
        spans, reached = self._lookup.search(text, sight, nick, span, limit, _SEARCH_BYTES)
        if not spans:
            return [], reached
        records = [record for record in self._read(spans) if isinstance(record, Said)]
        changes = self._lookup.changes([_original(record.message) for record in records])
        found = []
        for record in reversed(records):
            change = changes.get(_original(record.message))
            if change is None or change.seq == record.seq:
                found.append(record)
        return found, reached

    def now(self, records: Iterable[Said]) -> list[Message]:
        """Return the messages that these records are, or are the newest text of, as they are
        now, ascending."""
        originals: dict[int, Message] = {}
        for record in records:
            seq = _original(record.message)
            first = record if seq == record.seq else self.said(seq)
            if first is not None:
                originals[seq] = first.message
        return self._current([originals[seq] for seq in sorted(originals)])

    def seqs_between(self, since: float | None, until: float | None) -> range:
        """Return seqs among which are all messages from ``since`` to ``until`` (UTC seconds)."""
        return self._lookup.seqs_between(since, until)

    # Who has read what

    def has_read(self, person: str, stream: str, seq: int) -> bool:
        """Note that ``person`` has read a stream up to ``seq``. False if that was known."""
        return self._index.read.move(person, stream, seq)

    def read_up_to(self, person: str, stream: str) -> int | None:
        """Return the seq up to which ``person`` has read a stream; None: nothing is known."""
        return self._index.read.up_to(person, stream)

    def unread(self, person: str, stream: Stream, most: int) -> int:
        """Count the messages of a stream that ``person`` has not read, up to ``most``."""
        return self._lookup.unread(person, stream, most)

    def knows(self, stream: str) -> bool:
        """Tell whether anything was ever said in a stream."""
        return self._lookup.knows(stream)

    def private_streams(self, person: str, most: int) -> list[tuple[str, str]]:
        """Return the streams of the private conversations of ``person``, those that began last,
        each with the key of the other's nick."""
        return self._lookup.private_streams(person, most)

    def _said(self, spans: Sequence[Span]) -> list[Message]:
        records = self._read(spans)
        return [record.message for record in records if isinstance(record, Said)]

    def _current(self, messages: list[Message]) -> list[Message]:
        """Return ``messages`` with the text of now in those that were changed: the first of them,
        if together the changes would be longer than a page."""
        if not messages:
            return messages
        changes = self._lookup.changes([_original(message) for message in messages])
        if not changes:
            return messages
        size = 0
        for count, message in enumerate(messages):
            change = changes.get(_original(message))
            size += change.span.length if change is not None else 0
            if size > _PAGE_BYTES and count:
                messages = messages[:count]
                break
        wanted = {_original(message) for message in messages}
        spans = sorted(change.span for seq, change in changes.items() if seq in wanted)
        read = [record.message for record in self._read(spans) if isinstance(record, Said)]
        news = {_original(new): new for new in read}
        return [_changed(message, news.get(_original(message))) for message in messages]

    def _read(self, spans: Sequence[Span]) -> list[Record]:
        try:
            return self._log.read(spans)
        except UnreadableError as problem:
            raise PastUnreadableError(str(problem)) from None


def _changed(message: Message, new: Message | None) -> Message:
    """Return ``message`` as it is since the change ``new``, if there is one."""
    if new is None or new.seq == message.seq:
        return message
    redacted = new.redact_of is not None
    return msgspec.structs.replace(
        message,
        text=new.text,
        size=new.size,
        changed=new.seq,
        redacted=redacted,
        file=None if redacted else message.file,
    )


def _fitting(messages: Iterable[Message]) -> list[Message]:
    """Return the first messages that together fit a page: a change may have made some longer."""
    wanted = list(messages)
    if all(message.changed is None for message in wanted):
        return wanted  # measured by the index
    fitting: list[Message] = []
    size = 0
    for message in wanted:
        size += len(encode(message)) + 1
        if size > _PAGE_BYTES and fitting:
            break
        fitting.append(message)
    return fitting


def _original(message: Message) -> int:
    return message.edit_of or message.redact_of or message.seq
