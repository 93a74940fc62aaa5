"""People who were here when the connection was lost: that they come back is no news.

A server that starts again has lost everybody, and everybody comes back within seconds, each at
their own moment. Told one by one that would be a list of all who were here before, and hide who
really comes. It knows no people but by their clients, and has no clock.
"""

from collections.abc import Mapping
from typing import Final

from framing.names import key

AWAITED_FOR: Final = 30.0
"""Seconds after one is connected again for which others are awaited: the longest that a client
waits between two tries (``reconnecting.LONGEST_DELAY``; the page's is the same)."""

Clients = Mapping[str, set[int]]
"""The ids of the clients of people, by the keys of their nicks."""


class Awaited:
    """The clients that are awaited. Times are the server's, UTC seconds."""

    def __init__(self) -> None:
        self._clients: dict[str, set[int]] = {}
        self._until = 0.0

    def connected(self, before: Clients, now: Clients, time: float) -> None:
        """One is in at ``time``. ``before`` were here when the connection was lost, ``now`` are.
        Those who were still awaited then are awaited on: a server may fall twice."""
        awaited = self._clients if time < self._until else {}
        for nick in before:
            awaited[nick] = awaited.get(nick, set()) | before[nick]
        missing = ((nick, ids - now.get(nick, set())) for nick, ids in awaited.items())
        self._clients = {nick: ids for nick, ids in missing if ids}
        self._until = time + AWAITED_FOR

    def came(self, nick: str, id_: int, time: float, own: bool) -> bool:
        """A client has come. Return whether it was awaited: any of somebody who was here, but of
        one's own only those that were."""
        ids = self._clients.get(key(nick))
        if ids is None or time >= self._until:
            return False
        awaited = id_ in ids or not own
        ids.discard(id_)
        if not ids:
            del self._clients[key(nick)]
        return awaited

    def went(self, nick: str) -> None:
        """Somebody has gone, which is told: so it will be if they come again."""
        self._clients.pop(key(nick), None)
