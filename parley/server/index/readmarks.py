"""Who has read what: for each account and conversation one mark, which never goes back.

The only thing in the index that is not in the log: when that is made anew, the marks are taken over
from the one before, as far as they can be read. ``move`` gathers, ``write`` writes within the
index's transaction.
"""

import contextlib
import sqlite3
from typing import Final

Mark = tuple[str, str, int]
"""A person, the name of what they read, and the seq up to which."""

_INTO: Final = "INSERT OR REPLACE INTO mark VALUES (?, ?, ?)"


class ReadMarks:
    """The table of marks in ``db``."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._moved: dict[tuple[str, str], int] = {}

    @staticmethod
    def make(db: sqlite3.Connection) -> None:
        """Make the table in a new index, if it has not been left by the one before."""
        db.execute(
            "CREATE TABLE IF NOT EXISTS mark (person TEXT, stream TEXT, seq INTEGER,"
            " PRIMARY KEY (person, stream)) WITHOUT ROWID"
        )

    @staticmethod
    def taken_from(db: sqlite3.Connection) -> list[Mark]:
        """Return the marks in an index of any version, as far as they can be read."""
        marks: list[Mark] = []
        with contextlib.suppress(sqlite3.DatabaseError, UnicodeDecodeError):
            for person, stream, seq in db.execute("SELECT person, stream, seq FROM mark"):
                if isinstance(person, str) and isinstance(stream, str) and isinstance(seq, int):
                    marks.append((person, stream, seq))
        return marks

    @staticmethod
    def give(db: sqlite3.Connection, marks: list[Mark]) -> None:
        """Put marks into a new table."""
        db.execute("BEGIN")
        db.executemany(_INTO, marks)
        db.execute("COMMIT")

    def none_behind(self, seq: int) -> None:
        """The log has nothing after ``seq``, as when an older one was put back: what comes then
        nobody has read."""
        query = "UPDATE mark SET seq = ? WHERE seq > ? AND stream GLOB '[#@]*'"
        self._db.execute(query, (seq, seq))

    def move(self, person: str, stream: str, seq: int) -> bool:
        """Note that ``person`` has read a stream up to ``seq``. False if that was known."""
        known = self.up_to(person, stream)
        if known is not None and seq <= known:
            return False
        self._moved[person, stream] = seq
        return True

    def up_to(self, person: str, stream: str) -> int | None:
        """Return the seq up to which ``person`` has read a stream; None: nothing is known."""
        known = self._moved.get((person, stream))
        if known is None:
            query = "SELECT seq FROM mark WHERE person = ? AND stream = ?"
            row = self._db.execute(query, (person, stream)).fetchone()
            known = row[0] if row else None
        return known

    @property
    def moved(self) -> int:
        """How many marks have moved and are not written."""
        return len(self._moved)

    def write(self) -> None:
        """Write what has moved."""
        rows = [(person, stream, seq) for (person, stream), seq in self._moved.items()]
        self._db.executemany(_INTO, rows)

    def written(self) -> None:
        """What was written is on the disk."""
        self._moved.clear()
