"""Parts: uploads that are not whole, each gathered in a file of its own.

An upload that was broken off can be gone on with for a day. What waits so costs its sender: of
one payer only so many are kept, and of all; the oldest go first.
"""

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LEAST: Final = 256
"""Bytes that a file counts as at least, in every limit: an empty one costs something too."""

OF_ONE: Final = 16
"""Broken-off uploads that are kept of one payer."""

OF_ALL: Final = 1000
"""Broken-off uploads that are kept in all."""

_KEPT: Final = 86400.0  # seconds


@dataclass(slots=True)
class _Part:
    size: int
    since: float  # UTC seconds
    payer: str


class Parts:
    """The parts in ``directory``. ``_idle`` are those that nobody is bringing, the oldest first."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._idle: dict[str, _Part] = {}

    def path(self, name: str) -> Path:
        """Return where the bytes of an upload go until it is whole."""
        return self.directory / name

    def load(self) -> None:
        """Know what an earlier run has left. What is no plain file, or has another name, goes."""
        found: list[tuple[str, _Part]] = []
        with contextlib.suppress(OSError), os.scandir(self.directory) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    seen = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1 and seen.st_size:
                        found.append((entry.name, _Part(seen.st_size, seen.st_mtime, "")))
                    else:
                        self.path(entry.name).unlink()
        self._idle = dict(sorted(found, key=lambda one: one[1].since))

    def here(self, name: str) -> int:
        """Return how many bytes of an upload have come."""
        try:
            return self.path(name).stat().st_size
        except OSError:
            return 0

    def begin(self, name: str) -> None:
        """Somebody is bringing this one."""
        self._idle.pop(name, None)

    def leave(self, name: str, payer: str, utc: float) -> None:
        """This one was broken off; what has come is kept, if something has."""
        size = self.here(name)
        if not size:
            self.delete(name)
            return
        self._idle.pop(name, None)
        self._idle[name] = _Part(size, utc, payer)
        mine = [other for other, part in self._idle.items() if part.payer == payer]
        if payer and len(mine) > OF_ONE:
            self.delete(mine[0])
        elif len(self._idle) > OF_ALL:
            self.delete(next(iter(self._idle)))

    def delete(self, name: str) -> None:
        """Throw one away, or what is left of it."""
        self._idle.pop(name, None)
        with contextlib.suppress(OSError):
            self.path(name).unlink(missing_ok=True)

    def make_room(self, size: int, but: str) -> bool:
        """Delete what nobody is bringing, but for the part ``but``, the oldest first, until what
        is left takes at most ``size`` bytes. Tell whether it does."""
        others = {name: part for name, part in self._idle.items() if name != but}
        held = sum(max(part.size, LEAST) for part in others.values())
        for name, part in others.items():
            if held <= size:
                break
            self.delete(name)
            held -= max(part.size, LEAST)
        return held <= size

    def clean(self, utc: float) -> None:
        """Delete what nobody has gone on with for long."""
        for name, part in list(self._idle.items()):
            if utc - part.since > _KEPT:
                self.delete(name)
