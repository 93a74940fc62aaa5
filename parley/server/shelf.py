"""The shelf: the files people share, on the disk, and what the log says of them.

A file for everybody stands in the shelf's directory under its own name, so that whoever keeps the
server can put files there and take them away by hand. A file for a room or a person stands in
``.kept`` under a name of the server's own; what is being uploaded stands in ``.parts``. Who
shared what with whom is known by the log's deeds.

A file put there by hand is read through for its SHA-256 a slice at a time (``work``).
"""

import hashlib
import logging
import os
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from framing.filenames import FileNameError, name_key, plain_name
from framing.names import LOBBY
from parley.server.records import Deed

_SLICE: Final = 1024 * 1024  # bytes of a file read through at a time: under a millisecond
_COARSE: Final = 1_000_000_000  # nanoseconds
_PARTS_KEPT: Final = 3 * 86400.0  # seconds for which an interrupted upload can be resumed

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
    is private; ``seq`` the place of its deed. ``sha256`` is empty until it is known."""

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

    @property
    def order(self) -> tuple[str, str]:
        """By what files are listed."""
        return name_key(self.name), self.id


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
        self._unread: dict[str, Item] = {}
        self._reading: _Reading | None = None
        self._today: dict[str, int] = {}
        self._day = 0

    # What the log says

    def apply(self, deed: Deed) -> None:
        """Take in a deed that the log has."""
        file = deed.file
        if file is None:
            return
        self._scanned = None
        if deed.ends:
            self._shared.pop(file.id, None)
            return
        public = file.to == LOBBY
        self._shared[file.id] = Item(
            file.id,
            file.name,
            file.size,
            file.sha256,
            self.directory / file.name if public else self.directory / ".kept" / file.id,
            deed.by,
            deed.nick,
            deed.time,
            file.to,
            deed.who,
            deed.seq,
        )

    # What is there

    def items(self) -> Iterator[Item]:
        """Yield all files that are on the disk."""
        self.scan()
        for item in self._shared.values():
            if item.id not in self._gone:
                yield item
        yield from self._by_hand.values()

    def scan(self) -> None:
        """Look at what is on the disk, if anything came or went there."""
        try:
            changed = self.directory.stat().st_mtime_ns
        except OSError:
            changed = 0
        if changed == self._scanned:
            return
        # The clock of directories ticks coarsely: what came in the same tick must not be missed.
        settled = time.time_ns() - changed > _COARSE
        self._scanned = changed if settled else None
        found: dict[str, Item] = {}
        for item in self._on_disk() if changed else ():
            found.setdefault(item.id, item)
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
        known, self._by_hand = self._by_hand, found
        for item in found.values():
            before = known.get(item.id)
            if before is not None and (before.size, before.mtime_ns) == (item.size, item.mtime_ns):
                item.sha256 = before.sha256
        self._unread = {i.id: i for i in self._by_hand.values() if not i.sha256}

    def _on_disk(self) -> Iterator[Item]:
        with os.scandir(self.directory) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                try:
                    name = plain_name(entry.name)
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
            self._scanned = None
            return
        if item.mtime_ns and (found.st_size, found.st_mtime_ns) != (item.size, item.mtime_ns):
            self._scanned = None

    def taken(self, id_: str) -> bool:
        """Tell whether there is a file of this id."""
        self.scan()
        return id_ in self._by_hand or (id_ in self._shared and id_ not in self._gone)

    @property
    def used(self) -> int:
        """Bytes that the files, and uploads that were interrupted, take."""
        parts = self.directory / ".parts"
        held = 0
        if parts.is_dir():
            held = sum(path.stat().st_size for path in parts.iterdir())
        return held + sum(item.size for item in self.items())

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
        item = reading.item
        if reading.at == item.size == now.st_size and now.st_mtime_ns == item.mtime_ns:
            item.sha256 = reading.hash.hexdigest()
        else:
            self._scanned = None  # it was written meanwhile: look again

    # Uploads

    def part(self, upload_key: str) -> Path:
        """Return where the bytes of an upload go until it is whole."""
        return self.directory / ".parts" / upload_key

    def prepare(self) -> None:
        """Make the directories. Raises ``OSError``."""
        for path in (self.directory, self.directory / ".parts", self.directory / ".kept"):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def clean(self) -> None:
        """Delete uploads that nobody has gone on with for days."""
        parts = self.directory / ".parts"
        if not parts.is_dir():
            return
        for path in parts.iterdir():
            if time.time() - path.stat().st_mtime > _PARTS_KEPT:
                path.unlink(missing_ok=True)

    def remove(self, item: Item) -> None:
        """Delete a file. Raises ``OSError``."""
        item.path.unlink(missing_ok=True)
        self._by_hand.pop(item.id, None)
        self._unread.pop(item.id, None)
        self._scanned = None

    def left_today(self, who: str, utc: float) -> int:
        """Return how many bytes ``who`` may still upload on this day (UTC)."""
        day = int(utc // 86400)
        if day != self._day:
            self._day = day
            self._today = {}
            for item in self._shared.values():
                if item.time is not None and item.time // 86400 == day:
                    self._today[item.by] = self._today.get(item.by, 0) + item.size
        return self.limits.daily - self._today.get(who, 0)

    def count(self, who: str, size: int, utc: float) -> None:
        """Count what ``who`` has uploaded."""
        self.left_today(who, utc)
        self._today[who] = self._today.get(who, 0) + size


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
