"""What a person is shown, as plain data: conversations, their entries, people, the connection.

Every face reads this one model; it has no screen, no socket, and no clock (times
come with what happens). All foreign text is made safe on its way in, here and nowhere else.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Final

from framing.events import (
    Error,
    FileChanged,
    HasRead,
    History,
    Invited,
    IsTyping,
    Joined,
    Left,
    Message,
    Presence,
    Roster,
    Shutdown,
    Topic,
    User,
    Welcome,
)
from framing.filenames import name_key
from framing.names import LOBBY, key
from parley.client.ground.clean import clean, clean_text, sane
from parley.client.model.conversation import Conversation, Entry, Fate, Kind
from parley.client.model.people import Person
from parley.client.session.happenings import (
    Change,
    Dropped,
    Failed,
    Happening,
    OtherLog,
    Queued,
    Stored,
    Trouble,
)
from parley.client.session.happenings import Status as Connection

NAME_CHARS: Final = 64
"""Characters of a name that are looked at: twice what any server should let one have."""

REASON_CHARS: Final = 500
"""Characters of a server's reason that are shown."""

NOTE_LINES: Final = 50
"""Lines of a server's greeting that are shown."""

TYPING_FOR: Final = 6.0
"""Seconds for which somebody is believed to be writing."""

TOGETHER: Final = 60.0
"""Seconds within which comings and goings, with nothing said between them, share a line."""


@lru_cache(maxsize=1024)
def _name(text: str) -> str:
    """Clean a name. The few that there are occur again and again: done once, held once."""
    return clean(text[:NAME_CHARS])


class Model:
    """Everything there is to show. ``take`` brings it up to date, a batch at a time."""

    def __init__(self, nick: str) -> None:
        self.nick = nick
        self.conversations: dict[str, Conversation] = {}
        self.people: dict[str, Person] = {}
        self.files: dict[str, str] = {}  # names of files that are known to be shared, by key
        self.people_total = 0
        self.connection = Change(Connection.CONNECTING)
        self.motd = ""
        self.account = False
        self.lobby = self.conversation(LOBBY)
        self.current = self.lobby
        self.attentive = True  # whether the person looks at the end of ``current``
        self.shows_comings = True
        self.alerts = 0  # private messages and mentions from others so far
        self.last_alert: Entry | None = None
        self.entered: Callable[[Conversation, Entry], None] | None = None
        """Told of each entry: a face that writes line by line needs no more."""
        self._waiting: dict[str, tuple[Conversation, Entry]] = {}
        self._mention = ""
        self._been_online = False
        self._lost = False
        self._stopped = False  # the server has said that it stops
        self._missed: set[Conversation] = set()
        self._online: list[Person] | None = None
        self.resumed = False  # whether one was here before: what is replayed was missed

    # For faces

    def conversation(self, name: str) -> Conversation:
        """Return the conversation of this name, made if need be."""
        found = self.conversations.get(key(name))
        if found is None:
            found = self.conversations[key(name)] = Conversation(name)
        return found

    def show(self, conversation: Conversation) -> None:
        """Make ``conversation`` the one that is looked at: all in it is read."""
        before, self.current = self.current, conversation
        if before is not conversation and not before.unread:
            before.marker = None
        self.attend(True)

    def attend(self, attentive: bool) -> None:
        """The person looks at the end of the current conversation, or no longer does."""
        self.attentive = attentive
        if attentive:
            self.current.read()

    def note(self, text: str, time: float, kind: Kind = Kind.NOTICE) -> None:
        """Say something of the program's own in the current conversation."""
        for line in text.split("\n")[:NOTE_LINES]:
            self._add(self.current, Entry(kind, time, clean(line)))

    def _tell(self, text: str, time: float, kind: Kind = Kind.NOTICE) -> None:
        """Say something about the server, in the lobby wherever one is."""
        self._add(self.lobby, Entry(kind, time, clean(text)))

    def _add(self, where: Conversation, entry: Entry) -> bool:
        """Add an entry and tell of it. False if it is there already."""
        if not where.add(entry):
            return False
        where.trim(self.attentive or where is not self.current)
        if self.entered is not None:
            self.entered(where, entry)
        return True

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
        if self._online is None:
            self._online = [self.people[k] for k in sorted(self.people) if self.people[k].ids]
        return self._online

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
                    entry.fate, entry.why = Fate.FAILED, clean(event.text[:REASON_CHARS])
                    where.version += 1
            elif isinstance(event, Dropped):
                where, entry = self._waiting.pop(event.ref, (None, None))
                if where is not None and entry is not None:
                    where.remove(entry)
            elif isinstance(event, History):
                self._history(event)
            elif isinstance(event, Joined):
                where = self._comer(event.room, event.nick, True)
                if event.room is None:
                    self._came(event.nick, event.id, event.time)
                self._coming(where, event.time, f"{_name(event.nick)} joined")
            elif isinstance(event, Left):
                where = self._comer(event.room, event.nick, False)
                if event.room is None:
                    self._went(event.nick, event.id)
                self._coming(where, event.time, _leaving(event.nick, event.reason, event.text))
            elif isinstance(event, IsTyping):
                self._typing(event, time)
            elif isinstance(event, HasRead):
                self._read(event)
            elif isinstance(event, Topic):
                self._topic(event)
            elif isinstance(event, FileChanged):
                self._file(event)
            elif isinstance(event, Invited):
                room = _name(event.room)
                text = f"{_name(event.nick)} invites you to {room}: /join {room}"
                self.alerts += 1
                self.last_alert = Entry(Kind.NOTICE, time, text, _name(event.nick))
                self.note(text, time)
            elif isinstance(event, Roster):
                self._roster(event)
            elif isinstance(event, Presence):
                self._presence(event)
            elif isinstance(event, Welcome):
                self._welcome(event)
            elif isinstance(event, Change):
                self._changed(event, time)
            elif isinstance(event, Shutdown):
                self._stopped = True
                self._tell(f"The server is stopping: {event.reason}.", time)
            elif isinstance(event, OtherLog):
                for conversation in self.conversations.values():
                    conversation.forget_places()
                self._tell("The server has another history than before.", time, Kind.TROUBLE)
            elif isinstance(event, (Trouble, Error)):
                self.note(clean(event.text[:REASON_CHARS]), time, Kind.TROUBLE)

    def resume(self, waiting: Iterable[tuple[str, str, str, float]]) -> None:
        """Show messages that an earlier run could not send: (ref, to, text, time) each."""
        for ref, to, text, time in waiting:
            self._queued(Queued(ref, to, text, time))

    def users(self, users: Iterable[User]) -> None:
        """Take in what the server says of these people."""
        self._online = None
        for user in users:
            self.people[key(user.nick)] = Person(
                _name(user.nick),
                user.status,
                set(user.ids),
                None if user.since is None else sane(user.since),
                clean(user.text) if user.text else None,
                user.account,
            )

    def older(self, conversation: Conversation, page: History) -> None:
        """Add an older page that was asked for: what of it belongs there, in its order."""
        entries: list[Entry] = []
        for message in page.messages:
            there = key(self.place(message)) == key(conversation.name)
            if message.edit_of or message.redact_of:
                continue
            if there and (not entries or entries[-1].seq < message.seq):
                entries.append(self.entry(message, past=True))
        for entry in conversation.add_older(entries):
            if self.entered is not None:
                self.entered(conversation, entry)
        conversation.complete = page.end
        conversation.loading = False

    def _said(self, message: Message, past: bool) -> None:
        where = self.conversation(self.place(message))
        where.typing.pop(_name(message.from_), None)
        original = message.edit_of or message.redact_of
        if original is not None:
            redacted = message.redact_of is not None
            where.change(original, clean_text(message.text), redacted, message.seq)
            return
        entry = self.entry(message, past)
        if not self._add(where, entry) or entry.nick == self.nick:
            return
        alert = where.private or entry.mention
        looked_at = self.attentive and where is self.current
        if not past:
            if alert:
                self.alerts += 1
                self.last_alert = entry
            if not looked_at:
                where.count(entry, alert)
        elif self.resumed:
            if where not in self._missed and (not where.unread or self.account):
                where.marker = entry
            self._missed.add(where)
            if not looked_at and not self.account:  # what an account has not read it was told
                where.count(entry, alert)
            elif not looked_at:
                where.mentions += alert

    def take_out(self, name: str) -> None:
        """One has left a room: its conversation goes."""
        gone = self.conversations.pop(key(name), None)
        if gone is self.current:
            self.show(self.lobby)

    def in_room(self) -> list[Person]:
        """Return who is online and in the current conversation."""
        members = self.current.members
        if members is None:
            return self.online
        return [person for person in self.online if key(person.nick) in members]

    def _history(self, page: History) -> None:
        if page.replay:
            for message in page.messages:
                self._said(message, past=True)

    def entry(self, message: Message, past: bool = True) -> Entry:
        """Return a message as an entry."""
        entry = Entry(
            Kind.SAID,
            sane(message.time),
            clean_text(message.text),
            clean(message.from_),
            _name(message.to),
        )
        entry.seq = message.seq
        entry.past = past
        entry.changed = message.changed is not None and not message.redacted
        entry.redacted = message.redacted
        if message.file is not None and clean(message.file.name) == message.file.name:
            entry.file = message.file.name
            self.files[name_key(entry.file)] = entry.file
        if entry.nick != self.nick:
            entry.mention = mentions(message.text, self._mention)
        return entry

    def place(self, message: Message) -> str:
        """Name the conversation that a message belongs to, seen from here."""
        if not message.to.startswith("@"):
            return _name(message.to)
        other = message.to[1:] if message.from_ == self.nick else message.from_
        return f"@{_name(other)}"

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
                place.remove(earlier)
        self._add(where, entry)
        where.marker = None
        self._waiting[event.ref] = where, entry

    def _welcome(self, event: Welcome) -> None:
        self.nick = _name(event.nick)
        self._mention = self.nick.lower()
        self.account = event.account
        self.motd = clean_text(event.motd)
        for person in self.people.values():
            person.ids.clear()
            person.status = "offline"
        self.users(event.users)
        self.people_total = event.users_total
        for room in event.rooms:
            self.conversation(_name(room))
        if event.account:
            for conversation in self.conversations.values():
                conversation.unread = 0
            for name, count in event.unread.items():
                if conversation_like(name):
                    self.conversation(_name(name)).unread = count
            if self.attentive:
                self.current.read()
        self.resumed = self.resumed or self._been_online
        self._been_online = True
        self._missed.clear()

    def _changed(self, change: Change, time: float) -> None:
        change = replace(change, text=clean(change.text[:REASON_CHARS]))
        before, self.connection = self.connection, change
        if change.status is Connection.WAITING and before.status is Connection.ONLINE:
            if self._stopped:
                self._tell("It has stopped. You are back here as soon as it is.", time)
            else:
                self._tell(f"Connection lost: {change.text}.", time, Kind.TROUBLE)
        elif change.status is Connection.ONLINE and self._been_online and self._lost:
            self._tell("Connected again.", time)
            self._lost = self._stopped = False
        if change.status is Connection.WAITING:
            self._lost = True

    def _came(self, nick: str, id_: int, time: float) -> None:
        time = sane(time)
        person = self.people.get(key(nick))
        self._online = None
        if person is None:
            person = self.people[key(nick)] = Person(_name(nick), "online", set(), time)
        if not person.ids:
            person.status, person.since = "online", time
            self.people_total += 1
        person.ids.add(id_)

    def _went(self, nick: str, id_: int) -> None:
        person = self.people.get(key(nick))
        self._online = None
        if person is not None and person.ids:
            person.ids.discard(id_)
            if not person.ids:
                person.status = "offline"
                self.people_total -= 1

    def _comer(self, room: str | None, nick: str, came: bool) -> Conversation:
        """Note somebody in or out of a room, and return its conversation."""
        where = self.lobby if room is None else self.conversation(_name(room))
        if where.members is not None and came:
            where.members.add(key(nick))
        elif where.members is not None:
            where.members.discard(key(nick))
        return where

    def _typing(self, event: IsTyping, time: float) -> None:
        name = _name(event.to if event.to.startswith("#") else f"@{event.nick}")
        where = self.conversations.get(key(name))
        if where is not None and event.state == "active":
            where.typing[_name(event.nick)] = time + TYPING_FOR
        elif where is not None:
            where.typing.pop(_name(event.nick), None)

    def _read(self, event: HasRead) -> None:
        where = self.conversation(_name(event.with_))
        if event.nick is None or key(event.nick) == key(self.nick):
            where.read_elsewhere(event.seq, self.nick)
        else:
            where.seen = max(where.seen, event.seq)

    def _file(self, event: FileChanged) -> None:
        name = clean(event.name[:NAME_CHARS])
        if not event.deleted:
            self.files[name_key(name)] = name
            return
        self.files.pop(name_key(name), None)
        mine = event.to.startswith("@") and key(event.to[1:]) == key(self.nick)
        where = self.conversation(_name(f"@{event.nick}" if mine else event.to))
        if key(event.nick) != key(self.nick):
            text = f"{_name(event.nick)} no longer shares {name}"
            self._add(where, Entry(Kind.NOTICE, sane(event.time), text))

    def _topic(self, event: Topic) -> None:
        where = self.conversation(_name(event.room))
        topic = clean(event.text[:REASON_CHARS])
        news = topic != where.topic and not where.asks_topic
        where.topic = topic
        if news:
            text = f"{_name(event.nick)} says what {where.name} is about: {topic or 'nothing'}"
            self._add(where, Entry(Kind.NOTICE, sane(event.time), text))

    def _roster(self, event: Roster) -> None:
        where = self.lobby
        for gone in event.left:
            where = self._comer(event.room, gone.nick, False)
            if event.room is None:
                self._went(gone.nick, gone.id)
        for come in event.joined:
            where = self._comer(event.room, come.nick, True)
            if event.room is None:
                self._came(come.nick, come.id, event.time)
        if event.room is None:
            self.people_total = event.online
        words = []
        if event.joined:
            words.append(f"{_several(_name(a.nick) for a in event.joined)} joined")
        if event.left:
            words.append(f"{_several(_name(d.nick) for d in event.left)} left")
        self._coming(where, event.time, ", ".join(words))

    def _coming(self, where: Conversation, time: float, text: str) -> None:
        """Tell of a coming or going, on the line of the one before if that was just now."""
        if not self.shows_comings:
            return
        time = sane(time)
        entry = Entry(Kind.COMINGS, time, text)
        last = where.entries[-1] if where.entries else None
        together = last is not None and last.kind is Kind.COMINGS and time - last.time < TOGETHER
        if last is None or not together or len(last.text) > 400:
            self._add(where, entry)
            return
        last.text = f"{last.text}, {text}"
        where.version += 1
        if self.entered is not None:
            self.entered(where, entry)

    def _presence(self, event: Presence) -> None:
        person = self.people.get(key(event.nick))
        if person is not None:
            person.status, person.since = event.status, sane(event.since)
            person.text = clean(event.text) if event.text else None


def conversation_like(name: str) -> bool:
    """Tell whether a server's word may name a conversation."""
    return name[:1] in ("#", "@") and 1 < len(name) <= NAME_CHARS


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
    words = f"{_name(nick)} {reasons.get(reason, f'left ({clean(reason)})')}"
    return f"{words} ({clean(text)})" if text else words


def _several(nicks: Iterable[str]) -> str:
    names = list(nicks)
    if len(names) <= 5:
        return ", ".join(names)
    return f"{', '.join(names[:4])} and {len(names) - 4} more"
