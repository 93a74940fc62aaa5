"""Tickets: what lets a connection of its own fetch or store one file. Pure.

A ticket is random, good once, for one file and one direction, and only for a while. Where a peer
can only ask again by the same words, as browsers do by HTTP, it is good again for what broke off.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from framing.errors import ErrorWord

LASTS: Final = 60.0
"""Seconds for which a ticket is good."""

TICKETS: Final = 64
"""Tickets that one session can hold unused."""


class TicketError(Exception):
    """A file cannot be fetched or stored so; ``word`` and the text say why."""

    def __init__(self, word: ErrorWord, text: str) -> None:
        super().__init__(text)
        self.word = word


@dataclass(slots=True)
class Download:
    """Leave to fetch the file ``id`` of the shelf, called ``name``, as it was then, for ``person``,
    who is called ``nick`` (its key) and is at ``address``."""

    person: str
    nick: str
    address: str
    id: str
    name: str
    size: int
    sha256: str


@dataclass(slots=True, eq=False)
class Upload:
    """Leave to store a file: by whom (``person``, who is called ``nick``, from the session ``id``
    at ``address``; the day's limit is that of ``payer``), for the conversation ``to``, privately
    for ``for_``. ``part`` is the name under which it is gathered, ``item`` the id it is to have on
    the shelf."""

    person: str
    nick: str
    id: int
    address: str
    payer: str
    name: str
    size: int
    sha256: str
    to: str
    for_: str | None
    part: str
    item: str


@dataclass(slots=True)
class _Issued:
    leave: Download | Upload
    holder: object
    until: float = field(default=0.0)


class Tickets:
    """The tickets that are out. ``lapsed`` is told of each upload that nobody began."""

    def __init__(self, new_secret: Callable[[], str], lapsed: Callable[[Upload], None]) -> None:
        self._new_secret = new_secret
        self._lapsed = lapsed
        self._issued: dict[str, _Issued] = {}
        self._held: dict[object, int] = {}

    @property
    def out(self) -> bool:
        """Whether anybody may hold a ticket."""
        return bool(self._issued)

    def issue(self, leave: Download | Upload, holder: object, mono: float) -> str | None:
        """Return a new ticket; None if ``holder`` has too many. ``mono`` is monotonic seconds."""
        ticket = self._new_secret()
        return ticket if self._issue(ticket, leave, holder, mono) else None

    def _issue(self, ticket: str, leave: Download | Upload, holder: object, mono: float) -> bool:
        self.sweep(mono)
        if self._held.get(holder, 0) >= TICKETS:
            return False
        self._held[holder] = self._held.get(holder, 0) + 1
        self._issued[ticket] = _Issued(leave, holder, mono + LASTS)
        return True

    def take(self, ticket: str, mono: float) -> Download | Upload:
        """Return what a ticket is for; it is good no more. Raises ``TicketError``."""
        leave = self.look(ticket, mono)
        self._forget(ticket)
        return leave

    def again(self, ticket: str, leave: Download, mono: float) -> None:
        """What ``ticket`` let begin broke off: it is good once more, for who goes on with it."""
        self._issue(ticket, leave, leave.person, mono)

    def look(self, ticket: str, mono: float) -> Download | Upload:
        """Return what a ticket is for; it stays good. Raises ``TicketError``."""
        self.sweep(mono)
        issued = self._issued.get(ticket)
        if issued is None:
            text = "this ticket is not good, or no longer: ask for another"
            raise TicketError(ErrorWord.TICKET_EXPIRED, text)
        return issued.leave

    def void(self, part: str) -> None:
        """What is gathered under this name is shared: no other ticket for it is good."""
        for ticket, issued in list(self._issued.items()):
            if isinstance(issued.leave, Upload) and issued.leave.part == part:
                self._forget(ticket)
                self._lapsed(issued.leave)

    def sweep(self, mono: float) -> None:
        """Forget the tickets that nobody has used in time."""
        for ticket, issued in list(self._issued.items()):
            if issued.until > mono:
                return  # they were issued in this order
            self._forget(ticket)
            if isinstance(issued.leave, Upload):
                self._lapsed(issued.leave)

    def _forget(self, ticket: str) -> None:
        issued = self._issued.pop(ticket)
        left = self._held[issued.holder] - 1
        if left:
            self._held[issued.holder] = left
        else:
            del self._held[issued.holder]
