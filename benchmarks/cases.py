"""What the suite measures: each case a load, and the servers that take turns under it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.measuring import PARLEY, WEB, cannot

FAST: Final = ("parley", "limit", "redis", "inspircd", "nats")
FEW: Final = ("parley", "limit", "redis")
SLOW: Final = ("mosquitto", "uvloop", "websockets")
"""They make one system call for each delivery; with 10,000 clients a round takes them longer than
a measurement."""

BASE: Final = {"clients": 1000, "senders": 10, "inflight": 16, "size": 100}


@dataclass(frozen=True)
class Case:
    """A row of a table: ``name`` in it, what the load is asked for beyond ``BASE``, and by whom
    it is taken. ``seconds`` are measured after ``warmup``."""

    section: str
    name: str
    more: Mapping[str, object]
    sides: tuple[str, ...]
    seconds: float = 1.3
    warmup: float = 0.4

    @property
    def wanted(self) -> dict[str, object]:
        """The load's options."""
        times = {"seconds": self.seconds, "warmup": self.warmup}
        return {**BASE, **self.more, **times}

    @property
    def able(self) -> list[str]:
        """The servers that can do it."""
        return [side for side in self.sides if not cannot(side, self.wanted)]


def _broadcast(name: str, sides: tuple[str, ...] = FEW, **more: object) -> Case:
    big = more.get("clients") == 10_000 or more.get("size") == 16_000
    times = {"seconds": 3.0, "warmup": 1.5} if big else {}
    return Case("broadcast", name, more, sides, **times)


BROADCAST: Final = (
    _broadcast("1,000 clients, 16 in flight", FAST + SLOW + (WEB,)),
    _broadcast("1,000 clients, 1 in flight", FAST, inflight=1),
    _broadcast("1,000 clients, 256 in flight", inflight=256),
    _broadcast("10 clients", clients=10),
    _broadcast("100 clients", clients=100),
    _broadcast("10,000 clients", FAST, clients=10_000),
    _broadcast("10,000 clients, 1 in flight", clients=10_000, inflight=1),
    _broadcast("everybody sends, 1 in flight", senders=0, inflight=1),
    _broadcast("texts of 20 bytes", size=20),
    _broadcast("texts of 1 KB", size=1000),
    _broadcast("texts of 16 KB", size=16_000),
)


def _pairs(count: int, inflight: int, sides: tuple[str, ...] = ("parley", "redis")) -> Case:
    name = f"{count:,} pair{'s' if count > 1 else ''}, {inflight} in flight"
    more = {"pattern": "pairs", "clients": 2 * count, "inflight": inflight}
    # Many write as much as the index gathers before it writes, more than once.
    times = {"seconds": 6.0, "warmup": 2.0} if count >= 1000 else {}
    return Case("private", name, more, sides, **times)


PRIVATE: Final = (
    _pairs(1, 1),
    _pairs(10, 1),
    _pairs(100, 1),
    _pairs(1000, 1, ("parley", "redis", "inspircd", "nats")),
    _pairs(5000, 1),
    _pairs(1000, 16, ("parley", "redis", "inspircd", "nats")),
)

ROOMS: Final = (
    Case(
        "rooms",
        "100 rooms of 100, one sends in each",
        {"pattern": "rooms", "clients": 10_000, "rooms": 100, "senders": 100},
        ("parley", "redis", "inspircd", "nats"),
        seconds=2.0,
        warmup=1.0,
    ),
)


@dataclass(frozen=True)
class Delay:
    """A row of the table of delays: at a ``share`` of what ``of`` did in the first case of
    ``BROADCAST``, in messages a second."""

    of: str
    share: float
    sides: tuple[str, ...] = ("parley", "limit", "redis", "inspircd")

    @property
    def name(self) -> str:
        """The row's name."""
        whose = "Parley" if self.of == PARLEY else "InspIRCd"
        return f"{100 * self.share:.0f} % of {whose}'s highest"


DELAYS: Final = (
    Delay("inspircd", 0.5),
    Delay(PARLEY, 0.1),
    Delay(PARLEY, 0.5),
    Delay(PARLEY, 0.9),
)

FSYNC: Final = ("always", "everysec", "never")
