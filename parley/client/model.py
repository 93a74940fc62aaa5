"""What a person is shown, as plain data: conversations, their entries, people, the connection.

Every face reads this one model; it has no screen, no socket, and no clock (times
come with what happens). All foreign text is made safe on its way in, here and nowhere else.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from framing.events import (
    Error,
    History,
    Joined,
    Left,
    Message,
    Presence,
    Roster,
    Shutdown,
    Status,
    User,
    Welcome,
)
from framing.names import LOBBY, key
from parley.client.clean import clean, clean_text
from parley.client.happenings import Change, Failed, Happening, Queued, Stored, Trouble
from parley.client.happenings import Status as Connection

TOGETHER = 60.0
"""Seconds within which comings and goings, with nothing said between them, share a line."""


class Kind(Enum):
    """What an entry of a timeline is."""

    SAID = auto()
    COMINGS = auto()
    """People who came and went; ``text`` tells of all of them."""
    NOTICE = auto()
    """Something of the program itself."""
    TROUBLE = auto()
    NEW = auto()
    """The line that says: what follows is new."""


class Fate(Enum):
    """What has become of an own message."""

    NONE = auto()  # not from this window
    SENT = auto()
    STORED = auto()
    FAILED = auto()


class Entry:
    """One entry of a timeline. ``seq`` 0: none (yet). ``past``: it was said before one came."""

    __slots__ = ("fate", "kind", "mention", "nick", "past", "ref", "seq", "text", "time", "to")

    def __init__(self, kind: Kind, time: float, text: str, nick: str = "", to: str = "") -> None:
        self.kind = kind
        self.time = time
        self.text = text
        self.nick = nick
        self.to = to
        self.seq = 0
        self.ref = ""
        self.fate = Fate.NONE
        self.past = False
        self.mention = False


@dataclass(slots=True)
class Person:
    """Somebody known. ``since`` is UTC seconds, if known."""

    nick: str
    status: Status
    ids: set[int]
    since: float | None = None
    text: str | None = None
    account: bool = False


class Conversation:
    """A room or a private conversation, by ``name`` (``#room`` or ``@nick``).

    ``entries`` only grow, at the end as things happen and at the beginning as older pages
    come; ``version`` changes whenever anything in them does.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: list[Entry] = []
        self.unread = 0
        self.mentions = 0
        self.draft = ""
        self.version = 0
        self.prepended = 0  # entries that have been added at the beginning so far
        self.complete = False  # nothing older remains on the server
        self.loading = False
        self._own: set[int] = set()
        self._newest = 0

    @property
    def private(self) -> bool:
        """Whether it is with one person."""
        return self.name.startswith("@")

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
        self.version += 1
        return True

    def add_older(self, entries: list[Entry]) -> None:
        """Add a page of older entries, ascending, at the beginning."""
        oldest = self.oldest
        fresh = [e for e in entries if oldest is None or e.seq < oldest]
        if oldest is None and fresh:
            self._newest = max(self._newest, fresh[-1].seq)
        self.entries[:0] = fresh
        self.prepended += len(fresh)
        self.version += 1

    def stored(self, entry: Entry, seq: int, time: float) -> None:
        """An own entry has its place. If it came back from the server meanwhile, it is here
        twice: the one that waited goes."""
        self.version += 1
        if seq <= self._newest and any(e.seq == seq for e in reversed(self.entries)):
            self.entries.remove(entry)
            return
        entry.fate, entry.seq, entry.time = Fate.STORED, seq, time
        self._own.add(seq)


class Model:
    """Everything there is to show. ``take`` brings it up to date, a batch at a time."""

    def __init__(self, nick: str) -> None:
        self.nick = nick
        self.conversations: dict[str, Conversation] = {}
        self.people: dict[str, Person] = {}
        self.people_total = 0
        self.connection = Change(Connection.CONNECTING)
        self.motd = ""
        self.account = False
        self.lobby = self.conversation(LOBBY)
        self.focused = True  # whether the person looks at ``current``
        self.current = self.lobby
        self.alerts = 0  # private messages and mentions from others so far
        self._waiting: dict[str, tuple[Conversation, Entry]] = {}
        self._mention = ""
        self._been_online = False
        self._lost = False

    # For faces

    def conversation(self, name: str) -> Conversation:
        """Return the conversation of this name, made if need be."""
        found = self.conversations.get(key(name))
        if found is None:
            found = self.conversations[key(name)] = Conversation(name)
        return found

    def show(self, conversation: Conversation) -> None:
        """Make ``conversation`` the one that is looked at: all in it is read."""
        self.current = conversation
        self.read()

    def read(self) -> None:
        """The person looks at the current conversation."""
        self.current.unread = self.current.mentions = 0

    def note(self, text: str, time: float, kind: Kind = Kind.NOTICE) -> None:
        """Say something of the program's own in the current conversation."""
        for line in text.split("\n"):
            self.current.add(Entry(kind, time, clean(line)))

    @property
    def waiting(self) -> list[tuple[Conversation, Entry]]:
        """Own messages that are not acknowledged, and those that were refused."""
        return list(self._waiting.values())

    @property
    def unread(self) -> int:
        """Unread messages in all conversations."""
        return sum(c.unread for c in self.conversations.values())

    @property
    def online(self) -> list[Person]:
        """Who is online or away, by nick."""
        return [self.people[k] for k in sorted(self.people) if self.people[k].ids]

    # What happens

    def take(self, batch: Iterable[Happening], time: float) -> None:
        """Take in a batch. ``time`` is UTC seconds now."""
        for event in batch:
            if isinstance(event, Message):
                self._said(event, past=False)
            elif isinstance(event, Stored):
                where, entry = self._waiting.pop(event.ref, (None, None))
                if where is not None and entry is not None:
                    where.stored(entry, event.seq, event.time)
            elif isinstance(event, Queued):
                self._queued(event)
            elif isinstance(event, Failed):
                where, entry = self._waiting.get(event.ref, (None, None))
                if where is not None and entry is not None:
                    entry.fate = Fate.FAILED
                    where.version += 1
                    where.add(Entry(Kind.TROUBLE, time, f"not sent: {clean(event.text)}"))
            elif isinstance(event, History):
                self._history(event)
            elif isinstance(event, Joined):
                self._came(event.nick, event.id, event.time)
                self._coming(event.time, f"{clean(event.nick)} joined")
            elif isinstance(event, Left):
                self._went(event.nick, event.id)
                self._coming(event.time, _leaving(event.nick, event.reason, event.text))
            elif isinstance(event, Roster):
                self._roster(event)
            elif isinstance(event, Presence):
                self._presence(event)
            elif isinstance(event, Welcome):
                self._welcome(event)
            elif isinstance(event, Change):
                self._changed(event, time)
            elif isinstance(event, Shutdown):
                self.note(f"The server is stopping: {event.reason}.", time)
            elif isinstance(event, (Trouble, Error)):
                self.note(event.text, time, Kind.TROUBLE)

    def resume(self, waiting: Iterable[tuple[str, str, str, float]]) -> None:
        """Show messages that an earlier run could not send: (ref, to, text, time) each."""
        for ref, to, text, time in waiting:
            self._queued(Queued(ref, to, text, time))

    def users(self, users: Iterable[User]) -> None:
        """Take in what the server says of these people."""
        for user in users:
            self.people[key(user.nick)] = Person(
                clean(user.nick),
                user.status,
                set(user.ids),
                user.since,
                clean(user.text) if user.text else None,
                user.account,
            )

    def older(self, conversation: Conversation, page: History) -> None:
        """Add an older page that was asked for."""
        conversation.add_older([self._entry(message, past=True) for message in page.messages])
        conversation.complete = page.end
        conversation.loading = False

    def _said(self, message: Message, past: bool) -> None:
        where = self.conversation(self._place(message))
        entry = self._entry(message, past)
        own = entry.nick == self.nick
        looked_at = self.focused and where is self.current
        if past and not looked_at and not where.unread and not own and self._been_online:
            where.add(Entry(Kind.NEW, entry.time, ""))
        if not where.add(entry):
            return
        if own:
            return
        alert = where.private or entry.mention
        if alert and not past:
            self.alerts += 1
        if not looked_at:
            where.unread += 1
            where.mentions += alert

    def _history(self, page: History) -> None:
        if page.replay:
            for message in page.messages:
                self._said(message, past=True)

    def _entry(self, message: Message, past: bool) -> Entry:
        entry = Entry(
            Kind.SAID, message.time, clean_text(message.text), clean(message.from_), message.to
        )
        entry.seq = message.seq
        entry.past = past
        if entry.nick != self.nick:
            entry.mention = mentions(message.text, self._mention)
        return entry

    def _place(self, message: Message) -> str:
        """Name the conversation that a message belongs to, seen from here."""
        if not message.to.startswith("@"):
            return clean(message.to)
        other = message.to[1:] if message.from_ == self.nick else message.from_
        return f"@{clean(other)}"

    def _queued(self, event: Queued) -> None:
        where = self.conversation(event.to)
        entry = Entry(Kind.SAID, event.time, clean_text(event.text), self.nick, event.to)
        entry.ref = event.ref
        entry.fate = Fate.SENT
        for ref, (place, earlier) in list(self._waiting.items()):
            # A retry takes the place of what had failed.
            again = place is where and earlier.fate is Fate.FAILED and earlier.text == entry.text
            if again and event.time == earlier.time:
                del self._waiting[ref]
                place.entries.remove(earlier)
        where.add(entry)
        self._waiting[event.ref] = where, entry

    def _welcome(self, event: Welcome) -> None:
        self.nick = clean(event.nick)
        self._mention = self.nick.lower()
        self.account = event.account
        self.motd = clean_text(event.motd)
        for person in self.people.values():
            person.ids.clear()
            person.status = "offline"
        self.users(event.users)
        self.people_total = event.users_total
        self._been_online = True

    def _changed(self, change: Change, time: float) -> None:
        before, self.connection = self.connection, change
        if change.status is Connection.WAITING and before.status is Connection.ONLINE:
            self.note(f"Connection lost: {change.text}.", time, Kind.TROUBLE)
        elif change.status is Connection.ONLINE and self._been_online and self._lost:
            self.note("Connected again.", time)
            self._lost = False
        if change.status is Connection.WAITING:
            self._lost = True

    def _came(self, nick: str, id_: int, time: float) -> None:
        person = self.people.get(key(nick))
        if person is None:
            person = self.people[key(nick)] = Person(clean(nick), "online", set(), time)
        if not person.ids:
            person.status, person.since = "online", time
            self.people_total += 1
        person.ids.add(id_)

    def _went(self, nick: str, id_: int) -> None:
        person = self.people.get(key(nick))
        if person is not None and person.ids:
            person.ids.discard(id_)
            if not person.ids:
                person.status = "offline"
                self.people_total -= 1

    def _roster(self, event: Roster) -> None:
        for gone in event.left:
            self._went(gone.nick, gone.id)
        for come in event.joined:
            self._came(come.nick, come.id, event.time)
        self.people_total = event.online
        words = []
        if event.joined:
            words.append(f"{_several(clean(a.nick) for a in event.joined)} joined")
        if event.left:
            words.append(f"{_several(clean(d.nick) for d in event.left)} left")
        self._coming(event.time, ", ".join(words))

    def _coming(self, time: float, text: str) -> None:
        """Tell of a coming or going, on the line of the one before if that was just now."""
        last = self.lobby.entries[-1] if self.lobby.entries else None
        together = last is not None and last.kind is Kind.COMINGS and time - last.time < TOGETHER
        if last is not None and together and len(last.text) < 400:
            last.text = f"{last.text}, {text}"
            self.lobby.version += 1
        else:
            self.lobby.add(Entry(Kind.COMINGS, time, text))

    def _presence(self, event: Presence) -> None:
        person = self.people.get(key(event.nick))
        if person is not None:
            person.status, person.since = event.status, event.since
            person.text = clean(event.text) if event.text else None


def mentions(text: str, nick_key: str) -> bool:
    """Tell whether ``text`` names the nick, as a word of its own."""
    lowered = text.lower()
    at = lowered.find(nick_key) if nick_key else -1
    while at >= 0:
        end = at + len(nick_key)
        before = lowered[at - 1] if at else " "
        after = lowered[end] if end < len(lowered) else " "
        if not (before.isalnum() or before in "_-") and not (after.isalnum() or after in "_-"):
            return True
        at = lowered.find(nick_key, at + 1)
    return False


def _leaving(nick: str, reason: str, text: str | None) -> str:
    reasons = {
        "disconnect": "left",
        "lost": "lost the connection",
        "timeout": "was no longer heard of",
        "slow": "was too slow to follow",
        "kicked": "was sent out",
    }
    words = f"{clean(nick)} {reasons.get(reason, f'left ({clean(reason)})')}"
    return f"{words} ({clean(text)})" if text else words


def _several(nicks: Iterable[str]) -> str:
    names = list(nicks)
    if len(names) <= 5:
        return ", ".join(names)
    return f"{', '.join(names[:4])} and {len(names) - 4} more"
