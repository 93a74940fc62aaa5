"""The ring, on real sockets: each gets all, or what it did not take is said."""

import contextlib
import ctypes
import errno
import mmap
import os
import resource
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from parley.server.net.ring import Ring

MORE_THAN_ONE_CALL = 1250


def ring_or_skip() -> Ring:
    """Return a ring, or skip the test where the system lets nobody have one."""
    try:
        return Ring()
    except OSError as problem:
        if problem.errno != errno.ENOMEM and given():
            raise
        pytest.skip(f"io_uring: {problem}")


def given() -> bool:
    """Tell whether the system gives anybody a ring."""
    params = (ctypes.c_uint32 * 30)()
    fd = ctypes.CDLL(None).syscall(425, 1, params)
    if fd >= 0:
        os.close(fd)
    return bool(fd >= 0)


@pytest.fixture
def ring() -> Iterator[Ring]:
    made = ring_or_skip()
    yield made
    vars(made).pop("_call", None)  # of a ``Kernel``: both would wait for the collector
    if made.broken != "closed":
        made.close()


@contextlib.contextmanager
def pairs(count: int) -> Iterator[tuple[list[int], list[socket.socket]]]:
    """Yield the descriptors to send to, and the sockets at which that arrives."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        near, far = [], []
        for _ in range(count):
            one, other = socket.socketpair()
            near.append(stack.enter_context(one))
            far.append(stack.enter_context(other))
            one.setblocking(False)
            other.settimeout(10)
        yield [one.fileno() for one in near], far


class Kernel:
    """Does what ``io_uring_enter`` does: no more than ``at_once`` sends in a call, of which the
    last is answered first. The counters stand at ``start``. After ``calls`` it refuses, and the
    last send that it began has no answer."""

    def __init__(self, ring: Ring, start: int = 0, at_once: int = 300, calls: int = 1000) -> None:
        self._ring = ring
        self._next = start
        self._at_once = at_once
        self._calls = calls
        for counter in (ring._tail, ring._done_head, ring._done_tail):
            counter[0] = start
        ring._call = self._enter  # type: ignore[method-assign]

    def _enter(self, number: int, *arguments: int) -> int:
        if not self._calls:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        self._calls -= 1
        ring, begun = self._ring, min(arguments[1], self._at_once)
        assert (ring._tail[0] - self._next) & 0xFFFFFFFF == arguments[1]
        for at in reversed(range(self._next, self._next + begun)):
            place, answer = at % len(ring._to), ring._done_tail[0] % len(ring._results)
            data = ctypes.string_at(ring._from[place], ring._length[place])
            try:
                sent = os.write(ring._to[place], data)
            except OSError as problem:
                sent = -(problem.errno or 0)
            if self._calls or at < self._next + begun - 1:
                ring._numbers[answer], ring._results[answer] = place, sent
                ring._done_tail[0] = (ring._done_tail[0] + 1) & 0xFFFFFFFF
        self._next += begun
        return begun


def test_all_get_all_time_and_again(ring: Ring) -> None:
    with pairs(MORE_THAN_ONE_CALL) as (near, far):
        for turn in range(5):
            count = MORE_THAN_ONE_CALL - 7 * turn  # so that the queue is never begun anew
            data = b"%d" % turn * 100
            assert ring.send(near[:count], data) == {}
            assert {other.recv(1000) for other in far[:count]} == {data}


def test_who_does_not_take_all_is_named_with_what_they_took(ring: Ring) -> None:
    with pairs(MORE_THAN_ONE_CALL) as (near, far):
        far[3].close()
        far[1200].close()
        filler = bytes(1 << 20)
        taken = ring.send([near[600]], filler)[0]
        assert 0 < taken < len(filler)
        gone, full = -errno.EPIPE, -errno.EAGAIN
        assert ring.send(near, b"to all") == {3: gone, 600: full, 1200: gone}
        assert far[599].recv(100) == far[601].recv(100) == b"to all"
        assert far[600].recv(1 << 21, socket.MSG_WAITALL | socket.MSG_DONTWAIT) == filler[:taken]


def test_each_gets_its_own(ring: Ring) -> None:
    with pairs(MORE_THAN_ONE_CALL) as (near, far):
        far[3].close()
        far[1200].close()
        filler = bytes(1 << 20)
        taken = ring.send_each([near[600], near[601]], [filler, b""])[0]
        assert 0 < taken < len(filler)
        gone, full = -errno.EPIPE, -errno.EAGAIN
        for turn in range(4):  # so that the queue is never begun anew
            count = MORE_THAN_ONE_CALL - 7 * turn
            data = [b"%d of %d" % (number, turn) * (number % 5) for number in range(count)]
            data[3] = data[600] = data[1200] = b"in vain"
            assert ring.send_each(near[:count], data) == {3: gone, 600: full, 1200: gone}
            for number, one in enumerate(data):
                if one and one != b"in vain":
                    assert far[number].recv(1000) == one
        assert far[600].recv(1 << 21, socket.MSG_WAITALL | socket.MSG_DONTWAIT) == filler[:taken]
        assert ring.send_each([], []) == {}


@pytest.mark.parametrize("start", [2**32 - 1, 2**32 - 300, 2**32 - 512, 2**32 - 700])
def test_the_counters_begin_anew_after_32_bits(ring: Ring, start: int) -> None:
    Kernel(ring, start)
    with pairs(MORE_THAN_ONE_CALL) as (near, far):
        far.pop(100).close()
        for turn in range(3):
            assert ring.send(near, b"%d" % turn) == {100: -errno.EPIPE}
            assert {other.recv(10) for other in far} == {b"%d" % turn}


def test_what_was_begun_and_not_answered_is_not_sent_again(ring: Ring) -> None:
    Kernel(ring, at_once=10, calls=2)
    with pairs(30) as (near, far):
        unsent = dict.fromkeys(range(20, 30), -errno.EAGAIN)
        assert ring.send(near, b"half") == {19: -errno.EIO, **unsent}
        assert ring.broken
        assert {other.recv(10) for other in far[:20]} == {b"half"}


def test_signals_lose_and_double_nothing(ring: Ring) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: heard.append(number))
    signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
    try:
        with pairs(1000) as (near, far):
            for turn in range(20):
                assert ring.send(near, b"%04d" % turn) == {}
            signal.setitimer(signal.ITIMER_REAL, 0)
            whole = b"".join(b"%04d" % turn for turn in range(20))
            assert all(other.recv(1000) == whole for other in far)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert heard


def test_a_ring_that_the_kernel_ends_has_sent_nothing(ring: Ring) -> None:
    with pairs(3) as (near, far), Path(os.devnull).open() as other:
        os.dup2(other.fileno(), ring._fd)
        for _ in range(2):
            assert ring.send(near, b"lost") == dict.fromkeys(range(3), -errno.EAGAIN)
            assert ring.broken
        far[0].setblocking(False)
        with pytest.raises(BlockingIOError):
            far[0].recv(10)


def test_without_a_descriptor_there_is_no_ring() -> None:
    ring_or_skip().close()
    before = len(os.listdir("/proc/self/fd"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            Ring()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(mmap.PAGESIZE != 4096, reason="counted in pages of 4 KB")
def test_a_ring_takes_no_more_than_anybody_may_lock(ring: Ring) -> None:
    sizes = [memoryview(mapped.obj).nbytes for mapped in (ring._to, ring._tail)]
    # Old kernels count by powers of two.
    assert sum(1 << (size - 1).bit_length() for size in sizes) <= 64 * 1024


def test_a_ring_that_is_closed_leaves_nothing_open() -> None:
    ring_or_skip().close()  # what is opened once for all is open now
    before = len(os.listdir("/proc/self/fd"))
    made = ring_or_skip()
    assert len(os.listdir("/proc/self/fd")) > before
    made.close()
    del made
    assert len(os.listdir("/proc/self/fd")) == before
