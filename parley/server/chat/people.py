"""Who is here, who is away, who has an account: presence. Pure."""

import bisect
import heapq
from collections.abc import Collection, Container, Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from framing.events import Arrival, Departure, Status, User
from framing.names import key
from parley.server.accounts.accounts import Accounts
from parley.server.chat.session import Session

ROSTER_OVER: Final = 200
"""In a room of more people than this, comings and goings are told together."""

ROSTER_EVERY: Final = 1.0
"""Seconds between two such frames, at least."""

ROSTER_ENTRIES: Final = 300
"""Most comings, and most goings, in one such frame: with the longest names they fill it."""

_PAGE_BYTES: Final = 48 * 1024
"""Users in one frame, as JSON; what else stands in a ``welcome`` has the rest of the frame."""


class Entry(NamedTuple):
    """A user in a list, and what that takes of a frame, in bytes."""

    user: User
    size: int


def _entry(user: User) -> Entry:
    return Entry(user, len(msgspec.json.encode(user)) + 1)


class Person:
    """Somebody online, with all their sessions by id."""

    __slots__ = ("_entry", "account", "name", "nick", "sessions", "since", "status", "text")

    def __init__(self, nick: str, name: str, account: bool, since: float) -> None:
        self.nick = nick
        self.name = name
        self.account = account
        self.sessions: dict[int, Session] = {}
        self.status: Status = "online"
        self.since = since
        self.text: str | None = None
        self._entry: Entry | None = None

    def add(self, session: Session) -> None:
        """Take in a session."""
        self.sessions[session.id] = session
        self._entry = None

    def remove(self, session: Session) -> None:
        """Take out a session."""
        del self.sessions[session.id]
        self._entry = None

    def be(self, status: Status, text: str | None, since: float) -> None:
        """Be online or away, and say why, since then (UTC seconds)."""
        self.status, self.text, self.since = status, text, since
        self._entry = None

    @property
    def entry(self) -> Entry:
        """What others are told of this person. It is kept: in a storm of joins each is told
        of hundreds."""
        if self._entry is None:
            ids = sorted(self.sessions)
            user = User(self.nick, self.status, self.since, ids, self.text, self.account)
            self._entry = _entry(user)
        return self._entry


class People:
    """Everybody online by nick key, and with ``accounts`` those who are not."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._online: dict[str, Person] = {}
        self._by_name: dict[str, Person] = {}
        self._keys: list[str] = []

    def __len__(self) -> int:
        return len(self._online)

    def get(self, nick_key: str) -> Person | None:
        """Return who is online under this nick, or None."""
        return self._online.get(nick_key)

    def by_name(self, name: str) -> Person | None:
        """Return the person with this name, if online."""
        return self._by_name.get(name)

    def names(self) -> Iterable[str]:
        """Return the names of all persons online."""
        return self._by_name

    def sessions(self) -> Iterator[Session]:
        """Yield every session."""
        for person in self._online.values():
            yield from person.sessions.values()

    def sessions_of(self, name: str) -> Collection[Session]:
        """Return the sessions of the person with this name, as they are now."""
        person = self._by_name.get(name)
        return () if person is None else person.sessions.values()

    def add(self, session: Session, utc: float) -> None:
        """Take in a session that has joined; another one with its id must be gone."""
        person = self._online.get(session.key)
        if person is None:
            person = Person(session.nick, session.person, session.account, utc)
            self._online[session.key] = self._by_name[session.person] = person
            bisect.insort(self._keys, session.key)
        person.add(session)

    def remove(self, session: Session) -> None:
        """Take out a session; its person is offline when it was the last."""
        person = self._online[session.key]
        person.remove(session)
        if not person.sessions:
            del self._online[session.key]
            del self._by_name[session.person]
            del self._keys[bisect.bisect_left(self._keys, session.key)]

    def online(self, limit: int, size: int) -> list[User]:
        """Return the first people online by nick: at most ``limit``, in ``size`` bytes."""
        return _fit((self._online[k].entry for k in self._keys[:limit]), size)

    def among(
        self, members: Container[str], after: str, limit: int
    ) -> tuple[list[User], int, bool]:
        """Return of the users online those who are ``members``, as ``page`` does."""
        here = [k for k in self._keys if self._online[k].name in members]
        wanted = here[bisect.bisect_right(here, after) :]
        page = _fit(self._online[k].entry for k in wanted[:limit])
        return page, len(here), len(page) == len(wanted)

    def page(self, after: str, limit: int) -> tuple[list[User], int, bool]:
        """Return users with keys over ``after``, how many there are in all, and whether the
        page reaches the last."""
        online = self._keys[bisect.bisect_right(self._keys, after) :]
        offline = (
            (key(account.nick), _entry(User(account.nick, "offline", None, [], None, True)))
            for account in self._accounts.after(after)
            if key(account.nick) not in self._online
        )
        here = ((k, self._online[k].entry) for k in online)
        both = (entry for _, entry in heapq.merge(here, offline, key=lambda pair: pair[0]))
        wanted = [entry for entry, _ in zip(both, range(limit + 1), strict=False)]
        page = _fit(wanted[:limit])
        absent = sum(1 for k in self._accounts.keys if k not in self._online)
        return page, len(self._online) + absent, len(page) == len(wanted)


def _fit(entries: Iterable[Entry], most: int = _PAGE_BYTES) -> list[User]:
    """Return the first users that together have at most ``most`` bytes, at least one."""
    fitting: list[User] = []
    size = 0
    for user, takes in entries:
        size += takes
        if size > most and fitting:
            break
        fitting.append(user)
    return fitting


class Comings:
    """Who has come and gone in a big room since its last ``roster``, as what it comes to:
    who came and went again is not told of, who went and came back is neither."""

    def __init__(self) -> None:
        self._came: dict[tuple[str, int], None] = {}
        self._went: dict[tuple[str, int], str] = {}
        self.due = 0.0  # monotonic seconds

    def __bool__(self) -> bool:
        return bool(self._came or self._went)

    def come(self, nick: str, id_: int) -> None:
        """Note a coming."""
        if self._went.pop((nick, id_), None) is None:
            self._came[nick, id_] = None

    def go(self, nick: str, id_: int, reason: str) -> None:
        """Note a going."""
        if (nick, id_) in self._came:
            del self._came[nick, id_]
        else:
            self._went[nick, id_] = reason

    def take(self, most: int) -> tuple[list[Arrival], list[Departure]]:
        """Return at most ``most`` of each, and forget them."""
        came, went = list(self._came)[:most], list(self._went.items())[:most]
        for who in came:
            del self._came[who]
        for gone, _ in went:
            del self._went[gone]
        return (
            [Arrival(nick, id_) for nick, id_ in came],
            [Departure(nick, id_, reason) for (nick, id_), reason in went],
        )
