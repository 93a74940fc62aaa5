"""The shelf: the files people share, on the disk, and what the log says of them.

A file for everybody stands in the shelf's directory under its own name, so that whoever keeps the
server can put files there and take them away by hand. A file for a room or a person stands in
``.kept`` under a name of the server's own; what is being uploaded stands in ``.parts``. Who
shared what with whom is known by the log's deeds.

A file put there by hand is read through for its SHA-256 a slice at a time (``work``).
"""

import contextlib
import hashlib
import logging
import os
import secrets
import stat
import time
from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from framing.filenames import FileNameError, name_key, plain_name
from framing.names import LOBBY
from parley.server.records import Deed, SharedFile

_SLICE: Final = 1024 * 1024  # bytes of a file read through at a time: under a millisecond
_COARSE: Final = 1_000_000_000  # nanoseconds
_PARTS_KEPT: Final = 86400.0  # seconds for which an interrupted upload can be gone on with
_SCAN_EVERY: Final = 0.5  # seconds, for each thousand files that were put there by hand

LEAST: Final = 256
"""Bytes that a file counts as at least, in every limit: an empty one costs something too."""

logger = logging.getLogger(__name__)


class ShelfLimits(NamedTuple):
    """Bytes: of one file, of the whole shelf, and of what one account (or the guests of one
    address) may upload in a day."""

    file: int
    shelf: int
    daily: int


@dataclass(slots=True)
class Item:
    """A file. ``id`` is unique; ``by`` and ``nick`` are who shared it (empty: put there by hand)
    at ``time`` (UTC seconds) in the conversation ``to``; ``for_`` is the person it is for if that
    is private; ``seq`` the place of its deed. ``sha256`` is empty until it is known; ``order`` is
    by what files are listed."""

    id: str
    name: str
    size: int
    sha256: str
    path: Path
    by: str = ""
    nick: str = ""
    time: float | None = None
    to: str = LOBBY
    for_: str | None = None
    seq: int = 0
    mtime_ns: int = 0
    part: str = ""
    order: tuple[str, str] = ("", "")

    def __post_init__(self) -> None:
        self.order = name_key(self.name), self.id

    @property
    def state(self) -> tuple[str, int, int]:
        """What a file on the disk is known by."""
        return self.id, self.size, self.mtime_ns


class _Part(NamedTuple):
    name: str
    size: int
    mtime: float


class _Reading:
    """A file that is being read through."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.fd, self.size = open_regular(item.path)
        self.at = 0
        self.hash = hashlib.sha256()


class Shelf:
    """The files in ``directory``; it is made when the first one is shared."""

    def __init__(self, directory: Path, limits: ShelfLimits) -> None:
        self.directory = directory
        self.limits = limits
        self._shared: dict[str, Item] = {}
        self._by_hand: dict[str, Item] = {}
        self._gone: set[str] = set()  # ids of shared files that are not on the disk
        self._scanned: int | None = None
        self._scanned_at = 0.0
        self._unread: dict[str, Item] = {}
        self._reading: _Reading | None = None
        self._digests: dict[tuple[str, int, int], str] = {}
        self.writing: set[str] = set()
        """Ids of files that were written while they were read through."""
        self.read = 0
        """How many files have been read through, or given up."""
        self._today: dict[str, int] = {}
        self._day = 0

    # What the log says

    def apply(self, deed: Deed) -> None:
        """Take in a deed that the log has."""
        file = deed.file
        if file is None:
            return
        if deed.ends:
            self._shared.pop(file.id, None)
            self._gone.discard(file.id)
            return
        self._by_hand.pop(file.id, None)
        self._unread.pop(file.id, None)
        self._shared[file.id] = Item(
            file.id,
            file.name,
            file.size,
            file.sha256,
            self.place(file),
            deed.by,
            deed.nick,
            deed.time,
            file.to,
            deed.who,
            deed.seq,
            part=file.part,
        )

    def place(self, file: SharedFile) -> Path:
        """Return where a shared file stands."""
        return self.directory / (file.name if file.to == LOBBY else f".kept/{file.id}")

    def bring_in(self, item: Item) -> None:
        """Give an upload that is whole and durable its name. Raises ``OSError``; a link, unlike a
        renaming, never takes the place of a file of this name (``FileExistsError``)."""
        part = self.part(item.part)
        os.link(part, item.path)
        part.unlink()
        self._gone.discard(item.id)

    def recover(self) -> None:
        """Bring in what the log has and a crash has left without its name."""
        for item in self._shared.values():
            if item.part and not item.path.exists():
                with contextlib.suppress(OSError):
                    if self.part(item.part).stat().st_size == item.size:
                        self.bring_in(item)
                        logger.info("%s: brought in after a crash", item.path)

    # What is there

    def items(self) -> Iterator[Item]:
        """Yield all files that are on the disk."""
        self.scan()
        for item in self._shared.values():
            if item.id not in self._gone:
                yield item
        yield from self._by_hand.values()

    def scan(self) -> None:
        """Look at what is on the disk, if anything came or went there; a big directory not more
        often than now and then."""
        now = time.monotonic()
        if now - self._scanned_at < _SCAN_EVERY * len(self._by_hand) / 1000:
            return
        try:
            changed = self.directory.stat().st_mtime_ns
        except OSError:
            changed = 0
        if changed == self._scanned:
            return
        # The clock of directories ticks coarsely: what came in the same tick must not be missed.
        settled = time.time_ns() - changed > _COARSE
        self._scanned = changed if settled else None
        self._scanned_at = now
        found: dict[str, Item] = {}
        try:
            for item in self._on_disk() if changed else ():
                found.setdefault(item.id, item)
        except OSError as problem:
            logger.warning("%s cannot be listed: %s", self.directory, problem.strerror)
        self._gone.clear()
        for item in self._shared.values():
            if item.to == LOBBY:
                there = found.get(item.id)
                if there is not None and there.size == item.size:
                    item.path = there.path
                    del found[item.id]
                else:
                    self._gone.add(item.id)
            elif not item.path.is_file():
                self._gone.add(item.id)
        self._by_hand = found
        self._digests = {
            item.state: digest
            for item in found.values()
            if (digest := self._digests.get(item.state))
        }
        for item in found.values():
            item.sha256 = self._digests.get(item.state, "")
        self._unread = {i.id: i for i in found.values() if not i.sha256}
        if self._reading is not None:
            self._unread.pop(self._reading.item.id, None)

    def _on_disk(self) -> Iterator[Item]:
        with os.scandir(self.directory) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                try:
                    name = _plain(entry.name)
                    if not entry.is_file(follow_symlinks=False):
                        continue
                    found = entry.stat(follow_symlinks=False)
                except (FileNameError, OSError):
                    continue
                path = self.directory / entry.name
                yield Item(
                    public_id(name), name, found.st_size, "", path, mtime_ns=found.st_mtime_ns
                )

    def check(self, item: Item) -> None:
        """Look again at the disk if a file is not what it was."""
        try:
            found = item.path.stat(follow_symlinks=False)
        except OSError:
            self._look_again()
            return
        if item.mtime_ns and (found.st_size, found.st_mtime_ns) != (item.size, item.mtime_ns):
            self._look_again()

    def _look_again(self) -> None:
        self._scanned = None
        self._scanned_at = 0.0

    def item(self, id_: str) -> Item | None:
        """Return the file of this id, if it is shared or was put there by hand."""
        return self._shared.get(id_) or self._by_hand.get(id_)

    def taken(self, id_: str) -> bool:
        """Tell whether there is a file of this id."""
        self.scan()
        return id_ in self._by_hand or (id_ in self._shared and id_ not in self._gone)

    @property
    def used(self) -> int:
        """Bytes that the files take; each counts as a little at least."""
        return sum(max(item.size, LEAST) for item in self.items())

    def make_room(self, size: int, running: Container[str]) -> bool:
        """Delete uploads that nobody is going on with, the oldest first, until ``size`` bytes more
        fit beside the parts that are ``running``, which are counted by the caller. Tell whether
        they fit."""
        used = self.used
        idle = [part for part in self._parts() if part.name not in running]
        held = sum(part.size for part in idle)
        for part in sorted(idle, key=lambda part: part.mtime):
            if used + held + size <= self.limits.shelf:
                break
            self.part(part.name).unlink(missing_ok=True)
            held -= part.size
        return used + held + size <= self.limits.shelf

    def _parts(self) -> list[_Part]:
        """Return the uploads that are not whole; they may go at any moment."""
        found: list[_Part] = []
        with contextlib.suppress(OSError), os.scandir(self.directory / ".parts") as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    seen = entry.stat(follow_symlinks=False)
                    found.append(_Part(entry.name, seen.st_size, seen.st_mtime))
        return found

    # Reading through what was put there by hand

    @property
    def busy(self) -> bool:
        """Whether ``work`` has something to do."""
        return self._reading is not None or bool(self._unread)

    def work(self) -> None:
        """Read one slice of a file whose SHA-256 is not known."""
        item = self._reading.item if self._reading is not None else self._unread.popitem()[1]
        try:
            if self._reading is None:
                self._reading = _Reading(item)
            self._read(self._reading)
        except OSError as problem:
            logger.warning("%s cannot be read: %s", item.path, problem.strerror)
            self._by_hand.pop(item.id, None)
            self.read += 1
            if self._reading is not None:
                os.close(self._reading.fd)
                self._reading = None

    def _read(self, reading: _Reading) -> None:
        data = os.pread(reading.fd, _SLICE, reading.at)
        reading.hash.update(data)
        reading.at += len(data)
        if data and reading.at < reading.size:
            return
        now = os.fstat(reading.fd)
        os.close(reading.fd)
        self._reading = None
        self.read += 1
        item = reading.item
        if reading.at == item.size == now.st_size and now.st_mtime_ns == item.mtime_ns:
            self.writing.discard(item.id)
            digest = self._digests[item.state] = reading.hash.hexdigest()
            known = self._by_hand.get(item.id)
            if known is not None and known.state == item.state:
                known.sha256 = digest
        else:
            self.writing.add(item.id)
            self._look_again()

    # Uploads

    def part(self, upload_key: str) -> Path:
        """Return where the bytes of an upload go until it is whole."""
        return self.directory / ".parts" / upload_key

    def prepare(self) -> None:
        """Make the directories. Raises ``OSError``."""
        for path in (self.directory, self.directory / ".parts", self.directory / ".kept"):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def clean(self) -> None:
        """Delete uploads that nobody has gone on with for long."""
        for part in self._parts():
            if time.time() - part.mtime > _PARTS_KEPT:
                with contextlib.suppress(OSError):
                    self.part(part.name).unlink(missing_ok=True)

    def remove(self, item: Item) -> None:
        """Delete a file. Raises ``OSError``."""
        item.path.unlink(missing_ok=True)
        self._by_hand.pop(item.id, None)
        self._unread.pop(item.id, None)
        if item.id in self._shared:
            self._gone.add(item.id)

    def left_today(self, who: str, utc: float) -> int:
        """Return how many bytes ``who`` may still upload on this day (UTC)."""
        day = int(utc // 86400)
        if day != self._day:
            self._day = day
            self._today = {}
            for item in self._shared.values():
                if item.time is not None and item.time // 86400 == day:
                    self._today[item.by] = self._today.get(item.by, 0) + max(item.size, LEAST)
        return self.limits.daily - self._today.get(who, 0)

    def count(self, who: str, size: int, utc: float) -> None:
        """Count what ``who`` has uploaded."""
        self.left_today(who, utc)
        self._today[who] = self._today.get(who, 0) + max(size, LEAST)


@lru_cache(maxsize=65536)
def _plain(name: str) -> str:
    return plain_name(name)


def public_id(name: str) -> str:
    """Return the id of a file for everybody: of two with one name there is one."""
    return name_key(name)


def new_id() -> str:
    """Return the id of another file: one that can be no file's name."""
    return f".{secrets.token_hex(12)}"


def open_regular(path: Path) -> tuple[int, int]:
    """Open a file to be read, and return its descriptor and size.

    Raises ``OSError``, also for what is no regular file: a link, a device, a pipe.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        os.close(fd)
        raise OSError(22, "not a regular file", str(path))
    return fd, found.st_size
