"""The ring, on real sockets: each gets all, or what it did not take is said."""

import contextlib
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
        if problem.errno not in (errno.EPERM, errno.ENOSYS, errno.ENOMEM):
            raise
        pytest.skip(f"io_uring: {problem}")


@pytest.fixture
def ring() -> Iterator[Ring]:
    made = ring_or_skip()
    yield made
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
    sizes = [memoryview(mapped.obj).nbytes for mapped in (ring._what, ring._tail)]
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
