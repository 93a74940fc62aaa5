"""Steps: how much of what has come over HTTP is dealt with in a tick. No socket here.

A step is a head, an end, or a piece of a body. One segment can hold hundreds of them; whoever has
had as many as fit a turn, or comes when the tick has had enough, rests until the next.
"""

from collections import deque
from typing import Final, Protocol

from parley.server.net.loop import Loop

PER_TURN: Final = 16
"""Those of one connection in one tick."""

_PER_TICK: Final = 48
"""Those of all connections together: some 5 ms. Who does not get a turn is first in the next."""

_PAUSE: Final = 0.001  # seconds until the next turns, in which others have theirs


class Clock(Protocol):
    """Whoever has the tick's time, in monotonic seconds."""

    mono: float


class Rester(Protocol):
    """Whoever has more to be dealt with."""

    def wake(self) -> None:
        """Go on behind a rest."""


class Steps:
    """The steps of all connections."""

    def __init__(self, loop: Loop, clock: Clock) -> None:
        self._loop = loop
        self._clock = clock
        self._resting: deque[Rester] = deque()
        self._left = _PER_TICK
        self._ticked = 0.0

    def may_step(self) -> bool:
        """Count a step, unless this tick has had enough of them."""
        if self._ticked != self._clock.mono:
            self._ticked = self._clock.mono
            self._left = _PER_TICK
        self._left -= 1
        return self._left >= 0

    def rest(self, rester: Rester) -> None:
        """Let one that has more to be dealt with go on later, behind others."""
        if not self._resting:
            self._loop.call_at(self._clock.mono + _PAUSE, self._wake)
        self._resting.append(rester)

    def _wake(self) -> None:
        waiting, self._resting = self._resting, deque()
        while waiting and self._some_left:
            waiting.popleft().wake()
        if waiting and not self._resting:
            self._loop.call_at(self._clock.mono + _PAUSE, self._wake)
        waiting.extend(self._resting)
        self._resting = waiting

    @property
    def _some_left(self) -> bool:
        return self._ticked != self._clock.mono or self._left > 0
