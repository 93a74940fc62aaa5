"""How much anybody may do: token buckets. Time is passed in.

A bucket holds up to ``burst`` tokens and gains ``rate`` a second; an act takes one.
So somebody quiet may act ``burst`` times at once, and nobody faster than ``rate`` for long.
"""

from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Rate(NamedTuple):
    """``rate`` acts a second, ``burst`` of them at once. A rate of 0 is no limit."""

    rate: float
    burst: float


class Bucket:
    """One bucket, full at first."""

    __slots__ = ("_at", "_tokens")

    def __init__(self, limit: Rate, now: float) -> None:
        self._tokens = limit.burst
        self._at = now

    def take(self, limit: Rate, now: float) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        self._fill(limit, now)
        if self._tokens < 1:
            return (1 - self._tokens) / limit.rate
        self._tokens -= 1
        return 0.0

    def give_back(self, limit: Rate, now: float) -> None:
        """Put a token back that was taken for nothing."""
        self._fill(limit, now)
        self._tokens = min(limit.burst, self._tokens + 1)

    def wait(self, limit: Rate, now: float) -> float:
        """Return what ``take`` would, and take nothing."""
        self._fill(limit, now)
        return 0.0 if self._tokens >= 1 else (1 - self._tokens) / limit.rate

    def full(self, limit: Rate, now: float) -> bool:
        """Tell whether this bucket says no more than a new one would."""
        self._fill(limit, now)
        return self._tokens >= limit.burst

    def _fill(self, limit: Rate, now: float) -> None:
        self._tokens = min(limit.burst, self._tokens + (now - self._at) * limit.rate)
        self._at = now


class Buckets(Generic[Key]):
    """A bucket for each key that has acted lately, under one ``limit``."""

    def __init__(self, limit: Rate) -> None:
        self.limit = limit
        self._buckets: dict[Key, Bucket] = {}
        self._clear_at = 1024

    def give_back(self, key: Key, now: float) -> None:
        """Do not count an act of ``key`` that was counted."""
        bucket = self._buckets.get(key)
        if bucket is not None and self.limit.rate:
            bucket.give_back(self.limit, now)

    def take(self, key: Key, now: float) -> float:
        """Count an act of ``key`` and return 0, or return the seconds until it may."""
        if not self.limit.rate:
            return 0.0
        bucket = self._buckets.get(key)
        if bucket is None:
            self._forget_full(now)
            bucket = self._buckets[key] = Bucket(self.limit, now)
        return bucket.take(self.limit, now)

    def _forget_full(self, now: float) -> None:
        """Drop the buckets that have filled up again, whenever they have doubled in number."""
        if len(self._buckets) < self._clear_at:
            return
        self._buckets = {k: b for k, b in self._buckets.items() if not b.full(self.limit, now)}
        self._clear_at = max(1024, 2 * len(self._buckets))
