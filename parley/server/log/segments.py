"""The files of the log: ``history.json``, which grows, and the numbered ones before it.

When ``history.json`` is closed it becomes ``history-000001.json``, the next time
``history-000002.json``, and is never written again. Each is a JSON array with one record a
line, and the seqs go on from file to file. What must outlive messages that were dropped stands
in ``history-000000.json``: it begins with a record that says up to where all is dropped.

A place in the log is one whole number, its *address*: the number of the file in the upper bits,
the offset in bytes in the lower 40. The file that grows has the number it will be closed under,
so that an address stays what it is.
"""

import errno
import os
from collections import OrderedDict
from pathlib import Path
from typing import Final, NamedTuple

from parley.server.ground import durable
from parley.server.ground.durable import sync_directory

END: Final = b"\n]"
"""What closes the array. Where it begins, the next record goes."""

EMPTY: Final = b"[" + END

MARKS: Final = 0
"""The number of the file of what outlives dropped messages."""

_BITS: Final = 40  # of an address for the offset: a terabyte
_OPEN: Final = 32  # numbered files kept open


class BetweenFilesError(OSError):
    """A file was being closed, and which of two has the name ``history.json`` is not certain."""


class Stamp(NamedTuple):
    """By what one knows a closed file again: its size, and when it was written last."""

    size: int
    mtime_ns: int


def stamp_of(found: os.stat_result) -> Stamp:
    """Return the stamp of a file."""
    return Stamp(found.st_size, found.st_mtime_ns)


class Segments:
    """The files of the log at ``path``. ``fd`` is the one that grows, ``number`` its number,
    ``closed`` the numbered ones.

    Raises ``OSError`` if they cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.closed: dict[int, Stamp] = {}
        for name in sorted(os.listdir(path.parent)):
            number = name.removeprefix(f"{path.stem}-").removesuffix(path.suffix)
            if number.isascii() and number.isdecimal() and name == self.name(int(number)).name:
                self.closed[int(number)] = self._stamp(int(number))
        self.number = max(self.closed, default=0) + 1
        self._fds: OrderedDict[int, int] = OrderedDict()

    def name(self, number: int) -> Path:
        """Return where the closed file ``number`` is."""
        return self.path.with_name(f"{self.path.stem}-{number:06}{self.path.suffix}")

    def address(self, offset: int) -> int:
        """Return the address of ``offset`` in the file that grows."""
        return self.number << _BITS | offset

    def read(self, start: int, size: int) -> bytes:
        """Return ``size`` bytes from the address ``start`` on, of one file.

        Raises ``OSError`` if the disk does not give them back, all of them.
        """
        number, offset = split(start)
        data = os.pread(self._fd(number), size, offset)
        if len(data) < size:
            raise OSError(errno.EIO, f"{self.say(start)} and the next {size} are not all there")
        return data

    def say(self, place: int) -> str:
        """Say where a place is, for people."""
        number, offset = split(place)
        path = self.path if number == self.number else self.name(number)
        return f"{path.name} at byte {offset}"

    def end(self, number: int) -> int:
        """Return the address behind the last record of the closed file ``number``."""
        return address(number, self.closed[number].size - len(END))

    def before(self, number: int) -> int | None:
        """Return the number of the closed file before ``number``; None if it is the first."""
        return max((n for n in self.closed if MARKS < n < number), default=None)

    def rotate(self) -> None:
        """Close the file that grows under its number, and begin another.

        All in the one that grows must be durable. Raises ``OSError`` if that cannot be done. All is
        then as it was before, but after a ``BetweenFilesError``; a crash at any point leaves files
        that can be taken up.
        """
        new = self.path.with_name(self.path.name + ".new")
        fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        closed = self.name(self.number)
        try:
            os.pwrite(fd, EMPTY, 0)
            os.fsync(fd)
            self.path.rename(closed)
            try:
                # The new file must not have the name before the old one has its own: of the two
                # a power cut could leave the new one alone.
                sync_directory(self.path.parent)
                new.rename(self.path)
            except OSError:
                self._undo(closed)
                raise
        except OSError:
            os.close(fd)
            raise
        try:
            sync_directory(self.path.parent)
        except OSError as problem:
            raise BetweenFilesError(problem.errno, problem.strerror) from None
        self.closed[self.number] = self._stamp(self.number)
        self._fds[self.number], self.fd = self.fd, fd
        self.number += 1
        self._close_some()

    def replace(self, number: int, content: bytes) -> None:
        """Give the closed file ``number`` this content, or make it; all of it or nothing.

        Raises ``OSError`` if that cannot be done.
        """
        durable.replace(self.name(number), content)
        self._forget(number)
        self.closed[number] = self._stamp(number)

    def remove(self, number: int) -> None:
        """Delete the closed file ``number``. Raises ``OSError`` if that cannot be done."""
        self._forget(number)
        self.name(number).unlink(missing_ok=True)
        self.closed.pop(number, None)

    def close(self) -> None:
        """Close all files."""
        for fd in (self.fd, *self._fds.values()):
            os.close(fd)
        self._fds.clear()

    def _undo(self, closed: Path) -> None:
        """Give the file that grows its name back."""
        try:
            closed.rename(self.path)
        except OSError as problem:
            raise BetweenFilesError(problem.errno, problem.strerror) from None

    def _stamp(self, number: int) -> Stamp:
        return stamp_of(self.name(number).stat())

    def _fd(self, number: int) -> int:
        if number == self.number:
            return self.fd
        fd = self._fds.pop(number, None)
        if fd is None:
            fd = os.open(self.name(number), os.O_RDONLY | os.O_CLOEXEC)
        self._fds[number] = fd
        self._close_some()
        return fd

    def _close_some(self) -> None:
        while len(self._fds) > _OPEN:
            os.close(self._fds.popitem(last=False)[1])

    def _forget(self, number: int) -> None:
        if (fd := self._fds.pop(number, None)) is not None:
            os.close(fd)


def address(number: int, offset: int) -> int:
    """Return the address of ``offset`` in the file ``number``."""
    return number << _BITS | offset


def split(place: int) -> tuple[int, int]:
    """Return the number of the file and the offset in it of an address."""
    return place >> _BITS, place & ((1 << _BITS) - 1)
