"""Questions to the index: pages of streams, searches, what somebody has not read, who is who.

A question that reaches further back than the index does raises ``IndexBehindError``: ask again
later.
"""

import heapq
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

from framing.limits import MAX_SEQ
from framing.names import key
from parley.server.index.errors import IndexBehindError
from parley.server.index.index import Holder, Index
from parley.server.index.streams import Stream, is_private, private_stream
from parley.server.index.words import private_question, said_question
from parley.server.log.log import Span
from parley.server.log.records import Sent

_STREAMS_ASKED: Final = 8
_ROWS_AT_FIRST: Final = 4  # of each of more streams than these
_LOOKED_AT: Final = 1000  # messages looked at in one question for whether one may see them
_NEAR: Final = 20  # seqs a message that messages of one page may lie apart to be asked for at once

_IN_ROOM: Final = (
    "SELECT seq, start, length FROM entry JOIN place USING (seq)"
    " WHERE stream = ?1 AND seq > ?2 AND seq < ?3 AND (original = 0 OR original > ?4)"
    " ORDER BY seq {order} LIMIT ?5"
)
"""Who came in after something was said learns nothing of it by its change."""

_IN_PRIVATE: Final = (
    "SELECT seq, start, length FROM words CROSS JOIN place ON seq = words.rowid"
    " WHERE words MATCH ?1 AND words.rowid > ?2 AND words.rowid < ?3"
    " ORDER BY words.rowid {order} LIMIT ?5"
)

# Between one lower bound and one upper: of two lower ones SQLite goes to the first, and looks at
# all between them.


class Sight(NamedTuple):
    """What a search may find, each stream with its floor: a few streams are asked for by name;
    of rooms there may be many, so what is found anywhere is looked at for whether it is in one
    of them."""

    asked: list[tuple[int, int]]
    rooms: dict[int, int]


class Change(NamedTuple):
    """What changed a message: its seq, and where its record stands."""

    seq: int
    span: Span


class Page(NamedTuple):
    """Where the records of a page stand, ascending, whether nothing remains beyond it, and the seq
    of the last of them (0: there are none)."""

    spans: list[Span]
    end: bool
    last: int


class Lookup:
    """What ``index`` knows. All that was added to it is written before it is asked."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def find_ref(self, nick_key: str, id_: int, ref: str, floor: int) -> Span | None:
        """Return where the message is that a nick and ``id_`` sent under ``ref``, if any.

        ``floor`` is a seq below or at which the asker knows that there is none: an index that
        reaches back to it can say no, another raises ``IndexBehindError``.
        """
        sent = nick_key, id_, ref
        recent = self._index.recent.get(sent)
        if recent is not None:
            return Span(recent.offset, recent.length)
        seq = self._index.tables.refs.find(sent)
        span = None if seq is None else self._place(seq)
        if span is not None:
            return span
        if self._index.low > max(floor, self._index.floor) + 1 and self._index.stuck is None:
            raise IndexBehindError
        return None  # as of what is no record any more: nobody is kept from saying something

    def find_refs(self, sent: Sequence[Sent]) -> dict[Sent, Span]:
        """Return where those of the messages ``sent`` are that there are, as ``find_ref`` does, for
        many in a fraction of the time. All that is not dropped must be in the index."""
        recent = self._index.recent
        found: dict[Sent, Span] = {}
        for one, seq in self._index.tables.refs.find_all(sent).items():
            span = self._place(seq)
            if span is not None:
                found[one] = span
        for one in recent.keys() & sent if recent else ():
            found[one] = Span(recent[one].offset, recent[one].length)
        return found

    def _place(self, seq: int) -> Span | None:
        """Return where a record is that has been written, if it is there."""
        query = "SELECT start, length FROM place WHERE seq = ?"
        row = self._index.db.execute(query, (seq,)).fetchone()
        return None if row is None else Span(*row)

    def guest(self, token: str) -> Holder | None:
        """Return whom the token with this SHA-256 (hex) proves, or None."""
        self._index.flush()
        row = self._index.db.execute(
            "SELECT person, nick FROM guest WHERE token = ?", (token,)
        ).fetchone()
        return Holder(*row) if row else None

    def holder(self, nick: str) -> Holder | None:
        """Return the guest who last held ``nick``, or None."""
        self._index.flush()
        row = self._index.db.execute(
            "SELECT person, shown FROM holder WHERE nick = ?", (key(nick),)
        ).fetchone()
        return Holder(*row) if row else None

    def newest(self, streams: Sequence[Stream], before: int, limit: int, size: int) -> Page:
        """Return the last ``limit`` records before seq ``before``, fewer if ``size`` bytes of
        lines are reached. ``end``: there is none older."""
        rows = self._rows(streams, before, "DESC", limit + 1)
        taken = _within(rows[:limit], size)
        if len(taken) == len(rows) and self._reaches_under(streams):
            raise self._index.not_yet()
        page = [Span(start, length) for _, start, length in reversed(taken)]
        return Page(page, len(taken) == len(rows), taken[0][0] if taken else 0)

    def before_newest(self, streams: Sequence[Stream], count: int) -> int:
        """Return the seq after which the last ``count`` records of ``streams`` begin."""
        rows = self._rows(streams, MAX_SEQ, "DESC", count)
        if len(rows) < count and self._reaches_under(streams):
            raise self._index.not_yet()
        return rows[-1][0] - 1 if rows else 0

    def after(self, streams: Sequence[Stream], after: int, limit: int, size: int) -> Page:
        """Return the first ``limit`` records after seq ``after``, fewer if ``size`` bytes of
        lines are reached. ``end``: there is none newer."""
        low, floor = self._index.low, self._index.floor
        if any(low > max(after, stream.floor, floor) + 1 for stream in streams):
            raise self._index.not_yet()
        rows = self._rows(streams, after, "ASC", limit + 1)
        taken = _within(rows[:limit], size)
        page = [Span(start, length) for _, start, length in taken]
        return Page(page, len(taken) == len(rows), taken[-1][0] if taken else 0)

    def at(self, seq: int) -> Span | None:
        """Return where the message ``seq`` is; None if there is none."""
        self._index.flush()
        span = self._place(seq)
        if span is None and self._index.floor < seq < self._index.low:
            raise self._index.not_yet()
        return span

    def _reaches_under(self, streams: Sequence[Stream]) -> bool:
        """Tell whether any of ``streams`` may have records that are not in yet."""
        return self._index.behind and any(stream.floor < self._index.low - 1 for stream in streams)

    def changes(self, originals: Sequence[int]) -> dict[int, Change]:
        """Return the newest change of each of these messages that was changed, by its seq."""
        self._index.flush()
        query = "SELECT original, seq, start, length FROM change JOIN place USING (seq)"
        wanted = set(originals)
        between = (min(wanted), max(wanted))
        if between[1] - between[0] <= _NEAR * len(wanted):
            query += " WHERE original BETWEEN ? AND ?"
            rows = self._index.db.execute(query, between).fetchall()
        else:
            rows = []
            for seq in wanted:
                rows += self._index.db.execute(f"{query} WHERE original = ?", (seq,)).fetchall()
        return {row[0]: Change(row[1], Span(*row[2:])) for row in rows if row[0] in wanted}

    def deeds(self) -> list[Span]:
        """Return where the deeds stand that make the state of rooms and people, ascending."""
        self._index.flush()
        query = "SELECT start, length FROM deed JOIN place USING (seq) WHERE NOT ends ORDER BY seq"
        return [Span(*row) for row in self._index.db.execute(query)]

    def acts(self, before: int, limit: int) -> tuple[list[Span], bool]:
        """Return where the last acts of moderation before a seq stand, ascending, and whether
        there is none older."""
        self._index.flush()
        query = (
            "SELECT start, length FROM act JOIN place USING (seq) WHERE seq < ?"
            " ORDER BY seq DESC LIMIT ?"
        )
        rows = self._index.db.execute(query, (before, limit + 1)).fetchall()
        return [Span(*row) for row in reversed(rows[:limit])], len(rows) <= limit

    def unread(self, person: str, stream: Stream, most: int) -> int:
        """Count the messages of a stream that ``person`` has not read, up to ``most``."""
        self._index.flush()
        after = max(stream.floor, self._index.read.up_to(person, stream.name) or 0)
        query = (
            "SELECT count(*) FROM (SELECT 1 FROM entry"
            " WHERE stream = ? AND seq > ? AND original = 0 LIMIT ?)"
        )
        count = 0
        for number in self._index.tables.numbers(stream.name):
            if is_private(stream.name):
                words = self._index.tables.words
                count += words.count(said_question(number), after, most - count)
                continue
            row = self._index.db.execute(query, (number, after, most - count)).fetchone()
            count += int(row[0])
        return count

    def knows(self, stream: str) -> bool:
        """Tell whether anything was ever said in a stream."""
        self._index.flush()
        return bool(self._index.tables.numbers(stream))

    def private_streams(self, person: str, most: int) -> list[tuple[str, str]]:
        """Return the streams of the private conversations of ``person``, those that began last,
        each with the key of the other's nick."""
        self._index.flush()
        first = private_stream(person, "")
        query = (
            "SELECT name FROM seen WHERE name >= ? AND name < ?"
            " GROUP BY name ORDER BY max(stream) DESC LIMIT ?"
        )
        rows = self._index.db.execute(query, (first, f"@{person}!", most))
        return [(name, name[len(first) :]) for (name,) in rows]

    # Search

    def sight(self, streams: Sequence[Stream]) -> Sight:
        """Prepare ``streams`` for searches in them."""
        self._index.flush()
        asked: list[tuple[int, int]] = []
        rooms: dict[int, int] = {}
        few = len(streams) <= _STREAMS_ASKED
        for name, floor in streams:
            numbers = self._index.tables.numbers(name)
            if few or name.startswith("@"):
                asked += [(number, floor) for number in numbers]
            else:
                rooms.update(dict.fromkeys(numbers, floor))
        return Sight(asked, rooms)

    def search(
        self, text: str, sight: Sight, nick: str | None, span: range, limit: int, size: int
    ) -> tuple[list[Span], int]:
        """Return where the newest messages stand, ascending, that have all words of ``text``,
        by ``nick`` if one is given, with seqs in ``span``, up to ``limit`` or ``size`` bytes of
        lines; and the seq down to which all has been looked at. Those that were changed later are
        among them."""
        self._index.flush()
        if max(span.start, self._index.floor) < self._index.low - 1:
            raise self._index.not_yet()
        seqs: set[int] = set()
        reached = span.start
        for stream, floor in sight.asked:
            part = range(max(floor + 1, span.start), span.stop)
            found = self._index.tables.words.search(text, stream, nick, part, limit)
            seqs.update(found)
            if len(found) == limit:
                reached = max(reached, found[-1])
        if sight.rooms:
            found = self._index.tables.words.search(text, None, nick, span, _LOOKED_AT)
            if len(found) == _LOOKED_AT:
                reached = max(reached, found[-1])
            query = "SELECT room FROM place WHERE seq = ?"
            mine = 0
            for seq in found:
                room = self._index.db.execute(query, (seq,)).fetchone()[0]
                if room in sight.rooms and seq > sight.rooms[room]:
                    seqs.add(seq)
                    mine += 1
                    if mine == limit:
                        reached = max(reached, seq)
                        break
        newest = sorted((seq for seq in seqs if seq >= reached), reverse=True)
        if len(newest) > limit:
            newest = newest[:limit]
            reached = newest[-1]
        query = "SELECT seq, start, length FROM place WHERE seq = ?"
        rows = [self._index.db.execute(query, (seq,)).fetchone() for seq in newest]
        taken = _within(rows, size)
        if len(taken) < len(rows):
            reached = taken[-1][0]
        return [Span(start, length) for _, start, length in reversed(taken)], reached

    def seqs_between(self, since: float | None, until: float | None) -> range:
        """Return seqs among which are all messages from ``since`` to ``until`` (UTC seconds), but
        for what is dropped."""
        self._index.flush()
        first, last = 0, self._index.seq
        if since is not None:
            query = "SELECT max(seq) FROM moment WHERE time < ?"
            first = self._index.db.execute(query, (since,)).fetchone()[0] or 0
        if until is not None:
            query = "SELECT min(seq) FROM moment WHERE time > ?"
            last = self._index.db.execute(query, (until,)).fetchone()[0] or last
        return range(max(first, self._index.floor), last + 1)

    def _rows(
        self, streams: Sequence[Stream], seq: int, order: Literal["ASC", "DESC"], limit: int
    ) -> list[tuple[int, int, int]]:
        """Return the first rows of all ``streams`` together, from ``seq`` on in this order. Of each
        no more is read than that needs, however many streams there are."""
        self._index.flush()
        asked: list[tuple[str, int | str, int]] = []
        for name, floor in streams:
            for number in self._index.tables.numbers(name):
                if is_private(name):
                    asked.append((_IN_PRIVATE, private_question(number), self._index.floor))
                else:
                    asked.append((_IN_ROOM, number, floor))
        size = limit if len(asked) <= _STREAMS_ASKED else _ROWS_AT_FIRST
        each = [self._rows_of(query, what, floor, seq, order, size) for query, what, floor in asked]
        rows: list[tuple[int, int, int]] = []
        for row in heapq.merge(*each, reverse=order == "DESC"):
            if not rows or rows[-1] != row:
                rows.append(row)
                if len(rows) == limit:
                    break
        return rows

    def _rows_of(
        self,
        query: str,
        what: int | str,
        floor: int,
        seq: int,
        order: Literal["ASC", "DESC"],
        size: int,
    ) -> Iterator[tuple[int, int, int]]:
        """Yield the rows of one stream, ``size`` at first: no question stays open meanwhile, since
        SQLite looks through all that are with each that begins."""
        over, under = (floor, seq) if order == "DESC" else (max(floor, seq), MAX_SEQ)
        query = query.format(order=order)
        while True:
            bounds = (what, over, under, floor, size)
            rows = self._index.db.execute(query, bounds).fetchall()
            yield from rows
            if len(rows) < size:
                return
            if order == "DESC":
                under = rows[-1][0]
            else:
                over = rows[-1][0]
            size *= 4


def _within(rows: list[tuple[int, int, int]], size: int) -> list[tuple[int, int, int]]:
    """Return the first rows whose lines together have at most ``size`` bytes, at least one."""
    total = 0
    for count, (_, _, length) in enumerate(rows):
        total += length
        if total > size and count:
            return rows[:count]
    return rows
