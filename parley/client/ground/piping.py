"""Reading lines and writing where there is no screen: a pipe, a file, a terminal.

How a file waits is left as it is. Standard input and output are often one and the same to the
system, a terminal above all: what does not wait in the one does not in the other, nor in the shell
afterwards.
"""

import asyncio
import errno
import os
import select
import stat
from collections.abc import AsyncGenerator
from typing import Final

LONGEST: Final = 1 << 20
"""Bytes of a line. Of a longer one only the beginning is read."""

_CHUNK: Final = 1 << 16


async def lines(file: int) -> AsyncGenerator[bytes, None]:
    """Yield the lines of ``file`` as they come; over ``LONGEST``: one that is longer than it.

    Raises ``OSError``.
    """
    held, passing = b"", False
    while chunk := await _read(file):
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            if not passing:
                yield held + end
            held, passing = b"", False
        if not passing:
            held += rest
        if len(held) > LONGEST:
            yield held
            held, passing = b"", True
    if held:
        yield held


async def _read(file: int) -> bytes:
    loop = asyncio.get_running_loop()
    mode = os.fstat(file).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(file)):
        # A plain file or /dev/null, which a loop cannot watch: reading it does not wait.
        return await loop.run_in_executor(None, os.read, file, _CHUNK)
    while True:
        readable = asyncio.Event()
        loop.add_reader(file, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(file)
        try:
            return os.read(file, _CHUNK)
        except BlockingIOError:
            continue  # somebody else has read it
        except OSError as problem:
            if problem.errno == errno.EIO:
                return b""  # the terminal is gone
            raise


def write(file: int, data: bytes) -> None:
    """Write all of ``data``, also to a file that by itself does not wait. Raises ``OSError``."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(file, left) :]
        except BlockingIOError:
            select.select([], [file], [])
