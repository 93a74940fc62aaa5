"""Pages that are given to sockets: what was put there stays, and no descriptor is left."""

import os
import platform
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from parley.server.net import pages as net_pages
from parley.server.net.pages import Pages

FILE = 2 << 20
THP = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.fixture
def pages() -> Iterator[Pages]:
    made = Pages()
    yield made
    made.close()


def opened() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_what_was_put_stays_as_it_is_however_much_comes_behind_it(pages: Pages) -> None:
    kept: list[tuple[int, int, bytes]] = []
    for number in range(400):
        data = b"%04d" % number * (1 + number * 37)
        file, at = pages.put(data)
        if not kept or os.fstat(file).st_ino != os.fstat(kept[-1][0]).st_ino:
            file = os.dup(file)  # another file has been begun, and this one is looked at later
        else:
            file = kept[-1][0]
        kept.append((file, at, data))
    try:
        files = {file for file, _, _ in kept}
        assert 1 < len(files) < 20
        assert all(os.pread(file, len(data), at) == data for file, at, data in kept)
    finally:
        for file in files:
            os.close(file)


def test_it_holds_one_descriptor_and_gives_it_back(pages: Pages) -> None:
    before = opened()
    for _ in range(300):
        pages.put(bytes(20_000))
        assert opened() == before + 1
    pages.close()
    assert opened() == before
    assert os.pread(*put_and_read(pages)) == b"again"


def put_and_read(pages: Pages) -> tuple[int, int, int]:
    """Return how what is put now is read."""
    file, at = pages.put(b"again")
    return file, 5, at


def test_what_is_longer_than_a_file_has_a_longer_one(pages: Pages) -> None:
    data = os.urandom(3 * FILE - 1)
    pages.put(b"before")
    file, at = pages.put(data)
    assert os.pread(file, len(data), at) == data
    assert os.pread(*put_and_read(pages)) == b"again"


def test_without_room_it_says_so_and_goes_on_later(pages: Pages) -> None:
    before = opened()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            pages.put(b"much")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert opened() == before
    assert os.pread(*put_and_read(pages)) == b"again"


def huge_pages() -> int:
    """Return the bytes of this machine's huge pages in files of memory."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("ShmemHugePages:"):
            return int(line.split()[1]) * 1024
    pytest.skip("the kernel has none")


@pytest.mark.skipif(
    tuple(map(int, platform.release().split(".")[:2])) < (6, 1)
    or not THP.exists()
    or "[never]" in THP.read_text(),
    reason="the kernel makes none when asked",
)
def test_a_file_is_a_huge_page() -> None:
    before = huge_pages()
    several = [Pages() for _ in range(30)]
    for one in several:
        one.put(b"x")
    assert huge_pages() - before > 15 * FILE  # others may have taken some, or given some back
    for one in several:
        one.close()


@pytest.mark.parametrize(("made", "seconds"), [(False, 0.0), (True, 0.02)])
def test_where_huge_pages_are_hard_to_come_by_they_are_seldom_asked_for(
    pages: Pages, monkeypatch: pytest.MonkeyPatch, made: bool, seconds: float
) -> None:
    asked: list[int] = []
    now = 0.0

    def hard(file: int, size: int) -> bool:
        nonlocal now
        asked.append(size)
        now += seconds
        return made

    monkeypatch.setattr(net_pages, "make_huge", hard)
    monkeypatch.setattr(net_pages, "perf_counter", lambda: now)
    for _ in range(250):
        pages.put(bytes(FILE))
    assert 2 <= len(asked) <= 3
    before = len(asked)
    made, seconds = True, 0.0  # it has them again
    for _ in range(250):
        pages.put(bytes(FILE))
    assert len(asked) - before > 100
