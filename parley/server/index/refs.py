"""Refs: who has sent a message under which, so that one that is sent again is known.

Their table is sorted by senders. A thousand people who talk have their refs in a thousand places of
it, and a row costs little beside the page it stands on. So refs are gathered in memory, and written
when there are many, sender by sender: a page then takes dozens.

A process that dies loses what it has gathered. All up to ``Refs.up_to`` is written; what came after
it the next start reads from the log.
"""

import sqlite3
from collections.abc import Sequence
from itertools import chain, islice
from typing import Final

from framing.limits import REF_CHARS
from parley.server.index.rows import Values, in_parts, insert
from parley.server.log.records import Sent

SCHEMA: Final = """
CREATE TABLE sender (number INTEGER PRIMARY KEY, nick TEXT, id INTEGER, UNIQUE (nick, id));
CREATE TABLE ref (sender INTEGER, ref TEXT, seq INTEGER,
                  PRIMARY KEY (sender, ref, seq)) WITHOUT ROWID;
"""

# Who sent what is a number because SQLite finds the ref of a message in half the time when that
# stands before it instead of a nick.

_KEPT: Final = 20_000  # senders that are kept in memory, though nothing of theirs is gathered
_GATHERED: Final = 65_536  # refs that are gathered before they are written: 12 MB, of long ones 30
_AT_ONCE: Final = 2048  # of them at least are written at a time: about 2 ms

_BEHIND_ALL: Final = "\U0010ffff" * (REF_CHARS + 1)

_NEXT_REFS: Final = (
    "WITH asked (number, name) AS (VALUES {})"
    " SELECT number, name,"
    " (SELECT ref FROM ref WHERE sender = number AND ref >= name ORDER BY ref LIMIT 1) FROM asked"
)

_SEQS: Final = (
    "WITH asked (number, name) AS (VALUES {})"
    " SELECT number, name,"
    " (SELECT max(seq) FROM ref WHERE sender = number AND ref = name) FROM asked"
)


class Sender:
    """Somebody who says things: ``known`` as a nick's key and an id, and by their ``number``.

    ``gathered`` are the seqs of refs that are not in the table yet. Of one gap it is known that the
    table has no ref of theirs in it. Refs mostly count up from where their client began, and so
    run into such a gap: of those it is known without a question that they are not there.
    """

    __slots__ = ("behind", "gathered", "known", "number", "until")

    def __init__(self, known: tuple[str, int], number: int) -> None:
        self.known = known
        self.number = number
        self.gathered: dict[str, int] = {}
        self.behind = self.until = ""

    def has_gap(self, behind: str, until: str | None) -> None:
        """The table has no ref between these two; ``until`` None: none behind the first."""
        self.behind = behind
        self.until = _BEHIND_ALL if until is None else until

    def written(self, refs: Sequence[str]) -> None:
        """The table has these ``refs``, which ascend. The gap ends, if they are in it, behind the
        last of them."""
        for ref in reversed(refs):
            if self.behind < ref < self.until:
                self.behind = ref
                return


class Refs:
    """The refs in ``db``. All of messages up to the seq ``up_to`` are in the table.

    What is written is written within transactions of others, who call ``committed`` or ``forget``
    behind each.
    """

    def __init__(self, db: sqlite3.Connection, up_to: int) -> None:
        self._db = db
        self.up_to = up_to
        self._up_to_committed = up_to
        self._up_to_next = up_to
        self._senders: dict[tuple[str, int], Sender] = {}
        self._most = _KEPT
        self._count = 0  # refs that are gathered
        self._queue: list[Sender] = []  # whose refs are being written, the last first
        self._made: list[Sender] = []  # since the last transaction
        self._taken: list[tuple[Sender, dict[str, int]]] = []  # out of what was gathered, since it

    @staticmethod
    def make(db: sqlite3.Connection) -> None:
        """Make the tables in a new index."""
        db.executescript(SCHEMA)

    # Senders

    def sender(self, nick_key: str, id_: int) -> Sender | None:
        """Return who a nick with its ``id_`` is, None if they never said anything."""
        known = (nick_key, id_)
        sender = self._senders.get(known)
        if sender is None:
            query = "SELECT number FROM sender WHERE nick = ? AND id = ?"
            row = self._db.execute(query, known).fetchone()
            if row is None:
                return None
            sender = Sender(known, row[0])
            if not self.crowded:
                self._senders[known] = sender
        return sender

    def sender_made(self, nick_key: str, id_: int) -> Sender:
        """Return who that is. Whoever is new gets a number."""
        sender = self.sender(nick_key, id_)
        if sender is None:
            known = (nick_key, id_)
            into = "INSERT INTO sender (nick, id) VALUES (?, ?)"
            number = self._db.execute(into, known).lastrowid
            assert number is not None
            sender = Sender(known, number)
            sender.has_gap("", None)
            self._made.append(sender)
        self._senders[sender.known] = sender
        return sender

    @property
    def crowded(self) -> bool:
        """Whether so many senders are in memory that it is time to ``let_go``."""
        return len(self._senders) >= self._most

    def let_go(self) -> None:
        """Keep no sender in memory of whom nothing is gathered. Whoever has one from here forgets
        them: nobody is to be two senders."""
        self._senders = {known: one for known, one in self._senders.items() if one.gathered}
        self._most = max(_KEPT, 2 * len(self._senders))

    # Questions

    def find(self, sent: Sent) -> int | None:
        """Return the seq of the message that was ``sent`` so, None if none was."""
        nick_key, id_, ref = sent
        sender = self.sender(nick_key, id_)
        if sender is None:
            return None
        if ref in sender.gathered:
            return sender.gathered[ref]
        query = "SELECT max(seq) FROM ref WHERE sender = ? AND ref = ?"
        found: int | None = self._db.execute(query, (sender.number, ref)).fetchone()[0]
        return found

    def find_all(self, sent: Sequence[Sent]) -> dict[Sent, int]:
        """Return those of the messages ``sent`` that there are with their seqs, as ``find`` does,
        for many in a fraction of the time."""
        known, sender_of = self._senders, self.sender
        found: dict[Sent, int] = {}
        asked: dict[tuple[int, str], tuple[Sent, Sender]] = {}
        for one in sent:
            nick_key, id_, ref = one
            sender = known.get((nick_key, id_)) or sender_of(nick_key, id_)
            if sender is None:
                continue
            if ref in sender.gathered:
                found[one] = sender.gathered[ref]
            elif not sender.behind < ref < sender.until:
                asked[sender.number, ref] = one, sender
        if not asked:
            return found
        there: Values = []
        for question_marks, some in in_parts(list(chain.from_iterable(asked)), 2):
            query = _NEXT_REFS.format(question_marks)
            for number, ref, following in self._db.execute(query, some):
                if following == ref:
                    there += (number, ref)
                else:
                    asked[number, ref][1].has_gap(ref, following)
        for question_marks, some in in_parts(there, 2):
            query = _SEQS.format(question_marks)
            for number, ref, seq in self._db.execute(query, some):
                found[asked[number, ref][0]] = seq
        return found

    # Writing, inside a transaction

    def write(self, refs: Sequence[tuple[Sender, str, int]]) -> None:
        """Take in refs with their seqs and write them at once."""
        values: Values = []
        for sender, ref, seq in refs:
            sender.written([ref])
            values += (sender.number, ref, seq)
        insert(self._db, "ref", 3, values)

    def write_some(self, gathered: int, seq: int) -> None:
        """So many more have been ``gathered``, of messages up to ``seq``: write some if that has
        become too much."""
        self._count += gathered
        if not self._queue and self._count >= _GATHERED:
            self._begin(seq)
        if self._queue:
            self._write_some(max(_AT_ONCE, 2 * gathered))  # or there would be ever more

    def write_on(self, seq: int) -> bool:
        """Write some of all that is gathered, of messages up to ``seq``. Return False if nothing
        was left."""
        if not self._queue:
            self._begin(seq)
        if not self._queue:
            self.up_to = seq
            return False
        self._write_some(_AT_ONCE)
        return True

    def _begin(self, seq: int) -> None:
        there = (sender for sender in self._senders.values() if sender.gathered)
        self._queue = sorted(there, key=lambda sender: sender.number, reverse=True)
        self._up_to_next = seq
        self._count_again()

    def _write_some(self, left: int) -> None:
        values: Values = []
        while self._queue and left:
            sender = self._queue[-1]
            some = dict(islice(sender.gathered.items(), left))
            if len(some) == len(sender.gathered):
                self._queue.pop()
            self._take(sender, some)
            left -= len(some)
            refs = sorted(some)
            sender.written(refs)
            for ref in refs:
                values += (sender.number, ref, some[ref])
        insert(self._db, "ref", 3, values)
        self._count -= len(values) // 3
        if not self._queue:
            self.up_to = self._up_to_next

    def _take(self, sender: Sender, refs: dict[str, int]) -> None:
        """Take ``refs`` out of what is gathered of ``sender``."""
        if len(refs) == len(sender.gathered):
            sender.gathered = {}
        else:
            for ref in refs:
                del sender.gathered[ref]
        self._taken.append((sender, refs))

    def remove(self, sender: Sender, ref: str, seq: int) -> None:
        """Take out the ref of a message that is dropped."""
        if sender.gathered.get(ref) == seq:
            self._take(sender, {ref: seq})
        query = "DELETE FROM ref WHERE sender = ? AND ref = ? AND seq = ?"
        self._db.execute(query, (sender.number, ref, seq))

    def remove_silent(self, sender: Sender) -> bool:
        """Take out a sender of whom nothing is left, and return whether they are gone: guests who
        come once would add up for ever."""
        if sender.gathered:
            return False
        query = "SELECT 1 FROM ref WHERE sender = ? LIMIT 1"
        if self._db.execute(query, (sender.number,)).fetchone() is not None:
            return False
        self._db.execute("DELETE FROM sender WHERE number = ?", (sender.number,))
        self._senders.pop(sender.known, None)
        return True

    # Behind a transaction

    def committed(self) -> None:
        """What was written since the last transaction is there to stay."""
        self._made.clear()
        self._taken.clear()
        self._up_to_committed = self.up_to

    def forget(self) -> None:
        """What was written since the last transaction is taken back."""
        for sender, refs in reversed(self._taken):  # of two under one ref the later stays
            kept = self._senders.setdefault(sender.known, sender)
            kept.gathered = refs | kept.gathered
        for sender in self._made:
            self._senders.pop(sender.known, None)
        self._queue.clear()
        self.up_to = self._up_to_committed
        self._count_again()
        self.committed()

    def _count_again(self) -> None:
        self._count = sum(len(sender.gathered) for sender in self._senders.values())
