"""Coming back by itself: when to try again, and when to give up.

Clients of a server that has restarted must not all come at once, so a try comes after a random part
of a delay that doubles with each ("full jitter": Brooker, AWS Architecture Blog, 2015). Whoever
asks for a try by hand begins with the shortest again.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

from parley.client.session.happenings import Change, RefusedError, ServerBusyError, Status
from parley.client.session.joining import AgainNowError, Settings

FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 30.0
"""Seconds: the delays of which a random part is waited."""

STEADY: Final = 10.0
"""Seconds online after which a connection that breaks is tried again soon."""


class Reconnecting:
    """Keeps a session connected, by ``settings``. ``change`` is told of each change of status."""

    def __init__(self, settings: Settings, change: Callable[[Change], None]) -> None:
        self._settings = settings
        self._change = change
        self._now = asyncio.Event()
        self._online_since: float | None = None
        self.ever_online = False
        self.stopped = False

    def online(self) -> None:
        """This try got in."""
        self.ever_online = True
        self._online_since = time.monotonic()

    def try_now(self) -> None:
        """Try again now instead of at the end of the wait."""
        self._now.set()

    def stop(self) -> None:
        """Do not try again."""
        self.stopped = True
        self._now.set()

    async def wanted(self) -> bool:
        """After the end: wait for ``try_now``. False if ``stop`` comes instead."""
        self._now.clear()
        while not (self.stopped or self._now.is_set()):
            await self._now.wait()
        return not self.stopped

    async def run(self, serve: Callable[[], Awaitable[None]]) -> None:
        """Have ``serve`` connect and be connected, again and again until ``stop``.

        Raises ``RefusedError`` as it does, and ``ConnectionError`` if ``keep_trying`` has run out.
        """
        began = time.monotonic()
        tries = 0
        while not self.stopped:
            self._now.clear()
            self._online_since = None
            self._change(Change(Status.CONNECTING))
            word = None
            try:
                await serve()
                problem = "the server closed the connection"
            except RefusedError as refusal:
                self._change(Change(Status.ENDED, str(refusal), refusal.word))
                raise
            except AgainNowError:
                continue
            except (TimeoutError, OSError) as failure:
                problem = _sentence(failure, f"{self._settings.host}:{self._settings.port}")
                word = getattr(failure, "word", None)
            if self.stopped:
                break
            tries = 0 if self._was_steady() else tries
            delay = random.uniform(0, min(LONGEST_DELAY, FIRST_DELAY * 2**tries))
            tries += 1
            patience = self._settings.keep_trying
            if patience is not None and not self.ever_online:
                left = began + patience - time.monotonic()
                if left <= 0:
                    self._change(Change(Status.ENDED, problem, word))
                    raise ServerBusyError(problem, word) if word else ConnectionError(problem)
                delay = min(delay, left)
            self._change(Change(Status.WAITING, problem, word, time.monotonic() + delay))
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._now.wait(), delay)
            if self._now.is_set():
                tries = 0  # somebody is there who wants it: they do not come all at once
        self._change(Change(Status.ENDED))

    def _was_steady(self) -> bool:
        since = self._online_since
        return since is not None and time.monotonic() - since > STEADY


def _sentence(failure: BaseException, where: str) -> str:
    """Say what went wrong with a connection, and what one can do."""
    if isinstance(failure, asyncio.TimeoutError) and not str(failure):
        return f"{where} does not answer"
    if isinstance(failure, ConnectionRefusedError):
        return f"no server is listening on {where}: is it running, and is this its port?"
    if isinstance(failure, (ConnectionResetError, BrokenPipeError)):
        return f"{where} has broken off the connection"
    if isinstance(failure, OSError) and failure.errno is not None:
        if "Multiple exceptions" in str(failure):
            return f"no server is listening on {where}: is it running, and is this its port?"
        return f"cannot reach {where}: {failure.strerror or failure}"
    return str(failure) or f"{where} cannot be reached"
