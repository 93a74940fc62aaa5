"""Whose pages may talk to this server, and under which names it may be called. Pure.

A browser sends anybody's page's requests anywhere, so a WebSocket server has to look at ``Origin``
(RFC 6455, 10.2). And a stranger's name may be made to mean this machine: the page is then of the
"same origin", so that the name in ``Host`` has to be one that can be meant (DNS rebinding).
"""

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


class OriginError(ValueError):
    """Not an origin: a scheme and a host, such as ``https://chat.example.org``."""


class Origins:
    """The server's own origins, and ``others`` that were named at its start.

    ``names`` are hosts under which it is known beside ``localhost``, every IP address, and those
    of ``others``.
    """

    def __init__(self, others: Iterable[str], names: Iterable[str]) -> None:
        self._others = {normal(other) for other in others}
        self._names = {name.lower().rstrip(".") for name in names}
        self._names |= {urlsplit(other).hostname or "" for other in self._others}
        self._names |= {"localhost"}

    def meant(self, host: str) -> bool:
        """Tell whether ``host``, from a ``Host`` header, can mean this server."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        name = name.rstrip(".")
        if name in self._names or name.endswith(".localhost"):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def welcome(self, origin: str | None, host: str, scheme: str) -> bool:
        """Tell whether a page of ``origin`` may ask what it asks of ``host`` by ``scheme``.

        Whoever sends none is no browser that runs a stranger's page, and has no power here beyond
        what it sends itself: there are no cookies.
        """
        if origin is None:
            return True
        try:
            given = normal(origin)
            return given in self._others or given == normal(f"{scheme}://{host}")
        except OriginError:
            return False


def normal(origin: str) -> str:
    """Return ``origin`` in the form in which equal ones are equal (RFC 6454, 4).

    Raises ``OriginError``.
    """
    try:
        parts = urlsplit(origin)
        name, port = parts.hostname, parts.port
    except ValueError:
        raise OriginError(f"{origin!r} is no origin") from None
    rest = parts.path or parts.query or parts.fragment or parts.username is not None
    if parts.scheme not in _PORTS or not name or rest:
        raise OriginError(f"{origin!r} is no origin, such as https://chat.example.org")
    shown = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{shown}:{port or _PORTS[parts.scheme]}"


def own_names(host: str) -> list[str]:
    """Return what this machine is called, and what ``host`` it was told to listen on."""
    name = socket.gethostname()
    return [host, name, f"{name}.local", f"{name}.lan", f"{name}.home.arpa"]
