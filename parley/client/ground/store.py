"""What a client remembers between runs: who one was where, and what is still to be sent.

Files in the platform's own place for configuration (``PARLEY_CONFIG_DIR`` names another):
``last.json``, the server and name used last, and a file for each identity - server, port,
nick and id - with its token, its cursor, and the messages that no server has acknowledged;
and one for each server that speaks TLS, with the certificate that is trusted.
They are for their owner only. One client at a time writes an identity's file: a server
lets no two be the same.
"""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import msgspec
import platformdirs

Kind = TypeVar("Kind", bound=msgspec.Struct)


class Waiting(msgspec.Struct):
    """A message that has not been acknowledged. ``time`` is UTC seconds; ``refused`` why it was
    refused for good, if it was: then it goes only when the person says so."""

    ref: str
    to: str
    text: str
    time: float
    refused: str | None = None


class Identity(msgspec.Struct, omit_defaults=True):
    """Who one is on a server, how far one has read, and what one was about to say.

    ``drafts``: what was being typed, by conversation.
    """

    token: str | None = None
    cursor: int | None = None
    waiting: list[Waiting] = []
    drafts: dict[str, str] = {}


class Last(msgspec.Struct, omit_defaults=True):
    """What was used last."""

    host: str = "localhost"
    port: int = 10500
    nick: str | None = None
    id: int = 1


class Known(msgspec.Struct, omit_defaults=True):
    """What is known of a server: whether it speaks ``tls``, the SHA-256 ``fingerprint`` of the one
    certificate that is trusted or, instead, that a CA has ``vouched``; ``since`` in UTC seconds.
    """

    tls: bool = False
    fingerprint: str | None = None
    vouched: bool = False
    since: float = 0.0


class StoreError(Exception):
    """Something cannot be remembered. The text says why."""


def directory() -> Path:
    """Return where the files are."""
    chosen = os.environ.get("PARLEY_CONFIG_DIR")
    return Path(chosen) if chosen else Path(platformdirs.user_config_dir("parley", False))


class Store:
    """The files in ``place``. Reading never fails: what cannot be read is as if it were not."""

    def __init__(self, place: Path | None = None) -> None:
        self.place = place or directory()

    def last(self) -> Last:
        """Return what was used last."""
        return self._read(self.place / "last.json", Last) or Last()

    def save_last(self, last: Last) -> None:
        """Remember what is used now. Raises ``StoreError``."""
        self._write(self.place / "last.json", last)

    def identity(self, host: str, port: int, nick: str, id_: int) -> Identity:
        """Return what is known of this identity."""
        return self._read(self._path(host, port, nick, id_), Identity) or Identity()

    def save_identity(self, host: str, port: int, nick: str, id_: int, known: Identity) -> None:
        """Remember ``known``. Raises ``StoreError``."""
        self._write(self._path(host, port, nick, id_), known)

    def known(self, host: str, port: int) -> Known:
        """Return what is known of this server."""
        return self._read(self._server(host, port), Known) or Known()

    def save_known(self, host: str, port: int, known: Known) -> None:
        """Remember ``known``. Raises ``StoreError``."""
        self._write(self._server(host, port), known)

    def _server(self, host: str, port: int) -> Path:
        return self.place / "servers" / f"{quote(host.lower(), safe='')}_{port}.json"

    def token_of(self, host: str, port: int, nick: str) -> str | None:
        """Return a token by which some id of this nick is known there: all ids may use it."""
        prefix = self._path(host, port, nick, 0).name.removesuffix("0.json")
        with contextlib.suppress(OSError):
            for path in sorted((self.place / "identities").iterdir()):
                if path.name.startswith(prefix) and path.stem.removeprefix(prefix).isdigit():
                    known = self._read(path, Identity)
                    if known is not None and known.token is not None:
                        return known.token
        return None

    def _path(self, host: str, port: int, nick: str, id_: int) -> Path:
        name = f"{quote(host.lower(), safe='')}_{port}_{quote(nick.lower(), safe='')}_{id_}.json"
        return self.place / "identities" / name

    def _read(self, path: Path, kind: type[Kind]) -> Kind | None:
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def _write(self, path: Path, value: msgspec.Struct) -> None:
        """Replace ``path`` whole, so that a reader finds the old or the new."""
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
            try:
                with os.fdopen(fd, "wb") as file:
                    file.write(msgspec.json.encode(value))
                Path(name).replace(path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as problem:
            raise StoreError(f"cannot write {path}: {problem.strerror}") from None
