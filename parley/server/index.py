"""The index: where in the log each conversation's messages stand. Derived, disposable.

An SQLite file beside ``history.json``. It answers what would need a walk through
the log: the page before or after a seq, who holds a token, whether a ref was
used. Everything in it comes from the log; delete it and it is made again.

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
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from framing.names import key
from parley.server.log import Log, Position, Span, Stored
from parley.server.records import Guest, Record, Said, decode_line

_VERSION: Final = 1
_SLICE: Final = 128 * 1024  # bytes of the log taken into the index at a time: about 5 ms

_SCHEMA: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE stream (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE entry (stream INTEGER, seq INTEGER, start INTEGER, length INTEGER,
                    PRIMARY KEY (stream, seq)) WITHOUT ROWID;
CREATE TABLE ref (nick TEXT, id INTEGER, ref TEXT, seq INTEGER, start INTEGER, length INTEGER,
                  PRIMARY KEY (nick, id, ref, seq)) WITHOUT ROWID;
CREATE TABLE guest (token TEXT PRIMARY KEY, nick TEXT, person TEXT) WITHOUT ROWID;
CREATE TABLE holder (nick TEXT PRIMARY KEY, seq INTEGER, person TEXT, shown TEXT) WITHOUT ROWID;
"""


class IndexBehindError(Exception):
    """The index does not reach back yet to what was asked: it is still being filled."""


class IndexUnavailableError(IndexBehindError):
    """The index cannot be written: the disk is full. Nothing is forgotten meanwhile."""


class Holder(NamedTuple):
    """The person who last held a guest nick, and the nick as they wrote it."""

    person: str
    nick: str


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
        """How many records have been added and not written."""
        return len(self._waiting)

    def flush(self) -> None:
        """Write what has been added. Whoever asks for a page needs not call this.

        Raises ``IndexUnavailableError`` if the disk is full: nothing is forgotten, try again later.
        """
        if not self._waiting:
            return
        with self._transaction():
            self._write((s.record, Span(s.offset, s.length)) for s in self._waiting)
            self._checkpoint(self._log.position, closed=False)
        self._waiting.clear()
        self._recent.clear()

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
            "SELECT start, length FROM ref WHERE nick = ? AND id = ? AND ref = ?"
            " ORDER BY seq DESC LIMIT 1",
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

    def newest(self, streams: Sequence[str], before: int, limit: int, size: int) -> Page:
        """Return the last ``limit`` records before seq ``before``, fewer if ``size`` bytes of
        lines are reached. ``end``: there is none older."""
        rows = self._rows(streams, "seq < ?", before, "DESC", limit + 1)
        taken = _within(rows[:limit], size)
        if self.low > 1 and len(taken) == len(rows):
            raise IndexBehindError
        page = [Span(start, length) for _, start, length in reversed(taken)]
        return Page(page, len(taken) == len(rows))

    def before_newest(self, streams: Sequence[str], count: int) -> int:
        """Return the seq after which the last ``count`` records of ``streams`` begin."""
        rows = self._rows(streams, "seq > ?", 0, "DESC", count)
        if len(rows) < count and self.low > 1:
            raise IndexBehindError
        return rows[-1][0] - 1 if rows else 0

    def after(self, streams: Sequence[str], after: int, limit: int, size: int) -> Page:
        """Return the first ``limit`` records after seq ``after``, fewer if ``size`` bytes of
        lines are reached. ``end``: there is none newer."""
        if self.low > after + 1:
            raise IndexBehindError
        rows = self._rows(streams, "seq > ?", after, "ASC", limit + 1)
        taken = _within(rows[:limit], size)
        return Page([Span(start, length) for _, start, length in taken], len(taken) == len(rows))

    def _rows(
        self, streams: Sequence[str], condition: str, seq: int, order: str, limit: int
    ) -> list[tuple[int, int, int]]:
        self.flush()
        query = (
            f"SELECT seq, start, length FROM entry WHERE stream = ? AND {condition}"
            f" ORDER BY seq {order} LIMIT ?"
        )
        rows: set[tuple[int, int, int]] = set()
        for name in streams:
            stream = self._stream(name)
            if stream is not None:
                rows.update(self._db.execute(query, (stream, seq, limit)))
        return sorted(rows, reverse=order == "DESC")[:limit]

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
        entries: list[tuple[int, int, int, int]] = []
        refs: list[tuple[str, int, str, int, int, int]] = []
        for record, (start, length) in found:
            if isinstance(record, Guest):
                self._write_guest(record)
                continue
            message = record.message
            entries.extend(
                (self._stream_made(name), message.seq, start, length) for name in streams_of(record)
            )
            sent = key(message.from_), message.id, record.origin.ref
            refs.append((*sent, message.seq, start, length))
        self._db.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?)", entries)
        self._db.executemany("INSERT OR REPLACE INTO ref VALUES (?, ?, ?, ?, ?, ?)", refs)

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
