"""Opening the log: what is whole stays, a torn end is set aside, damage is refused.

A process may die, or the power fail, in the middle of a write. What it leaves
is a file whose last bytes are not whole; no record there was ever acknowledged.
They go to a file of their own, ``history.json.torn-N``, and the log goes on
from the last whole record.

Of a write over several pages of the disk, a power cut may leave any: so whole records may stand
behind a hole. Each says up to where all was durable when it was written. If one says so of
what is missing, that was promised, and this is damage: the start is refused, and
nothing is changed. If none does, all of it is the write that broke off.

A start that trusts a ``Checkpoint`` reads only what came after it. The trust is
earned by the CRC-32 of everything before in ``history.json``. Files that nobody has written to
since are known by their sizes and times: the numbered ones, and a ``history.json`` of hundreds of
megabytes.
"""

import logging
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from parley.server.ground.durable import sync_directory
from parley.server.log.log import START, LogBrokenError, Position, Span
from parley.server.log.records import (
    Dropped,
    Record,
    check_line,
    decode_dropped,
    decode_line,
    durable_before,
    time_of,
)
from parley.server.log.segments import EMPTY, END, MARKS, Segments, Stamp, address, stamp_of

_CHUNK = 1024 * 1024  # bytes read at a time
LONG = 256 * 1024 * 1024
"""Bytes of ``history.json`` whose CRC-32 is taken at each start, so that a disk that has changed
some is found out: a quarter of a second. A longer one to which nobody has written since is taken as
it is."""

TORN_LINES = 3
"""A write that broke off leaves part of one line, and pages that did not come to the disk leave
zeros. More lines than this that are neither come from something else, such as an editor that has
laid the file out anew."""

_SECTOR = 512
"""Bytes that a disk writes all or none of; a page is several."""

_CRC = zlib.crc32(b"[")

logger = logging.getLogger(__name__)


class HistoryError(Exception):
    """The history cannot be used as it is. The text says where and what to do."""


class Found(NamedTuple):
    """A record read from the log, and where its line is."""

    record: Record
    span: Span


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What somebody has seen of the log: up to ``position``, with these closed files. ``last`` is
    ``history.json`` if nothing was written to it afterwards."""

    position: Position
    closed: Mapping[int, Stamp]
    last: Stamp | None = None


class Recovery:
    """The opened log. ``files`` are its files, ``position`` is where it ends, ``began`` when the
    first record in ``history.json`` was made; all up to ``floor`` is dropped.

    ``trusted`` is the position that was given, if the files are still those that it was taken
    of, else None: then everything derived from them must be made anew.
    ``tail`` are the records after ``trusted``, or without it the *marks*: all records but
    those of something said.
    """

    def __init__(self, path: Path, checkpoint: Checkpoint | None = None) -> None:
        """Open ``path``, making it if need be, and what belongs to it.

        Raises ``HistoryError`` if it is damaged, ``OSError`` if it cannot be opened, and
        ``LogBrokenError`` if the disk does not keep what is there.
        """
        self.path = path
        self.files = Segments(path)
        self.tail: list[Found] = []
        self.trusted: Position | None = None
        self.began: float | None = None
        try:
            dropped = self._dropped()
            self.floor = dropped.seq if dropped else 0
            self.files.number = max(self.files.number, dropped.segment + 1 if dropped else 0)
            self._take(checkpoint, dropped.segment if dropped else 0)
            self.began = self._began()
        except BaseException:
            self.files.close()
            raise

    @property
    def fd(self) -> int:
        """The file that grows."""
        return self.files.fd

    def _take(self, checkpoint: Checkpoint | None, segment: int) -> None:
        file = _File(self.path, self.fd, self.files.number)
        if checkpoint is not None and self._knows(checkpoint, file):
            self.trusted = self.position = checkpoint.position
        else:
            seq = self._take_closed(segment)
            self.position = Position(START, seq, _CRC, self.files.number)
            if file.holds_nothing():
                self._make_empty()
                return
            if os.pread(self.fd, 2, 0) != b"[\n":
                raise HistoryError(
                    file.where(0, "the first line must be [ alone, then one record a line")
                )
        known = checkpoint.position.seq if checkpoint is not None else 0
        self.position, found = file.take(self.position, self.trusted is not None, known)
        self.tail += found
        self._mend_end(file)
        # A process that died may have left here what it had written and not synced. From now on
        # it is told to clients, and later records will say that it is durable.
        self._sync()

    def _knows(self, checkpoint: Checkpoint, file: "_File") -> bool:
        """Tell whether the files still begin with what they held at ``checkpoint``."""
        position = checkpoint.position
        if position.number != self.files.number or checkpoint.closed != self.files.closed:
            return False
        if checkpoint.last == file.stamp and file.size == position.end + len(END) > LONG:
            return True
        return position.end <= file.size and file.crc(0, position.end, 0) == position.crc

    def _dropped(self) -> Dropped | None:
        """Return up to where all is dropped. Delete what a crash in dropping has left."""
        if MARKS not in self.files.closed:
            return None
        with self.files.name(MARKS).open("rb") as file:
            line = file.readline() and file.readline()
        try:
            dropped = decode_dropped(line.strip().rstrip(b","))
        except ValueError as problem:
            where = f"{self.files.name(MARKS)} is damaged at line 2: {problem}"
            raise HistoryError(where) from None
        for number in [n for n in self.files.closed if MARKS < n <= dropped.segment]:
            self.files.remove(number)
        return dropped

    def _take_closed(self, segment: int) -> int:
        """Take the marks of all closed files; ``segment`` is the last that was dropped. Return
        the seq up to which they go."""
        if MARKS in self.files.closed:
            self._take_marks()
        seq = self.floor
        number = segment
        for number_, stamp in sorted(self.files.closed.items()):
            if number_ == MARKS:
                continue
            path = self.files.name(number_)
            with path.open("rb") as opened:
                file = _File(path, opened.fileno(), number_)
                if number_ != number + 1:
                    first = file.first_seq()
                    if first is None or number != segment:
                        missing = self.files.name(number + 1).name
                        raise HistoryError(
                            f"{path} is here and {missing}, which comes before it, is not"
                        )
                    logger.warning("%s: what stood before seq %d is not here", path, first)
                    self.floor = seq = first - 1
                number = number_
                position, found = file.take(Position(START, seq, _CRC, number_), False)
                rest = os.pread(opened.fileno(), len(END) + 1, position.end)
            if rest != END:
                wrong = "a closed file must be whole"
                raise HistoryError(file.where(position.end + len(END), wrong))
            seq = position.seq
            assert stamp.size == position.end + len(END)
            self.tail += found
        return seq

    def _take_marks(self) -> None:
        path = self.files.name(MARKS)
        offset = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                text = line.strip().rstrip(b",")
                if number > 2 and text != b"]":
                    try:
                        record = decode_line(text)
                    except ValueError as problem:
                        wrong = f"{path} is damaged at line {number}: {problem}"
                        raise HistoryError(wrong) from None
                    self.tail.append(Found(record, Span(address(MARKS, offset), len(text))))
                offset += len(line)

    def _began(self) -> float | None:
        """Return when the first record in the file that grows was made."""
        if self.position.end == START:
            return None
        file = _File(self.path, self.fd, self.files.number)
        first = file.first_line()
        assert first is not None
        return time_of(decode_line(first))

    def _mend_end(self, file: "_File") -> None:
        """Make the file end after the last whole record; set aside what else was there."""
        end = self.position.end
        rest = os.pread(self.fd, file.size - end, end)
        if rest.rstrip() == END:
            if rest != END:
                self._close_array()
            return
        if rest.strip(b"\n,] \t\r"):
            if sum(map(_is_strange, rest.split(b"\n"))) > TORN_LINES:
                at = end + len(rest) - len(rest.lstrip(b"\n,] \t\r"))
                where = file.where(at, "what follows is no record")
                raise HistoryError(f"{where}. Each record stands on a line of its own")
            self._refuse_foreign(file, rest)
            torn = self._set_aside(rest)
            logger.warning(
                "%s: the last %d bytes are not a whole record; moved to %s",
                self.path,
                len(rest),
                torn.name,
            )
        else:
            logger.warning("%s: the closing bracket was missing; put back", self.path)
        self._close_array()

    def _refuse_foreign(self, file: "_File", rest: bytes) -> None:
        """Raise if something of ``rest`` is a whole object and no record: what broke off is never
        whole. A later version may have written it, or a person."""
        at = self.position.end
        for line in rest.split(b"\n"):
            if (why := _why_foreign(line)) is not None:
                raise HistoryError(file.where(at, f"no record that this version knows: {why}"))
            at += len(line) + 1

    def _set_aside(self, rest: bytes) -> Path:
        number = 1
        while True:
            torn = self.path.with_name(f"{self.path.name}.torn-{number}")
            try:
                fd = os.open(torn, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            except FileExistsError:
                number += 1
                continue
            with os.fdopen(fd, "wb") as file:
                file.write(rest)
                file.flush()
                os.fsync(fd)
            sync_directory(self.path.parent)
            return torn

    def _make_empty(self) -> None:
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, EMPTY, 0)
        self._sync()
        sync_directory(self.path.parent)

    def _close_array(self) -> None:
        end = self.position.end
        os.ftruncate(self.fd, end)
        os.pwrite(self.fd, END, end)
        self._sync()

    def _sync(self) -> None:
        try:
            os.fdatasync(self.fd)
        except OSError as problem:
            raise LogBrokenError(problem.errno, problem.strerror) from None


def _is_torn(line: bytes, offset: int, end: int) -> bool:
    """Tell whether a bad line, at ``offset``, may be what a write behind ``end`` left that came to
    the disk in part: zeros in the place of whole sectors, or the bracket that closed the array
    before, with a sector's end right behind it."""
    if line.startswith(b"]") and offset == end + 1 and (offset + 1) % _SECTOR == 0:
        return True
    return any(
        (offset + zeros.start()) % _SECTOR == 0 or offset + zeros.start() == end + len(END)
        for zeros in re.finditer(rb"\0+", line)
        if (offset + zeros.end()) % _SECTOR == 0 or zeros.end() == len(line)
    )


def _is_strange(line: bytes) -> bool:
    """Tell whether a line is neither a record, nor nothing, nor touched by a lost page."""
    text = line.strip().rstrip(b",] \t")
    if not text or b"\0" in text:
        return False
    try:
        check_line(text)
    except ValueError:
        return True
    return False


def _why_foreign(line: bytes) -> str | None:
    """Say what is wrong with a line that is a whole object and no record; None if it is neither."""
    text = line.strip().rstrip(b",] \t")
    try:
        check_line(text)
    except ValueError as problem:
        try:
            msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        except (ValueError, RecursionError):
            return None
        return str(problem)
    return None


class _File:
    """One file of the log, to be read through."""

    def __init__(self, path: Path, fd: int, number: int) -> None:
        self._path = path
        self._fd = fd
        self._number = number
        self.stamp = stamp_of(os.fstat(fd))
        self.size = self.stamp.size

    def holds_nothing(self) -> bool:
        """Tell whether the file is new, or an empty JSON array in any layout, or what a power cut
        left of one: its size, and zeros."""
        if self.size <= len(EMPTY) and not os.pread(self._fd, self.size, 0).strip(b"\0" + EMPTY):
            return True
        return self.size <= _CHUNK and b"".join(os.pread(self._fd, _CHUNK, 0).split()) in (
            b"",
            b"[]",
            b"[",
        )

    def first_seq(self) -> int | None:
        """Return the seq of the first record; None if there is none."""
        line = self.first_line()
        try:
            return None if line is None else check_line(line)[0]
        except ValueError:
            return None

    def first_line(self) -> bytes | None:
        """Return the first line that is not blank, as far as it may be a record; None if all
        are."""
        for _, line in self._lines(START + 1):
            if text := line.partition(b"\0")[0].strip().rstrip(b",] \t"):
                return text
        return None

    def crc(self, start: int, end: int, crc: int) -> int:
        """Return the CRC-32 that began as ``crc``, continued over the bytes from start to end."""
        while start < end:
            chunk = os.pread(self._fd, min(_CHUNK, end - start), start)
            if not chunk:
                raise HistoryError(f"{self._path} became shorter while it was read")
            crc = zlib.crc32(chunk, crc)
            start += len(chunk)
        return crc

    def take(
        self, start: Position, with_said: bool, known: int = 0
    ) -> tuple[Position, list[Found]]:
        """Return where the last whole record after ``start`` ends, up to the first bad line, and
        the marks between, ``with_said`` all records. Up to the seq ``known`` somebody had seen it.

        Raises ``HistoryError`` if whole records stand behind a bad line and what is missing there
        was durable.
        """
        end, seq = start.end, start.seq
        tail: list[Found] = []
        bad: tuple[int, str] | None = None  # offset, what is wrong
        torn = True  # whether all that is bad so far is what a write that broke off leaves
        comma = end == START
        for offset, line in self._lines(end):
            if offset == end:  # what is left of the line that the position ends in
                comma = comma or line.startswith(b",")
                if line.strip(b", \r"):
                    bad = bad or (offset, "something stands behind the last record")
                    torn = _is_torn(line, offset, end)
                continue
            # A torn write may have put the first byte of ",\n" over "\n]": then "]" stays here,
            # with the zeros of a lost page behind it, or without.
            written = line.partition(b"\0")[0]
            text = written.strip().rstrip(b",] \t")
            if not text:
                if line.strip():
                    bad = bad or (offset, "the array ends here, or zeros stand here")
                    torn = torn and _is_torn(line, offset, end)
                continue
            try:
                found, mark = check_line(text)
            except ValueError as problem:
                bad = bad or (offset, str(problem))
                torn = torn and _is_torn(line, offset, end)
                continue
            if bad is None and not comma and (end + 1) % _SECTOR == 0:
                # Of the bytes over the bracket the first did not come to the disk.
                bad = offset, "no comma stands before it"
                continue
            if bad is not None:
                if torn and found > seq + 1 > max(known, durable_before(text)):
                    continue  # written together with what is missing, of which nothing was promised
                raise HistoryError(
                    f"{self.where(*bad)}. Whole records follow, so this is no torn write"
                )
            if found != seq + 1:
                wrong = f"seq {found} stands where {seq + 1} is due"
                raise HistoryError(self.where(offset, wrong))
            start_of = offset + line.index(b"{")
            span = Span(address(self._number, start_of), len(text))
            end, seq = start_of + len(text), found
            comma = written.rstrip(b"] \t\r").endswith(b",")
            if written != line:
                bad = offset + len(written), "zeros stand behind the record"
                torn = _is_torn(line, offset, end)
            if mark is not None:
                tail.append(Found(mark, span))
            elif with_said:
                tail.append(Found(decode_line(text), span))
        return Position(end, seq, self.crc(start.end, end, start.crc), self._number), tail

    def _lines(self, start: int) -> Iterator[tuple[int, bytes]]:
        """Yield each line from ``start`` on, without its newline, with its offset."""
        rest = b""
        at = start
        while chunk := os.pread(self._fd, _CHUNK, at + len(rest)):
            *lines, rest_ = (rest + chunk).split(b"\n")
            for line in lines:
                yield at, line
                at += len(line) + 1
            rest = rest_
        if rest:
            yield at, rest

    def where(self, offset: int, problem: str) -> str:
        """Say where a file is damaged, and what to do."""
        line, at = 1, 0
        while at < offset and (chunk := os.pread(self._fd, min(_CHUNK, offset - at), at)):
            line += chunk.count(b"\n")
            at += len(chunk)
        return (
            f"{self._path} is damaged at line {line} (byte {offset}): {problem}. Nothing was "
            f"changed; mend that line, or put a copy of the file from a backup in its place"
        )
