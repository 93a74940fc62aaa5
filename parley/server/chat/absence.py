"""Absence: guests who stay away for long leave the rooms they were in. Pure; time is passed in.

A guest has no password and often no intention to come back, so that rooms would fill with people
who are never there again, and none would ever end. An account stays: it can be asked to leave.

Counted is the time for which the server runs: while it is off nobody can come, and its clock may
jump. When somebody was last seen, in this time, stands beside the index, as what people have read
does: if that is lost, it counts from then on anew. What comes of it is a deed in the log, like
any leaving.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from parley.server.chat.hall import Hall
from parley.server.ground.bounds import Bounds
from parley.server.ground.clock import Moment
from parley.server.index.archive import Archive
from parley.server.log.records import Deed, Record

_DAY: Final = 86400.0
_LOOK_EVERY: Final = 600.0  # seconds, or a quarter of what is allowed if that is less
_AT_ONCE: Final = 64  # guests looked at in a tick
_SEEN: Final = "seen"  # no stream: their names begin with # and @
_SERVER: Final = ""  # no person: the time that the server has run is kept under it

logger = logging.getLogger(__name__)


class Absence:
    """Looks after the guests in the rooms of ``hall``. ``append`` hands a record to the log."""

    def __init__(
        self, hall: Hall, archive: Archive, append: Callable[[Record], None], bounds: Bounds
    ) -> None:
        self.bounds = bounds
        self._hall = hall
        self._archive = archive
        self._append = append
        self._to_look_at: deque[str] = deque()
        self._ran = float(archive.read_up_to(_SERVER, _SEEN) or 0)  # seconds, up to _at
        self._at: float | None = None
        self._look_at = 0.0

    def advance(self, moment: Moment) -> None:
        """Look at some more guests, if it is time: a few a tick, and one that leaves."""
        allowed = self.bounds.guest_days * _DAY
        if not allowed:
            return
        if moment.mono >= self._look_at:
            self._look_at = moment.mono + min(_LOOK_EVERY, allowed / 4)
            if self._at is None:
                self._at = moment.mono  # who was here before a restart may come back first
                return
            self._ran += moment.mono - self._at
            self._at = moment.mono
            self._archive.has_read(_SERVER, _SEEN, int(self._ran))
            self._to_look_at = deque(self._hall.rooms.guests())
        for _ in range(min(_AT_ONCE, len(self._to_look_at))):
            person = self._to_look_at.popleft()
            seen = self._archive.read_up_to(person, _SEEN)
            if seen is None or self._hall.people.by_name(person) is not None:
                self._archive.has_read(person, _SEEN, int(self._ran))
            elif self._ran - seen > allowed:
                self._leave(person, moment)
                return

    @property
    def under_way(self) -> bool:
        """Whether ``advance`` has something to do."""
        return bool(self._to_look_at)

    def _leave(self, person: str, moment: Moment) -> None:
        """Give the log the deeds by which a guest leaves all rooms."""
        nick = self._hall.rooms.nick_of(person)
        left = 0
        for room in self._hall.rooms.of(person):
            deed = Deed(0, moment.utc, "leave", person, nick, room.name, person, nick)
            if deed.slot not in self._hall.rooms.under_way:
                self._hall.rooms.under_way.add(deed.slot)
                self._append(deed)
                left += 1
        logger.info("guest nick=%s was away for too long and left %d rooms", nick, left)
