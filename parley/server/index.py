"""The index: where in the log each conversation's messages stand. Derived, disposable.

An SQLite file beside ``history.json``. It answers what would need a walk through
the log: the page before or after a seq, who holds a token, whether a ref was
used, where a word occurs. Everything in it comes from the log, but for what
people have read; delete it and it is made again.

Messages are found by *stream*, an ascending list of places: one for each room,
one for everything private a person may see, and one for each private
conversation of a person. A private stream bears its person's name, so what is
not one's own cannot be asked for.

An index made from nothing is filled from the newest record backwards, a slice at
a time, so that the chat goes on meanwhile. A question that reaches further back
than has been filled raises ``IndexBehindError``: ask again later.

SQLite runs without any sync of its own (nothing here may wait for the disk).
A process that dies leaves the file right, thanks to the write-ahead log; a machine
that dies may not, so a file that was not closed is used only on the boot it was
written on.
"""

import contextlib
import heapq
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from framing.names import key
from parley.server.log import Log, Position, Span, Stored
from parley.server.readmarks import ReadMarks
from parley.server.records import Deed, Guest, Record, Said, decode_line
from parley.server.words import Words

_VERSION: Final = 2
_SLICE: Final = 64 * 1024  # bytes of the log taken into the index at a time: about 10 ms

_SCHEMA: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE stream (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE place (seq INTEGER PRIMARY KEY, start INTEGER, length INTEGER, room INTEGER);
CREATE TABLE entry (stream INTEGER, seq INTEGER, counts INTEGER,
                    PRIMARY KEY (stream, seq)) WITHOUT ROWID;
CREATE TABLE change (original INTEGER PRIMARY KEY, seq INTEGER, final INTEGER);
CREATE TABLE deed (slot TEXT PRIMARY KEY, seq INTEGER, ends INTEGER) WITHOUT ROWID;
CREATE TABLE act (seq INTEGER PRIMARY KEY);
CREATE TABLE moment (seq INTEGER PRIMARY KEY, time REAL);
CREATE INDEX moment_time ON moment (time);
CREATE TABLE ref (nick TEXT, id INTEGER, ref TEXT, seq INTEGER,
                  PRIMARY KEY (nick, id, ref, seq)) WITHOUT ROWID;
CREATE TABLE guest (token TEXT PRIMARY KEY, nick TEXT, person TEXT) WITHOUT ROWID;
CREATE TABLE holder (nick TEXT PRIMARY KEY, seq INTEGER, person TEXT, shown TEXT) WITHOUT ROWID;
"""


_STREAMS_ASKED: Final = 8
_LOOKED_AT: Final = 1000  # messages looked at in one question for whether one may see them
_NEAR: Final = 20  # seqs a message that messages of one page may lie apart to be asked for at once
_MOMENTS: Final = 64  # of so many seqs one is kept with its time


class IndexBehindError(Exception):
    """The index does not reach back yet to what was asked: it is still being filled."""


class IndexUnavailableError(IndexBehindError):
    """The index cannot be written: the disk is full. Nothing is forgotten meanwhile."""


class Holder(NamedTuple):
    """The person who last held a guest nick, and the nick as they wrote it."""

    person: str
    nick: str


class Stream(NamedTuple):
    """What somebody may see of a stream: all after seq ``floor``."""

    name: str
    floor: int = 0


class Sight(NamedTuple):
    """What a search may find, each stream with its floor: a few streams are asked for by name;
    of rooms there may be many, so what is found anywhere is looked at for whether it is in one
    of them."""

    asked: list[tuple[int, int]]
    rooms: dict[int, int]


class Page(NamedTuple):
    """Where the records of a page stand, ascending, and whether nothing remains beyond it."""

    spans: list[Span]
    end: bool


def room_stream(room: str) -> str:
    """Name the stream of everything said in ``room``."""
    return key(room)


def inbox_stream(person: str) -> str:
    """Name the stream of everything private that ``person`` sent or received."""
    return f"@{person}"


def private_stream(person: str, nick: str) -> str:
    """Name the stream of what ``person`` and whoever held ``nick`` said to each other."""
    return f"@{person} {key(nick)}"


def streams_of(record: Said) -> list[str]:
    """Name the streams that a message belongs to."""
    message, origin = record.message, record.origin
    if origin.for_ is None:
        return [room_stream(message.to)]
    names = {
        inbox_stream(origin.by),
        inbox_stream(origin.for_),
        private_stream(origin.by, message.to[1:]),
        private_stream(origin.for_, message.from_),
    }
    return sorted(names)


class Index:
    """The index of ``log`` at ``path``; ``path`` None keeps it in memory.

    Records come in by ``add``, when they are durable. ``low`` is the first seq from which on
    everything is in.
    """

    def __init__(self, path: Path | None, boot: str = "") -> None:
        """Open or make the file. ``boot`` names this boot of the machine.

        A file that cannot be read, is of another version, or was left open by an earlier
        boot is made anew.
        """
        self._path = path
        self._boot = boot
        self._words: Words
        self.read: ReadMarks
        self._streams: dict[str, int] = {}
        self._recent: dict[tuple[str, int, str], Span] = {}
        self._waiting: list[Stored] = []
        self.checkpoint: Position | None = None
        self.low = 1
        self._low_offset = 0
        self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        try:
            db = self._connect()
            kept = dict(db.execute("SELECT name, value FROM meta"))
            usable = kept["version"] == _VERSION and (kept["closed"] or kept["boot"] == self._boot)
            if usable:
                self.checkpoint = Position(kept["end"], kept["seq"], kept["crc"])
                self.low = kept["low"]
                self._low_offset = kept["low_offset"]
                return db
            db.close()
        except (sqlite3.DatabaseError, KeyError):
            pass
        return self._make()

    def _connect(self) -> sqlite3.Connection:
        if self._path is not None:
            self._path.touch(0o600)
        db = sqlite3.connect(self._path or ":memory:", isolation_level=None, cached_statements=64)
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA cache_size=-16384")
        return db

    def _make(self) -> sqlite3.Connection:
        if self._path is not None:
            for suffix in ("", "-wal", "-shm", "-journal"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        db = self._connect()
        db.executescript(_SCHEMA)
        Words.make(db)
        ReadMarks.make(db)
        self.checkpoint = None
        return db

    def start(self, log: Log, found: Iterable[tuple[Record, Span]], trusted: bool) -> None:
        """Take up ``log`` as recovery left it.

        With ``trusted`` the file's own checkpoint holds and ``found`` is all that came after
        it. Without, the index begins anew: ``found`` are the log's marks (all that is no
        message), and ``fill`` is to be called until it returns False.
        """
        if not trusted:
            if self.checkpoint is not None:
                self._db.close()
                self._db = self._make()
            self.low = log.seq + 1
            self._low_offset = log.position.end
        self._log = log
        self._words = Words(self._db)
        self.read = ReadMarks(self._db)
        with self._transaction():
            self._write((record, span) for record, span in found)
            self._checkpoint(log.position, closed=False)

    @property
    def behind(self) -> bool:
        """Whether ``fill`` still has something to do."""
        return self.low > 1

    def add(self, stored: Sequence[Stored]) -> None:
        """Take in records that the log has just returned."""
        for entry in stored:
            if isinstance(entry.record, Said):
                message = entry.record.message
                sent = key(message.from_), message.id, entry.record.origin.ref
                self._recent[sent] = Span(entry.offset, entry.length)
        self._waiting += stored

    @property
    def waiting(self) -> int:
        """How many records and marks have been added and not written."""
        return len(self._waiting) + self.read.moved

    def flush(self) -> None:
        """Write what has been added. Whoever asks for a page needs not call this.

        Raises ``IndexUnavailableError`` if the disk is full: nothing is forgotten, try again later.
        """
        if not (self._waiting or self.read.moved):
            return
        with self._transaction():
            self._write((s.record, Span(s.offset, s.length)) for s in self._waiting)
            self.read.write()
            self._checkpoint(self._log.position, closed=False)
        self._waiting.clear()
        self._recent.clear()
        self.read.written()

    def fill(self) -> bool:
        """Take in one slice more of the older records. Return False if none is left.

        Raises ``IndexUnavailableError`` as ``flush`` does.
        """
        if self.low <= 1:
            return False
        end = self._low_offset
        size = _SLICE
        while (start := max(1, end - size)) > 1:
            data = self._log.read_bytes(start, end)
            cut = data.find(b"\n{")
            if cut >= 0:
                start += cut + 1
                break
            size *= 2  # a record longer than a slice
        found: list[tuple[Record, Span]] = []
        at = start
        for line in self._log.read_bytes(start, end).split(b"\n"):
            text = line.rstrip(b",\r \t")
            if text:
                found.append((decode_line(text), Span(at, len(text))))
            at += len(line) + 1
        low, low_offset = found[0][0].seq, found[0][1].offset
        with self._transaction():
            self._write((record, span) for record, span in found if isinstance(record, Said))
            update = "UPDATE meta SET value = ? WHERE name = ?"
            self._db.executemany(update, [(low, "low"), (low_offset, "low_offset")])
        self.low, self._low_offset = low, low_offset
        return self.behind

    def close(self) -> None:
        """Write what is left and close the file, to be trusted at the next start.

        If it cannot be written it stays as it was: the next start takes up what is missing.
        """
        with contextlib.suppress(IndexUnavailableError):
            self.flush()
            self._db.execute("PRAGMA synchronous=FULL")
            with self._transaction():
                self.read.write()
                self._checkpoint(self._log.position, closed=True)
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Write all of it or nothing. A full disk is for later: ``IndexUnavailableError``."""
        try:
            self._db.execute("BEGIN")
            yield
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as problem:
            self._words.forget()
            self._streams.clear()  # some may have been made in what is taken back now
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise IndexUnavailableError(str(problem)) from None

    # Questions

    def find_ref(self, nick: str, id_: int, ref: str, floor: int) -> Span | None:
        """Return where the message is that ``nick`` and ``id_`` sent under ``ref``, if any.

        ``floor`` is a seq below or at which the asker knows that there is none: an index that
        reaches back to it can say no, another raises ``IndexBehindError``.
        """
        recent = self._recent.get((key(nick), id_, ref))
        if recent is not None:
            return recent
        row = self._db.execute(
            "SELECT start, length FROM ref JOIN place USING (seq)"
            " WHERE nick = ? AND id = ? AND ref = ? ORDER BY seq DESC LIMIT 1",
            (key(nick), id_, ref),
        ).fetchone()
        if row is not None:
            return Span(*row)
        if self.low > floor + 1:
            raise IndexBehindError
        return None

    def guest(self, token: str) -> Holder | None:
        """Return whom the token with this SHA-256 (hex) proves, or None."""
        self.flush()
        row = self._db.execute(
            "SELECT person, nick FROM guest WHERE token = ?", (token,)
        ).fetchone()
        return Holder(*row) if row else None

    def holder(self, nick: str) -> Holder | None:
        """Return the guest who last held ``nick``, or None."""
        self.flush()
        row = self._db.execute(
            "SELECT person, shown FROM holder WHERE nick = ?", (key(nick),)
        ).fetchone()
        return Holder(*row) if row else None

    def newest(self, streams: Sequence[Stream], before: int, limit: int, size: int) -> Page:
        """Return the last ``limit`` records before seq ``before``, fewer if ``size`` bytes of
        lines are reached. ``end``: there is none older."""
        rows = self._rows(streams, "seq < ? AND seq > ?", before, "DESC", limit + 1)
        taken = _within(rows[:limit], size)
        if len(taken) == len(rows) and self._reaches_under(streams):
            raise IndexBehindError
        page = [Span(start, length) for _, start, length in reversed(taken)]
        return Page(page, len(taken) == len(rows))

    def before_newest(self, streams: Sequence[Stream], count: int) -> int:
        """Return the seq after which the last ``count`` records of ``streams`` begin."""
        rows = self._rows(streams, "seq > ? AND seq > ?", 0, "DESC", count)
        if len(rows) < count and self._reaches_under(streams):
            raise IndexBehindError
        return rows[-1][0] - 1 if rows else 0

    def after(self, streams: Sequence[Stream], after: int, limit: int, size: int) -> Page:
        """Return the first ``limit`` records after seq ``after``, fewer if ``size`` bytes of
        lines are reached. ``end``: there is none newer."""
        if any(self.low > max(after, stream.floor) + 1 for stream in streams):
            raise IndexBehindError
        rows = self._rows(streams, "seq > ? AND seq > ?", after, "ASC", limit + 1)
        taken = _within(rows[:limit], size)
        return Page([Span(start, length) for _, start, length in taken], len(taken) == len(rows))

    def at(self, seq: int) -> Span | None:
        """Return where the message ``seq`` is; None if there is none."""
        self.flush()
        row = self._db.execute("SELECT start, length FROM place WHERE seq = ?", (seq,)).fetchone()
        if row is None and 0 < seq < self.low:
            raise IndexBehindError
        return Span(*row) if row else None

    def _reaches_under(self, streams: Sequence[Stream]) -> bool:
        """Tell whether any of ``streams`` may have records that are not in yet."""
        return self.low > 1 and any(stream.floor < self.low - 1 for stream in streams)

    def changes(self, originals: Sequence[int]) -> list[Span]:
        """Return where the newest change of each of these messages stands, of those that were
        changed."""
        self.flush()
        query = "SELECT start, length, original FROM change JOIN place USING (seq) WHERE original"
        wanted = set(originals)
        between = (min(wanted), max(wanted))
        if between[1] - between[0] <= _NEAR * len(wanted):
            rows = self._db.execute(f"{query} BETWEEN ? AND ?", between).fetchall()
        else:
            rows = []
            for seq in wanted:
                rows += self._db.execute(f"{query} = ?", (seq,)).fetchall()
        return sorted(Span(start, length) for start, length, original in rows if original in wanted)

    def deeds(self) -> list[Span]:
        """Return where the deeds stand that make the state of rooms and people, ascending."""
        self.flush()
        query = "SELECT start, length FROM deed JOIN place USING (seq) WHERE NOT ends ORDER BY seq"
        return [Span(*row) for row in self._db.execute(query)]

    def acts(self, before: int, limit: int) -> tuple[list[Span], bool]:
        """Return where the last acts of moderation before a seq stand, ascending, and whether
        there is none older."""
        self.flush()
        query = (
            "SELECT start, length FROM act JOIN place USING (seq) WHERE seq < ?"
            " ORDER BY seq DESC LIMIT ?"
        )
        rows = self._db.execute(query, (before, limit + 1)).fetchall()
        return [Span(*row) for row in reversed(rows[:limit])], len(rows) <= limit

    def unread(self, person: str, stream: Stream, most: int) -> int:
        """Count the messages of a stream that ``person`` has not read, up to ``most``."""
        self.flush()
        known = self._stream(stream.name)
        if known is None:
            return 0
        after = max(stream.floor, self.read.up_to(person, stream.name) or 0)
        query = (
            "SELECT count(*) FROM (SELECT 1 FROM entry"
            " WHERE stream = ? AND seq > ? AND counts LIMIT ?)"
        )
        return int(self._db.execute(query, (known, after, most)).fetchone()[0])

    def knows(self, stream: str) -> bool:
        """Tell whether anything was ever said in a stream."""
        self.flush()
        return self._stream(stream) is not None

    def private_streams(self, person: str, most: int) -> list[tuple[str, str]]:
        """Return the streams of the private conversations of ``person``, those that began last,
        each with the key of the other's nick."""
        self.flush()
        first = private_stream(person, "")
        query = "SELECT name FROM stream WHERE name >= ? AND name < ? ORDER BY id DESC LIMIT ?"
        rows = self._db.execute(query, (first, f"@{person}!", most))
        return [(name, name[len(first) :]) for (name,) in rows]

    # Search

    def sight(self, streams: Sequence[Stream]) -> Sight:
        """Prepare ``streams`` for searches in them."""
        self.flush()
        asked: list[tuple[int, int]] = []
        rooms: dict[int, int] = {}
        few = len(streams) <= _STREAMS_ASKED
        for name, floor in streams:
            stream = self._stream(name)
            if stream is None:
                continue
            if few or name.startswith("@"):
                asked.append((stream, floor))
            else:
                rooms[stream] = floor
        return Sight(asked, rooms)

    def search(
        self, text: str, sight: Sight, nick: str | None, span: range, limit: int
    ) -> tuple[list[Span], int]:
        """Return where the newest messages stand, ascending, that have all words of ``text``,
        by ``nick`` if one is given, with seqs in ``span``; and the seq down to which all has
        been looked at. Those that were changed later are among them."""
        self.flush()
        if span.start < self.low - 1:
            raise IndexBehindError
        seqs: set[int] = set()
        reached = span.start
        for stream, floor in sight.asked:
            part = range(max(floor + 1, span.start), span.stop)
            found = self._words.search(text, stream, nick, part, limit)
            seqs.update(found)
            if len(found) == limit:
                reached = max(reached, found[-1])
        if sight.rooms:
            found = self._words.search(text, None, nick, span, _LOOKED_AT)
            if len(found) == _LOOKED_AT:
                reached = max(reached, found[-1])
            query = "SELECT room FROM place WHERE seq = ?"
            mine = 0
            for seq in found:
                room = self._db.execute(query, (seq,)).fetchone()[0]
                if room in sight.rooms and seq > sight.rooms[room]:
                    seqs.add(seq)
                    mine += 1
                    if mine == limit:
                        reached = max(reached, seq)
                        break
        newest = sorted(seq for seq in seqs if seq >= reached)
        if len(newest) > limit:
            newest = newest[-limit:]
            reached = newest[0]
        query = "SELECT start, length FROM place WHERE seq = ?"
        return [Span(*self._db.execute(query, (seq,)).fetchone()) for seq in newest], reached

    def seqs_between(self, since: float | None, until: float | None) -> range:
        """Return seqs among which are all messages from ``since`` to ``until`` (UTC seconds)."""
        self.flush()
        first, last = 0, self._log.seq
        if since is not None:
            query = "SELECT max(seq) FROM moment WHERE time < ?"
            first = self._db.execute(query, (since,)).fetchone()[0] or 0
        if until is not None:
            query = "SELECT min(seq) FROM moment WHERE time > ?"
            last = self._db.execute(query, (until,)).fetchone()[0] or last
        return range(first, last + 1)

    def _rows(
        self, streams: Sequence[Stream], condition: str, seq: int, order: str, limit: int
    ) -> list[tuple[int, int, int]]:
        """Return the first rows of all ``streams`` together. Of each no more is read than that
        needs, however many streams there are."""
        self.flush()
        query = (
            f"SELECT seq, start, length FROM entry JOIN place USING (seq)"
            f" WHERE stream = ? AND {condition} ORDER BY seq {order}"
        )
        cursors = [
            self._db.execute(query, (stream, seq, floor))
            for name, floor in streams
            if (stream := self._stream(name)) is not None
        ]
        rows: list[tuple[int, int, int]] = []
        for row in heapq.merge(*cursors, reverse=order == "DESC"):
            if not rows or rows[-1] != row:
                rows.append(row)
                if len(rows) == limit:
                    break
        for cursor in cursors:
            cursor.close()
        return rows

    def _stream(self, name: str) -> int | None:
        known = self._streams.get(name)
        if known is None:
            row = self._db.execute("SELECT id FROM stream WHERE name = ?", (name,)).fetchone()
            if row is None:
                return None
            known = self._streams[name] = row[0]
        return known

    def _stream_made(self, name: str) -> int:
        known = self._stream(name)
        if known is None:
            made = self._db.execute("INSERT INTO stream (name) VALUES (?)", (name,)).lastrowid
            assert made is not None
            known = self._streams[name] = made
        return known

    # Writing, inside a transaction

    def _write(self, found: Iterable[tuple[Record, Span]]) -> None:
        places: list[tuple[int, int, int, int]] = []
        entries: list[tuple[int, int, bool]] = []
        refs: list[tuple[str, int, str, int]] = []
        changes: list[tuple[int, int, bool]] = []
        moments: list[tuple[int, float]] = []
        for record, (start, length) in found:
            if not isinstance(record, Said):
                places.append((record.seq, start, length, 0))
                if isinstance(record, Guest):
                    self._write_guest(record)
                else:
                    self._write_deed(record)
                continue
            message = record.message
            seq = message.seq
            original = message.edit_of or message.redact_of
            if record.origin.for_ is None:
                room = self._stream_made(message.to.lower())
                streams = [room]
                places.append((seq, start, length, room))
                entries.append((room, seq, original is None))
            else:
                streams = [self._stream_made(name) for name in streams_of(record)]
                places.append((seq, start, length, 0))
                entries += [(stream, seq, original is None) for stream in streams]
            refs.append((message.from_.lower(), message.id, record.origin.ref, seq))
            if original is not None:
                changes.append((original, seq, message.redact_of is not None))
            if seq % _MOMENTS == 0:
                moments.append((seq, message.time))
            self._words.add(seq, message.text, streams, message.from_)
        write = self._db.executemany
        write("INSERT OR REPLACE INTO place VALUES (?, ?, ?, ?)", places)
        write("INSERT OR REPLACE INTO entry VALUES (?, ?, ?)", entries)
        write("INSERT OR REPLACE INTO ref VALUES (?, ?, ?, ?)", refs)
        # The log may be taken in from its end: what is newer stays, and what was taken back is.
        latest = (
            "ON CONFLICT (original) DO UPDATE SET final = max(final, excluded.final), seq ="
            " CASE WHEN final = excluded.final THEN max(seq, excluded.seq)"
            " WHEN final THEN seq ELSE excluded.seq END"
        )
        if changes:
            write(f"INSERT INTO change VALUES (?, ?, ?) {latest}", changes)
        if moments:
            write("INSERT OR REPLACE INTO moment VALUES (?, ?)", moments)
        self._words.write()

    def _write_deed(self, deed: Deed) -> None:
        self._db.execute(
            "INSERT INTO deed VALUES (?, ?, ?) ON CONFLICT (slot) DO UPDATE SET"
            " seq = excluded.seq, ends = excluded.ends WHERE excluded.seq > deed.seq",
            (deed.slot, deed.seq, deed.ends),
        )
        if deed.moderates:
            self._db.execute("INSERT OR REPLACE INTO act VALUES (?)", (deed.seq,))

    def _write_guest(self, guest: Guest) -> None:
        nick = key(guest.nick)
        self._db.execute(
            "INSERT OR REPLACE INTO guest VALUES (?, ?, ?)", (guest.token, nick, guest.who)
        )
        self._db.execute(
            "INSERT OR REPLACE INTO holder VALUES (?, ?, ?, ?)",
            (nick, guest.seq, guest.who, guest.nick),
        )

    def _checkpoint(self, position: Position, closed: bool) -> None:
        self.checkpoint = position
        values = {
            "version": _VERSION,
            "boot": self._boot,
            "closed": closed,
            "end": position.end,
            "seq": position.seq,
            "crc": position.crc,
            "low": self.low,
            "low_offset": self._low_offset,
        }
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())


def _within(rows: list[tuple[int, int, int]], size: int) -> list[tuple[int, int, int]]:
    """Return the first rows whose lines together have at most ``size`` bytes, at least one."""
    total = 0
    for count, (_, _, length) in enumerate(rows):
        total += length
        if total > size and count:
            return rows[:count]
    return rows
