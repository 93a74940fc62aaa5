"""Pages: bytes that the kernel gives to many sockets (``sendfile``) without a copy for each.

They are written one behind the other into a file that is nothing but memory, and has no name. What
has been written there is never changed, since it is the kernel's until the last client has read it:
when the file is full another is begun.

A file is one huge page where the kernel makes one of it (``MADV_COLLAPSE``, Linux 6.1), else 512
small ones: those are counted each, for each client, by whoever sends and whoever has read.
"""

import errno
import mmap
import os
from time import perf_counter
from typing import Final

from parley.server.ground.foreign import ctypes

_HUGE: Final = 2 << 20  # bytes of a huge page, on most machines
_PATIENCE: Final = 0.01  # seconds that the kernel may take to find a huge page
_REST: Final = 100  # files for which it is not asked again where it took longer, or has none
_COLLAPSE: Final = 25  # MADV_COLLAPSE
_FIXED: Final = 0x10  # MAP_FIXED


class Pages:
    """Where to write what many get."""

    def __init__(self) -> None:
        self._file: int | None = None
        self._size = self._used = 0
        self._rest = 0

    def put(self, data: bytes | memoryview) -> tuple[int, int]:
        """Write ``data``. Return the descriptor of the file and where in it they stand: valid until
        the next ``put``. Raises ``OSError`` if there is no memory or descriptor for them."""
        if self._file is None or self._used + len(data) > self._size:
            self._begin(len(data))
        file, at = self._file, self._used
        assert file is not None
        if os.pwrite(file, data, at) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if at == 0:
            self._make_huge(file)
        self._used = _rounded(at + len(data), mmap.PAGESIZE)
        return file, at

    def close(self) -> None:
        """Give up what the kernel does not need any more."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _make_huge(self, file: int) -> None:
        """Let ``file`` be huge pages, unless they are hard to come by."""
        if self._rest:
            self._rest -= 1
            return
        began = perf_counter()
        if not make_huge(file, self._size) or perf_counter() - began > _PATIENCE:
            self._rest = _REST

    def _begin(self, least: int) -> None:
        self.close()
        file = os.memfd_create("parley-pages")
        try:
            self._size, self._used = _rounded(least, _HUGE), 0
            os.truncate(file, self._size)
        except BaseException:
            os.close(file)
            raise
        self._file = file


def _rounded(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def make_huge(file: int, size: int) -> bool:
    """Let a file of ``size`` bytes, of which something is written, be huge pages. Return False if
    the kernel has none. It is asked by way of a place in memory, on a border between such pages."""
    if _memory is None:
        return False
    room = size + _HUGE
    place = _memory.mmap(None, room, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    if place == _NOWHERE:
        return False
    border = _rounded(place, _HUGE)
    shared = mmap.MAP_SHARED | _FIXED
    there = _memory.mmap(border, size, mmap.PROT_READ, shared, file, 0) == border
    made = there and bool(_memory.madvise(border, size, _COLLAPSE) == 0)
    _memory.munmap(place, room)
    return made


def _calls() -> "ctypes.CDLL | None":
    """Return the system calls for memory, which Python's own module makes for whole maps only."""
    if ctypes is None:
        return None
    calls = ctypes.CDLL(None)
    place, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    calls.mmap.restype = place
    calls.mmap.argtypes = [place, size, number, number, number, ctypes.c_long]
    calls.madvise.argtypes = [place, size, number]
    calls.munmap.argtypes = [place, size]
    return calls


_memory: Final = _calls()
_NOWHERE: Final = 0 if ctypes is None else ctypes.c_void_p(-1).value  # MAP_FAILED
