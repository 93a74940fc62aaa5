"""The accounts: who has registered, in ``users.json``.

One JSON object, a member for each account, by nick. What is kept of a password is a
SCRAM verifier in the form PostgreSQL uses; a plain password, as in
``{"Alice": "123"}``, is turned into one when the file is read at start. One that is written
there later holds too, and is turned into one at the next start.

The file is small and read whole. It is written whole, to a file beside it that
then takes its name, so that a reader finds either the old or the new. A change
made by another process (``--add-user`` while the server runs) is seen by
``refresh``; a lock keeps two writers apart.
"""

import bisect
import contextlib
import fcntl
import logging
import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from framing.names import is_nick, key
from parley.server.accounts.scram import ITERATIONS, QUICK_ITERATIONS, Verifier
from parley.server.ground import durable
from parley.server.ground.reading import read_regular

DEMO: Final = {"alice": "123", "bob": "456", "charlie": "789"}
"""The published passwords of the accounts that come with the project, by nick key."""

PLAIN: Final = 16
"""Plain passwords that hold when the file is read while the server runs. Each takes the loop a
millisecond or two."""

logger = logging.getLogger(__name__)


class AccountsError(Exception):
    """``users.json`` cannot be used. The text says where and what is wrong."""


class TakenError(AccountsError):
    """The nick has an account, and it is another person's."""


class Account(msgspec.Struct, frozen=True, gc=False):
    """An account. ``person`` is the name its private messages are bound to."""

    nick: str
    verifier: Verifier
    person: str
    created: float | None = None
    role: str | None = None


class _Entry(msgspec.Struct, omit_defaults=True):
    """An account as it stands in the file."""

    scram: str | None = None
    password: str | None = None
    role: Literal["admin", "moderator"] | None = None
    created: float | None = None
    person: str | None = None


_decoder = msgspec.json.Decoder(dict[str, _Entry | str])
_entry_decoder = msgspec.json.Decoder(_Entry | str)


def new_person(nick: str) -> str:
    """Return a person's name for a new account: one that an earlier account of this nick,
    deleted since, did not have."""
    return f"{key(nick)}+{secrets.token_hex(6)}"


class Accounts:
    """The accounts in the file at ``path``, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises ``AccountsError``, ``OSError``."""
        self.path = path
        self._accounts: dict[str, Account] = {}
        self._plain: dict[str, str] = {}  # passwords that stand in the file as they are
        self._seen: tuple[int, ...] | None = None
        # A bad file that has been complained of; None if it was not there, () if none has been.
        self._refused: tuple[int, ...] | None = ()
        self.keys: list[str] = []
        self._read()

    def get(self, nick: str) -> Account | None:
        """Return the account of ``nick``, in whatever case, or None."""
        return self._accounts.get(key(nick))

    def __len__(self) -> int:
        return len(self._accounts)

    def after(self, nick_key: str) -> Iterator[Account]:
        """Yield the accounts by key, from the first whose key is over ``nick_key``."""
        for found in self.keys[bisect.bisect_right(self.keys, nick_key) :]:
            yield self._accounts[found]

    def convert(self) -> int:
        """Replace plain passwords by verifiers, in the file too. Return how many.

        Takes a good tenth of a second for each: for the start, not the loop.
        """
        if not self._plain:
            return 0
        with self._locked():
            self._read()
            for nick_key, password in self._plain.items():
                account = self._accounts[nick_key]
                self._accounts[nick_key] = msgspec.structs.replace(
                    account,
                    verifier=self._derived(account.nick, password),
                    created=account.created or round(time.time(), 3),
                )
            count = len(self._plain)
            self._plain = {}
            self._write()
        return count

    def refresh(self, again: bool = False) -> None:
        """Read the file again if it has changed. A bad one is logged, and the last good
        accounts stay. One ``stat``: cheap enough for every login. ``again``: complain of a bad
        one even if that was done before."""
        identity = self._identity()
        if again:
            self._refused = ()
        if identity in (self._seen, self._refused):
            return
        seen = self._seen
        try:
            self._read()
        except (AccountsError, OSError) as problem:
            logger.error("%s; the accounts read before stay in force", problem)
            self._refused = identity
            return
        if self._plain:
            # Deriving keys that are good to be kept would stop everybody's chat.
            nicks = [self._accounts[nick_key].nick for nick_key in self._plain]
            logger.warning(
                "%s: plain passwords stand there until the next start, or --set-password: %s",
                self.path,
                ", ".join(nicks[:PLAIN]),
            )
            if nicks[PLAIN:]:
                logger.error(
                    "%s: these cannot log in until then, because there are so many: %s",
                    self.path,
                    ", ".join(nicks[PLAIN:]),
                )
        if seen is not None:
            logger.info("%s read again: %d accounts", self.path, len(self._accounts))

    def put(self, account: Account) -> None:
        """Add or replace an account, durably.

        Raises ``TakenError`` if the nick is another person's by now, which another process may
        have brought about, ``OSError`` if the file cannot be written, ``AccountsError`` if it
        was changed into something unusable; the accounts are then as before.
        """
        with self._locked():
            if self._identity() != self._seen:
                self._read()
            before = self._accounts.get(key(account.nick))
            if before is not None and before.person != account.person:
                raise TakenError(f"{account.nick} is somebody else's account")
            self._accounts[key(account.nick)] = account
            plain = self._plain
            if before is None or account.verifier != before.verifier:
                self._plain = {k: word for k, word in plain.items() if k != key(account.nick)}
            try:
                self._write()
            except OSError:
                self._plain = plain
                if before is None:
                    del self._accounts[key(account.nick)]
                else:
                    self._accounts[key(account.nick)] = before
                raise
            self.keys = sorted(self._accounts)

    def set_password(self, nick: str, password: str) -> bool:
        """Give ``nick`` this password, making the account if there is none. True if made.

        For the shell, not the loop. Raises as ``put``.
        """
        if not is_nick(nick):
            raise AccountsError(f"{nick!r} is no nick: 1 to 32 letters, digits, and _ - . only")
        if not password:
            raise AccountsError("a password cannot be empty; nothing was changed")
        account = self.get(nick)
        verifier = self._derived(nick, password)
        if account is not None:
            self.put(msgspec.structs.replace(account, verifier=verifier))
            return False
        self.put(Account(nick, verifier, new_person(nick), round(time.time(), 3)))
        return True

    def set_role(self, nick: str, role: str | None) -> None:
        """Give an account a role, or with None none. For the shell. Raises as ``put``, and
        ``AccountsError`` if there is no such account."""
        account = self.get(nick)
        if account is None:
            raise AccountsError(f"{nick} is no account; --add-user makes it")
        self.put(msgspec.structs.replace(account, role=role))

    def with_published_password(self) -> list[str]:
        """Return the nicks of demo accounts that still have the password everybody knows.
        Slow: for the start."""
        return [
            account.nick
            for nick_key, password in DEMO.items()
            if (account := self._accounts.get(nick_key)) and account.verifier.fits(password)
        ]

    def _identity(self) -> tuple[int, ...] | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as problem:
            return (problem.errno or 0,)  # who reads it will hear why
        return (found.st_ino, found.st_size, found.st_mtime_ns)

    def _read(self) -> None:
        seen = self._identity()
        try:
            data = read_regular(self.path)
        except FileNotFoundError:
            if self._seen is not None:
                raise AccountsError(f"{self.path} is not there any more") from None
            data = b"{}"
        accounts: dict[str, Account] = {}
        plain: dict[str, str] = {}
        for nick, entry in self._entries(data).items():
            place = f"{self.path}, account {nick!r}"
            if not is_nick(nick):
                raise AccountsError(f"{place}: a nick has 1 to 32 letters, digits, and _ - . only")
            if key(nick) in accounts:
                raise AccountsError(f"{place}: the same nick as {accounts[key(nick)].nick!r}")
            if isinstance(entry, str):
                entry = _Entry(password=entry)
            if entry.scram is not None:
                try:
                    verifier = Verifier.parse(entry.scram)
                except ValueError as problem:
                    raise AccountsError(f"{place}: scram: {problem}") from None
            elif entry.password:
                if len(plain) < PLAIN:
                    verifier = self._derived(nick, entry.password, QUICK_ITERATIONS)
                else:
                    verifier = Verifier.of_nothing()
                plain[key(nick)] = entry.password
            else:
                raise AccountsError(f"{place}: neither a scram verifier nor a password")
            accounts[key(nick)] = Account(
                nick, verifier, entry.person or key(nick), entry.created, entry.role
            )
        self._accounts, self._plain, self._seen = accounts, plain, seen
        self.keys = sorted(accounts)
        if seen is not None and self.path.stat().st_mode & 0o077:
            self.path.chmod(0o600)

    def _entries(self, data: bytes) -> dict[str, "_Entry | str"]:
        if not data.strip():
            # An editor that is just writing it, or a disk that was full: nobody's account is gone.
            raise AccountsError(f"{self.path} is empty; with {{}} in it there are no accounts")
        try:
            return _decoder.decode(data)
        except msgspec.ValidationError as problem:
            raise AccountsError(_what_is_wrong(self.path, data, problem)) from None
        except (ValueError, RecursionError) as problem:
            raise AccountsError(f"{self.path}{_position(data, problem)}: {problem}") from None

    def _derived(self, nick: str, password: str, iterations: int = ITERATIONS) -> Verifier:
        try:
            return Verifier.of_password(password, iterations=iterations)
        except ValueError as problem:
            raise AccountsError(f"{self.path}, account {nick!r}: {problem}") from None

    def _write(self) -> None:
        """Replace the file. What holds the chat up here is one small file's sync; registering
        is limited so that it stays rare."""
        entries = {
            account.nick: _Entry(
                scram=None if nick_key in self._plain else str(account.verifier),
                password=self._plain.get(nick_key),
                role=account.role,  # type: ignore[arg-type]
                created=account.created,
                person=account.person if account.person != nick_key else None,
            )
            for nick_key, account in self._accounts.items()
        }
        data = msgspec.json.format(msgspec.json.encode(entries), indent=2) + b"\n"
        durable.replace(self.path, data)
        self._seen = self._identity()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other writers out. Raises ``BlockingIOError`` at once if one is writing."""
        lock = self.path.with_name(self.path.name + ".lock")
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(fd)


def _what_is_wrong(path: Path, data: bytes, problem: Exception) -> str:
    """Say which account is none."""
    try:
        entries = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        return f"{path}: {problem}"
    for nick, entry in entries.items():
        try:
            _entry_decoder.decode(entry)
        except msgspec.ValidationError as its:
            return f"{path}, account {nick!r}: {its}"
    return f"{path}: {problem}"


def _position(data: bytes, problem: Exception) -> str:
    """Say at which line and column JSON goes wrong, where that can be told."""
    match = re.search(r"\(byte ([0-9]+)\)", str(problem))
    if match is None and "truncated" not in str(problem):
        return ""
    before = data if match is None else data[: int(match[1])]
    line = before.count(b"\n") + 1
    column = len(before) - (before.rfind(b"\n") + 1) + 1
    return f", line {line}, column {column}"
