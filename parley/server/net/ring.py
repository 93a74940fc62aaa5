"""A ring of Linux' io_uring: bytes to many sockets by one system call.

The kernel finds a list of sends in memory that it shares with this process, and has carried out all
of them when the call returns: nothing goes on behind it. A socket that takes no more says so
(``EAGAIN``) as it does to ``send``; nobody waits for it.

Not everywhere may a process have a ring: not on kernels before 5.6, in many containers, and where
whoever runs the machine wants none (``kernel.io_uring_disabled``). The shared memory is laid out as
``linux/io_uring.h`` says. Python's own library has nothing of it, and what is on PyPI makes an
object of each send, which takes as long as what is saved here.
"""

import contextlib
import errno
import mmap
import os
import socket
import sys
from array import array
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from parley.server.ground.foreign import ctypes

_SETUP: Final = 425  # the numbers of the two system calls, alike on nearly all machines
_ENTER: Final = 426
_GETEVENTS: Final = 1 << 0
_SINGLE_MMAP: Final = 1 << 0
_QUEUES: Final = 0  # where the queues are mapped
_SENDS: Final = 0x10000000  # and where the sends are
_SEND_WORDS: Final = 16  # of 32 bits, in each (``struct io_uring_sqe``)
_DONE_WORDS: Final = 4  # of 32 bits, in what is said of each (``struct io_uring_cqe``)

_OP_SEND: Final = 26
_FLAGS: Final = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL

_ENTRIES: Final = 512
"""Sends in one call. Before Linux 5.12, and again from 6.14 on, a ring counts as locked memory, of
which who is not root has 64 KB in many places: a ring for twice as many would be refused there."""

Words = memoryview
"""A part of the shared memory, as numbers."""


class Ring:
    """One ring. Only the thread that made it may use it.

    ``broken`` says why the kernel would not go on, if it would not: from then on nothing is sent.
    """

    def __init__(self) -> None:
        """Raise ``OSError`` if there can be none."""
        if sys.platform != "linux" or sys.byteorder != "little":
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        if ctypes is None:
            raise OSError(errno.ENOSYS, "this Python has no ctypes")
        self.broken: str | None = None
        self._syscall = ctypes.CDLL(None, use_errno=True).syscall
        self._syscall.argtypes = [ctypes.c_long] * 7
        self._syscall.restype = ctypes.c_long
        params = (ctypes.c_uint32 * 30)()  # struct io_uring_params
        self._fd = self._call(_SETUP, _ENTRIES, ctypes.addressof(params))
        try:
            self._map(list(params))
            self._try_out()
        except BaseException:
            self.close()
            raise

    def _map(self, params: list[int]) -> None:
        """Map the memory that is shared, as the kernel says in ``params`` that it lies."""
        entries, done_entries, features = params[0], params[1], params[5]
        if entries != _ENTRIES or not features & _SINGLE_MMAP:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        tail, order = params[11], params[16]
        done_head, done_tail, done = params[20], params[21], params[25]
        size = max(order + 4 * entries, done + 4 * _DONE_WORDS * done_entries)
        queues = mmap.mmap(self._fd, size, offset=_QUEUES)
        sends = memoryview(mmap.mmap(self._fd, 4 * _SEND_WORDS * entries, offset=_SENDS))
        words, long_words = sends.cast("I"), sends.cast("Q")
        self._to, self._length = words[1::_SEND_WORDS], words[6::_SEND_WORDS]
        self._from = long_words[2 :: _SEND_WORDS // 2]
        words[0::_SEND_WORDS] = _alike(_OP_SEND, entries)
        words[7::_SEND_WORDS] = _alike(_FLAGS, entries)
        self._tail = _words(queues, tail, 1)
        self._done_head = _words(queues, done_head, 1)
        self._done_tail = _words(queues, done_tail, 1)
        said = _words(queues, done, _DONE_WORDS * done_entries).cast("B").cast("i")
        self._numbers, self._results = said[0::_DONE_WORDS], said[2::_DONE_WORDS]
        # A place in the queue means the send of the same number, which answers by that number.
        _words(queues, order, entries)[:] = memoryview(array("I", range(entries)))
        long_words[4 :: _SEND_WORDS // 2] = memoryview(array("Q", range(entries)))

    def _try_out(self) -> None:
        """Raise ``OSError`` if this kernel does not send, or does not say that a socket is full."""
        near, far = socket.socketpair()
        with near, far:
            near.setblocking(False)
            sent = self.send([near.fileno()], b"parley")
            if self.broken is not None:
                raise OSError(errno.EIO, self.broken)
            if sent or far.recv(16) != b"parley":
                raise OSError(errno.EIO, "it does not send")
            with contextlib.suppress(BlockingIOError):
                while True:
                    near.send(bytes(4096))
            if self.send([near.fileno()], b"more") != {0: -errno.EAGAIN}:
                raise OSError(errno.EIO, "it does not say of a socket that it is full")

    def send(self, descriptors: Sequence[int], data: bytes) -> dict[int, int]:
        """Send ``data`` to each of these sockets. Return what came of those that did not take it
        whole, by their place in ``descriptors``: how many bytes they took, or minus an ``errno``.
        """
        count = len(descriptors)
        starts = array("Q", [_address(data)]) * count
        return self._send_all(descriptors, starts, [len(data)] * count)

    def send_each(self, descriptors: Sequence[int], data: Sequence[bytes]) -> dict[int, int]:
        """Send to each of these sockets its own of ``data``, which are joined for that. Return what
        ``send`` does."""
        sizes = list(map(len, data))
        joined = b"".join(data)  # one address is found out in the time of many sends
        starts = array("Q", accumulate(sizes, initial=_address(joined)))
        return self._send_all(descriptors, starts, sizes)

    def _send_all(
        self, descriptors: Sequence[int], starts: "array[int]", sizes: list[int]
    ) -> dict[int, int]:
        """Send to each socket so many bytes as its size says, from where they start in memory."""
        failed: dict[int, int] = {}
        for first in range(0, len(descriptors), _ENTRIES):
            some = slice(first, min(first + _ENTRIES, len(descriptors)))
            found = self._send(descriptors[some], starts[some], sizes[some])
            failed.update((first + place, result) for place, result in found.items())
        return failed

    def _send(
        self, descriptors: Sequence[int], starts: "array[int]", sizes: list[int]
    ) -> dict[int, int]:
        """Send to no more than there are entries."""
        count = len(descriptors)
        if self.broken is not None:
            return dict.fromkeys(range(count), -errno.EAGAIN)
        at = self._tail[0] % _ENTRIES
        _put(self._to, at, array("I", descriptors))
        _put(self._from, at, starts)
        _put(self._length, at, array("I", sizes))
        self._tail[0] = (self._tail[0] + count) & 0xFFFFFFFF
        head = self._done_head[0]
        begun = self._carry_out(count)
        done = (self._done_tail[0] - head) & 0xFFFFFFFF
        results = _take(self._results, head, done)
        failed: dict[int, int] = {}
        if results != sizes:
            places = [(number - at) % _ENTRIES for number in _take(self._numbers, head, done)]
            failed = dict.fromkeys(range(begun), -errno.EIO)  # nobody knows
            failed.update(dict.fromkeys(range(begun, count), -errno.EAGAIN))
            failed.update(zip(places, results, strict=True))
            failed = {place: sent for place, sent in failed.items() if sent != sizes[place]}
        self._done_head[0] = (head + done) & 0xFFFFFFFF
        return failed

    def _carry_out(self, count: int) -> int:
        """Let the kernel do what stands in the queue, ``count`` sends. Return how many it began:
        all, if the ring is not ``broken`` now."""
        begun = 0
        while (self._done_tail[0] - self._done_head[0]) & 0xFFFFFFFF < count:
            try:
                begun += self._call(_ENTER, self._fd, count - begun, count, _GETEVENTS)
            except InterruptedError:
                continue  # by a signal, before it began
            except OSError as problem:
                self.broken = os.strerror(problem.errno or errno.EIO)
                break
        return begun

    def close(self) -> None:
        """Give the ring up."""
        self.broken = "closed"
        os.close(self._fd)

    def _call(self, number: int, *arguments: int) -> int:
        """Make a system call. Raises ``OSError``."""
        found = int(self._syscall(number, *arguments, *[0] * (6 - len(arguments))))
        if found < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return found


def _address(data: bytes) -> int:
    """Return where ``data`` stands in memory, as long as it is there."""
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0


def _alike(word: int, count: int) -> Words:
    """Return the same word so many times."""
    return memoryview(array("I", [word]) * count)


def _words(queues: mmap.mmap, at: int, count: int) -> Words:
    """Return ``count`` words of 32 bits of the queues, from byte ``at`` on."""
    return memoryview(queues)[at : at + 4 * count].cast("I")


def _put(words: Words, at: int, values: "array[int]") -> None:
    """Put ``values`` in from place ``at`` on; behind the last place comes the first."""
    room = min(len(values), len(words) - at)
    words[at : at + room] = memoryview(values)[:room]
    if room < len(values):
        words[: len(values) - room] = memoryview(values)[room:]


def _take(words: Words, at: int, count: int) -> list[int]:
    """Return ``count`` words from place ``at`` on, counted round and round."""
    at %= len(words)
    found = words[at : at + count].tolist()
    return found + words[: count - len(found)].tolist()
