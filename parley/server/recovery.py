"""Opening ``history.json``: what is whole stays, a torn end is set aside, damage is refused.

A process may die, or the power fail, in the middle of a write. What it leaves
is a file whose last bytes are not whole; no record there was ever acknowledged.
They go to a file of their own, ``history.json.torn-N``, and the log goes on
from the last whole record. A bad line with whole records behind it cannot come
from a torn write: then the start is refused, and nothing is changed.

A start that trusts a ``Position`` reads only what came after it. The trust is
earned by the CRC-32 of everything before.
"""

import logging
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from parley.server.log import END, Position, Span
from parley.server.records import Record, check_line, decode_line

_CHUNK = 1024 * 1024  # bytes read at a time
TORN_LINES = 3
"""A write that broke off leaves part of one line. More lines than this that are no record come
from something else, such as an editor that has laid the file out anew."""

_EMPTY = Position(end=1, seq=0, crc=zlib.crc32(b"["))

logger = logging.getLogger(__name__)


class HistoryError(Exception):
    """``history.json`` cannot be used as it is. The text says where and what to do."""


class Found(NamedTuple):
    """A record read from the file, and where its line is."""

    record: Record
    span: Span


class Recovery:
    """The opened file. ``fd`` is open for reading and writing; ``position`` is the log's.

    ``trusted`` is the position that was given, if the file still begins with it,
    else None: then everything derived from the file must be made anew.
    ``tail`` are the records after ``trusted``, or without it the *marks*: all records but
    those of something said.
    """

    def __init__(self, path: Path, checkpoint: Position | None = None) -> None:
        """Open ``path``, making it if need be.

        Raises ``HistoryError`` if it is damaged, ``OSError`` if it cannot be opened.
        """
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._size = os.fstat(self.fd).st_size
            self.tail: list[Found] = []
            self.trusted: Position | None = None
            self.position = _EMPTY
            if self._holds_nothing():
                self._make_empty()
                return
            if checkpoint is not None and self._begins_with(checkpoint):
                self.trusted = self.position = checkpoint
            elif os.pread(self.fd, 2, 0) != b"[\n":
                raise HistoryError(
                    self._where(0, 1, "the first line must be [ alone, then one record a line")
                )
            self._take_whole_records()
            self._mend_end()
        except BaseException:
            os.close(self.fd)
            raise

    def _holds_nothing(self) -> bool:
        """Tell whether the file is new, or an empty JSON array in any layout."""
        return self._size <= _CHUNK and b"".join(os.pread(self.fd, _CHUNK, 0).split()) in (
            b"",
            b"[]",
            b"[",
        )

    def _begins_with(self, position: Position) -> bool:
        """Tell whether the file still begins with what it held at ``position``."""
        if position.end > self._size:
            return False
        return self._crc(0, position.end, 0) == position.crc

    def _crc(self, start: int, end: int, crc: int) -> int:
        """Return the CRC-32 that began as ``crc``, continued over the bytes from start to end."""
        while start < end:
            chunk = os.pread(self.fd, min(_CHUNK, end - start), start)
            if not chunk:
                raise HistoryError(f"{self.path} became shorter while it was read")
            crc = zlib.crc32(chunk, crc)
            start += len(chunk)
        return crc

    def _take_whole_records(self) -> None:
        """Take the records after ``position`` and move it along, up to the first bad line.

        Raises ``HistoryError`` if a whole record stands behind a bad line.
        """
        start = self.position
        end, seq = start.end, start.seq
        bad: tuple[int, int, str] | None = None  # offset, line number, what is wrong
        number = seq + 1
        for offset, line in self._lines(end):
            if offset == end:  # what is left of the line that the position ends in
                if line.strip(b", \r"):
                    bad = bad or (offset, number, "something stands behind the last record")
                continue
            number += 1
            # A torn write may have put the first byte of ",\n" over "\n]": then "]" stays here.
            text = line.strip().rstrip(b",] \t")
            if not text:
                if line.strip():
                    bad = bad or (offset, number, "the array ends here")
                continue
            try:
                found, mark = check_line(text)
            except ValueError as problem:
                bad = bad or (offset, number, str(problem))
                continue
            if bad is not None:
                raise HistoryError(
                    f"{self._where(*bad)}. Whole records follow, so this is no torn write"
                )
            if found != seq + 1:
                wrong = f"seq {found} stands where {seq + 1} is due"
                raise HistoryError(self._where(offset, number, wrong))
            span = Span(offset + line.index(b"{"), len(text))
            end, seq = span.offset + span.length, found
            if mark is not None:
                self.tail.append(Found(mark, span))
            elif self.trusted is not None:
                self.tail.append(Found(decode_line(text), span))
        self.position = Position(end, seq, self._crc(start.end, end, start.crc))

    def _lines(self, start: int) -> Iterator[tuple[int, bytes]]:
        """Yield each line from ``start`` on, without its newline, with its offset."""
        rest = b""
        at = start
        while chunk := os.pread(self.fd, _CHUNK, at + len(rest)):
            *lines, rest_ = (rest + chunk).split(b"\n")
            for line in lines:
                yield at, line
                at += len(line) + 1
            rest = rest_
        if rest:
            yield at, rest

    def _mend_end(self) -> None:
        """Make the file end after the last whole record; set aside what else was there."""
        end = self.position.end
        rest = os.pread(self.fd, self._size - end, end)
        if rest.rstrip() == END:
            if rest != END:
                self._close_array()
            return
        if rest.strip(b"\n,] \t\r"):
            lines = [line for line in rest.split(b"\n") if line.strip(b",] \t\r")]
            if len(lines) > TORN_LINES:
                where = self._where(end, self.position.seq + 2, "what follows is no record")
                raise HistoryError(f"{where}. Each record stands on a line of its own")
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
            return torn

    def _make_empty(self) -> None:
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, b"[", 0)
        self._close_array()
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _close_array(self) -> None:
        end = self.position.end
        os.ftruncate(self.fd, end)
        os.pwrite(self.fd, END, end)
        os.fsync(self.fd)

    def _where(self, offset: int, line: int, problem: str) -> str:
        return (
            f"{self.path} is damaged at line {line} (byte {offset}): {problem}. Nothing was "
            f"changed; mend that line, or put a copy of the file from a backup in its place"
        )
