"""Transfers: files on their way, whatever carries them, and what makes an upload durable.

A carrier (``tcp``, ``quic``, ``parley.server.web.carrying``) moves bytes between a peer and an
``Outgoing`` or ``Incoming`` file; everything that has to do with the disk is here. The loop never
waits for the disk to have an upload: a short-lived process of its own syncs it, gives it its name
and syncs the directory, and the loop is told when that process has ended.
"""

import errno
import hashlib
import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from framing.errors import ErrorWord
from framing.events import Ok
from framing.requests import Fetch, Store
from parley.server.chat.sharing import Answer, Sharing
from parley.server.files.shelf import open_regular
from parley.server.files.tickets import TicketError, Tickets, Upload
from parley.server.ground import clock
from parley.server.ground.clock import Moment
from parley.server.ground.durable import syncing
from parley.server.net.loop import READ, Loop

STALL: Final = 60.0
"""Seconds without a byte after which a transfer is given up; it can be gone on with."""

_BACK: Final = 2 * 1024 * 1024  # bytes of interrupted uploads read again in a tick: 1.5 ms
_TICK: Final = 2 * 1024 * 1024  # bytes that all transfers together move in a tick, about
_MOST: Final = 1024 * 1024
_LEAST: Final = 64 * 1024

_AT_ONCE: Final = 2  # processes that wait for the disk in the loop's place
_CLEAN_EVERY: Final = 3600.0  # seconds between two looks for uploads that nobody goes on with

logger = logging.getLogger(__name__)


class Outgoing:
    """A file of the shelf that is being sent. Close it."""

    def __init__(self, fd: int, offset: int, size: int) -> None:
        self.fd = fd
        self.at = offset
        self.size = size
        self._ahead = offset

    @property
    def left(self) -> int:
        """Bytes that are still to be sent."""
        return self.size - self.at

    def look_ahead(self) -> None:
        """Let the kernel fetch from the disk what is to be sent next."""
        if self.at + _MOST >= self._ahead:
            os.posix_fadvise(self.fd, self._ahead, 8 * _MOST, os.POSIX_FADV_WILLNEED)
            self._ahead += 8 * _MOST

    def read(self, size: int) -> bytes:
        """Return the next bytes, up to ``size``, as read. Raises ``OSError`` if the file has
        become shorter."""
        data = self.peek(size)
        self.at += len(data)
        return data

    def peek(self, size: int) -> bytes:
        """Return the next bytes, up to ``size``, and do not go on. Raises as ``read``."""
        data = os.pread(self.fd, min(size, self.left), self.at)
        if not data and self.left:
            raise OSError(errno.EIO, "the file became shorter")
        return data

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)


class Incoming:
    """An upload that is being gathered from ``offset`` on. Close it.

    What came in earlier tries is read again first (``catch_up``), for its SHA-256.
    """

    def __init__(self, upload: Upload, path: Path, offset: int) -> None:
        self.upload = upload
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        if os.fstat(self._fd).st_nlink != 1:
            # It has become a shared file too, which is not to be touched.
            os.close(self._fd)
            path.unlink()
            self._fd = os.open(path, flags, 0o600)
        here = os.fstat(self._fd).st_size
        self.offset = min(offset, here, upload.size)
        os.ftruncate(self._fd, self.offset)
        self.at = 0
        self._hash = hashlib.sha256()

    @property
    def caught_up(self) -> bool:
        """Whether what came earlier has been read again."""
        return self.at >= self.offset

    @property
    def left(self) -> int:
        """Bytes that are still to come."""
        return self.upload.size - self.at

    def catch_up(self, size: int) -> None:
        """Read up to ``size`` bytes of what came earlier. Raises ``OSError``."""
        data = os.pread(self._fd, min(size, self.offset - self.at), self.at)
        if not data:
            raise OSError(errno.EIO, "the upload became shorter")
        self._hash.update(data)
        self.at += len(data)

    def write(self, data: bytes | memoryview) -> None:
        """Take in the next bytes. Raises ``OSError``, e.g. if the disk is full."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, self.at)
            self._hash.update(view[:written])
            self.at += written
            view = view[written:]

    @property
    def right(self) -> bool:
        """Whether what has come is what was announced."""
        return self._hash.hexdigest() == self.upload.sha256

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class Carrier(Protocol):
    """What brings the bytes of an upload."""

    def caught_up(self) -> None:
        """What came in earlier tries has been read again: more may come."""

    def close(self) -> None:
        """Break off."""


class _Syncing:
    """A process that makes files durable. Watched by the loop until it ends; ``ended`` gets an
    ``errno``, 0 if all went well."""

    def __init__(self, loop: Loop, paths: Sequence[Path], ended: Callable[[int], None]) -> None:
        self._loop = loop
        self._ended = ended
        self._process = syncing(paths)
        self._fd = os.pidfd_open(self._process.pid)
        loop.watch(self._fd, READ, self)

    def ready(self, events: int) -> None:
        """The process has ended."""
        self._loop.change(self._fd, READ, 0, self)
        os.close(self._fd)
        self._ended(self._process.wait())


class Transfers:
    """All files on their way. ``sharing`` knows what tickets are for."""

    def __init__(self, loop: Loop, sharing: Sharing) -> None:
        self._loop = loop
        self._sharing = sharing
        self.counts = sharing.counts
        self._parts = sharing.shelf.parts
        self._catching_up: dict[Incoming, Carrier] = {}
        self._gathering: dict[str, tuple[Incoming, Carrier]] = {}
        self._settling: set[str] = set()  # parts that are whole and being shared
        self._to_sync: deque[tuple[Sequence[Path], Callable[[int], None]]] = deque()
        self._syncing = 0
        self._cleaned = -_CLEAN_EVERY
        self.running = 0

    def sweep(self, moment: Moment) -> None:
        """Now and then, delete uploads that nobody goes on with."""
        if moment.mono - self._cleaned > _CLEAN_EVERY:
            self._cleaned = moment.mono
            self._parts.clean(moment.utc)

    @property
    def tickets(self) -> Tickets:
        """What files may be fetched and stored."""
        return self._sharing.tickets

    @property
    def chunk(self) -> int:
        """How many bytes one transfer moves in a turn: all get the same."""
        return max(_LEAST, min(_MOST, _TICK // max(1, self.running)))

    @property
    def busy(self) -> bool:
        """Whether ``work`` has something to do."""
        return bool(self._catching_up) or self._sharing.shelf.busy

    def work(self) -> None:
        """Do a tick's share of what is read through again."""
        left = _BACK
        for incoming, carrier in list(self._catching_up.items()):
            if left <= 0:
                return
            before = incoming.at
            try:
                incoming.catch_up(left)
            except OSError as problem:
                logger.error("%s cannot be read: %s", incoming.path, problem.strerror)
                carrier.close()
                continue
            left -= incoming.at - before
            if incoming.caught_up:
                del self._catching_up[incoming]
                carrier.caught_up()
        if self._sharing.shelf.busy:
            self._sharing.shelf.work()

    def fetch(self, request: Fetch, moment: Moment) -> Outgoing:
        """Open what a ticket is for. Raises ``TicketError``."""
        found = self._sharing.open(request.ticket, moment)
        if isinstance(found, Upload):
            self._sharing.uploads.ended(found)
            raise TicketError(ErrorWord.BAD_REQUEST, "this ticket is to store a file")
        item, leave = found
        try:
            fd, size = open_regular(item.path)
        except OSError:
            raise TicketError(ErrorWord.NO_SUCH_FILE, "the file is no longer there") from None
        if size != leave.size or request.offset > size:
            os.close(fd)
            text = f"the file has {size} bytes"
            raise TicketError(ErrorWord.BAD_REQUEST, text)
        return Outgoing(fd, request.offset, size)

    def store(self, request: Store, moment: Moment) -> Upload:
        """Return what a ticket is for. Raises ``TicketError``."""
        found = self._sharing.open(request.ticket, moment)
        if not isinstance(found, Upload):
            raise TicketError(ErrorWord.BAD_REQUEST, "this ticket is to fetch a file")
        return found

    def gather(self, upload: Upload, offset: int, carrier: Carrier) -> Incoming:
        """Begin or go on with an upload, which ``carrier`` brings; an earlier carrier of the same
        is broken off. Raises ``TicketError``. ``carrier.caught_up`` may be called at once."""
        if upload.part in self._settling:
            self._sharing.uploads.ended(upload)
            text = f"{upload.name} has come whole and is being shared"
            raise TicketError(ErrorWord.FILE_EXISTS, text)
        earlier = self._gathering.get(upload.part)
        if earlier is not None:
            earlier[1].close()
        shelf = self._sharing.shelf
        try:
            shelf.prepare()
            incoming = Incoming(upload, self._parts.path(upload.part), offset)
        except OSError as problem:
            self._sharing.uploads.ended(upload)
            logger.error("no upload can be stored: %s", problem)
            raise _unavailable(problem) from None
        self._parts.begin(upload.part)
        self._gathering[upload.part] = incoming, carrier
        if not incoming.caught_up:
            self._catching_up[incoming] = carrier
        return incoming

    def broken_off(self, incoming: Incoming) -> None:
        """A carrier is gone before all has come; what has come stays for another try."""
        self._catching_up.pop(incoming, None)
        self._forget(incoming)
        self._parts.leave(incoming.upload.part, incoming.upload.payer, clock.now().utc)
        self._sharing.uploads.ended(incoming.upload)

    def failed(self, incoming: Incoming, problem: OSError) -> TicketError:
        """An upload could not be written. Return what to tell its carrier."""
        logger.error("%s cannot be written: %s", incoming.path, problem.strerror)
        self.broken_off(incoming)
        return _unavailable(problem)

    def whole(self, incoming: Incoming, answer: Answer) -> None:
        """All bytes have come: check them, make them durable, share them; then ``answer``."""
        upload = incoming.upload
        right = incoming.right
        self._forget(incoming)
        if not right:
            self._parts.delete(upload.part)
            self._sharing.uploads.ended(upload)
            text = "what came is not what was announced: its SHA-256 is another"
            answer(TicketError(ErrorWord.BAD_REQUEST, text))
            return
        self._settling.add(upload.part)
        shelf = self._sharing.shelf
        parts = incoming.path.parent
        above = frozenset(shelf.unsynced)

        def synced(code: int) -> None:
            if code:
                self._sharing.uploads.ended(upload)
                done(_unavailable(OSError(code, os.strerror(code))))
            else:
                shelf.unsynced -= above
                self._sharing.come(upload, clock.now(), shared)

        def shared(result: Ok | TicketError) -> None:
            if isinstance(result, Ok):
                # It has its name: that must be durable too before anybody relies on it.
                named_in = [shelf.directory, shelf.directory / ".kept"]
                self._sync(named_in, lambda code: named(code, result))
            else:
                done(result)

        def named(code: int, result: Ok) -> None:
            self._parts.delete(upload.part)
            done(_unavailable(OSError(code, os.strerror(code))) if code else result)

        def done(result: Ok | TicketError) -> None:
            self._settling.discard(upload.part)
            if isinstance(result, Ok):
                self.counts.uploads += 1
            else:
                self._parts.leave(upload.part, upload.payer, clock.now().utc)
            answer(result)

        self._sync([incoming.path, parts, *above], synced)

    def _sync(self, paths: Sequence[Path], ended: Callable[[int], None]) -> None:
        """Make files durable, and then call ``ended``. Only a few processes at once do that."""
        self._to_sync.append((paths, ended))
        self._sync_next()

    def _sync_next(self) -> None:
        while self._to_sync and self._syncing < _AT_ONCE:
            paths, ended = self._to_sync.popleft()

            def over(code: int, ended: Callable[[int], None] = ended) -> None:
                self._syncing -= 1
                ended(code)
                self._sync_next()

            try:
                _Syncing(self._loop, paths, over)
            except OSError as problem:
                logger.error("no process can be started: %s", problem.strerror)
                ended(problem.errno or errno.EAGAIN)
            else:
                self._syncing += 1

    def _forget(self, incoming: Incoming) -> None:
        part = incoming.upload.part
        if self._gathering.get(part, (None,))[0] is incoming:
            del self._gathering[part]
        incoming.close()


def _unavailable(problem: OSError) -> TicketError:
    text = f"the server cannot store the file: {problem.strerror or problem}"
    return TicketError(ErrorWord.STORE_UNAVAILABLE, text)


def begins(file: Outgoing | Incoming) -> Ok:
    """Return what a peer is told before the bytes of a file flow."""
    if isinstance(file, Incoming):
        return Ok(offset=file.offset, size=file.upload.size)
    return Ok(offset=file.at, size=file.size)
