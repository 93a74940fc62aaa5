"""Who is meant by a nick: somebody online, an account, or who held the nick last. Pure."""

from typing import NamedTuple

from framing.names import key
from parley.server.accounts.accounts import Accounts
from parley.server.chat.people import People
from parley.server.index.archive import Archive


class NobodyError(Exception):
    """There is no such nick."""


class Other(NamedTuple):
    """Somebody: the nick as they write it, and the person."""

    nick: str
    person: str


class Finding:
    """Looks in ``people``, ``accounts`` and ``archive``, in this order."""

    def __init__(self, people: People, accounts: Accounts, archive: Archive) -> None:
        self._people = people
        self._accounts = accounts
        self._archive = archive

    def other(self, nick: str) -> Other:
        """Return who is meant by ``nick``. Raises ``NobodyError``."""
        person = self._people.get(key(nick))
        if person is not None:
            return Other(person.nick, person.name)
        account = self._accounts.get(nick)
        if account is not None:
            return Other(account.nick, account.person)
        holder = self._archive.holder(nick)
        if holder is not None:
            return Other(holder.nick, holder.person)
        raise NobodyError(f"nobody here is or was called {nick}")

    def as_written(self, nick: str) -> str:
        """Return ``nick`` as whoever has it writes it, as they are named in messages."""
        try:
            return self.other(nick).nick
        except NobodyError:  # an account that was taken out of users.json
            return nick

    def role(self, person: str, nick: str) -> str | None:
        """Return the role of the account that is ``person``, if it has one."""
        account = self._accounts.get(nick)
        return account.role if account is not None and account.person == person else None
