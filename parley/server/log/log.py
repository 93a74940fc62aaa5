"""The log: the single order of what was said, in ``history.json``.

The file is a JSON array with one record a line. It only grows: a tick's records
go over the closing bracket in one write, and the bracket stands again behind
them, so that the file is a whole JSON document between any two ticks. Nothing
is acknowledged or delivered before its record has come back from ``commit``,
which returns when the disk has it (``fsync`` = always), at once (``never``), or
at most a second before the disk has it (``everysec``).

A record says up to which seq all was on the disk when it was written (``synced``), unless that
is all before it. From that a start knows a write that broke off, of which nothing
was promised, from damage to what was: see ``parley.server.log.recovery``.

The file may be closed under a number and another be begun (``rotate``): see
``parley.server.log.segments``. The log knows nothing of sessions or rooms. What is in the files at
start is read by ``parley.server.log.recovery``.
"""

import contextlib
import logging
import os
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Literal, NamedTuple

import msgspec

from parley.server.ground.counts import Histogram
from parley.server.log.records import Record, decode_line, encode_line, time_of
from parley.server.log.segments import END, BetweenFilesError, Segments, Stamp, stamp_of

logger = logging.getLogger(__name__)

Fsync = Literal["always", "everysec", "never"]

START = 1
"""Where the first separator of a file goes: behind its opening bracket."""

_BETWEEN = b",\n"  # two lines
_APART = len(_BETWEEN)

_COMPLAINED_OF = 20
"""Of so many bytes, as a power of two, the first place that cannot be read is logged: of a file
that is lost whole not each of its records."""

_READ_TOGETHER = 64 * 1024  # bytes; records no further apart are read in one call


class UnreadableError(Exception):
    """Something cannot be read back: the disk refuses it, or has changed it. All else is there."""


class StoreUnavailableError(OSError):
    """The records could not be written; none of them is in the log, which goes on."""


class LogBrokenError(OSError):
    """The disk did not keep what was written, or the file cannot be put right.

    A later sync that succeeds would prove nothing (the PostgreSQL "fsyncgate"
    of 2018): stop.
    """


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A record with its place: the address (``offset``) and ``length`` in bytes of its line, and
    the body of the event for clients (empty if there is none)."""

    record: Record
    body: bytes
    offset: int
    length: int


class Span(NamedTuple):
    """Where a record's line is: its address, and its length in bytes."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Position:
    """A state of the log: the first ``end`` bytes of the file that grows, which will be the one
    of this ``number``, go up to the record ``seq`` and have this CRC-32."""

    end: int
    seq: int
    crc: int
    number: int = 1


class Log:
    """The open ``files``. ``position`` is what recovery found there, ``began`` the time (UTC
    seconds) of the first record in ``history.json``, None if there is none.

    ``append`` and ``commit`` raise nothing but the two errors above.
    """

    def __init__(
        self, files: Segments, position: Position, fsync: Fsync, began: float | None = None
    ) -> None:
        self.files = files
        self.began = began
        self._end = position.end
        self._seq = position.seq
        self._crc = position.crc
        self._fsync = fsync
        self._synced = position.seq
        self._queue: list[Record] = []
        self.append = self._queue.append
        """Queues a record for the next ``commit``, which gives it its place."""
        self._unsynced_since: float | None = None
        self._unreadable: set[int] = set()  # parts of the files that were complained of
        self._closed_as: Stamp | None = None
        self.syncs = Histogram()
        """How long the syncs took."""

    @property
    def seq(self) -> int:
        """The newest record's place; 0 in an empty log."""
        return self._seq

    @property
    def waiting(self) -> bool:
        """Whether ``commit`` has something to write."""
        return bool(self._queue)

    @property
    def closed(self) -> bool:
        """Whether nothing can be written or read any more."""
        return self._closed_as is not None

    @property
    def size(self) -> int:
        """Bytes in the file that grows."""
        return self._end

    @property
    def total(self) -> int:
        """Bytes in all files together."""
        return self._end + sum(stamp.size for stamp in self.files.closed.values())

    @property
    def position(self) -> Position:
        """The log as it is on the disk now."""
        return Position(self._end, self._seq, self._crc, self.files.number)

    @property
    def stamp(self) -> Stamp:
        """What ``history.json`` is now, or was when it was closed."""
        return self._closed_as or stamp_of(os.fstat(self.files.fd))

    def withdraw(self, records: Iterable[Record]) -> None:
        """Take some ``records`` out of the queue again."""
        gone = set(map(id, records))
        self._queue[:] = [record for record in self._queue if id(record) not in gone]

    def take_back(self) -> list[Record]:
        """Empty the queue and return what was in it: after a commit that failed."""
        queue = self._queue.copy()
        self._queue.clear()
        return queue

    def commit(self, now: float) -> list[Stored]:
        """Write what is queued, sync as the policy says, and return it with its places.

        ``now`` is monotonic seconds. Raises ``StoreUnavailableError`` if the disk
        is full or refuses the write: the file is then as it was before and the queue
        still holds the records. Raises ``LogBrokenError`` if nothing can be trusted any more.
        """
        if not self._queue:
            self.sync_if_due(now)
            return []
        stored: list[Stored] = []
        lines: list[bytes] = []
        seq = self._seq
        before = b"\n" if self._end == START else _BETWEEN
        at = self.files.address(self._end + len(before))
        mark = b',"synced":%d}' % self._synced
        end = b"}" if seq == self._synced else mark
        for record in self._queue:
            seq += 1
            record.place(seq)
            line, body = encode_line(record, end)
            length = len(line)
            stored.append(Stored(record, body, at, length))
            lines.append(line)
            at += length + _APART
            end = mark
        data = before + _BETWEEN.join(lines)
        self._write(data + END)
        self._crc = zlib.crc32(data, self._crc)
        if self.began is None:
            self.began = time_of(self._queue[0])
        self._end += len(data)
        self._seq = seq
        self._queue.clear()
        if self._fsync == "always":
            self._sync()
        elif self._unsynced_since is None:
            self._unsynced_since = now
        self.sync_if_due(now)
        return stored

    def sync_due(self) -> float | None:
        """When, in monotonic seconds, ``sync_if_due`` has something to do; None for never."""
        if self._fsync == "everysec" and self._unsynced_since is not None:
            return self._unsynced_since + 1.0
        return None

    def sync_if_due(self, now: float) -> None:
        """Sync if the policy is once a second and it is time."""
        due = self.sync_due()
        if due is not None and now >= due:
            self._sync()

    def read(self, spans: Iterable[Span]) -> list[Record]:
        """Return the records at ``spans``, which ascend. Near ones are read in one call.

        Raises ``UnreadableError`` if the disk does not give them back as they were.
        """
        records: list[Record] = []
        together: list[Span] = []
        for span in spans:
            if together and span.offset - together[-1].offset > _READ_TOGETHER:
                records += self._read_together(together)
                together = []
            together.append(span)
        if together:
            records += self._read_together(together)
        return records

    def readable(self, spans: Sequence[Span]) -> list[tuple[Record, Span]]:
        """Return those of the records at ``spans``, which ascend, that the disk gives back."""
        try:
            return list(zip(self.read(spans), spans, strict=True))
        except UnreadableError:
            found: list[tuple[Record, Span]] = []
            for span in spans:
                with contextlib.suppress(UnreadableError):
                    found += [(record, span) for record in self.read([span])]
            return found

    def read_bytes(self, start: int, end: int) -> bytes:
        """Return the bytes between two addresses in one file."""
        return self.files.read(start, end - start)

    def rotate(self) -> None:
        """Close ``history.json`` under its number and begin another, between two commits.

        Raises ``OSError`` if that cannot be done: then all is as it was. Raises
        ``LogBrokenError`` if the disk did not keep what was written.
        """
        self._sync()
        try:
            self.files.rotate()
        except BetweenFilesError as problem:
            raise LogBrokenError(problem.errno, problem.strerror) from None
        self._end = START
        self._crc = zlib.crc32(b"[")
        self.began = None

    def close(self) -> None:
        """Sync what the policy has left unsynced, and close the files."""
        if self._unsynced_since is not None:
            self._sync()
        self._closed_as = stamp_of(os.fstat(self.files.fd))
        self.files.close()

    def _read_together(self, spans: list[Span]) -> list[Record]:
        at = base = spans[0].offset
        records: list[Record] = []
        try:
            data = self.read_bytes(base, spans[-1].offset + spans[-1].length)
            for at, length in spans:
                records.append(decode_line(data[at - base : at - base + length]))
        except (OSError, ValueError) as problem:
            where = self.files.say(at)
            if at >> _COMPLAINED_OF not in self._unreadable:
                self._unreadable.add(at >> _COMPLAINED_OF)
                logger.error("%s cannot be read: %s", where, problem)
            raise UnreadableError(f"{where} cannot be read") from None
        return records

    def _write(self, data: bytes) -> None:
        """Write ``data`` at the end of the records, whole or not at all."""
        written = 0
        try:
            while written < len(data):
                written += os.pwrite(self.files.fd, data[written:], self._end + written)
        except OSError as problem:
            if written:
                self._cut_back()
            raise StoreUnavailableError(problem.errno, problem.strerror) from None

    def _cut_back(self) -> None:
        """Make the file end again where it ended before a write that failed."""
        try:
            # In this order: the bracket's place is there, also on a full disk.
            os.pwrite(self.files.fd, END, self._end)
            os.ftruncate(self.files.fd, self._end + len(END))
        except OSError as problem:
            raise LogBrokenError(problem.errno, problem.strerror) from None

    def _sync(self) -> None:
        began = perf_counter()
        try:
            os.fdatasync(self.files.fd)
        except OSError as problem:
            raise LogBrokenError(problem.errno, problem.strerror) from None
        self.syncs.add(perf_counter() - began)
        self._synced = self._seq
        self._unsynced_since = None
