"""The disk's side of a job: a download is gathered beside its place and gets its name when it is
whole; an upload is read through for its SHA-256 before.

Blocking, for a thread of its own. Hashing goes on beside reading and writing: both let others run.
"""

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import queue
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from parley.client.files.job import Job

CHUNK: Final = 1024 * 1024
_BUFFERS: Final = 4
_CHANGED: Final = "what had come was changed meanwhile: fetch it again"


class FileProblemError(Exception):
    """Something is wrong with a file here, or with the disk. The text says what."""


class WrongBytesError(FileProblemError):
    """What came is not what was announced; it was deleted."""


class _Hasher:
    """A SHA-256 that is taken in a thread of its own, over buffers that are used in turn."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
        for _ in range(_BUFFERS):
            self._free.put(bytearray(CHUNK))
        self._todo: queue.SimpleQueue[tuple[bytearray, int] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="sha256", daemon=True)
        self._thread.start()

    def buffer(self) -> bytearray:
        """Return a buffer to be filled; give it to ``update``."""
        return self._free.get()

    def update(self, buffer: bytearray, size: int) -> None:
        """Take in the first bytes of a buffer."""
        self._todo.put((buffer, size))

    def hexdigest(self) -> str:
        """Return the digest of all that was given; nothing more may be."""
        self.close()
        return self._hash.hexdigest()

    def close(self) -> None:
        """End the thread."""
        self._todo.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (task := self._todo.get()) is not None:
            buffer, size = task
            self._hash.update(memoryview(buffer)[:size])
            self._free.put(buffer)


class Saving:
    """A download that is being gathered. What came in an earlier run is gone on with."""

    def __init__(self, job: Job, sha256: str) -> None:
        """Open what there is of it. Raises ``FileProblemError``."""
        self._job = job
        self._sha256 = sha256
        folder = job.path.parent
        name = hashlib.sha256(job.path.name.encode()).hexdigest()[:8]
        self.part = folder / f".{job.path.name[:40]}.{name}.{sha256[:12]}.part"
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self.part, flags, 0o600)
            self._own()
        except (FileExistsError, NotADirectoryError):
            raise FileProblemError(f"{folder} is no folder") from None
        except OSError as problem:
            if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                text = f"cannot write in {folder}: choose another with --downloads"
                raise FileProblemError(text) from None
            raise FileProblemError(f"{self.part}: {problem.strerror}") from None
        self._stamp = self._on_disk()
        self._doubtful = False
        self._hasher = _Hasher()
        self.offset = 0

    def _own(self) -> None:
        """Make sure that nobody else has the part, by another name or in another program."""
        found = os.fstat(self._fd)
        try:
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                raise FileProblemError(f"{self.part} is in the way: remove it")
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise FileProblemError("it is being fetched already") from None
        except BaseException:
            os.close(self._fd)
            raise

    def catch_up(self) -> None:
        """Read through what is there already. ``offset`` is then where it goes on."""
        here = min(os.fstat(self._fd).st_size, self._job.size)
        self._job.moved = self.offset
        while self.offset < here:
            self._job.check_cancelled()
            with self._disk():
                self.fill(lambda view: os.preadv(self._fd, [view], self.offset), here, write=False)
        with self._changing():
            os.ftruncate(self._fd, self.offset)

    def fill(self, receive: Callable[[memoryview], int], end: int, write: bool = True) -> int:
        """Take in what ``receive`` puts into a buffer, which holds no more than goes up to
        ``end``. Return how many bytes that were."""
        buffer = self._hasher.buffer()
        count = 0
        try:
            view = memoryview(buffer)[: end - self.offset]
            count = receive(view)
            if write:
                with self._changing():
                    self._write(view[:count])
        except BaseException:
            count = 0
            raise
        finally:
            self._hasher.update(buffer, count)  # it must go back in any case
        self.offset += count
        self._job.moved = self.offset
        return count

    def write_bytes(self, data: bytes) -> None:
        """Take in bytes that came otherwise. Raises ``FileProblemError``."""

        def copy(view: memoryview) -> int:
            piece = rest[: len(view)]
            view[: len(piece)] = piece
            return len(piece)

        rest = memoryview(data)
        while rest:
            rest = rest[self.fill(copy, self.offset + len(rest)) :]

    def _write(self, view: memoryview) -> None:
        at = self.offset
        while view:
            written = os.pwrite(self._fd, view, at)
            at += written
            view = view[written:]

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        """What goes wrong here is the disk's fault, not the connection's."""
        try:
            yield
        except OSError as problem:
            raise FileProblemError(f"{self._job.path}: {problem.strerror}") from None

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """What changes the part: it is to be as it was left, or somebody else writes to it too."""
        with self._disk():
            self._doubtful |= self._on_disk() != self._stamp
            yield
            self._stamp = self._on_disk()

    def _on_disk(self) -> tuple[int, int, int]:
        """Return by what one sees that somebody has written to the part."""
        found = os.fstat(self._fd)
        return found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def finish(self) -> None:
        """Check it and give it its name, if there is no file of this name by now.

        Raises ``WrongBytesError``, ``FileProblemError``, ``OSError`` or
        ``CancelledByPersonError``.
        """
        if not self._is_at(self.part):
            raise FileProblemError(_CHANGED)
        self._job.sha256 = self._hasher.hexdigest()
        if self._job.sha256 != self._sha256:
            self.part.unlink()
            raise WrongBytesError("what came is not what was announced: its SHA-256 is another")
        self._doubtful |= self._on_disk() != self._stamp
        if self._doubtful and _read_through(self._job, self._fd) != self._sha256:
            self.part.unlink()
            raise FileProblemError(_CHANGED)
        self._name()

    def _name(self) -> None:
        final = self._job.path
        try:
            os.link(self.part, final)
        except FileExistsError:
            raise FileProblemError(f"there is a file {final} by now; {self.part} is it") from None
        except OSError:  # a file system without links
            if final.exists():
                raise FileProblemError(f"there is a file {final} by now") from None
            self.part.rename(final)
        else:
            if not self._is_at(final):
                final.unlink()
                raise FileProblemError(_CHANGED)
            self.part.unlink()

    def _is_at(self, path: Path) -> bool:
        """Tell whether ``path`` is what is written to, and not something put in its place."""
        try:
            found = path.lstat()
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and os.path.samestat(found, os.fstat(self._fd))

    def close(self) -> None:
        """Close the file; what has come stays."""
        self._hasher.close()
        os.close(self._fd)


def digest(job: Job) -> str:
    """Return the SHA-256 of the job's file, in hex. Raises ``OSError``, ``FileProblemError`` or
    ``CancelledByPersonError``."""
    with open_regular(job.path) as file:
        job.size = os.fstat(file.fileno()).st_size
        found = _read_through(job, file.fileno())
    if job.moved and not job.size:
        raise FileProblemError(f"{job.path}: its size is not known: copy it first")
    if job.moved != job.size:
        raise FileProblemError(f"{job.path} is being written: wait until it is whole")
    job.moved = 0
    return found


def _read_through(job: Job, fd: int) -> str:
    """Return the SHA-256 of a file, in hex; of one that is over the job's size, of more than
    that. ``moved`` tells how far it is."""
    job.moved = 0
    hash_ = hashlib.sha256()
    buffer = bytearray(CHUNK)
    while job.moved <= job.size and (count := os.preadv(fd, [buffer], job.moved)):
        job.check_cancelled()
        hash_.update(memoryview(buffer)[:count])
        job.moved += count
    return hash_.hexdigest()


def open_regular(path: Path) -> io.FileIO:
    """Open a file to be read. Raises ``OSError``, and ``FileProblemError`` for what is none: a
    device, a pipe, a directory."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise FileProblemError(f"{path} is no plain file")
    return io.FileIO(fd)


def is_same(job: Job, sha256: str) -> bool:
    """Tell whether the job's file is one of its size and this SHA-256. Raises
    ``CancelledByPersonError``."""
    try:
        return job.path.stat().st_size == job.size and digest(job) == sha256
    except (OSError, FileProblemError):
        return False
