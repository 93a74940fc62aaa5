"""What the server counts of itself: plain numbers, added to as things happen. Pure.

How they are shown is not known here (``parley.server.operating.metrics`` does that, if it is asked
for). Nothing is added for a single delivery: a tick adds what it delivered as one number.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from time import perf_counter
from typing import Final

BOUNDS: Final = (
    *(0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5),
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""Upper bounds of a histogram's buckets, in seconds: a quiet tick takes some 50 us, and a sync on
a disk that is failing many seconds."""

STAGES: Final = ("wait", "read", "requests", "write", "apply", "replay", "index", "send", "upkeep")
"""The stages of a tick, in order, as docs/ARCHITECTURE.md names them. ``wait`` is the time in
which there was nothing to do, ``write`` the log's write and its sync."""


class Histogram:
    """How often something took how long."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count something that took so long."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    @property
    def cumulative(self) -> list[tuple[str, float]]:
        """For each bound, and for ``+Inf``, how often it took no longer."""
        bounds = [*map(str, BOUNDS), "+Inf"]
        return list(zip(bounds, accumulate(self.counts), strict=True))


class Counts:
    """Everything since the start. ``sent`` and ``received`` are bytes of chat connections,
    ``file_sent`` and ``file_received`` bytes of shared files; ``refusals`` is by error word,
    ``joins`` by what somebody is, ``left`` by reason."""

    __slots__ = (
        "connections",
        "deliveries",
        "downloads",
        "file_received",
        "file_sent",
        "joins",
        "left",
        "messages",
        "received",
        "refusals",
        "sent",
        "uploads",
    )

    def __init__(self) -> None:
        self.connections = self.messages = self.deliveries = self.sent = self.received = 0
        self.uploads = self.downloads = self.file_sent = self.file_received = 0
        self.refusals: Counter[str] = Counter()
        self.joins: Counter[str] = Counter()
        self.left: Counter[str] = Counter()


class StageClock:
    """The clock beside a tick: ``mark`` after each of ``STAGES`` says that it has ended."""

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self.stages = {name: Histogram() for name in STAGES}
        self.ticks = Histogram()
        """Whole ticks, without their ``wait``."""
        self._clock = clock
        self._at = self._began = clock()

    def mark(self, stage: str) -> None:
        """``stage`` has ended, and the next begins."""
        now = self._clock()
        self.stages[stage].add(now - self._at)
        self._at = now
        if stage == STAGES[0]:
            self._began = now
        elif stage == STAGES[-1]:
            self.ticks.add(now - self._began)
