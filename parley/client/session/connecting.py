"""Connecting to a server, encrypted or not, and being sure that it is that server.

What is to be trusted is ``trust``'s to know; here connections are opened, and the person is asked
who to trust if that is not known. Until then nothing is sent.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterator
from typing import Final, NoReturn

from framing.events import Error
from parley.client.ground.store import Store, StoreError
from parley.client.session.connection import Connection
from parley.client.session.happenings import RefusedError
from parley.client.session.joining import AgainNowError, Settings
from parley.client.session.trust import Trust, UntrustedError, fingerprint

CONNECT_TIMEOUT: Final = 10.0

_COMPARE: Final = "Compare it with what the server says at its start, or ask who runs it."
_EXPOSED: Final = (
    "The connection to {} is not encrypted: whoever is on the way can read what is said, and try "
    "passwords on what they see of a login."
)


class Connecting:
    """Connects by ``settings``. ``tell`` gets sentences for the person."""

    def __init__(self, settings: Settings, store: Store, tell: Callable[[str], None]) -> None:
        self._settings = settings
        self._tell = tell
        self.trust = Trust(
            settings.host, settings.port, store, settings.tls, settings.ca, settings.fingerprint
        )
        self._warned = False

    async def open(self) -> Connection:
        """Connect.

        Raises ``RefusedError`` if the server is not to be trusted, ``AgainNowError`` if a person
        has said that it is, and else ``OSError``.
        """
        try:
            connection = await self._dial(self.trust.context())
            try:
                if connection.certificate is not None:
                    with self._remembering():
                        self.trust.check(connection.certificate)
            except BaseException:
                connection.close()
                raise
        except ssl.SSLCertVerificationError as problem:
            await self._ask(self.trust.refused(problem))
        except UntrustedError as problem:
            await self._ask(problem)
        return connection

    def turned_away(self, event: Error) -> None:
        """A server that speaks TLS only has said so to a connection without. Raises
        ``AgainNowError``, or ``RefusedError`` if the person wants none."""
        if self.trust.forbids:
            text = f"{self.trust.where} speaks TLS, and nothing else: leave out --no-tls"
            raise RefusedError(text, event.error)
        with self._remembering():
            self.trust.speaks_tls()
        raise AgainNowError

    def warn(self) -> None:
        """Say, once, that the connection is exposed."""
        if not self._warned:
            self._warned = True
            self._tell(_EXPOSED.format(self.trust.where))

    async def _dial(self, context: ssl.SSLContext | None) -> Connection:
        where = self._settings.host, self._settings.port
        try:
            reader, writer = await asyncio.wait_for(
                asyncio.open_connection(*where, ssl=context), CONNECT_TIMEOUT
            )
        except ssl.SSLCertVerificationError:
            raise
        except UnicodeError:
            raise OSError(f"{self._settings.host} is no name of a host") from None
        except (ssl.SSLError, ConnectionResetError, ConnectionAbortedError) as problem:
            if context is None:
                raise
            text = f"{self.trust.where} breaks off TLS, or does not speak it"
            if self.trust.spoke_before:
                text += ", as it did before: somebody may be in between"
            raise ConnectionError(text) from problem
        return Connection(reader, writer)

    async def _ask(self, problem: UntrustedError) -> NoReturn:
        """Show the person a certificate that is not trusted, and ask."""
        if not problem.may_ask:
            raise RefusedError(str(problem))
        connection = await self._dial(self.trust.unchecked())
        connection.close()
        shown = connection.certificate
        assert shown is not None
        found = fingerprint(shown)
        if self._settings.ask is None:
            how = "if that is right, give it with --fingerprint"
            raise RefusedError(f"{problem}. Its SHA-256 fingerprint is {found}: {how}")
        for line in (f"{problem}.", f"Its SHA-256 fingerprint is {found}", _COMPARE):
            self._tell(line)
        word = "replace" if problem.changed else "yes"
        answer = await self._settings.ask(f"Type {word} to trust it from now on: ")
        if (answer or "").strip().lower() != word:
            raise RefusedError(f"the certificate of {self.trust.where} is not trusted")
        with self._remembering():
            self.trust.trust(shown)
        raise AgainNowError

    @contextlib.contextmanager
    def _remembering(self) -> Iterator[None]:
        try:
            yield
        except StoreError as problem:
            self._tell(f"{problem}: it will be asked again at the next start")
