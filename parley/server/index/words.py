"""Which messages have which words: full-text search by SQLite's FTS5.

Each message is one row under its seq: its words, the streams it belongs to, and who said it,
all as words, so that "these words, in what I may see, by her" is one question that touches
only what it finds. The text itself is not kept here, and a row is never changed: a message
that was changed later is passed over by whoever reads what was found, and found by its change.

What is private is found here too, whether it has a text or not (that something was taken back has
none): a private conversation, and an *inbox*, is nothing but the messages that have its word. In a
list that is sorted by conversations, a thousand people who talk in pairs have their messages in a
thousand places: for each of those a page would be written, whereas words are gathered and written
together.

Scripts without spaces are searched by their characters: each stands as a word of its own, and
several together are looked for beside each other.
"""

import re
import sqlite3
from collections.abc import Iterable
from typing import Final, NamedTuple

_UNSPACED: Final = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff])"
)
WORDS_ASKED: Final = 16
BEGINNINGS_ASKED: Final = 2
BEGINNING_CHARS: Final = 3
"""What one search may ask: each word costs, and the beginning of words costs most."""

_HASH_BYTES: Final = 4 << 20
"""Words that FTS5 gathers before it writes them down: as many as are committed together. By itself
it takes 1 MB, and writes each commit's in three pieces, which are to be merged."""

_MERGED: Final = 32  # pages of the table put together at a time: about 2 ms
_WORD: Final = re.compile(r"[^\W_]+")  # as the table takes a text apart
_TERM: Final = re.compile(r'"([^"]*)"|([^\s"]+)')


class Words:
    """The table of words in ``db``. ``add`` gathers, ``write`` writes."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._rows: list[tuple[int, str, str, str]] = []
        self._removed: list[tuple[int, str, str, str]] = []

    @staticmethod
    def make(db: sqlite3.Connection) -> None:
        """Make the table in a new index."""
        db.execute(
            "CREATE VIRTUAL TABLE words USING fts5(text, place, sender, content='', columnsize=0,"
            " tokenize='unicode61 remove_diacritics 2')"
        )
        # Fewer, bigger merges: a fifth less time for each message. But where something was removed,
        # ``tidy`` puts together any three pieces of about one size. (Of two there is no end while
        # somebody talks: each message makes a new one.)
        db.execute("INSERT INTO words (words, rank) VALUES ('automerge', 8), ('usermerge', 3)")
        db.execute("INSERT INTO words (words, rank) VALUES ('hashsize', ?)", (_HASH_BYTES,))

    def add(self, seq: int, text: str, place: str, sender: str) -> None:
        """Take in a message; ``place`` is made by ``place_words``, ``sender`` by ``sender_word``.
        One without a text is found by no search, nor by its sender."""
        if place:
            self._rows.append((seq, text if text.isascii() else _spaced(text), place, sender))

    def remove(self, seq: int, text: str, place: str, sender: str) -> None:
        """Take out a message; all must be as it was when it was taken in."""
        if place:
            self._removed.append((seq, _spaced(text), place, sender))

    def write(self) -> None:
        """Write what has been added and removed."""
        if self._removed:
            query = (
                "INSERT INTO words (words, rowid, text, place, sender)"
                " VALUES ('delete', ?, ?, ?, ?)"
            )
            self._db.executemany(query, self._removed)
            self._removed.clear()
        query = "INSERT INTO words (rowid, text, place, sender) VALUES (?, ?, ?, ?)"
        self._db.executemany(query, self._rows)
        self._rows.clear()

    def tidy(self) -> bool:
        """Put together a few more pages of the table. Return False if no three of its pieces are of
        about one size.

        What was removed is only struck out, in a new piece: it is gone when that comes together
        with the piece it stood in, to which SQLite by itself may never get. So up to twice as
        much is kept of what was removed as there is of what was not. (To put all into one piece,
        each time, by a negative number of pages, costs two levels of the table for good, and SQLite
        3.40 takes a table of over 2,000 for a damaged one.)
        """
        before = self._db.total_changes
        self._db.execute("INSERT INTO words (words, rank) VALUES ('merge', ?)", (_MERGED,))
        return self._db.total_changes - before >= 2  # FTS5 says so of what is done

    def forget(self) -> None:
        """What has been added and removed could not be written."""
        self._rows.clear()
        self._removed.clear()

    def has(self, question: str, after: int) -> bool:
        """Tell whether a question finds anything after a seq."""
        query = "SELECT 1 FROM words WHERE words MATCH ? AND rowid > ? LIMIT 1"
        return self._db.execute(query, (question, after)).fetchone() is not None

    def count(self, question: str, after: int, most: int) -> int:
        """Count what a question finds after a seq, up to ``most``."""
        rows = "SELECT 1 FROM words WHERE words MATCH ? AND rowid > ? LIMIT ?"
        query = f"SELECT count(*) FROM ({rows})"
        return int(self._db.execute(query, (question, after, most)).fetchone()[0])

    def search(
        self, text: str, stream: int | None, nick: str | None, span: range, limit: int
    ) -> list[int]:
        """Return the seqs, descending, of the newest messages in ``stream`` (None: anywhere)
        with a seq in ``span`` that have all words of ``text`` and are by ``nick``, if one is
        given."""
        asked = _question(text, stream, nick)
        query = (
            "SELECT rowid FROM words WHERE words MATCH ? AND rowid >= ? AND rowid < ?"
            " ORDER BY rowid DESC LIMIT ?"
        )
        rows = self._db.execute(query, (asked, span.start, span.stop, limit))
        return [seq for (seq,) in rows]


class Place(NamedTuple):
    """The words of the place of a message: of one that was ``said``, of one that changes another's
    text (``anew``), and of one that has no text (``silent``), which no search is to find."""

    said: str
    anew: str
    silent: str


def place_words(conversation: int, inboxes: Iterable[int]) -> Place:
    """Return the words by which messages are found in a conversation, and in the ``inboxes`` they
    come to if it is private. In a room a message without text is not found here."""
    numbers = (conversation, *inboxes)
    said = " ".join(f"s{number}" for number in numbers)
    if len(numbers) == 1:
        return Place(said, said, "")
    anew = f"{said} a{conversation}"
    return Place(said, anew, " ".join(f"i{number}" for number in numbers))


def private_question(number: int) -> str:
    """Return what to ask the table for to find all that is in a private conversation or an
    inbox."""
    return f"place:(s{number} OR i{number})"


def said_question(conversation: int) -> str:
    """Return what to ask the table for to find what was said in a private conversation, without
    what was changed there."""
    return f"place:(s{conversation} NOT a{conversation})"


def too_costly(text: str) -> str | None:
    """Say what is wrong with a search that would hold everybody up; None if it is well."""
    if len(_WORD.findall(_spaced(_plain(text)))) > WORDS_ASKED:
        return f"a search has at most {WORDS_ASKED} words, or as many characters without spaces"
    beginnings = [bare for bare, star in _terms(text) if star]
    if len(beginnings) > BEGINNINGS_ASKED:
        return f"at most {BEGINNINGS_ASKED} words of a search may end in *"
    if any(len(beginning) < BEGINNING_CHARS for beginning in beginnings):
        return f"before a * stand at least {BEGINNING_CHARS} letters"
    return None


def _question(text: str, stream: int | None, nick: str | None) -> str:
    """Return the question in FTS5's language. All that a person wrote stands in quotes."""
    parts = [f"place:s{stream}"] if stream is not None else []
    if nick is not None:
        parts.append(f"sender:{sender_word(nick)}")
    terms = [f'"{term}"{star}' for term, star in _terms(text)]
    if terms:
        parts.append(f"text:({' '.join(terms)})")
    return " AND ".join(parts) or 'text:""'


def _terms(text: str) -> list[tuple[str, str]]:
    """Return the words and phrases of a search, each with its star if it has one."""
    terms = []
    for phrase, word in _TERM.findall(_plain(text)):
        bare = word.rstrip("*")
        spaced = _spaced(phrase or bare).strip()
        if any(char.isalnum() for char in spaced):
            terms.append((spaced, "*" if word != bare else ""))
    return terms


def _plain(text: str) -> str:
    """Return a search without control characters: a NUL would end it for SQLite."""
    return "".join(char if char >= " " else " " for char in text)


def _spaced(text: str) -> str:
    return _UNSPACED.sub(r" \1 ", text)


def sender_word(nick: str) -> str:
    """Return the word by which what somebody said is found."""
    return f"f{nick.lower().encode().hex()}"
