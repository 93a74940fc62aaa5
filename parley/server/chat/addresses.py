"""Addresses: what comes from one of them, over every door together. Pure; time is passed in.

Whoever has one IPv6 address has a whole /64 of them (RFC 6177), so that is counted as one. An
IPv4 address that comes in IPv6's clothes (``::ffff:192.0.2.1``) is itself.
"""

import functools
import ipaddress
from collections import Counter

from parley.server.ground.bounds import Bounds
from parley.server.ground.limits import Buckets

_AT_HOME = 10_000  # accounts with a network that are remembered

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Addresses:
    """The connections that are open and the acts there were lately, by address.

    ``bounds`` may be replaced while it runs.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._connections: Counter[str] = Counter()
        self._newcomers: Counter[str] = Counter()
        self._joins: Buckets[str] = Buckets(bounds.address_joins.rate)
        self._guests: Buckets[str] = Buckets(bounds.address_guests.rate)
        self._registrations: Buckets[str] = Buckets(bounds.address_registrations.rate)
        self._failures: Buckets[str] = Buckets(bounds.address_logins.rate)
        self._account_failures: Buckets[str] = Buckets(bounds.account_logins.rate)
        self._at_home: dict[tuple[str, str], None] = {}  # accounts, and where they have logged in
        self._bounds = bounds

    @property
    def bounds(self) -> Bounds:
        """What is allowed."""
        return self._bounds

    @bounds.setter
    def bounds(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._joins.limit = bounds.address_joins.rate
        self._guests.limit = bounds.address_guests.rate
        self._registrations.limit = bounds.address_registrations.rate
        self._failures.limit = bounds.address_logins.rate
        self._account_failures.limit = bounds.account_logins.rate

    # Connections

    def connect(self, address: str) -> bool:
        """Count a connection that has not joined. False, and not counted, if there are too many
        from its address."""
        network = network_of(address)
        if not self._is_exempt(address):
            if self._connections[network] >= self._bounds.address_clients:
                return False
            if self._newcomers[network] >= self._bounds.address_newcomers:
                return False
        self._connections[network] += 1
        self._newcomers[network] += 1
        return True

    def arrived(self, address: str) -> None:
        """A connection has joined, carries a file, or has asked for a page."""
        _less(self._newcomers, network_of(address))

    def returned(self, address: str) -> None:
        """A connection that had arrived for something else is to join, and has not."""
        self._newcomers[network_of(address)] += 1

    def disconnect(self, address: str, arrived: bool) -> None:
        """A connection has ended; whether it had ``arrived``."""
        _less(self._connections, network_of(address))
        if not arrived:
            _less(self._newcomers, network_of(address))

    # Acts. Each returns 0, or the seconds until it may be.

    def join(self, address: str, mono: float) -> float:
        """Count a join."""
        if self._is_exempt(address):
            return 0.0
        return self._joins.take(network_of(address), mono)

    def bring_guest(self, address: str, mono: float) -> float:
        """Count a guest who is new to the log."""
        if self._is_exempt(address):
            return 0.0
        return self._guests.take(network_of(address), mono)

    def register(self, address: str, mono: float) -> float:
        """Count a registration."""
        return self._registrations.take(network_of(address), mono)

    def try_login(self, address: str, nick_key: str, mono: float) -> float:
        """Count a login as failed when it begins, so that many at once are no way round.

        Where somebody has logged in before they are not kept out by who tries from elsewhere.
        """
        network = network_of(address)
        wait = self._failures.take(network, mono)
        if not wait and (nick_key, network) not in self._at_home:
            wait = self._account_failures.take(nick_key, mono)
        return wait

    def logged_in(self, address: str, nick_key: str, mono: float) -> None:
        """It did not fail."""
        network = network_of(address)
        self._failures.give_back(network, mono)
        if (nick_key, network) not in self._at_home:
            self._account_failures.give_back(nick_key, mono)
            if len(self._at_home) >= _AT_HOME:
                del self._at_home[next(iter(self._at_home))]
            self._at_home[nick_key, network] = None

    def _is_exempt(self, address: str) -> bool:
        return is_within(address, self._bounds.exempt)


@functools.lru_cache(4096)
def network_of(address: str) -> str:
    """Return what is counted as one address: an IPv4 address, or an IPv6 /64."""
    parsed = _parsed(address)
    if parsed is None or parsed.version == 4:
        return str(parsed or address)
    return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))


@functools.lru_cache(4096)
def is_within(address: str, networks: tuple[object, ...]) -> bool:
    """Tell whether an address is in one of these networks."""
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in networks)  # type: ignore[operator]


def _parsed(address: str) -> Address | None:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None  # no address: whatever a test or a local socket calls its peer
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed


def _less(counter: Counter[str], network: str) -> None:
    counter[network] -= 1
    if counter[network] <= 0:
        del counter[network]
