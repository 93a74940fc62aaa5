"""A conversation as it is shown: its entries, what of it is unread, and the draft in it."""

from enum import Enum, auto
from typing import Final

import msgspec

from framing.names import key
from parley.client.ground.clean import sane


class Kind(Enum):
    """What an entry of a timeline is."""

    SAID = auto()
    COMINGS = auto()
    """People who came and went; ``text`` tells of all of them."""
    NOTICE = auto()
    """Something of the program itself."""
    TROUBLE = auto()


class Fate(Enum):
    """What has become of an own message."""

    NONE = auto()  # not from this window
    SENT = auto()
    STORED = auto()
    FAILED = auto()


class Entry(msgspec.Struct, eq=False, gc=False):
    """One entry of a timeline. ``seq`` 0: none (yet). ``past``: it was said before one came.
    ``why``: why an own message was refused. ``changed``: its text is not its first one.
    ``file``: the name of a file it shares.

    There may be hundreds of thousands of them, so the garbage collector does not walk them: they
    hold nothing that could hold them.
    """

    kind: Kind
    time: float
    text: str
    nick: str = ""
    to: str = ""
    seq: int = 0
    ref: str = ""
    fate: Fate = Fate.NONE
    past: bool = False
    mention: bool = False
    changed: bool = False
    redacted: bool = False
    why: str = ""
    file: str = ""


MOST_CHARS: Final = 32_000_000
"""Characters of text that are kept of one conversation: some hundred thousand usual messages."""


class Conversation:
    """A room or a private conversation, by ``name`` (``#room`` or ``@nick``).

    ``entries`` grow at the end as things happen and at the beginning as older pages come, and
    lose their oldest when they take too much memory; ``version`` changes whenever anything in
    them does. ``marker`` is the first entry that was new when it came: a line before it says so.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: list[Entry] = []
        self.unread = 0
        self.mentions = 0
        self.marker: Entry | None = None
        self.draft = ""
        self.version = 0
        self.prepended = 0  # entries added at the beginning so far, less those let go there
        self.complete = False  # nothing older remains on the server
        self.loading = False
        self.topic = ""
        self.asks_topic = False  # what comes of it is an answer, no news
        self.members: set[str] | None = None  # nick keys of who is in the room, if known
        self.typing: dict[str, float] = {}  # who is writing, and until when that is believed (UTC)
        self.read_to = 0  # up to where it was looked at here
        self.told_read = 0  # up to where other devices have been told
        self.seen = 0  # up to where the other has read, who lets one know
        self._own: set[int] = set()
        self._newest = 0
        self._chars = 0

    @property
    def private(self) -> bool:
        """Whether it is with one person."""
        return self.name.startswith("@")

    @property
    def newest(self) -> int:
        """The greatest seq here, 0 if there is none."""
        return self._newest

    @property
    def oldest(self) -> int | None:
        """The least seq here, or None."""
        return next((entry.seq for entry in self.entries if entry.seq), None)

    def add(self, entry: Entry) -> bool:
        """Add an entry at the end. False if it is here already."""
        if entry.seq:
            if entry.seq <= self._newest or entry.seq in self._own:
                return False
            self._newest = entry.seq
        self.entries.append(entry)
        self._chars += len(entry.text)
        self.version += 1
        return True

    def add_older(self, entries: list[Entry]) -> list[Entry]:
        """Add a page of older entries, ascending, at the beginning. Return those that are."""
        oldest = self.oldest
        fresh = [e for e in entries if oldest is None or e.seq < oldest]
        if oldest is None and fresh:
            self._newest = max(self._newest, fresh[-1].seq)
        self.entries[:0] = fresh
        self._chars += sum(len(entry.text) for entry in fresh)
        self.prepended += len(fresh)
        self.version += 1
        if self.marker is None and self.unread:
            said = [e for e in self.entries if e.kind is Kind.SAID and e.seq]
            self.marker = said[-self.unread] if len(said) >= self.unread else None
        return fresh

    def stored(self, entry: Entry, seq: int, time: float) -> None:
        """An own entry has its place: behind what was stored before it, so that everybody sees one
        order. If it came back from the server meanwhile, it is here twice: the one that waited
        goes."""
        self.version += 1
        if seq <= self._newest:
            there = next((e for e in reversed(self.entries) if e.seq == seq), None)
            own = there is not None and key(there.nick) == key(entry.nick)
            if there is not None and own and there.text == entry.text:
                self.entries.remove(entry)
                return
        self._move_behind_stored(entry)
        entry.fate, entry.seq, entry.time = Fate.STORED, seq, sane(time)
        self._own.add(seq)

    def _move_behind_stored(self, entry: Entry) -> None:
        """Give an entry that waited its place, and those that wait behind it: what has a seq
        already came before them."""
        end = len(self.entries)
        while self.entries[end - 1] is not entry and not self.entries[end - 1].seq:
            end -= 1
        if self.entries[end - 1] is not entry:
            at = self.entries.index(entry)
            between = self.entries[at:end]
            between.sort(key=lambda e: e.fate is Fate.SENT)
            self.entries[at:end] = between

    def change(self, seq: int, text: str, redacted: bool, newest: int) -> Entry | None:
        """Give the entry ``seq`` another text; ``newest`` is the place of the change. Return it,
        None if it is not here or said that already."""
        self._newest = max(self._newest, newest)
        for entry in reversed(self.entries):
            if entry.seq == seq:
                news = (entry.text, entry.redacted) != (text, redacted)
                entry.text, entry.changed, entry.redacted = text, not redacted, redacted
                entry.mention = entry.mention and not redacted
                self.version += 1
                return entry if news else None
        return None

    def last_by(self, nick: str) -> Entry | None:
        """Return the last message of ``nick`` that has a place and was not taken back."""
        for entry in reversed(self.entries):
            theirs = entry.kind is Kind.SAID and key(entry.nick) == key(nick)
            if theirs and entry.seq and not entry.redacted:
                return entry
        return None

    def read_elsewhere(self, seq: int, nick: str) -> None:
        """Another device has read up to ``seq``; what is by ``nick``, oneself, never counts."""
        said = [e for e in self.entries if e.kind is Kind.SAID and e.seq > seq]
        later = [e for e in said if key(e.nick) != key(nick)]
        self.unread = min(self.unread, len(later))
        self.mentions = min(self.mentions, sum(entry.mention for entry in later))

    def seen_up_to(self) -> Entry | None:
        """Return the last own message here that the other is known to have read."""
        if not self.seen:
            return None
        own = (e for e in reversed(self.entries) if key(e.to) == key(self.name))
        return next((e for e in own if 0 < e.seq <= self.seen), None)

    def remove(self, entry: Entry) -> None:
        """Take out an own entry that will never be sent."""
        self.entries.remove(entry)
        self.version += 1

    def forget_places(self) -> None:
        """The server has another log: the places of what is here mean nothing any more."""
        for entry in self.entries:
            entry.seq = 0
        self._own.clear()
        self._newest = self.seen = self.read_to = self.told_read = 0
        self.complete = False

    def reconnected(self) -> None:
        """Nobody knows what has become of what was told over the last connection, and who has come
        and gone meanwhile."""
        self.told_read = 0
        self.members = None

    def close(self) -> None:
        """It is looked at no longer. Own messages that are not stored stay, should it come again:
        the rest is the server's to bring."""
        kept = [entry for entry in self.entries if entry.fate in (Fate.SENT, Fate.FAILED)]
        self.prepended -= len(self.entries) - len(kept)
        self.entries = kept
        self._chars = sum(len(entry.text) for entry in kept)
        self._own.clear()
        self._newest = self.unread = self.mentions = self.read_to = self.told_read = 0
        self.marker = self.members = None
        self.complete = False
        self.draft = ""
        self.typing.clear()
        self.version += 1

    def trim(self, following: bool) -> None:
        """Let the oldest go if there is very much; scrolling up brings them again. Own messages
        that are not stored stay: the server does not have them."""
        if self._chars <= MOST_CHARS or not following:
            return
        count = len(self.entries) // 4
        oldest = self.entries[:count]
        own = [entry for entry in oldest if entry.fate in (Fate.SENT, Fate.FAILED)]
        self._chars -= sum(len(entry.text) for entry in oldest if entry not in own)
        if self.marker in oldest:
            self.marker = None
        self.entries[:count] = own
        self.prepended -= count - len(own)
        self.complete = False
        self.version += 1

    def count(self, entry: Entry, alert: bool) -> None:
        """Count an entry that nobody has looked at yet."""
        if not self.unread:
            self.marker = entry
        self.unread += 1
        self.mentions += alert

    def read(self) -> None:
        """All in it has been looked at. The line stays, so that one sees where one was."""
        self.unread = self.mentions = 0
        self.read_to = self._newest
