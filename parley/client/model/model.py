"""What a person is shown, as plain data: conversations, their entries, people, the connection.

Every face reads this one model; it has no screen, no socket, and no clock (times
come with what happens). All foreign text is made safe on its way into this package, and nowhere
else.
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

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
    Welcome,
)
from framing.filenames import name_key
from framing.names import LOBBY, key
from parley.client.ground.clean import NAME_CHARS, REASON_CHARS, clean, clean_name, clean_text, sane
from parley.client.ground.times import in_own_time
from parley.client.model import comings
from parley.client.model.awaited import Awaited
from parley.client.model.conversation import Conversation, Entry, Fate, Kind
from parley.client.model.entries import entry_of, place_of
from parley.client.model.fates import Fates
from parley.client.model.people import People
from parley.client.model.standing import Standing
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

NOTE_LINES: Final = 50
"""Lines of a server's greeting that are shown."""

TYPING_FOR: Final = 6.0
"""Seconds for which somebody is believed to be writing."""


class Model:
    """Everything there is to show. ``take`` brings it up to date, a batch at a time."""

    def __init__(self, nick: str) -> None:
        self.nick = nick
        self.conversations: dict[str, Conversation] = {}
        self.people = People()
        self.awaited = Awaited()
        self.fates = Fates()
        self.files: dict[str, str] = {}  # names of files that are known to be shared, by key
        self.standing = Standing()
        self.motd = ""
        self.account = False
        self.lobby = self.conversation(LOBBY)
        self.current = self.lobby
        self.following = True  # whether the end of ``current`` is in sight
        self.attentive = True  # whether the person looks at it
        self.shows_comings = True
        self.alerts = 0  # private messages and mentions from others so far
        self.last_alert: Entry | None = None
        self.entered: Callable[[Conversation, Entry], None] | None = None
        """Told of each entry, and again when it says something else: a face that writes line by
        line needs no more."""
        self._missed: set[Conversation] = set()
        self.resumed = False  # whether one was here before: what is replayed was missed

    # For faces

    def conversation(self, name: str) -> Conversation:
        """Return the conversation of this name, made if need be. One that was taken out comes again
        while the fate of an own message in it is open."""
        found = self.conversations.get(key(name))
        if found is None:
            found = self.fates.place(name) or Conversation(name)
            self.conversations[key(name)] = found
        return found

    def show(self, conversation: Conversation) -> None:
        """Make ``conversation`` the one that is looked at: all in it is read. If it has been taken
        out meanwhile, that is the lobby."""
        before = self.current
        self.current = self.conversations.get(key(conversation.name), self.lobby)
        if before is not self.current and not before.unread:
            before.marker = None
        self.attend(True)

    def attend(self, attentive: bool, following: bool = True) -> None:
        """The person looks at the end of the current conversation, or no longer does;
        ``following``: whether it is in sight, looked at or not."""
        self.following = following
        self.attentive = attentive
        if attentive:
            self.current.read()

    def note(self, text: str, time: float, kind: Kind = Kind.NOTICE) -> None:
        """Say something of the program's own in the current conversation."""
        for line in text.split("\n")[:NOTE_LINES]:
            self._add(self.current, Entry(kind, time, clean(in_own_time(line))))

    def _tell(self, text: str, time: float, kind: Kind = Kind.NOTICE) -> None:
        """Say something about the server, in the lobby wherever one is."""
        self._add(self.lobby, Entry(kind, time, clean(text)))

    def _add(self, where: Conversation, entry: Entry) -> bool:
        """Add an entry and tell of it. False if it is there already."""
        if not where.add(entry):
            return False
        where.trim(self.following or where is not self.current)
        if self.entered is not None:
            self.entered(where, entry)
        return True

    @property
    def unread(self) -> int:
        """Unread messages in all conversations."""
        return sum(c.unread for c in self.conversations.values())

    # What happens

    def take(self, batch: Iterable[Happening], time: float) -> None:
        """Take in a batch. ``time`` is UTC seconds now."""
        for event in batch:
            if isinstance(event, Message):
                self._said(event, past=False)
            elif isinstance(event, Stored):
                self.fates.stored(event)
            elif isinstance(event, Queued):
                self._queued(event)
            elif isinstance(event, Failed):
                where = self.fates.failed(event)
                if where is not None:
                    self.conversation(where.name)  # should it have been taken out
            elif isinstance(event, Dropped):
                self.fates.dropped(event)
            elif isinstance(event, History):
                self._history(event)
            elif isinstance(event, Joined):
                where = self._comer(event.room, event.nick, True)
                if event.room is not None or self._came(event.nick, event.id, event.time):
                    self._coming(where, event.time, comings.joined(event))
            elif isinstance(event, Left):
                where = self._comer(event.room, event.nick, False)
                if event.room is not None and key(event.nick) == key(self.nick):
                    self._left_elsewhere(where, sane(event.time))
                elif event.room is not None or self._went(event.nick, event.id):
                    self._coming(where, event.time, comings.left(event))
            elif isinstance(event, IsTyping):
                self._typing(event, time)
            elif isinstance(event, HasRead):
                self._read(event)
            elif isinstance(event, Topic):
                self._topic(event, time)
            elif isinstance(event, FileChanged):
                self._file(event)
            elif isinstance(event, Invited):
                room = clean_name(event.room)
                text = f"{clean_name(event.nick)} invites you to {room}: /join {room}"
                self.alerts += 1
                self.last_alert = Entry(Kind.NOTICE, time, text, clean_name(event.nick))
                self.note(text, time)
            elif isinstance(event, Roster):
                self._roster(event)
            elif isinstance(event, Presence):
                self.people.changed(event)
            elif isinstance(event, Welcome):
                self._welcome(event)
            elif isinstance(event, Change):
                self._changed(event, time)
            elif isinstance(event, Shutdown):
                self._tell(self.standing.stopping(event.reason), time)
            elif isinstance(event, OtherLog):
                for conversation in self.conversations.values():
                    conversation.forget_places()
                self._tell("The server has another history than before.", time, Kind.TROUBLE)
            elif isinstance(event, (Trouble, Error)):
                self.note(clean(event.text[:REASON_CHARS]), time, Kind.TROUBLE)

    def change(self, where: Conversation, seq: int, text: str, redacted: bool, newest: int) -> None:
        """Give a message another text, or take it back; ``newest`` is the place of the change."""
        entry = where.change(seq, text, redacted, newest)
        if entry is not None and self.entered is not None:
            self.entered(where, msgspec.structs.replace(entry, fate=Fate.NONE))

    def older(self, conversation: Conversation, page: History) -> None:
        """Add an older page that was asked for: what of it belongs there, in its order."""
        entries: list[Entry] = []
        for message in page.messages:
            there = key(place_of(message, self.nick)) == key(conversation.name)
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
        where = self.conversation(place_of(message, self.nick))
        where.typing.pop(clean_name(message.from_), None)
        original = message.edit_of or message.redact_of
        if original is not None:
            redacted = message.redact_of is not None
            self.change(where, original, clean_text(message.text), redacted, message.seq)
            return
        entry = self.entry(message, past)
        if not self._add(where, entry) or key(entry.nick) == key(self.nick):
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
        if gone is not None:
            gone.close()

    def _history(self, page: History) -> None:
        if page.replay:
            for message in page.messages:
                self._said(message, past=True)
        if page.replay and page.end and self.account:
            # What was read here and could not be told is not unread.
            for conversation in self.conversations.values():
                if conversation.read_to:
                    conversation.read_elsewhere(conversation.read_to, self.nick)

    def entry(self, message: Message, past: bool = True) -> Entry:
        """Return a message as an entry, and remember the file it shares."""
        entry = entry_of(message, self.nick, past)
        if entry.file:
            self.files[name_key(entry.file)] = entry.file
        return entry

    def _queued(self, event: Queued) -> None:
        where = self.conversation(event.to)
        self._add(where, self.fates.queued(event, where, self.nick))
        where.marker = None

    def _welcome(self, event: Welcome) -> None:
        self.nick = clean_name(event.nick)
        self.account = event.account
        self.motd = clean_text(event.motd)
        before = self.people.clients
        self.people.welcomed(event.users, event.users_total)
        self.awaited.connected(before, self.people.clients, sane(event.time))
        for room in event.rooms:
            self.conversation(clean_name(room))
        for conversation in self.conversations.values():
            conversation.reconnected()
        if event.account:
            for conversation in self.conversations.values():
                conversation.unread = 0
            for name, count in event.unread.items():
                if conversation_like(name):
                    self.conversation(self._as_written(clean_name(name))).unread = count
            if self.attentive:
                self.current.read()
        self.resumed = self.resumed or self.standing.been_online
        self.standing.welcomed()
        self._missed.clear()

    def _as_written(self, name: str) -> str:
        """Return the name of a conversation with the nick as its owner writes it, if known."""
        person = self.people.get(name[1:]) if name.startswith("@") else None
        return name if person is None else f"@{person.nick}"

    def _changed(self, change: Change, time: float) -> None:
        said = self.standing.changed(change)
        if said is not None:
            self._tell(said[0], time, said[1])

    def _comer(self, room: str | None, nick: str, came: bool) -> Conversation:
        """Note somebody in or out of a room, and return its conversation."""
        where = self.lobby if room is None else self.conversation(clean_name(room))
        if where.members is not None and came:
            where.members.add(key(nick))
        elif where.members is not None:
            where.members.discard(key(nick))
        if not came:  # and writes no more
            for each in self.conversations.values() if room is None else [where]:
                each.typing.pop(clean_name(nick), None)
        return where

    def _left_elsewhere(self, room: Conversation, time: float) -> None:
        """One has left a room from another window. What is typed here stays."""
        text = f"You have left {room.name} from another window: /join {room.name} goes in again."
        self._add(room, Entry(Kind.NOTICE, time, text))

    def _typing(self, event: IsTyping, time: float) -> None:
        name = clean_name(event.to if event.to.startswith("#") else f"@{event.nick}")
        where = self.conversations.get(key(name))
        if where is not None and event.state == "active":
            where.typing[clean_name(event.nick)] = time + TYPING_FOR
        elif where is not None:
            where.typing.pop(clean_name(event.nick), None)

    def _read(self, event: HasRead) -> None:
        where = self.conversation(clean_name(event.with_))
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
        where = self.conversation(clean_name(f"@{event.nick}" if mine else event.to))
        if key(event.nick) != key(self.nick):
            text = f"{clean_name(event.nick)} no longer shares {name}"
            self._add(where, Entry(Kind.NOTICE, sane(event.time), text))

    def _topic(self, event: Topic, time: float) -> None:
        where = self.conversation(clean_name(event.room))
        topic = clean(event.text[:REASON_CHARS])
        if topic == where.topic:
            return
        where.topic = topic
        text = f"{clean_name(event.nick)} says what {where.name} is about: {topic or 'nothing'}"
        if not where.asks_topic:
            self._add(where, Entry(Kind.NOTICE, sane(event.time), text))
        elif topic:
            self._add(where, Entry(Kind.NOTICE, time, f"{where.name} is about {topic}."))

    def _roster(self, event: Roster) -> None:
        where = self.lobby
        for gone in event.left:
            where = self._comer(event.room, gone.nick, False)
        for come in event.joined:
            where = self._comer(event.room, come.nick, True)
        if event.room is None:
            left = [gone for gone in event.left if self._went(gone.nick, gone.id)]
            came = [c for c in event.joined if self._came(c.nick, c.id, event.time)]
            event = msgspec.structs.replace(event, left=left, joined=came)
            self.people.total = event.online
        if event.left or event.joined:
            self._coming(where, event.time, comings.several(event))

    def _came(self, nick: str, id_: int, time: float) -> bool:
        """A client of somebody has come. Return whether that is to be told: another one of who
        is here is no news, unless it is of oneself, and one that is awaited is none either."""
        own = key(nick) == key(self.nick)
        awaited = self.awaited.came(nick, id_, sane(time), own)
        return (self.people.came(nick, id_, time) or own) and not awaited

    def _went(self, nick: str, id_: int) -> bool:
        """A client of somebody has gone. Return whether that is to be told, as of ``_came``."""
        self.awaited.went(nick)
        return self.people.went(nick, id_) or key(nick) == key(self.nick)

    def _coming(self, where: Conversation, time: float, text: str) -> None:
        """Tell of a coming or going, on the line of the one before if that was just now."""
        if not self.shows_comings:
            return
        time = sane(time)
        last = where.entries[-1] if where.entries else None
        if last is None or not comings.shares_line(last, time):
            self._add(where, Entry(Kind.COMINGS, time, text))
            return
        last.text = f"{last.text}, {text}"
        where.version += 1
        if self.entered is not None:
            self.entered(where, Entry(Kind.COMINGS, time, text))


def conversation_like(name: str) -> bool:
    """Tell whether a server's word may name a conversation."""
    return name[:1] in ("#", "@") and 1 < len(name) <= NAME_CHARS
