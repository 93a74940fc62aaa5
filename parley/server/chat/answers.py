"""Answers come in the order of the requests, though some must wait for the log. Pure.

What a session is told behind a request whose record the log is being given is held until the log
has answered, which it does in the same tick.
"""

from collections import deque
from collections.abc import Callable

from parley.server.chat.outbox import Outbox
from parley.server.chat.session import Session
from parley.server.log.records import Record

Behind = deque[Record | bytes]
"""The records that a session waits for, each before the bodies it is told next."""


class Answers:
    """In front of ``outbox`` and the log, whose ``append`` takes a record. ``asking`` is the
    session whose request is being dealt with."""

    def __init__(self, outbox: Outbox, append: Callable[[Record], None]) -> None:
        self.asking: Session | None = None
        self._outbox = outbox
        self._append = append
        self._asked_by: dict[int, Session] = {}  # by the id of the record
        self._behind: dict[Session, Behind] = {}

    def append(self, record: Record) -> None:
        """Give ``record`` to the log; who is asking is answered when that has it."""
        session = self.asking
        if session is not None:
            self._asked_by[id(record)] = session
            behind = self._behind.get(session)
            if behind is None:
                behind = self._behind[session] = deque()
            behind.append(record)
        self._append(record)

    def tell(self, session: Session, body: bytes) -> None:
        """Tell a session, behind the answers to what it asked before."""
        behind = self._behind.get(session)
        if behind is None:
            self._outbox.tell(session, body)
        else:
            behind.append(body)

    def waits(self, session: Session) -> bool:
        """Tell whether the log has still to answer a session."""
        return session in self._behind

    def come(self, record: Record) -> tuple[Session, Behind] | None:
        """The log has answered: who asked may be told. Return what ``given`` needs."""
        session = self._asked_by.pop(id(record), None)
        if session is None:
            return None
        behind = self._behind.pop(session)
        behind.popleft()
        return session, behind

    def given(self, asked: tuple[Session, Behind] | None) -> None:
        """Who asked has been told: now comes what was held behind it, up to the next record."""
        if asked is None:
            return
        session, behind = asked
        while behind:
            body = behind[0]
            if not isinstance(body, bytes):
                self._behind[session] = behind
                return
            self._outbox.tell(session, body)
            behind.popleft()
