"""Who somebody is, who is here, and how that is told."""

from collections.abc import Iterable
from dataclasses import dataclass

from framing.events import Presence, Status, User
from framing.names import key
from parley.client.ground.clean import clean, clean_name, sane


@dataclass(slots=True)
class Person:
    """Somebody known. ``since`` is UTC seconds, if known."""

    nick: str
    status: Status
    ids: set[int]
    since: float | None = None
    text: str | None = None
    account: bool = False


class People:
    """Everybody who is known. ``total`` is how many are here, known or not."""

    def __init__(self) -> None:
        self.total = 0
        self._known: dict[str, Person] = {}
        self._online: list[Person] | None = None

    def get(self, nick: str) -> Person | None:
        """Return who has this nick, if that is known."""
        return self._known.get(key(nick))

    @property
    def known(self) -> list[Person]:
        """Everybody, by nick."""
        return [self._known[k] for k in sorted(self._known)]

    @property
    def online(self) -> list[Person]:
        """Who is online or away, by nick."""
        if self._online is None:
            self._online = [person for person in self.known if person.ids]
        return self._online

    @property
    def clients(self) -> dict[str, set[int]]:
        """The ids of the clients of all who are here, by the keys of their nicks."""
        return {nick: set(person.ids) for nick, person in self._known.items() if person.ids}

    def among(self, members: set[str] | None) -> list[Person]:
        """Return who is online and one of ``members``, nick keys; None: of all."""
        if members is None:
            return self.online
        return [person for person in self.online if key(person.nick) in members]

    def welcomed(self, users: Iterable[User], total: int) -> None:
        """One has come in: these are here and, with those who are not told of, ``total``."""
        for person in self._known.values():
            person.ids.clear()
            person.status = "offline"
        self.told(users)
        self.total = total

    def told(self, users: Iterable[User]) -> list[Person]:
        """Take in what the server says of these people, and return them."""
        self._online = None
        told = []
        for user in users:
            person = Person(
                clean_name(user.nick),
                user.status,
                set(user.ids),
                None if user.since is None else sane(user.since),
                clean(user.text) if user.text else None,
                user.account,
            )
            self._known[key(user.nick)] = person
            told.append(person)
        return told

    def came(self, nick: str, id_: int, time: float) -> bool:
        """Somebody has come, with one more client. False if they were here by another already."""
        time = sane(time)
        person = self._known.get(key(nick))
        self._online = None
        if person is None:
            person = self._known[key(nick)] = Person(clean_name(nick), "online", set(), time)
        news = not person.ids
        if news:
            person.status, person.since = "online", time
            self.total += 1
        person.ids.add(id_)
        return news

    def went(self, nick: str, id_: int) -> bool:
        """A client of somebody has gone. False if they are still here by another."""
        person = self._known.get(key(nick))
        self._online = None
        if person is not None and person.ids:
            person.ids.discard(id_)
            if person.ids:
                return False
            person.status = "offline"
            self.total -= 1
        return True

    def changed(self, event: Presence) -> None:
        """Somebody is away, or back."""
        person = self._known.get(key(event.nick))
        if person is not None:
            person.status, person.since = event.status, sane(event.since)
            person.text = clean(event.text) if event.text else None


def presence(person: Person, now: float) -> str:
    """Say how somebody is, and for how long. ``now`` is in UTC seconds."""
    since = f" for {span(now - person.since)}" if person.since else ""
    text = f" ({person.text})" if person.text else ""
    return f"{person.status}{since}{text}"


def span(seconds: float) -> str:
    """Return a length of time in its largest unit: ``5 min``."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"
