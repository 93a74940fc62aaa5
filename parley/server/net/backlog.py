"""The backlog in all: how much memory what waits for slow clients takes. No socket here.

What one tick says to a thousand slow clients is one bytes object that a thousand connections
hold: it counts once, and until the last of them has sent it or is gone.
"""

from typing import Final

from parley.server.net.sockets import Bytes

_EACH: Final = 200
"""Bytes that Python and the count here add to a buffer: many answers are shorter than that."""


class Backlog:
    """The buffers that connections hold. ``size`` is in bytes."""

    __slots__ = ("_holders", "size")

    def __init__(self) -> None:
        self._holders: dict[int, int] = {}  # by the id of the object: it lives while it is held
        self.size = 0

    def hold(self, buffer: Bytes) -> None:
        """A connection keeps ``buffer``, or a slice of it."""
        whole: bytes = buffer.obj if isinstance(buffer, memoryview) else buffer  # type: ignore
        holders = self._holders.get(id(whole), 0)
        self._holders[id(whole)] = holders + 1
        if not holders:
            self.size += len(whole) + _EACH

    def release(self, buffer: Bytes) -> None:
        """A connection keeps it no more."""
        whole: bytes = buffer.obj if isinstance(buffer, memoryview) else buffer  # type: ignore
        holders = self._holders[id(whole)] - 1
        if holders:
            self._holders[id(whole)] = holders
        else:
            del self._holders[id(whole)]
            self.size -= len(whole) + _EACH
