"""The index: where in the log each conversation's messages stand. Derived, disposable.

An SQLite file beside ``history.json``. It answers what would need a walk through
the log: the page before or after a seq, who holds a token, whether a ref was
used, where a word occurs. Everything in it comes from the log, but for what
people have read; delete it and it is made again.

Messages are found by *stream* (``parley.server.index.streams``); questions are asked in
``parley.server.index.lookup``.

An index made from nothing is filled from the newest record backwards, a slice at
a time, so that the chat goes on meanwhile. A question that reaches further back
than has been filled raises ``IndexBehindError``: ask again later. While the disk does not let it be
filled further, that is ``PastUnreadableError``: nobody is to wait for what may never come.

What has been added is written before a question is asked, and whenever enough has come; that is
committed more seldom. SQLite runs without any sync of its own (nothing here may wait for the disk).
A process that dies leaves the file right, thanks to the write-ahead log; a machine
that dies may not, so a file that was not closed is used only on the boot it was
written on.
"""

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple

from framing.names import LOBBY
from parley.server.ground import durable
from parley.server.index.errors import IndexBehindError, IndexUnavailableError, PastUnreadableError
from parley.server.index.file import connect, connected, is_kept, leave_marks
from parley.server.index.readmarks import ReadMarks
from parley.server.index.tables import Tables
from parley.server.log.log import Log, Position, Span, Stored
from parley.server.log.records import Deed, Record, Said, Sent, decode_line
from parley.server.log.recovery import Checkpoint
from parley.server.log.segments import Stamp
from parley.server.log.slices import is_first, lines_in, slice_before

logger = logging.getLogger(__name__)

_VERSION: Final = 9
_SLICE: Final = 64 * 1024  # bytes of the log taken into the index at a time: about 10 ms

_COMMIT_AT: Final = 8192
"""Records in one transaction, however many writes it took: each commit writes the same pages again,
and another piece of the table of words that is to be merged. A process that dies loses no more than
so many, and what waits, which its next start takes up from the log."""

_READ_AT_ONCE: Final = 256
"""Messages that a start has in memory of those whose refs are in no table yet: each may be long."""


_SENT: Final = attrgetter("record.sent")


class Holder(NamedTuple):
    """The person who last held a guest nick, and the nick as they wrote it."""

    person: str
    nick: str


class Index:
    """The index of ``log`` at ``path``; ``path`` None keeps it in memory.

    Records come in by ``add``, when they are durable. ``low`` is the first seq from which on
    everything is in; up to ``floor`` nothing is to be in, since it is dropped.
    """

    def __init__(self, path: Path | None, boot: str = "") -> None:
        """Open or make the file. ``boot`` names this boot of the machine.

        A file that cannot be read, is of another version, or was left open by an earlier
        boot is made anew.
        """
        self._path = path
        self._boot = boot
        self.tables: Tables
        self.read: ReadMarks
        self._waiting: list[Stored] = []
        self._recent: dict[Sent, Stored] = {}
        self._remembered = 0  # of those who wait, how many are there if they are messages
        self._written: list[tuple[int, int]] = []  # address and length of what is not committed
        self.checkpoint: Checkpoint | None = None
        self._rotated = False  # and the file may not know it yet
        self.low = 1
        self.floor = 0
        self._low_offset = 0
        self._refs_up_to = 0
        self.stuck: str | None = None
        """Why ``fill`` cannot go on, if the disk does not let it."""
        self.db = self._open()

    def _open(self) -> sqlite3.Connection:
        db = connected(self._path)
        try:
            if db is not None and self._is_usable(db):
                return db
        except BaseException:
            if db is not None:
                db.close()
            raise
        return self._made_anew(db)

    def _is_usable(self, db: sqlite3.Connection) -> bool:
        """Tell whether the file is one to go on with, and if so where it stands."""
        try:
            kept = dict(db.execute("SELECT name, value FROM meta"))
            if kept["version"] != _VERSION or not (kept["closed"] or kept["boot"] == self._boot):
                return False
            position = Position(kept["end"], kept["seq"], kept["crc"], kept["number"])
            closed = db.execute("SELECT number, size, mtime_ns FROM closed").fetchall()
            last = Stamp(kept["size"], kept["mtime_ns"])
            self.checkpoint = Checkpoint(position, {n: Stamp(*of) for n, *of in closed}, last)
            self.low = kept["low"]
            self.floor = kept["floor"]
            self._low_offset = kept["low_offset"]
            self._refs_up_to = kept["refs_up_to"]
        except (sqlite3.DatabaseError, KeyError, UnicodeDecodeError) as problem:
            if is_kept(problem):
                raise
            return False  # SQLite's word on a damaged file may quote what is no text
        return True

    def _made_anew(self, before: sqlite3.Connection | None) -> sqlite3.Connection:
        """Make the file anew, with what people have read by the one ``before``."""
        if self._path is not None:
            leave_marks(self._path, before)
        elif before is not None:
            before.close()
        db = connect(self._path)
        Tables.make(db)
        ReadMarks.make(db)
        self.checkpoint = None
        return db

    def start(
        self, log: Log, found: Iterable[tuple[Record, Span]], trusted: bool, floor: int = 0
    ) -> None:
        """Take up ``log`` as recovery left it.

        With ``trusted`` the file's own checkpoint holds and ``found`` is all that came after
        it. Without, the index begins anew: ``found`` are the log's marks (all that is no
        message), and ``fill`` is to be called until it returns False, for all after ``floor``.
        """
        self._log = log
        if not trusted:
            if self.checkpoint is not None:
                self.db = self._made_anew(self.db)
            self._refs_up_to = log.seq
        self.tables = Tables(self.db, self._refs_up_to)
        self.read = ReadMarks(self.db)
        if not trusted:
            self.read.none_behind(log.seq)
            self.low = log.seq + 1
            self.floor = floor
            self._low_offset = log.files.address(log.position.end)
        else:
            self._reopened()
        with self._transaction():
            self._gather_refs()
            self.tables.write(Stored(record, b"", *span) for record, span in found)
            self._know_closed()
            self._checkpoint(log.position, closed=False)
        # From now on there are questions between a write and its commit: what is written is kept in
        # memory until then, since one that had to make room for itself could find the disk full.
        self.db.execute("PRAGMA cache_spill=OFF")

    def _gather_refs(self) -> None:
        """Read from the log the refs that are in no table yet, as after a process that died. What
        is no message has none, and may be any number of records."""
        # Whatever stands in a damaged file, these are numbers: what is not there cannot be read.
        query = (
            "SELECT seq, CAST(ifnull(start, 0) AS INTEGER), CAST(ifnull(length, 0) AS INTEGER)"
            " FROM place WHERE seq > ? AND room ORDER BY seq LIMIT ?"
        )
        after = self._refs_up_to
        while rows := self.db.execute(query, (after, _READ_AT_ONCE)).fetchall():
            if rows[-1][0] <= after:
                raise sqlite3.DatabaseError("the places of messages do not ascend")
            self.tables.gather(self._log.readable([Span(*where) for _, *where in rows]))
            after = rows[-1][0]

    def _reopened(self) -> None:
        """Make durable that the file is open again, before anything else is written to it: else
        after a power cut one half of it would be taken for the whole that was closed."""
        self.db.execute("PRAGMA synchronous=FULL")
        with self._transaction():
            values = [(False, "closed"), (self._boot, "boot")]
            self.db.executemany("UPDATE meta SET value = ? WHERE name = ?", values)
        self._sync()
        self.db.execute("PRAGMA synchronous=OFF")

    def _sync(self) -> None:
        """Bring all that has been written into the file itself; with ``synchronous`` at ``FULL``,
        make it durable."""
        try:
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError as problem:
            raise IndexUnavailableError(str(problem)) from None

    @property
    def behind(self) -> bool:
        """Whether ``fill`` still has something to do."""
        return self.low > self.floor + 1

    def not_yet(self) -> IndexBehindError:
        """Return what to raise for a question that reaches further back than has been filled:
        ``PastUnreadableError`` if the disk does not let it be filled, since that may never end."""
        return IndexBehindError() if self.stuck is None else PastUnreadableError(self.stuck)

    def add(self, stored: Sequence[Stored]) -> None:
        """Take in records that the log has just returned."""
        self._waiting += stored

    @property
    def recent(self) -> dict[Sent, Stored]:
        """Messages that are not written yet."""
        if self._remembered < len(self._waiting):
            new = self._waiting[self._remembered :]
            said = [one for one in new if isinstance(one.record, Said)]
            self._recent.update(zip(map(_SENT, said), said, strict=True))
            self._remembered = len(self._waiting)
        return self._recent

    def _nothing_is_recent(self) -> None:
        self._recent.clear()
        self._remembered = 0

    @property
    def seq(self) -> int:
        """The newest record's place in the log."""
        return self._log.seq

    @property
    def waiting(self) -> int:
        """How many records have been added and not written."""
        return len(self._waiting)

    @property
    def uncommitted(self) -> int:
        """How many records and marks have been added and not committed."""
        return len(self._waiting) + len(self._written) + self.read.moved

    @property
    def full(self) -> bool:
        """Whether so much has been written that it is time to ``commit``."""
        return len(self._written) >= _COMMIT_AT

    def flush(self) -> None:
        """Write what has been added, so that it is found. Whoever asks for a page needs not call
        this.

        Raises ``IndexUnavailableError`` if the disk is full: nothing is forgotten, try again later.
        """
        if not self._waiting:
            return
        with self._taking_back():
            if not self.db.in_transaction:
                self.db.execute("BEGIN")
            self.tables.write(self._waiting)
        self._written += [(one.offset, one.length) for one in self._waiting]
        self._waiting.clear()
        self._nothing_is_recent()

    def commit(self) -> None:
        """Write what has been added, and let it outlive the process. Raises as ``flush`` does."""
        if not self.uncommitted:
            return
        self.flush()
        with self._taking_back():
            if not self.db.in_transaction:
                self.db.execute("BEGIN")
            self.read.write()
            self._checkpoint(self._log.position, closed=False)
            self.db.execute("COMMIT")
        self._written.clear()
        self.tables.committed()
        self.read.written()

    def fill(self) -> bool:
        """Take in one slice more of the older records. Return False if none is left. What is no
        record any more, since the disk has changed it, is left out.

        Raises ``IndexUnavailableError`` as ``flush`` does, ``PastUnreadableError`` if the disk does
        not give a slice back.
        """
        if not self.behind:
            return False
        try:
            low_offset, data = slice_before(self._log, self._low_offset, _SLICE)
        except OSError as problem:
            where = self._log.files.say(self._low_offset)
            why = problem.strerror or problem
            self.stuck = f"what stands before {where} cannot be read: {why}"
            raise PastUnreadableError(self.stuck) from None
        self.stuck = None
        found = list(self._still_there(data, low_offset))
        low = found[0][0].seq if found else self.low
        if is_first(self._log, low_offset):
            low = self.floor + 1
        with self._transaction():
            said = [Stored(one, b"", *span) for one, span in found if isinstance(one, Said)]
            self.tables.write(said, older=True)
            update = "UPDATE meta SET value = ? WHERE name = ?"
            self.db.executemany(update, [(low, "low"), (low_offset, "low_offset")])
        self.low, self._low_offset = low, low_offset
        return self.behind

    def _still_there(self, data: bytes, start: int) -> Iterator[tuple[Record, Span]]:
        """Yield the records in ``data`` but for those that are none any more, which are logged."""
        for line, span in lines_in(data, start):
            try:
                record = decode_line(line)
            except ValueError as problem:
                logger.error("%s cannot be read: %s", self._log.files.say(span.offset), problem)
            else:
                yield record, span

    # Files that are closed, and dropped

    def rotated(self) -> None:
        """The log has begun another file: know the one that was closed. All had been written. If
        that cannot be done now, it is with what is written next."""
        self._rotated = True
        with self._transaction():
            self._checkpoint(self._log.position, closed=False)
        self._rotated = False

    def forget(self, found: Sequence[tuple[Record, Span]]) -> None:
        """Take out messages, the oldest that are in: they are being dropped.

        Raises ``IndexUnavailableError`` as ``flush`` does.
        """
        if not found:
            return
        last = found[-1][0].seq
        with self._transaction():
            self.tables.remove(found, after=self.floor)
            self.db.execute("UPDATE meta SET value = ? WHERE name = 'floor'", (last,))
        self.floor = last
        self.low = max(self.low, last + 1)

    def dropped(self, marks: Iterable[tuple[Record, Span]]) -> None:
        """A file was dropped; ``marks``, of all that is dropped, stand there now.

        Raises ``IndexUnavailableError`` as ``flush`` does: no file is to be closed before it is
        tried again, or the index would lead into one that is gone.
        """
        self._rotated = False  # until this is written too the files are not to be known
        with self._transaction():
            self.db.execute("DELETE FROM place WHERE seq <= ?", (self.floor,))
            places = [(record.seq, *span, 0) for record, span in marks]
            self.db.executemany("INSERT OR REPLACE INTO place VALUES (?, ?, ?, ?)", places)
            self.db.execute(
                "DELETE FROM deed WHERE seq <= ? AND seq NOT IN (SELECT seq FROM place)",
                (self.floor,),
            )
            self._know_closed()
            self._checkpoint(self._log.position, closed=False)

    def tidy(self) -> bool:
        """Give back some of the space that removed words still take: after ``dropped``, until it
        returns False.

        Raises ``IndexUnavailableError`` as ``flush`` does.
        """
        with self._transaction():
            return self.tables.words.tidy()

    def is_needed(self, deed: Deed) -> bool:
        """Tell whether the state of rooms and people still hangs on ``deed``. On nothing of a room
        that nobody is in it does."""
        self.flush()
        query = "SELECT 1 FROM deed WHERE slot = ? AND seq = ? AND NOT ends"
        if self.db.execute(query, (deed.slot, deed.seq)).fetchone() is None:
            return False
        if deed.room is None or deed.room == LOBBY:
            return True
        first = Deed(0, 0.0, "enter", "", "", deed.room, who="").slot
        query = "SELECT 1 FROM deed WHERE slot >= ? AND slot < ? AND NOT ends LIMIT 1"
        return self.db.execute(query, (first, first[:-1] + "!")).fetchone() is not None

    def close(self, go_on: Callable[[], bool] = lambda: True) -> bool:
        """Write what is left and close the file, to be trusted at the next start. Return whether
        it is to be trusted after a reboot too.

        The log is to be closed before, and is known by what it was then.
        If it cannot be written it stays as it was: the next start takes up what is missing. All of
        it may still have to go to the disk, which takes as long as ``go_on`` says that it may.
        """
        closed = False
        try:
            with contextlib.suppress(IndexUnavailableError):
                self.commit()
                self._write_refs()
                self._sync()
                # All must be durable before it is called so.
                if self._path is None or durable.synced(self._path, go_on):
                    self.db.execute("PRAGMA synchronous=FULL")
                    with self._transaction():
                        self._checkpoint(self._log.position, closed=True)
                    self._sync()
                    closed = True
        finally:
            self.db.close()
        return closed

    def _write_refs(self) -> None:
        """Write all refs, in transactions that fit in memory: of many senders each may stand on
        a page of its own."""
        more = True
        while more:
            with self._transaction():
                more = self.tables.refs.write_on(self.seq)
                self._checkpoint(self._log.position, closed=False)

    def let_go(self) -> None:
        """Close the file as it is, since it is damaged."""
        self.db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Write all of it or nothing, behind all that has been added. A full disk is for later:
        ``IndexUnavailableError``."""
        if self._waiting or self._written:
            self.commit()  # a stream's number that was taken back goes to whom it was shown for
        with self._taking_back():
            self.db.execute("BEGIN")
            yield
            self.db.execute("COMMIT")
        self.tables.committed()

    @contextlib.contextmanager
    def _taking_back(self) -> Iterator[None]:
        """If the disk is full, take back the transaction: what was added waits again."""
        try:
            yield
        except sqlite3.OperationalError as problem:
            self.tables.forget()
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            again = self._read_back()
            if len(again) < len(self._written):
                self.tables.pass_over()
            self._waiting = again + self._waiting
            self._written.clear()
            self._nothing_is_recent()
            raise IndexUnavailableError(str(problem)) from None

    def _read_back(self) -> list[Stored]:
        """Return from the log what had been written. To keep it in memory until it is committed
        would take up what the processor has near, for nothing nearly always. What the log does not
        give back is left out; once it is closed nobody needs it any more."""
        if self._log.closed:
            return []
        found = self._log.readable([Span(*where) for where in self._written])
        return [Stored(record, b"", *span) for record, span in found]

    # What is known of the log

    def _know_closed(self) -> None:
        closed = self._log.files.closed
        self.db.execute("DELETE FROM closed")
        rows = [(number, *stamp) for number, stamp in closed.items()]
        self.db.executemany("INSERT INTO closed VALUES (?, ?, ?)", rows)

    def _checkpoint(self, position: Position, closed: bool) -> None:
        if self._rotated:
            self._know_closed()
        last = self._log.stamp
        self.checkpoint = Checkpoint(position, dict(self._log.files.closed), last)
        values = {
            "version": _VERSION,
            "boot": self._boot,
            "closed": closed,
            "number": position.number,
            "end": position.end,
            "seq": position.seq,
            "crc": position.crc,
            "size": last.size,
            "mtime_ns": last.mtime_ns,
            "floor": self.floor,
            "low": self.low,
            "low_offset": self._low_offset,
            "refs_up_to": self.tables.refs.up_to,
        }
        self.db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())
