"""Answers come in the order of the requests, though some must wait for the log. Pure.

What a session is told behind a request whose record the log is being given is held until the log
has answered, which it does in the same tick.
"""

import contextlib
from collections.abc import Callable, Iterator

from parley.server.chat.outbox import Outbox
from parley.server.chat.session import Session
from parley.server.log.records import Record


class Answers:
    """In front of ``outbox`` and the log, whose ``append`` takes a record."""

    def __init__(self, outbox: Outbox, append: Callable[[Record], None]) -> None:
        self._outbox = outbox
        self._append = append
        self.asking: Session | None = None
        """Whose request is being dealt with."""
        self._answering = False
        self._asked: list[tuple[Session, Record]] = []  # who waits for what, in order
        self._awaited: dict[Session, list[Record]] = {}  # the same, as far as it was looked up
        self._held: dict[int, list[tuple[Session, bytes]]] = {}  # by the id of that record

    def append(self, record: Record) -> None:
        """Give ``record`` to the log; who is asking is answered when that has it."""
        if self.asking is not None:
            self._asked.append((self.asking, record))
        self._append(record)

    def tell(self, session: Session, body: bytes) -> None:
        """Tell a session, behind the answers to what it asked before."""
        awaited = None if self._answering else self._awaited_by(session)
        if not awaited:
            self._outbox.tell(session, body)
        else:
            self._held.setdefault(id(awaited[-1]), []).append((session, body))

    @contextlib.contextmanager
    def in_place_of(self, record: Record, session: Session) -> Iterator[None]:
        """What ``session`` is told in here is the answer to what ``record`` was made of, which the
        log will not be given: it comes behind the answers to what was asked before that."""
        awaited = self._awaited_by(session)
        place = next(place for place, one in enumerate(awaited) if one is record)
        self._awaited[session] = awaited[:place]
        yield
        for held, body in self._held.pop(id(record), ()):
            self.tell(held, body)
        self._awaited[session] += awaited[place + 1 :]

    def waits(self, session: Session) -> bool:
        """Tell whether the log has still to answer a session that is asking."""
        return bool(self._awaited_by(session))

    def _awaited_by(self, session: Session) -> list[Record]:
        """Return what ``session`` waits for, in order."""
        for asking, record in self._asked:
            self._awaited.setdefault(asking, []).append(record)
        self._asked.clear()
        return self._awaited.get(session, [])

    def come(self) -> bool:
        """The log answers: who has waited is told now. Return whether anything is held, so that
        ``told`` has something to do."""
        self._answering = True
        return bool(self._held)

    def told(self, record: Record) -> None:
        """Who asked for ``record`` has been told: now comes what was held behind that."""
        for session, body in self._held.pop(id(record), ()):
            self._outbox.tell(session, body)

    def all_told(self) -> None:
        """The log has answered all: nobody waits any more."""
        self._answering = False
        self._asked.clear()
        self._awaited.clear()
