"""One's own messages on their way: in order, as fast as the server takes them, none forgotten.

Pure: time is passed in, and nothing is sent here. A message stays until the server has
acknowledged it or it has been refused for good.
"""

from collections.abc import Iterable
from typing import Final

from framing.events import Limits
from parley.client.ground.store import Waiting

IN_FLIGHT: Final = 8
"""Messages sent and not acknowledged. After one has been refused for now they go one at a
time, so that none overtakes it."""

SHORTEST_WAIT: Final = 0.1
LONGEST_WAIT: Final = 60.0
"""Seconds after a refusal for now, whatever a server says of it."""


class _Own:
    """A message and where it stands."""

    __slots__ = ("in_flight", "message")

    def __init__(self, message: Waiting) -> None:
        self.message = message
        self.in_flight = False

    @property
    def failed(self) -> bool:
        return self.message.refused is not None


class Outgoing:
    """The messages of one session. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._own: dict[str, _Own] = {}
        self._window = IN_FLIGHT
        self._hold_until = 0.0
        self._rate = 0.0
        self._burst = 0.0
        self._tokens = 0.0
        self._tokens_at = 0.0

    def __len__(self) -> int:
        return len(self._own)

    def __contains__(self, ref: str | None) -> bool:
        return ref in self._own

    @property
    def all(self) -> list[Waiting]:
        """All that is not acknowledged."""
        return [own.message for own in self._own.values()]

    @property
    def waiting(self) -> list[Waiting]:
        """What is neither acknowledged nor refused."""
        return [own.message for own in self._own.values() if not own.failed]

    @property
    def refused(self) -> list[Waiting]:
        """What was refused for good."""
        return [own.message for own in self._own.values() if own.failed]

    def add(self, messages: Iterable[Waiting]) -> None:
        """Take messages, to be sent after those that are here."""
        self._own |= {message.ref: _Own(message) for message in messages}

    def connected(self, limits: Limits, now: float) -> None:
        """The server takes messages, within ``limits``: all are to be sent (again)."""
        self._rate, self._burst = limits.rate, max(1.0, float(limits.burst))
        self._tokens, self._tokens_at = self._burst, now
        self._hold_until = 0.0
        self.disconnected()

    def disconnected(self) -> None:
        """Nobody knows what has become of what is in flight."""
        for own in self._own.values():
            own.in_flight = False

    def stored(self, ref: str) -> None:
        """A message is acknowledged."""
        del self._own[ref]
        self._window = IN_FLIGHT

    def put_off(self, ref: str, wait: float, now: float) -> None:
        """A message was refused for now: send nothing for ``wait`` seconds."""
        self._own[ref].in_flight = False
        self._window = 1
        self._hold_until = max(self._hold_until, now + min(max(wait, SHORTEST_WAIT), LONGEST_WAIT))

    def fail(self, ref: str, why: str) -> None:
        """A message was refused for good."""
        self._own[ref].in_flight = False
        self._own[ref].message.refused = why

    def retry(self, ref: str, new_ref: str) -> Waiting | None:
        """Take a refused message as a new one. Return it; None if there is none."""
        own = self._own.get(ref)
        if own is None or not own.failed:
            return None
        del self._own[ref]
        own.message.ref, own.message.refused = new_ref, None
        self.add([own.message])
        return own.message

    def drop(self, ref: str) -> bool:
        """Forget a refused message. False if there is none."""
        own = self._own.get(ref)
        if own is None or not own.failed:
            return False
        del self._own[ref]
        return True

    def take_back(self, refs: Iterable[str]) -> list[Waiting]:
        """Forget those of these messages that are neither acknowledged nor refused. Return them."""
        taken = [ref for ref in refs if ref in self._own and not self._own[ref].failed]
        return [self._own.pop(ref).message for ref in taken]

    def due(self, now: float) -> tuple[list[Waiting], float | None]:
        """Return what is to be sent now, and in how many seconds to ask again, if that is known
        (else an acknowledgement must come first)."""
        sending: list[Waiting] = []
        self._fill(now)
        # Near the limit a refusal is to be expected: with others in flight they would overtake.
        near = self._rate > 0 and self._tokens < 2 * IN_FLIGHT
        window = 1 if near else self._window
        in_flight = sum(own.in_flight for own in self._own.values())
        for own in self._own.values():
            if own.in_flight or own.failed:
                continue
            if in_flight >= window:
                return sending, None
            wait = self._wait(now)
            if wait > 0:
                return sending, max(wait, SHORTEST_WAIT / 10)
            own.in_flight = True
            in_flight += 1
            sending.append(own.message)
        return sending, None

    def _wait(self, now: float) -> float:
        """Take a token of the server's rate, or return the seconds until there is one."""
        if self._hold_until > now or not self._rate:
            return max(0.0, self._hold_until - now)
        if self._tokens < 1:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return 0.0

    def _fill(self, now: float) -> None:
        gained = (now - self._tokens_at) * self._rate
        self._tokens, self._tokens_at = min(self._burst, self._tokens + gained), now
