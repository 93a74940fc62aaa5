"""Proving a password without telling it: SCRAM-SHA-256 (RFC 5802, RFC 7677), the server's side.

The client runs the slow key derivation; the server's part of a login is a few
hashes. A nick without an account is answered step by step as one with an
account and another password, with a salt that only the server's secret could
tell from a real one.
"""

import base64
import errno
import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path
from typing import Final

import msgspec
from scramp import ScramException, ScramMechanism
from scramp.utils import ServerError

from framing.names import key
from framing.requests import BINDING, MECHANISM, MECHANISM_PLUS, Login
from parley.server.ground import durable
from parley.server.ground.reading import read_regular

ITERATIONS: Final = 600_000
"""Rounds of PBKDF2-HMAC-SHA-256 for a new verifier (OWASP's password storage sheet, 2023).
The server itself never runs them for a login."""

QUICK_ITERATIONS: Final = 4096
"""The fewest there may be (RFC 7677, 4), a millisecond: for what is not kept."""

_SCRAM: Final = re.compile(
    r"SCRAM-SHA-256\$([1-9][0-9]{3,7}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)"
)
_KEY_BYTES: Final = 32

_MECHANISMS: Final[dict[str, ScramMechanism]] = {
    name: ScramMechanism(name) for name in (MECHANISM, MECHANISM_PLUS)
}


class ScramError(Exception):
    """The exchange failed: a malformed message, or a proof that does not fit."""


class OtherChannelError(ScramError):
    """The proof is bound to another certificate than this server's: it was made for somebody
    in between."""


class Verifier(msgspec.Struct, frozen=True, gc=False):
    """What proves a password without being one (RFC 5802, 3)."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    def __str__(self) -> str:
        parts = (self.salt, self.stored_key, self.server_key)
        salt, stored, server = (base64.b64encode(part).decode() for part in parts)
        return f"SCRAM-SHA-256${self.iterations}:{salt}${stored}:{server}"

    @classmethod
    def parse(cls, text: str) -> "Verifier":
        """Return the verifier in ``text``. Raises ``ValueError``."""
        match = _SCRAM.fullmatch(text)
        if match is None:
            raise ValueError("not of the form SCRAM-SHA-256$iterations:salt$stored:server")
        return cls.of_base64(int(match[1]), *match.group(2, 3, 4))

    @classmethod
    def of_base64(cls, iterations: int, salt: str, stored_key: str, server_key: str) -> "Verifier":
        """Return the verifier of these parts. Raises ``ValueError`` on a bad one."""
        parts = [base64.b64decode(part, validate=True) for part in (salt, stored_key, server_key)]
        if not 12 <= len(parts[0]) <= 128:
            raise ValueError("a salt has 12 to 128 bytes")
        if len(parts[1]) != _KEY_BYTES or len(parts[2]) != _KEY_BYTES:
            raise ValueError(f"a key has {_KEY_BYTES} bytes")
        return cls(iterations, *parts)

    @classmethod
    def of_nothing(cls) -> "Verifier":
        """Return a verifier that no password fits."""
        return cls(
            ITERATIONS, secrets.token_bytes(16), secrets.token_bytes(32), secrets.token_bytes(32)
        )

    @classmethod
    def of_password(
        cls, password: str, salt: bytes | None = None, iterations: int = ITERATIONS
    ) -> "Verifier":
        """Derive the verifier of ``password``. Slow by design: never call it in the loop, but with
        ``QUICK_ITERATIONS``. Raises ``ValueError`` for what can be no password."""
        try:
            made = _MECHANISMS[MECHANISM].make_auth_info(
                password, iteration_count=iterations, salt=salt or secrets.token_bytes(16)
            )
        except ScramException as problem:
            raise ValueError(f"the password cannot be used: {problem}") from None
        return cls(int(made[3]), bytes(made[0]), made[1], made[2])

    def fits(self, password: str) -> bool:
        """Tell whether this is the verifier of ``password``. Slow, as ``of_password``."""
        other = Verifier.of_password(password, self.salt, self.iterations)
        return hmac.compare_digest(other.stored_key, self.stored_key)


class Secret:
    """What makes up the salt for a nick without an account: the same for the same nick at
    every start, and unknown to everybody else.

    So a login for such a nick looks as one with a wrong password does.
    """

    def __init__(self, path: Path) -> None:
        """Read the secret at ``path``, making it at the first start. Raises ``OSError``."""
        if not os.path.lexists(path):
            durable.replace(path, secrets.token_bytes(_KEY_BYTES))
        self._key = read_regular(path)
        if len(self._key) < _KEY_BYTES:
            raise OSError(errno.EINVAL, "too short to be a secret; delete it", str(path))

    def verifier(self, nick: str) -> Verifier:
        """Return a verifier for ``nick`` that no password fits."""
        salt, stored, server = (
            hmac.digest(self._key, f"{part} {key(nick)}".encode(), hashlib.sha256)
            for part in ("salt", "stored", "server")
        )
        return Verifier(ITERATIONS, salt[:16], stored, server)

    def name(self, address: str) -> str:
        """Return what an address is called where it is to be known again and not to be read."""
        return hmac.digest(self._key, f"address {address}".encode(), hashlib.sha256).hex()[:24]


def mechanisms(binding: bytes | None) -> list[str]:
    """Return the mechanisms that there are on a connection with this binding, or with none."""
    return [MECHANISM] if binding is None else [MECHANISM_PLUS, MECHANISM]


class Exchange:
    """One login: a challenge, then a proof. Good for a single try.

    ``binding``: what this connection is bound to, None without TLS. With it, a client that says it
    would bind if the server could (``y``) is refused: somebody has told it otherwise (RFC 5802,
    6).
    """

    __slots__ = ("_server", "login")

    def __init__(self, login: Login, verifier: Verifier, binding: bytes | None = None) -> None:
        self.login = login
        self._server = _MECHANISMS[login.mechanism].make_server(
            lambda _: (
                verifier.salt,
                verifier.stored_key,
                verifier.server_key,
                verifier.iterations,
            ),
            None if binding is None else (BINDING, binding),
        )

    def challenge(self, client_first: str) -> str:
        """Return server-first for ``client_first``. Raises ``ScramError`` if it is malformed
        or names somebody else than the login does."""
        parts = client_first.split(",", 3)
        if not client_first.isascii() or len(parts) < 4:
            raise ScramError("this is no first message of a client (RFC 5802)")
        # Before all else: to prepare a name (RFC 4013) takes by its length, and this one is short.
        if key(parts[2]) != f"n={key(self.login.nick)}":
            raise ScramError("the SCRAM message names another nick than the login")
        try:
            self._server.set_client_first(client_first)
            return str(self._server.get_server_first())
        except (ScramException, ValueError, LookupError) as problem:
            raise ScramError(str(problem)) from None

    def prove(self, client_final: str) -> str:
        """Return server-final if ``client_final`` proves the password. Raises ``ScramError``."""
        try:
            self._server.set_client_final(client_final)
            return str(self._server.get_server_final())
        except (ScramException, ValueError, LookupError) as problem:
            other = ServerError.CHANNEL_BINDINGS_DONT_MATCH
            if self.login.mechanism == MECHANISM_PLUS and self._server.error is other:
                raise OtherChannelError(str(problem)) from None
            raise ScramError(str(problem)) from None
