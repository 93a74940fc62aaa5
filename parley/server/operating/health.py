"""Whether the server is well: what it says to whoever asks before sending people to it.

Alive is a loop that turns, which the answer itself shows. Ready is more: it takes newcomers, what
they say can be stored, and the past can be looked up. ``Readiness`` asks the disk at most once a
second, however often it is asked.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

_ROOM: Final = 128 * 1024
"""Bytes that must fit on the disk: a few of the longest messages."""

_ASK_AGAIN: Final = 1.0  # seconds


class Readiness:
    """Tells why the server on the directory ``data`` is not ready. ``reasons`` is what the server
    knows itself."""

    def __init__(self, data: Path, reasons: Callable[[], list[str]]) -> None:
        self._data = data
        self._reasons = reasons
        self._asked: float | None = None
        self._problem: str | None = None

    def unready(self, mono: float) -> list[str]:
        """Return why not, as short sentences; none if it is ready. ``mono`` is monotonic
        seconds."""
        if self._asked is None or mono - self._asked >= _ASK_AGAIN:
            self._asked = mono
            self._problem = unwritable(self._data)
        reasons = self._reasons()
        if self._problem is not None:
            reasons.append(f"the data directory cannot be written: {self._problem}")
        return reasons


def unwritable(directory: Path) -> str | None:
    """Return why nothing could be written in ``directory``, None if something could.

    Writes a file without a name (``O_TMPFILE``), of which nothing is left whatever happens. A
    file system that has no such files is taken for writable.
    """
    try:
        fd = os.open(directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        if problem.errno in (errno.EOPNOTSUPP, errno.EISDIR):
            return None
        return problem.strerror
    try:
        written = os.write(fd, bytes(_ROOM))
    except OSError as problem:
        return problem.strerror
    finally:
        os.close(fd)
    return None if written == _ROOM else "there is hardly any room"
