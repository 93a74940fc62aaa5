"""The entrance: who may come in under which nick. Joining, logging in, registering. Pure.

A nick without an account is a guest's, and whoever holds it proves by a token
that they are the same person as before. A nick with an account takes a password, proved
by SCRAM. A guest who is new to the log gets a record there before a welcome, so
that a token that was given out is never forgotten.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from framing.errors import ErrorWord
from framing.events import Challenge, Limits, Ok, Welcome
from framing.names import LOBBY, is_nick, key
from framing.requests import Join, Login, Register, Response
from parley.server.accounts.accounts import Account, Accounts, AccountsError, TakenError
from parley.server.accounts.scram import (
    Exchange,
    OtherChannelError,
    ScramError,
    Secret,
    Verifier,
    mechanisms,
)
from parley.server.chat.addresses import Addresses
from parley.server.chat.bans import Bans
from parley.server.chat.finding import Finding
from parley.server.chat.hall import Hall
from parley.server.chat.session import Session
from parley.server.ground.clock import Moment
from parley.server.index.archive import Archive
from parley.server.index.errors import IndexUnavailableError
from parley.server.index.streams import Stream
from parley.server.log.records import Guest, Record

WIRE_VERSION: Final = 1

UNREAD_MOST: Final = 1000
"""As many or more: counting further would hold everybody up while one comes in."""

UNREAD_TOLD: Final = 300
ROOMS_TOLD: Final = 300
USERS_BYTES: Final = 28 * 1024
"""A ``welcome`` has one frame for all of these; the rest can be asked for."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Greeting:
    """What every ``welcome`` says alike."""

    server: str
    motd: str
    fsync: str
    limits: Limits


class Entrance:
    """Lets sessions into ``hall``. ``addresses`` knows how many come from where; ``new_secret``
    returns a new unguessable string each time."""

    def __init__(
        self,
        hall: Hall,
        accounts: Accounts,
        finding: Finding,
        bans: Bans,
        addresses: Addresses,
        secret: Secret,
        archive: Archive,
        append: Callable[[Record], None],
        greeting: Greeting,
        new_secret: Callable[[], str],
    ) -> None:
        self._hall = hall
        self._accounts = accounts
        self._finding = finding
        self._bans = bans
        self._addresses = addresses
        self._secret = secret
        self._archive = archive
        self._append = append
        self.greeting = greeting
        self._new_secret = new_secret
        self._claims: dict[str, tuple[Session, Join, Guest, str | None]] = {}
        self._registering: list[tuple[Session, str, Account]] = []

    # Guests

    def join(self, session: Session, request: Join, moment: Moment) -> None:
        """Let a guest in, unless the nick is somebody else's."""
        if not self._may_enter(session, request.nick):
            return
        nick_key = key(request.nick)
        self._accounts.refresh()
        if self._accounts.get(nick_key) is not None:
            text = f"{request.nick} is a registered account: log in with its password"
            self._hall.refuse(session, ErrorWord.ACCOUNT_REQUIRED, text)
            return
        person = self._proved(nick_key, request.token)
        present = self._hall.people.get(nick_key)
        if nick_key in self._claims or (present is not None and present.name != person):
            text = f"{request.nick} is taken by somebody who is online: choose another nick"
            self._hall.refuse(session, ErrorWord.USER_IN_USE, text)
            return
        if self._is_banned(session, person, nick_key, moment):
            return
        if self._too_many_joins(session, moment):
            return
        last = self._archive.holder(nick_key)
        if person is not None and last is not None and last.person == person:
            self._admit(session, request, person, moment, floor=request.since or 0)
            return
        wait = self._addresses.bring_guest(session.address, moment.mono)
        if wait > 0:
            text = "too many new guests from this address: come back with a token, or later"
            self._hall.refuse(session, ErrorWord.LIMIT_EXCEEDED, text, retry_after=wait)
            return
        token = self._new_secret() if person is None else None
        proof = token or request.token or ""
        guest = Guest(0, moment.utc, request.nick, _digest(proof), person)
        session.state = "waiting"
        self._claims[nick_key] = session, request, guest, token
        self._append(guest)

    def taken_in(self, guest: Guest, moment: Moment) -> None:
        """The log has the record of a new holder of a nick: welcome them."""
        session, request, _, token = self._claims.pop(key(guest.nick))
        if session.state == "waiting":
            # A new person has sent nothing before: nothing can be sent again.
            if self._is_banned(session, guest.who, key(guest.nick), moment):
                session.state = "new"  # it came about in this tick
                return
            floor = self._archive.seq if guest.person is None else request.since or 0
            self._admit(session, request, guest.who, moment, floor=floor, token=token)

    def not_taken_in(self, guest: Guest, text: str) -> None:
        """The log could not take the record of a new holder: they may try again."""
        session, *_ = self._claims.pop(key(guest.nick))
        if session.state == "waiting":
            session.state = "new"
            self._hall.refuse(session, ErrorWord.STORE_UNAVAILABLE, text, retry_after=1.0)

    def _proved(self, nick_key: str, token: str | None) -> str | None:
        """Return the person that ``token`` proves to be a holder of this nick, or None."""
        if token is None:
            return None
        found = self._archive.guest(_digest(token))
        return found.person if found is not None and key(found.nick) == nick_key else None

    # Accounts

    def login(self, session: Session, request: Login, moment: Moment) -> None:
        """Answer the first step of a login with a challenge, whether the nick exists or not."""
        if not self._may_enter(session, request.nick):
            return
        known = mechanisms(session.binding)
        if request.mechanism not in known:
            text = f"there is no such mechanism here, but {' and '.join(known)}"
            self._hall.refuse(session, ErrorWord.BAD_REQUEST, text)
            return
        wait = self._addresses.try_login(session.address, key(request.nick), moment.mono)
        if wait > 0:
            text = "too many failed logins: wait a little"
            self._hall.refuse(session, ErrorWord.LIMIT_EXCEEDED, text, retry_after=wait)
            return
        self._accounts.refresh()
        mock = self._secret.verifier(request.nick)
        account = self._accounts.get(request.nick)
        verifier = mock if account is None else account.verifier
        exchange = Exchange(request, verifier, session.binding)
        try:
            data = exchange.challenge(request.data)
        except ScramError as problem:
            self._hall.refuse(session, ErrorWord.BAD_REQUEST, f"login: {problem}")
            return
        session.exchange = exchange
        self._hall.tell(session, Challenge(data))

    def response(self, session: Session, request: Response, moment: Moment) -> None:
        """Check the proof; let the account in if it holds."""
        exchange, session.exchange = session.exchange, None
        if exchange is None or session.state != "new":
            self._hall.refuse(session, ErrorWord.BAD_REQUEST, "no login is under way")
            return
        login = exchange.login
        account = self._accounts.get(login.nick)
        try:
            data = exchange.prove(request.data)
            if account is None:
                raise ScramError
        except OtherChannelError:
            address = session.address
            logger.warning("login through another's TLS nick=%s address=%s", login.nick, address)
            text = "this login was made for another certificate: somebody is in between"
            self._hall.refuse(session, ErrorWord.FORBIDDEN, text)
            return
        except ScramError:
            logger.info("login failed nick=%s address=%s", login.nick, session.address)
            text = "nick or password is wrong"
            self._hall.refuse(session, ErrorWord.AUTH_FAILED, text)
            return
        self._addresses.logged_in(session.address, key(login.nick), moment.mono)
        # A moderator is never kept out by where they come from: they may have to mend it.
        if account.role is None and self._is_banned(
            session, account.person, key(account.nick), moment
        ):
            return
        if self._too_many_joins(session, moment):
            return
        session.account = True
        present = self._hall.people.get(key(account.nick))
        if present is not None and present.name != account.person:
            for guest in list(present.sessions.values()):
                self._hall.evict(guest, "this nick has become an account, and its owner is here")
        self._admit(session, login, account.person, moment, floor=login.since or 0, data=data)

    def register(self, session: Session, request: Register, moment: Moment) -> None:
        """Make a guest's nick an account, or give an account new keys. Done by ``commit``."""
        self._accounts.refresh()  # what it may do is not what it could before
        account = self._accounts.get(session.nick)
        if account is not None and not (request.change and session.account):
            text = f"{session.nick} is an account already"
            self._hall.refuse(session, ErrorWord.ACCOUNT_EXISTS, text, request.ref)
            return
        if account is None and len(self._accounts) >= self._addresses.bounds.accounts:
            text = "there can be no more accounts here: ask the operator"
            self._hall.refuse(session, ErrorWord.FORBIDDEN, text, request.ref)
            return
        wait = self._addresses.register(session.address, moment.mono)
        if wait > 0:
            text = "too many registrations from this address: wait a little"
            self._hall.refuse(session, ErrorWord.LIMIT_EXCEEDED, text, request.ref, wait)
            return
        try:
            verifier = Verifier.of_base64(
                request.iterations, request.salt, request.stored_key, request.server_key
            )
        except ValueError as problem:
            self._hall.refuse(session, ErrorWord.BAD_REQUEST, f"register: {problem}", request.ref)
            return
        made = Account(
            session.nick if account is None else account.nick,
            verifier,
            session.person,
            moment.utc if account is None else account.created,
            None if account is None else account.role,
        )
        self._registering.append((session, request.ref, made))

    @property
    def registering(self) -> bool:
        """Whether ``commit`` has something to do."""
        return bool(self._registering)

    def commit(self) -> None:
        """Make durable who registered first of those who wait, and answer: one a tick, since each
        is a sync, and a class may register in one minute."""
        registering, self._registering = self._registering[:1], self._registering[1:]
        for session, ref, account in registering:
            try:
                self._accounts.put(account)
            except TakenError as problem:
                self._hall.refuse(session, ErrorWord.ACCOUNT_EXISTS, str(problem), ref)
                continue
            except (OSError, AccountsError) as problem:
                logger.error("cannot write the accounts: %s", problem)
                text = "the accounts cannot be written now: try again"
                self._hall.refuse(session, ErrorWord.STORE_UNAVAILABLE, text, ref, 1.0)
                continue
            person = self._hall.people.get(key(account.nick))
            if person is not None and person.name == account.person:
                person.account = True
                for one in person.sessions.values():
                    one.account = True
            logger.info("registered nick=%s address=%s", account.nick, session.address)
            self._hall.tell(session, Ok(ref))

    # Both

    def _is_banned(
        self, session: Session, person: str | None, nick_key: str, moment: Moment
    ) -> bool:
        """Tell whether these are kept out; if so they are refused here."""
        text = self._bans.banned(person, nick_key, session.address, moment)
        if text is not None:
            self._hall.refuse(session, ErrorWord.BANNED, text)
        return text is not None

    def _too_many_joins(self, session: Session, moment: Moment) -> bool:
        """Tell whether too many come from an address; if so this one is refused here."""
        wait = self._addresses.join(session.address, moment.mono)
        if wait > 0:
            text = "too many joins from this address: wait a little"
            self._hall.refuse(session, ErrorWord.LIMIT_EXCEEDED, text, retry_after=wait)
        return wait > 0

    def _may_enter(self, session: Session, nick: str) -> bool:
        if session.state != "new":
            text = f"this connection has joined already, as {session.nick}"
            self._hall.refuse(session, ErrorWord.BAD_REQUEST, text)
            return False
        if not is_nick(nick):
            text = "a nick has 1 to 32 ASCII letters, digits, and _ - . only"
            self._hall.refuse(session, ErrorWord.INVALID_NICK, text)
            return False
        return True

    def _admit(
        self,
        session: Session,
        request: Join | Login,
        person: str,
        moment: Moment,
        floor: int,
        token: str | None = None,
        data: str | None = None,
    ) -> None:
        """Welcome ``person``, in the place of an earlier session with the same id."""
        nick_key = key(request.nick)
        present = self._hall.people.get(nick_key)
        ghost = present.sessions.get(request.id) if present is not None else None
        most = self._addresses.bounds.sessions
        if ghost is None and present is not None and len(present.sessions) >= most:
            text = f"{request.nick} is here with {most} sessions, which is the most"
            session.state, session.account = "new", False
            self._hall.refuse(session, ErrorWord.LIMIT_EXCEEDED, text, retry_after=60.0)
            return
        try:
            unread = self._unread(person) if session.account else {}
        except IndexUnavailableError:
            session.account = False  # it may log in again, and is not half in meanwhile
            raise
        if ghost is not None:
            self._hall.evict(ghost, "the same nick and id have joined from another connection")
        account = self._accounts.get(nick_key) if session.account else None
        session.nick = request.nick if account is None else account.nick
        session.key = nick_key
        session.id = request.id
        session.person = person
        self._addresses.arrived(session.address)
        session.bot = request.bot and request.since is None
        session.cursor = request.since
        session.floor = floor
        session.role = account.role if account is not None else None
        self._hall.come(session, moment, quietly=ghost is not None)
        users = self._hall.people
        rooms = [LOBBY, *(room.name for room in self._hall.rooms.of(person))][:ROOMS_TOLD]
        self._hall.tell(
            session,
            Welcome(
                nick=session.nick,
                id=session.id,
                seq=self._archive.seq,
                server=self.greeting.server,
                version=WIRE_VERSION,
                session=self._new_secret()[:16],
                motd=self.greeting.motd,
                rooms=rooms,
                users=users.online(500, USERS_BYTES),
                users_total=len(users),
                unread=unread,
                limits=self.greeting.limits,
                fsync=self.greeting.fsync,
                time=moment.utc,
                account=session.account,
                token=token,
                data=data,
            ),
        )

    def _unread(self, person: str) -> dict[str, int]:
        """Count what an account has not read, by conversation, where there is something.

        What was said in a room before it was seen there for the first time is not unread.
        """
        archive = self._archive
        found: dict[str, int] = {}
        conversations = [LOBBY, *(room.name for room in self._hall.rooms.of(person))]
        for name in conversations:
            stream = self._hall.rooms.stream(person, name)
            assert stream is not None
            if archive.read_up_to(person, stream.name) is None:
                archive.has_read(person, stream.name, max(archive.seq, 0))
            elif count := archive.unread(person, stream, UNREAD_MOST):
                found[name] = count
        for stream_name, nick_key in archive.private_streams(person, UNREAD_TOLD):
            if len(found) >= UNREAD_TOLD:
                break
            if count := archive.unread(person, Stream(stream_name), UNREAD_MOST):
                found[f"@{self._finding.as_written(nick_key)}"] = count
        return dict(list(found.items())[:UNREAD_TOLD])


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
