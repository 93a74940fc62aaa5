"""The client's side of a password: it is derived from here and never leaves.

The derivation is slow by design (a few tenths of a second for 600,000 rounds).
Callers who have a screen to keep alive run it beside their loop.
"""

import base64
import secrets
from typing import Final

from scramp import ScramClient, ScramException, ScramMechanism

from framing.requests import BINDING, MECHANISM, MECHANISM_PLUS, Mechanism, Register

ITERATIONS: Final = 600_000
"""Rounds of PBKDF2-HMAC-SHA-256 for new keys (OWASP's password storage sheet, 2023)."""

MOST_ITERATIONS: Final = 10_000_000
"""Rounds that a server may ask for: a hostile one could keep the client busy for hours."""


class LoginError(Exception):
    """The server's part of a login is not what it must be, or the password cannot be used."""


class Proof:
    """One login by SCRAM-SHA-256: ``first``, then ``answer`` a challenge, then ``check``.

    ``binding`` is what it is to be bound to, None for nothing. Without ``plus`` it is not bound,
    and says that it could have been (RFC 5802, 6): a server that can bind then knows that somebody
    in between has told otherwise, and refuses.
    """

    def __init__(
        self, nick: str, password: str, binding: bytes | None = None, plus: bool = True
    ) -> None:
        """Raises ``LoginError`` for a password with characters that none may have (RFC 4013)."""
        self.mechanism: Mechanism = MECHANISM if binding is None or not plus else MECHANISM_PLUS
        bound = None if binding is None else (BINDING, binding)
        try:
            self._client = ScramClient([self.mechanism], nick, password, bound)
            self.first = str(self._client.get_client_first())
        except ScramException as problem:
            raise LoginError(f"this password cannot be used: {problem}") from None

    def answer(self, challenge: str) -> str:
        """Return client-final for server-first. Slow. Raises ``LoginError``."""
        try:
            self._client.set_server_first(challenge)
            if int(self._client.iterations) > MOST_ITERATIONS:
                raise LoginError("the server asks for more rounds than is reasonable")
            return str(self._client.get_client_final())
        except (ScramException, ValueError, LookupError) as problem:
            raise LoginError(f"the server's challenge makes no sense: {problem}") from None

    def check(self, server_final: str | None) -> None:
        """Raise ``LoginError`` unless the server has proved that it knows the keys too."""
        try:
            self._client.set_server_final(server_final or "")
        except (ScramException, ValueError, LookupError):
            raise LoginError(
                "the server could not prove that it knows this account: it may not be the one "
                "it says it is"
            ) from None


def registration(ref: str, password: str, change: bool) -> Register:
    """Return the request that makes an account with ``password``, or changes one's own. Slow.

    Raises ``LoginError`` for a password that cannot be used.
    """
    if not password:
        raise LoginError("a password cannot be empty")
    salt = secrets.token_bytes(16)
    try:
        _, stored, server, iterations = ScramMechanism(MECHANISM).make_auth_info(
            password, iteration_count=ITERATIONS, salt=salt
        )
    except ScramException as problem:
        raise LoginError(f"this password cannot be used: {problem}") from None
    encoded = (base64.b64encode(part).decode() for part in (salt, stored, server))
    salt64, stored64, server64 = encoded
    return Register(ref, salt64, int(iterations), stored64, server64, change)
