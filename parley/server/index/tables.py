"""The tables of the index: how a record of the log stands in them.

They are written within the transactions of ``parley.server.index.index``. Messages are found by
*stream* (``parley.server.index.streams``): a stream's name leads to the numbers of the
conversations that are seen in it, and a conversation's number to its messages: of a room they are
listed (``entry``), of a private conversation the table of words knows them
(``parley.server.index.words``), since a search must know that too. An inbox has a number of its
own: it would be slow to put together of all the conversations that somebody ever had.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from framing.events import Message
from framing.names import key
from parley.server.index.refs import Refs, Sender
from parley.server.index.rows import Values, insert
from parley.server.index.streams import conversation_of
from parley.server.index.words import (
    Place,
    Words,
    place_words,
    private_question,
    sender_word,
)
from parley.server.log.log import Span, Stored
from parley.server.log.records import Deed, Guest, Record, Said

SCHEMA: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE closed (number INTEGER PRIMARY KEY, size INTEGER, mtime_ns INTEGER);
CREATE TABLE stream (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE);
CREATE TABLE seen (name TEXT, stream INTEGER, PRIMARY KEY (name, stream)) WITHOUT ROWID;
CREATE TABLE place (seq INTEGER PRIMARY KEY, start INTEGER, length INTEGER, room INTEGER);
CREATE TABLE entry (stream INTEGER, seq INTEGER, original INTEGER,
                    PRIMARY KEY (stream, seq)) WITHOUT ROWID;
CREATE TABLE change (original INTEGER PRIMARY KEY, seq INTEGER, final INTEGER);
CREATE TABLE deed (slot TEXT PRIMARY KEY, seq INTEGER, ends INTEGER) WITHOUT ROWID;
CREATE TABLE act (seq INTEGER PRIMARY KEY);
CREATE TABLE moment (seq INTEGER PRIMARY KEY, time REAL);
CREATE INDEX moment_time ON moment (time);
CREATE TABLE guest (token TEXT PRIMARY KEY, nick TEXT, person TEXT) WITHOUT ROWID;
CREATE TABLE holder (nick TEXT PRIMARY KEY, seq INTEGER, person TEXT, shown TEXT) WITHOUT ROWID;
"""

# A stream's number is never given again: somebody may still be looking for it. ``original`` is the
# seq of the message that is changed, 0 of one that changes none.

_MOMENTS: Final = 64  # of so many seqs one is kept with its time
_KEPT: Final = 20_000  # threads that are kept in memory

_NEW_STREAM: Final = (
    "INSERT INTO stream (id, name) VALUES ((SELECT max(coalesce(max(seq), 0), ?) + 1"
    " FROM sqlite_sequence WHERE name = 'stream'), ?)"
)
"""``VALUES``, since it cannot fail halfway: see ``rows.insert``."""


@dataclass(frozen=True, slots=True)
class _Thread:
    """What the messages of one sender in one conversation have in common in the tables: the
    conversation's number, who it is, whether it is a room's, and the words for the place and for
    who said it."""

    number: int
    sender: Sender
    in_room: bool
    place: Place
    by: str

    def words(self, message: Message) -> tuple[str, str]:
        """Return the words for place and sender of a message."""
        if not message.text:
            return self.place.silent, ""
        return self.place.said if message.edit_of is None else self.place.anew, self.by


class Tables:
    """The tables in ``db``."""

    def __init__(self, db: sqlite3.Connection, refs_up_to: int) -> None:
        self._db = db
        self.words = Words(db)
        self.refs = Refs(db, refs_up_to)
        self._threads: dict[object, _Thread] = {}
        self._given = 0  # the highest number of a stream that was made here
        self._passed_over = 0  # up to which none is made any more

    @staticmethod
    def make(db: sqlite3.Connection) -> None:
        """Make them in a new index."""
        db.executescript(SCHEMA)
        Refs.make(db)
        Words.make(db)

    def forget(self) -> None:
        """What was written since the last transaction is taken back."""
        self.words.forget()
        self.refs.forget()
        self._threads.clear()

    def committed(self) -> None:
        """What was written since the last transaction is there to stay."""
        self.refs.committed()

    def pass_over(self) -> None:
        """Not all of what was taken back will be written again: what its streams were is known by
        numbers that must not become those of others."""
        self._passed_over = self._given

    # Streams

    def number(self, name: str) -> int | None:
        """Return the number of a conversation or an inbox, None if nothing was ever in it."""
        row = self._db.execute("SELECT id FROM stream WHERE name = ?", (name,)).fetchone()
        return None if row is None else int(row[0])

    def numbers(self, stream: str) -> list[int]:
        """Return the numbers under which the messages of a stream stand: of a room or an inbox its
        own, else those of the conversations that are seen in it."""
        if " " not in stream:
            number = self.number(stream)
            return [] if number is None else [number]
        query = "SELECT stream FROM seen WHERE name = ?"
        return [number for (number,) in self._db.execute(query, (stream,))]

    def _number_made(self, name: str) -> int:
        number = self.number(name)
        if number is None:
            made = self._db.execute(_NEW_STREAM, (self._passed_over, name)).lastrowid
            assert made is not None
            number = made
            self._given = max(self._given, number)
        return number

    def _thread_of(self, said: Said) -> _Thread:
        """Return the thread of a message; a conversation or a sender that is new gets a number."""
        message, origin = said.message, said.origin
        known = (message.from_, message.id, message.to, origin.by, origin.for_)
        return self._threads.get(known) or self._thread_made(said, known)

    def _thread_made(self, said: Said, known: object) -> _Thread:
        message = said.message
        conversation = conversation_of(said)
        number = self._number_made(conversation.name)
        seen = [(name, number) for name in conversation.sides]
        self._db.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", seen)
        inboxes = list(map(self._number_made, conversation.inboxes))
        if len(self._threads) >= _KEPT:
            self._threads.clear()
        if self.refs.crowded:
            self.refs.let_go()
            self._threads.clear()
        sender = self.refs.sender_made(key(message.from_), message.id)
        place = place_words(number, inboxes)
        by = sender_word(message.from_)
        self._threads[known] = thread = _Thread(number, sender, said.origin.for_ is None, place, by)
        return thread

    # Writing, inside a transaction

    def write(self, found: Iterable[Stored], older: bool = False) -> None:
        """Take in records. What is in already stays. Refs are gathered, but for those of messages
        that are ``older`` than what is in."""
        places: Values = []
        entries: Values = []
        moments: Values = []
        changes: list[tuple[int, int, bool]] = []
        written: list[tuple[Sender, str, int]] = []
        gathered = seq = 0
        thread_of, add_words = self._thread_of, self.words.add
        for stored in found:
            record = stored.record
            if not isinstance(record, Said):
                seq = record.seq
                places += (seq, stored.offset, stored.length, 0)
                if isinstance(record, Guest):
                    self._write_guest(record)
                else:
                    self._write_deed(record)
                continue
            message, ref = record.message, record.origin.ref
            seq = message.seq
            original = message.edit_of or message.redact_of
            thread = thread_of(record)
            places += (seq, stored.offset, stored.length, thread.number)
            if thread.in_room:
                entries += (thread.number, seq, original or 0)
            if older:
                written.append((thread.sender, ref, seq))
            else:
                thread.sender.gathered[ref] = seq
                gathered += 1
            if original is not None:
                changes.append((original, seq, message.redact_of is not None))
            if seq % _MOMENTS == 0:
                moments += (seq, message.time)
            if original is None:
                add_words(seq, message.text, thread.place.said, thread.by)
            else:
                add_words(seq, message.text, *thread.words(message))
        insert(self._db, "place", 4, places)
        insert(self._db, "entry", 3, entries)
        self.refs.write(written)
        if gathered:
            self.refs.write_some(gathered, seq)
        # The log may be taken in from its end: what is newer stays, and what was taken back is.
        latest = (
            "ON CONFLICT (original) DO UPDATE SET final = max(final, excluded.final), seq ="
            " CASE WHEN final = excluded.final THEN max(seq, excluded.seq)"
            " WHEN final THEN seq ELSE excluded.seq END"
        )
        if changes:
            self._db.executemany(f"INSERT INTO change VALUES (?, ?, ?) {latest}", changes)
        insert(self._db, "moment", 2, moments)
        self.words.write()

    def gather(self, found: Iterable[tuple[Record, Span]]) -> None:
        """Take in the refs of records of which all else is in."""
        said = [record for record, _ in found if isinstance(record, Said)]
        for record in said:
            self._thread_of(record).sender.gathered[record.origin.ref] = record.seq
        if said:
            self.refs.write_some(len(said), said[-1].seq)

    def _write_deed(self, deed: Deed) -> None:
        self._db.execute(
            "INSERT INTO deed VALUES (?, ?, ?) ON CONFLICT (slot) DO UPDATE SET"
            " seq = excluded.seq, ends = excluded.ends WHERE excluded.seq > deed.seq",
            (deed.slot, deed.seq, deed.ends),
        )
        if deed.moderates:
            self._db.execute("INSERT OR REPLACE INTO act VALUES (?)", (deed.seq,))

    def _write_guest(self, guest: Guest) -> None:
        nick = key(guest.nick)
        self._db.execute(
            "INSERT OR REPLACE INTO guest VALUES (?, ?, ?)", (guest.token, nick, guest.who)
        )
        self._db.execute(
            "INSERT OR REPLACE INTO holder VALUES (?, ?, ?, ?)",
            (nick, guest.seq, guest.who, guest.nick),
        )

    def remove(self, found: Sequence[tuple[Record, Span]], after: int) -> None:
        """Take out messages, the oldest that are in, all those with seqs over ``after``."""
        touched: dict[int, Said] = {}
        senders: dict[int, Sender] = {}
        for record, _ in found:
            if isinstance(record, Said):
                thread = self._remove(record)
                touched[thread.number] = record
                senders[thread.sender.number] = thread.sender
        self.words.write()
        for number, last in touched.items():
            self._remove_empty(number, last)
        silent = [sender for sender in senders.values() if self.refs.remove_silent(sender)]
        if silent:
            self._threads.clear()
        between = (after, found[-1][0].seq)
        self._db.execute("DELETE FROM moment WHERE seq > ? AND seq <= ?", between)

    def _remove(self, said: Said) -> _Thread:
        """Take out a message. Return its thread."""
        message = said.message
        thread = self._thread_of(said)
        seq = message.seq
        delete = self._db.execute
        if thread.in_room:
            delete("DELETE FROM entry WHERE stream = ? AND seq = ?", (thread.number, seq))
        delete("DELETE FROM place WHERE seq = ?", (seq,))
        self.refs.remove(thread.sender, said.origin.ref, seq)
        if (original := message.edit_of or message.redact_of) is not None:
            delete("DELETE FROM change WHERE original = ? AND seq = ?", (original, seq))
        self.words.remove(seq, message.text, *thread.words(message))
        return thread

    def _remove_empty(self, number: int, said: Said) -> None:
        """Take out a private conversation, that of ``said``, if nothing of it is left: else what
        people once said to each other would add up for ever."""
        if said.origin.for_ is None or self.words.has(private_question(number), said.seq):
            return
        conversation = conversation_of(said)
        seen = [(name, number) for name in conversation.sides]
        self._db.executemany("DELETE FROM seen WHERE name = ? AND stream = ?", seen)
        self._db.execute("DELETE FROM stream WHERE id = ?", (number,))
        self._threads.clear()
