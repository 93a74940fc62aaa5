"""How a client gets in: by a token or a password, asking the person for what is missing.

One ``Joining`` belongs to one session and outlives its connections: a password that was
typed once opens the next connection too.
"""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from framing.errors import ErrorWord
from framing.events import Challenge, Error, Welcome
from framing.requests import MECHANISM_PLUS, Join, Login, Register, Response
from parley.client.session.happenings import RefusedError, ServerBusyError
from parley.client.session.login import LoginError, Proof, registration


@dataclass(slots=True)
class Settings:
    """Whom to be, and where. ``keep_trying``: seconds to try a first connection for; None, for
    ever. ``remember_waiting``: what is not acknowledged when this ends is sent at the next start.
    ``new_nick``: what to be called instead of a nick that is taken; None to give up. ``tls``,
    ``ca``, ``fingerprint``: see ``parley.client.session.trust``; ``ask``: asks whether to trust."""

    host: str
    port: int
    nick: str
    id: int
    bot: bool = False
    since: int | None = None
    keep_trying: float | None = None
    remember_waiting: bool = True
    ask_password: Callable[[str], Awaitable[str | None]] | None = None
    new_nick: Callable[[str], Awaitable[str | None]] | None = None
    tls: bool | None = None
    ca: Path | None = None
    fingerprint: str | None = None
    ask: Callable[[str], Awaitable[str | None]] | None = None


class AgainNowError(ConnectionError):
    """Connect again at once: something was asked that had to be known."""


class Joining:
    """Joins by ``settings``. ``hang_up`` closes the connection: a person types at leisure, and
    a server waits only seconds for a join."""

    def __init__(self, settings: Settings, hang_up: Callable[[], None]) -> None:
        self._settings = settings
        self._hang_up = hang_up
        self._password: str | None = None
        self._proof: Proof | None = None
        self._bind = True

    def request(
        self, token: str | None, since: int | None, binding: bytes | None = None
    ) -> Join | Login:
        """Return what to begin with; ``binding`` is what a login over this connection is bound to,
        None if it cannot be. Raises ``RefusedError`` for an impossible password."""
        settings = self._settings
        now = round(time.time(), 3)
        if self._password is None:
            return Join(settings.nick, settings.id, now, token, since, settings.bot)
        plus, self._bind = self._bind, True
        try:
            proof = self._proof = Proof(settings.nick, self._password, binding, plus)
        except LoginError as problem:
            raise RefusedError(str(problem)) from None
        nick, id_, bot = settings.nick, settings.id, settings.bot
        return Login(nick, id_, now, proof.mechanism, proof.first, since, bot)

    async def response(self, challenge: Challenge) -> Response | None:
        """Return the answer to ``challenge``, None if none was to come.

        Raises ``RefusedError`` if the server's part makes no sense.
        """
        if self._proof is None:
            return None
        run = asyncio.get_running_loop().run_in_executor
        try:
            return Response(await run(None, self._proof.answer, challenge.data))
        except LoginError as problem:
            raise RefusedError(str(problem)) from None

    def welcomed(self, event: Welcome) -> None:
        """The server lets one in. Raises ``RefusedError`` unless it has proved itself too."""
        proof, self._proof = self._proof, None
        if proof is not None:
            try:
                proof.check(event.data)
            except LoginError as problem:
                raise RefusedError(str(problem)) from None

    def forget_proof(self) -> None:
        """The connection has ended: its challenge is void."""
        self._proof = None

    async def register(self, ref: str, password: str, change: bool) -> Register:
        """Return the request that makes an account with ``password``, or changes its password.

        Raises ``LoginError`` for a password that cannot be used.
        """
        # The derivation would hold the screen for some tenths of a second: beside the loop.
        run = asyncio.get_running_loop().run_in_executor
        return await run(None, functools.partial(registration, ref, password, change))

    def registered(self, password: str) -> None:
        """From now on the nick is an account with ``password``."""
        self._password = password

    async def refused(self, event: Error, been_in: bool) -> None:
        """A join or login was refused. ``been_in``: whether an earlier one was not.

        Asks for what is needed and raises ``AgainNowError``, or gives up: ``ConnectionError``
        if another try may help, ``RefusedError`` if none will.
        """
        settings = self._settings
        word = event.error
        wrong = word == ErrorWord.AUTH_FAILED.value
        bound = self._proof is not None and self._proof.mechanism == MECHANISM_PLUS
        if word == ErrorWord.BAD_REQUEST.value and bound:
            # Behind a proxy that speaks TLS in its place, a server can bind to nothing.
            self._bind = False
            raise AgainNowError
        if word == ErrorWord.ACCOUNT_REQUIRED.value or (wrong and settings.ask_password):
            await self._ask_password(event, wrong)
            raise AgainNowError
        if word in (ErrorWord.USER_IN_USE.value, ErrorWord.INVALID_NICK.value):
            if settings.new_nick is not None and not been_in:
                self._hang_up()
                nick = await settings.new_nick(event.text)
                if nick:
                    settings.nick = nick
                    raise AgainNowError
            if been_in and word == ErrorWord.USER_IN_USE.value:
                raise ConnectionError(event.text)
        if word in _LATER:
            raise ServerBusyError(event.text, word)
        raise RefusedError(event.text, word)

    async def _ask_password(self, event: Error, wrong: bool) -> None:
        """Ask until there is a password that one can try. Raises ``RefusedError`` if there will
        be none."""
        ask, nick = self._settings.ask_password, self._settings.nick
        why = "Wrong password. " if wrong else ""
        password: str | None = None
        if ask is not None:
            self._hang_up()
            while password := await ask(f"{why}Password for {nick}: "):
                try:
                    Proof(nick, password)
                except LoginError as problem:
                    why = f"{str(problem).capitalize()}. "
                else:
                    self._password = password
                    return
        needs = f"{nick} is a registered account and needs its password"
        needs += ": --password-file gives it" if ask is None else ""
        raise RefusedError(event.text if wrong or password is not None else needs, event.error)


_LATER = frozenset(
    word.value
    for word in (
        ErrorWord.SERVER_FULL,
        ErrorWord.SHUTTING_DOWN,
        ErrorWord.STORE_UNAVAILABLE,
        ErrorWord.LIMIT_EXCEEDED,
    )
)
