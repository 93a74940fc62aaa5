"""Turns: who may ask next for something that takes long, such as a page or a search. Pure.

Pages cost up to two milliseconds each, so that a few hundred clients that ask for them all the
time would take all there is. What is quick never waits for them; and of those who wait for
an answer, who has not been given one for longest is first. Nobody is left waiting for good: a
newcomer is behind everybody who waited before. Moderators are before all, as they may be the
ones who have to mend it.
"""

import heapq
import itertools
from typing import Generic, TypeVar

Asker = TypeVar("Asker")


class Turns(Generic[Asker]):
    """Those who wait, each once."""

    def __init__(self) -> None:
        self._waiting: list[tuple[bool, float, int, Asker]] = []
        self._numbers = itertools.count()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, asker: Asker, last: float, first: bool) -> None:
        """Let ``asker`` wait, who had an answer, or connected, at ``last`` (monotonic seconds).
        ``first``: before all who are not."""
        heapq.heappush(self._waiting, (not first, last, next(self._numbers), asker))

    def next(self) -> Asker:
        """Return whose turn it is, who waits no more."""
        return heapq.heappop(self._waiting)[3]
