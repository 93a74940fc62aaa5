"""The bounds: how much one connection, address or person may take, and all together.

Each has its default and its reason in one place; the options of the same names are made from
this table (``parley.server.options``), and the table in docs/RELIABILITY.md is tested against
it. What something costs the tick is not a bound that people choose: that is in ``server``.

All that is here holds for every door. Nothing here knows sockets, sessions or files.
"""

import ipaddress
from dataclasses import dataclass, field
from typing import NamedTuple

from parley.server.ground.limits import Rate

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Acts(NamedTuple):
    """So many acts at once, and so many again in each ``seconds``; 0 acts: no limit.

    As an option it is written ``300/60``, or ``0``.
    """

    most: float
    seconds: float = 1.0

    @property
    def rate(self) -> Rate:
        """The same as a token bucket."""
        return Rate(self.most / self.seconds, self.most)

    def __str__(self) -> str:
        return f"{self.most:g}/{self.seconds:g}" if self.most else "0"


LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


def _why(metavar: str, reason: str) -> dict[str, str]:
    return {"metavar": metavar, "reason": reason}


@dataclass(frozen=True, slots=True)
class Bounds:
    """See the reasons. An address is an IPv4 address or an IPv6 /64; sizes are in bytes, times in
    seconds. ``guest_days`` is in days."""

    address_clients: int = field(
        default=1000,
        metadata=_why(
            "N",
            "connections from one address: a school or an office behind one has some hundred "
            "people with a few windows and files each, and nobody needs all descriptors",
        ),
    )
    address_newcomers: int = field(
        default=300,
        metadata=_why(
            "N",
            "of these, connections that have not joined: joining takes a moment, so that even a "
            "whole class that comes back at once stays below; silent connections must not pile up",
        ),
    )
    address_joins: Acts = field(
        default=Acts(1000, 100),
        metadata=_why(
            "N/SECONDS",
            "joins from one address: each is told to everybody and gets a replay. A class comes in "
            "at once, nobody comes and goes ten times a second for long",
        ),
    )
    address_guests: Acts = field(
        default=Acts(1000, 3600),
        metadata=_why(
            "N/SECONDS", "new guests from one address: each is a record in the log for good"
        ),
    )
    address_logins: Acts = field(
        default=Acts(300, 300),
        metadata=_why(
            "N/SECONDS",
            "failed logins from one address, whatever the names: who tries one password with all "
            "names gets one a second, and a class that logs in at once is not kept waiting",
        ),
    )
    account_logins: Acts = field(
        default=Acts(10, 50),
        metadata=_why(
            "N/SECONDS",
            "failed logins at one account, whatever the addresses: 17,000 guesses a day. Where the "
            "owner has logged in since the server's start they are not kept out by that",
        ),
    )
    address_registrations: Acts = field(
        default=Acts(300, 3600),
        metadata=_why(
            "N/SECONDS",
            "registrations and changes of a password from one address: each writes users.json. A "
            "class registers in one lesson",
        ),
    )
    accounts: int = field(
        default=10_000,
        metadata=_why(
            "N",
            "accounts, up to which people can register: users.json is written whole at each "
            "change, 3 MB by then. --add-user may go beyond",
        ),
    )
    exempt: tuple[Network, ...] = field(
        default=LOOPBACK,
        metadata=_why(
            "NETWORKS",
            "networks, with commas between them, to which limits of one address do not apply, but "
            "for those of logins and registrations: behind a tunnel or a proxy on this machine all "
            'people have its address; "none" exempts nobody',
        ),
    )
    join_timeout: float = field(
        default=20.0,
        metadata=_why(
            "SECONDS",
            "from connecting to having joined or logged in, whatever is tried meanwhile: a client "
            "that derives keys from a password needs two, over a bad network a few more",
        ),
    )
    frame_timeout: float = field(
        default=20.0,
        metadata=_why(
            "SECONDS",
            "from a frame's first byte to its last, however it trickles (slowloris): the longest "
            "frame takes less at 30 kbit/s",
        ),
    )
    backlog_total: int = field(
        default=256 << 20,
        metadata=_why(
            "BYTES",
            "memory for all that waits for clients that read too slowly; above it those with the "
            "most are dropped first, to come back for the rest. What many wait for counts once",
        ),
    )
    backlog_newcomer: int = field(
        default=64 << 10,
        metadata=_why(
            "BYTES",
            "what may wait for a client that has not joined and reads too slowly: it is told "
            "of errors and challenges only (--backlog is for the others)",
        ),
    )
    queries: Acts = field(
        default=Acts(1000, 20),
        metadata=_why(
            "N/SECONDS",
            "pages, lists and searches of one client: each costs up to a millisecond, in turns "
            "that keep nobody waiting, and a program that looks again and again is not refused "
            "soon",
        ),
    )
    searches: int = field(
        default=4,
        metadata=_why(
            "N", "searches of one client that are under way: people look at one at a time"
        ),
    )
    searches_total: int = field(
        default=200,
        metadata=_why(
            "N", "searches of all, moderators aside, that are under way: each keeps what it found"
        ),
    )
    sessions: int = field(
        default=100,
        metadata=_why(
            "N",
            "ids at once of one nick, windows and devices: they must fit the frame listing people",
        ),
    )
    rooms: int = field(
        default=10_000,
        metadata=_why("N", "rooms: a list of them must stay one that people look through"),
    )
    rooms_made: int = field(
        default=50,
        metadata=_why(
            "N", "rooms there may be that one person has made: else a few could take all"
        ),
    )
    rooms_entered: int = field(
        default=200,
        metadata=_why(
            "N", "rooms one person may be in: each is asked about when something is looked up"
        ),
    )
    guest_days: float = field(
        default=30.0,
        metadata=_why(
            "DAYS",
            "after so long away a guest leaves the rooms they were in: nobody can tell a guest on "
            "holiday from one that never comes back, and rooms would never end. 0: never",
        ),
    )
