"""The shelf: the files people share, on the disk, and what the log says of them.

A file for everybody stands in the shelf's directory under its own name, so that whoever keeps the
server can put files there and take them away by hand. A file for a room or a person stands in
``.kept`` under a name of the server's own; what is being uploaded stands in ``.parts``
(``parley.server.files.parts``). Who shared what with whom is known by the log's deeds.

What came or went by hand is found by looking at the disk, which takes at most a fiftieth of the
time; a file put there by hand is read through for its SHA-256 a slice at a time (``work``).
"""

import contextlib
import hashlib
import logging
import os
import secrets
import stat
import time
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from framing.filenames import FileNameError, name_key, plain_name
from framing.names import LOBBY
from parley.server.files.parts import LEAST, Parts
from parley.server.ground.durable import make_directory, sync_directory
from parley.server.log.records import Deed

FILES: Final = 20_000
"""Files that can be shared at a time: so many can be looked at on the disk in a tick."""

FILES_A_DAY: Final = 1000
"""Files that one account, or the guests of one address, may upload in a day."""

_SLICE: Final = 1024 * 1024  # bytes of a file read through at a time: under a millisecond
_COARSE: Final = 1_000_000_000  # nanoseconds
_SCAN_PAUSE: Final = 50.0  # times as long as a look at the disk took it rests
_SOON: Final = 1.0  # seconds that a question waits for the next look at the disk

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
    by what files are listed: the name's key, and the id."""

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
    payer: str = ""
    order: tuple[str, str] = ("", "")

    def __post_init__(self) -> None:
        self.order = name_key(self.name), self.id

    @property
    def state(self) -> tuple[str, int, int]:
        """What a file on the disk is known by."""
        return self.id, self.size, self.mtime_ns

    @property
    def weight(self) -> int:
        """Bytes that it counts."""
        return max(self.size, LEAST)


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
        self.parts = Parts(directory / ".parts")
        self._kept = directory / ".kept"
        self._shared: dict[str, Item] = {}
        self._part_names: set[str] = set()
        self._there: dict[str, Item] = {}  # what is on the disk, shared or put there by hand
        self._order: list[tuple[str, str]] = []
        self._used = 0
        self._looked: dict[str, Item] = {}  # what was on the disk, by its name there
        self._scanned: tuple[int, int] | None = None
        self._scan_at = 0.0
        self._scan_began = 0.0
        self._unread: dict[str, Item] = {}
        self._reading: _Reading | None = None
        self.writing: set[str] = set()
        """Ids of files that were written while they were read through."""
        self.unsynced: set[Path] = set()
        """Directories with new directories in them that are not durable yet."""
        self.read = 0
        """How many files have been read through, or given up."""
        self._today: dict[str, tuple[int, int]] = {}  # bytes and files of each payer
        self._day = 0

    def __len__(self) -> int:
        return len(self._there)

    # What the log says

    def apply(self, deed: Deed) -> None:
        """Take in a deed that the log has."""
        file = deed.file
        if file is None:
            return
        known = self._shared.pop(file.id, None)
        if known is not None:
            self._part_names.discard(known.part)
            if self._there.get(file.id) is known:
                self._drop(known)
        if deed.ends:
            return
        item = self._shared[file.id] = Item(
            file.id,
            file.name,
            file.size,
            file.sha256,
            self.directory / (file.name if file.to == LOBBY else f".kept/{file.id}"),
            deed.by,
            deed.nick,
            deed.time,
            file.to,
            deed.who,
            deed.seq,
            part=file.part,
            payer=file.payer or deed.by,
        )
        self._part_names.add(file.part)
        self._put(item)

    def bring_in(self, item: Item) -> None:
        """Give an upload that is whole and durable its name. Raises ``OSError``; a link, unlike a
        renaming, never takes the place of a file of this name (``FileExistsError``). When that
        name is durable the part is to be deleted, and not before."""
        os.link(self.parts.path(item.part), item.path)

    def recover(self) -> None:
        """At a start, bring in what the log has and a crash has left without its name."""
        for item in self._shared.values():
            part = self.parts.path(item.part)
            if not item.part or not part.exists():
                continue
            with contextlib.suppress(OSError):
                if not item.path.exists():
                    if part.stat().st_size != item.size:
                        continue
                    self.bring_in(item)
                    logger.info("%s: brought in after a crash", item.path)
                sync_directory(item.path.parent)
                self.parts.delete(item.part)
        self.parts.load()
        self.scan()

    # What is there

    def after(self, name: str | None) -> Iterator[Item]:
        """Yield the files that are on the disk, by name, from behind ``name`` on."""
        self.scan()
        at = 0 if name is None else bisect_left(self._order, (name_key(name) + "\0", ""))
        for _, id_ in self._order[at:]:
            yield self._there[id_]

    def named(self, name: str) -> Iterator[Item]:
        """Yield the files of this name that are on the disk."""
        key = name_key(name)
        self.scan()
        for order, id_ in self._order[bisect_left(self._order, (key, "")) :]:
            if order != key:
                return
            yield self._there[id_]

    def there(self, id_: str) -> Item | None:
        """Return the file of this id if it is on the disk."""
        self.scan()
        return self._there.get(id_)

    def shared(self, id_: str) -> Item | None:
        """Return what the log says of the file of this id, whether it is on the disk or not."""
        return self._shared.get(id_)

    def all_shared(self) -> Iterable[Item]:
        """Return all files that the log says are shared."""
        return self._shared.values()

    @property
    def used(self) -> int:
        """Bytes that the files take; each counts as a little at least."""
        self.scan()
        return self._used

    @property
    def seen(self) -> int:
        """The same, as of the last look at the disk."""
        return self._used

    def make_room(self, size: int, part: str) -> bool:
        """Delete uploads that nobody is going on with, until ``size`` bytes more fit, the part
        ``part`` among them. Tell whether they fit."""
        return self.parts.make_room(self.limits.shelf - self.used - size, part)

    def was_part(self, part: str) -> bool:
        """Tell whether a shared file was gathered under this name: no other may be, lest after a
        crash the one is taken for the other."""
        return part in self._part_names

    def _put(self, item: Item) -> None:
        """A file is there now, perhaps instead of another state of it."""
        known = self._there.get(item.id)
        if known is not None:
            self._drop(known)
        self._there[item.id] = item
        self._used += item.weight
        insort(self._order, item.order)

    def _drop(self, item: Item) -> None:
        """A file is there no more."""
        del self._there[item.id]
        del self._order[bisect_left(self._order, item.order)]
        self._used -= item.weight
        self._unread.pop(item.id, None)

    # What came and went by hand

    def behind(self, since: float) -> bool:
        """Tell whether something has come or gone by hand that will be seen soon. Who asks in a
        tick that began at ``since`` (monotonic seconds) need not wait for another look than one
        that was taken in it: else, where files come and go all the time, some would wait for ever.
        """
        pause = self._scan_at - time.monotonic()
        if self._scan_began >= since or not 0 < pause < _SOON:
            return False
        return self._changed() != self._scanned

    def scan(self) -> None:
        """Look at what is on the disk, if anything came or went there and it is time."""
        began = time.monotonic()
        if began < self._scan_at:
            return
        changed = self._changed()
        if changed == self._scanned:
            return
        self._scan_began = began
        # The clock of directories ticks coarsely: what came in the same tick must not be missed.
        settled = time.time_ns() - max(changed) > _COARSE
        self._scanned = changed if settled else None
        self._looked = self._look() if changed[0] else {}
        self._compare(_names(self._kept) if changed[1] else set())
        self._scan_at = time.monotonic()
        self._scan_at += _SCAN_PAUSE * (self._scan_at - began)

    def _changed(self) -> tuple[int, int]:
        """Return when something came or went, in nanoseconds; 0 for a directory not there."""
        return _mtime(self.directory), _mtime(self._kept)

    def _look(self) -> dict[str, Item]:
        """Return what is in the directory, by its name there: what has not changed, as it was."""
        found: dict[str, Item] = {}
        for file in _names(self.directory):
            path = f"{self.directory}/{file}"
            try:
                name = _plain(file)
                seen = os.lstat(path)
            except (FileNameError, OSError):
                continue
            if not stat.S_ISREG(seen.st_mode):
                continue
            item = self._looked.get(file)
            if item is None or (item.size, item.mtime_ns) != (seen.st_size, seen.st_mtime_ns):
                id_ = public_id(name)
                item = Item(id_, name, seen.st_size, "", Path(path), mtime_ns=seen.st_mtime_ns)
            found[file] = item
        return found

    def _compare(self, kept: set[str]) -> None:
        """Let what was found on the disk be what is there. Of two names that are one by their
        keys, the first counts."""
        there = {item.id: item for _, item in sorted(self._looked.items(), reverse=True)}
        for item in self._shared.values():
            if item.to != LOBBY:
                if item.id in kept:
                    there[item.id] = item
                continue
            found = there.get(item.id)
            if found is not None and found.size == item.size:
                item.path = found.path
                there[item.id] = item
        self._there = there
        self._order = sorted(item.order for item in there.values())
        self._used = sum(item.weight for item in there.values())
        reading = None if self._reading is None else self._reading.item
        self._unread = {
            item.id: item for item in there.values() if not item.sha256 and item is not reading
        }

    def check(self, item: Item) -> None:
        """Look again at a file: it may be gone, or, put there by hand, another than it was."""
        try:
            found = item.path.stat(follow_symlinks=False)
        except OSError:
            self._drop(item)
            return
        if item.mtime_ns and (found.st_size, found.st_mtime_ns) != (item.size, item.mtime_ns):
            again = replace(item, size=found.st_size, mtime_ns=found.st_mtime_ns, sha256="")
            self._put(again)
            self._looked[again.path.name] = self._unread[again.id] = again

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
            self.read += 1
            if self._there.get(item.id) is item:
                self._drop(item)
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
            item.sha256 = reading.hash.hexdigest()
        else:
            self.writing.add(item.id)
            if self._there.get(item.id) is item:
                self.check(item)

    # Uploads

    def prepare(self) -> None:
        """Make the directories. Raises ``OSError``."""
        for path in (self.directory, self.parts.directory, self._kept):
            self.unsynced.update(make_directory(path, 0o700))

    def remove(self, item: Item) -> None:
        """Delete a file. Raises ``OSError``."""
        item.path.unlink(missing_ok=True)
        if self._there.get(item.id) is item:
            self._drop(item)

    def fits_today(self, who: str, size: int, files: int, utc: float) -> bool:
        """Tell whether ``who`` may upload ``files`` more of ``size`` bytes in all on this day
        (UTC)."""
        day = int(utc // 86400)
        if day != self._day:
            self._day = day
            self._today = {}
            for item in self._shared.values():
                if item.time is not None and item.time // 86400 == day:
                    self._add_today(item.payer, item.weight)
        had, number = self._today.get(who, (0, 0))
        return had + size <= self.limits.daily and number + files <= FILES_A_DAY

    def count(self, who: str, size: int) -> None:
        """Count what ``who`` has uploaded."""
        self._add_today(who, max(size, LEAST))

    def _add_today(self, who: str, size: int) -> None:
        had, number = self._today.get(who, (0, 0))
        self._today[who] = had + size, number + 1


@lru_cache(maxsize=65536)
def _plain(name: str) -> str:
    return plain_name(name)


@lru_cache(maxsize=65536)
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


def _mtime(directory: Path) -> int:
    try:
        return directory.stat().st_mtime_ns
    except OSError:
        return 0


def _names(directory: Path) -> set[str]:
    try:
        return set(os.listdir(directory))
    except OSError as problem:
        logger.warning("%s cannot be listed: %s", directory, problem.strerror)
        return set()
