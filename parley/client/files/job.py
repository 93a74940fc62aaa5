"""A job: one file on its way, as the person is shown it. No socket, no disk."""

import threading
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Final

import humanize

_RATE_OVER: Final = 5.0  # seconds over which the rate is taken


class State(Enum):
    """How far a job has come."""

    CHECKING = auto()
    """What is on this disk is read through."""
    WAITING = auto()
    """For the server, or for the connection to come back."""
    MOVING = auto()
    DONE = auto()
    FAILED = auto()
    CANCELLED = auto()


class CancelledByPersonError(Exception):
    """The person would rather not."""


@dataclass(eq=False)
class Job:
    """A file that is fetched, or with ``upload`` brought. ``moved`` of ``size`` bytes are there;
    ``name`` is safe to show, ``path`` where the file is or will be, ``via`` what carries it.

    The one who carries it works in a thread of its own: it moves ``moved`` along and looks at
    ``cancelled``.
    """

    upload: bool
    name: str
    path: Path
    size: int = 0
    moved: int = 0
    state: State = State.WAITING
    via: str = "TCP"
    problem: str = ""
    sha256: str = ""
    cancelled: threading.Event = field(default_factory=threading.Event)
    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in (State.DONE, State.FAILED, State.CANCELLED)

    def check_cancelled(self) -> None:
        """Raise ``CancelledByPersonError`` if the person has cancelled it."""
        if self.cancelled.is_set():
            raise CancelledByPersonError("it was broken off")

    def rate(self, now: float) -> float:
        """Return bytes a second over the last seconds. ``now`` is monotonic seconds; ask again
        and again, since this is when one looks at how far it is."""
        seen = self._seen
        if seen and self.moved < seen[-1][1]:
            seen.clear()  # it began anew
        seen.append((now, self.moved))
        while len(seen) > 2 and now - seen[1][0] > _RATE_OVER:
            seen.popleft()
        (began, first), (ended, last) = seen[0], seen[-1]
        return (last - first) / (ended - began) if ended > began else 0.0

    def progress(self, now: float) -> str:
        """Say in a few words how far it is. ``now`` as for ``rate``."""
        return " · ".join(self.words(now))

    def words(self, now: float) -> list[str]:
        """Say how far it is, what matters most first. ``now`` as for ``rate``."""
        size = humanize.naturalsize(self.size)
        if self.state is State.WAITING:
            self._seen.clear()  # the pause is not to count
            return ["waiting", size]
        rate = self.rate(now)
        words = [self.percent if self.state is State.MOVING else f"checking {self.percent}"]
        if rate > 0 and self.moved < self.size:
            words.append(f"{_span((self.size - self.moved) / rate)} left")
        if rate > 0 or self._seen[-1][0] - self._seen[0][0] >= 1:
            words.append(f"{humanize.naturalsize(rate)}/s")
        return [*words, f"of {size}", self.via]

    @property
    def percent(self) -> str:
        """How much of it is there."""
        return f"{int(100 * self.share)} %"

    @property
    def share(self) -> float:
        """How much of it is there, from 0 to 1."""
        return min(1.0, max(0.0, self.moved / self.size)) if self.size else 1.0

    def bar(self, cells: int) -> str:
        """Return how much of it is there as a bar."""
        done = int(cells * self.share)
        return f"{'█' * done}{'░' * (cells - done)}"


def _span(seconds: float) -> str:
    whole = int(seconds + 1)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
