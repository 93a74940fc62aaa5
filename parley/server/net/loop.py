"""The loop: one ``selectors`` selector, timers, and signals. It knows sockets, and nothing of chat.

Everything in the server happens between two calls of ``wait``; nothing else may
wait for anything.
"""

import heapq
import itertools
import selectors
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Protocol

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE


class HasDescriptor(Protocol):
    """A socket, or what stands for one."""

    def fileno(self) -> int:
        """Return its descriptor."""


Watched = HasDescriptor | int
"""A socket, or the descriptor of something else that can be waited for."""


class Watcher(Protocol):
    """Whoever owns a socket that is watched."""

    def ready(self, events: int) -> None:
        """The socket can be read (``READ``), written (``WRITE``), or both."""


class Timer:
    """Something to be called once at a monotonic time, unless ``cancel`` comes first."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Let nothing happen."""
        self.callback = None


class Loop:
    """Waits for sockets, times and signals."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self.watch(self._woken, READ, _Drain(self._woken))

    def watch(self, sock: Watched, events: int, watcher: Watcher) -> None:
        """Call ``watcher.ready`` whenever one of ``events`` holds for ``sock``; ``events`` 0
        keeps the place and calls nothing."""
        if events:
            self._selector.register(sock, events, watcher)

    def change(self, sock: Watched, before: int, events: int, watcher: Watcher) -> None:
        """Watch for ``events`` instead of ``before``."""
        if before and events:
            self._selector.modify(sock, events, watcher)
        elif before:
            self._selector.unregister(sock)
        elif events:
            self._selector.register(sock, events, watcher)

    def on_signal(self, number: int, callback: Callable[[], None]) -> None:
        """Call ``callback`` when the process gets this signal; a wait under way ends."""

        def handle(_number: int, _frame: FrameType | None) -> None:
            callback()

        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        signal.signal(number, handle)

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` at ``when``, in monotonic seconds, or as soon after as may be."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def wait(self, now: float, until: float | None) -> list[tuple[Watcher, int]]:
        """Wait until a socket is ready, a timer or ``until`` is due (monotonic seconds), or a
        signal comes. Return who is ready for what."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if self._timers and (until is None or self._timers[0][0] < until):
            until = self._timers[0][0]
        timeout = None if until is None else max(0.0, until - now)
        return [(key.data, events) for key, events in self._selector.select(timeout)]

    def run_timers(self, now: float) -> None:
        """Call what is due."""
        while self._timers and self._timers[0][0] <= now:
            callback = heapq.heappop(self._timers)[2].callback
            if callback is not None:
                callback()

    def close(self) -> None:
        """Watch nothing any more."""
        signal.set_wakeup_fd(-1)
        self._selector.close()
        self._woken.close()
        self._waker.close()


class _Drain:
    """Reads away the bytes by which signals wake the loop."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def ready(self, events: int) -> None:
        self._sock.recv(4096)
