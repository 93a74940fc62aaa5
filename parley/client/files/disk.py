"""The disk's side of a job: a download is gathered beside its place and gets its name when it is
whole; an upload is read through for its SHA-256 before.

Blocking, for a thread of its own. Hashing goes on beside reading and writing: both let others run.
"""

import hashlib
import os
import queue
import threading
from pathlib import Path
from typing import Final

from parley.client.files.job import Job

CHUNK: Final = 1024 * 1024
_BUFFERS: Final = 4


class FileProblemError(Exception):
    """Something is wrong with a file here. The text says what."""


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
        """Open what there is of it. Raises ``OSError``."""
        self._job = job
        self._sha256 = sha256
        folder = job.path.parent
        folder.mkdir(parents=True, exist_ok=True)
        self.part = folder / f".{job.path.name}.{sha256[:12]}.part"
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(self.part, flags, 0o600)
        self._hasher = _Hasher()
        self.offset = 0

    def catch_up(self) -> None:
        """Read through what is there already. ``offset`` is then where it goes on."""
        here = min(os.fstat(self._fd).st_size, self._job.size)
        self._job.moved = self.offset
        while self.offset < here:
            self._job.check_cancelled()
            buffer = self._hasher.buffer()
            count = os.preadv(self._fd, [memoryview(buffer)[: here - self.offset]], self.offset)
            self._hasher.update(buffer, count)
            self.offset += count
            self._job.moved = self.offset
        os.ftruncate(self._fd, self.offset)
        os.lseek(self._fd, self.offset, os.SEEK_SET)

    def buffer(self) -> bytearray:
        """Return a buffer to receive into."""
        return self._hasher.buffer()

    def write(self, buffer: bytearray, size: int) -> None:
        """Take in the first bytes of a buffer. Raises ``OSError``."""
        view = memoryview(buffer)[:size]
        while view:
            view = view[os.write(self._fd, view) :]
        self._hasher.update(buffer, size)
        self.offset += size
        self._job.moved = self.offset

    def write_bytes(self, data: bytes) -> None:
        """Take in bytes that came otherwise. Raises ``OSError``."""
        for at in range(0, len(data), CHUNK):
            buffer = self._hasher.buffer()
            piece = data[at : at + CHUNK]
            buffer[: len(piece)] = piece
            self.write(buffer, len(piece))

    def finish(self) -> None:
        """Check it and give it its name, if there is no file of this name by now.

        Raises ``WrongBytesError``, ``FileProblemError`` or ``OSError``.
        """
        self._job.sha256 = self._hasher.hexdigest()
        if self._job.sha256 != self._sha256:
            self.part.unlink(missing_ok=True)
            raise WrongBytesError("what came is not what was announced: its SHA-256 is another")
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
            self.part.unlink()

    def close(self) -> None:
        """Close the file; what has come stays."""
        self._hasher.close()
        os.close(self._fd)


def digest(job: Job) -> str:
    """Return the SHA-256 of the job's file, in hex. Raises ``OSError``, ``FileProblemError``."""
    with job.path.open("rb", buffering=0) as file:
        job.size = os.fstat(file.fileno()).st_size
        job.moved = 0
        hash_ = hashlib.sha256()
        buffer = bytearray(CHUNK)
        while count := file.readinto(buffer):
            job.check_cancelled()
            hash_.update(memoryview(buffer)[:count])
            job.moved += count
        if job.moved != job.size:
            raise FileProblemError(f"{job.path} is being written: wait until it is whole")
    job.moved = 0
    return hash_.hexdigest()


def same(path: Path, size: int, sha256: str) -> bool:
    """Tell whether a file here is this one already."""
    try:
        if path.stat().st_size != size:
            return False
        job = Job(False, path.name, path)
        return digest(job) == sha256
    except (OSError, FileProblemError):
        return False
