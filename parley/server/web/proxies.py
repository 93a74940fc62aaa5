"""Whose request it is, where a proxy of the operator's stands between: ``X-Forwarded-For``, or
``Forwarded`` (RFC 7239). Pure.

Anybody can send these, so they count only on a connection from a network that was named, and from
the right: the last address is what the proxy saw that has connected; if that is one of ours too,
the one before it is what that one saw. What stands left of the first stranger is what the stranger
says, and is not even looked at.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from parley.server.ground.bounds import Network

_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # RFC 9110, 5.6.2
_PAIR: Final = re.compile(
    rf'[ \t]*(?:({_TOKEN})=(?:({_TOKEN})|"((?:[^"\\]|\\.)*)"))?[ \t]*([;,]|\Z)', re.DOTALL
)
_NODE: Final = re.compile(
    r"\[([0-9A-Fa-f:.]+)\](?::[\w.-]{1,32})?|([0-9.]+)(?::[\w.-]{1,32})?|([0-9A-Fa-f:.]+)",
    re.ASCII,
)
"""An address, with a port or without (RFC 7239, 6; ports are there in X-Forwarded-For too)."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class ForwardedError(ValueError):
    """A proxy says nothing that could be understood. The text is for who runs it."""


class Proxies:
    """The networks of the operator's own proxies."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks

    def client(self, address: str, headers: Mapping[str, str]) -> str:
        """Return whose request it is that came over a connection from ``address``, with these
        ``headers``: their names in lower case, values of the same name with commas between them.

        Raises ``ForwardedError``.
        """
        if not self._networks or not self._ours(ipaddress.ip_address(address)):
            return address
        listed, standard = headers.get("x-forwarded-for"), headers.get("forwarded")
        if listed is None and standard is None:
            return address  # it asks for itself
        if listed is not None and standard is not None:
            # A proxy writes one of them. The other would be the client's own word.
            raise ForwardedError("both X-Forwarded-For and Forwarded: the proxy must drop one")
        hops = _standard(standard) if standard is not None else (listed or "").split(",")
        found: _Address | None = None
        for hop in reversed(list(hops)):
            found = _address(hop.strip())
            if not self._ours(found):
                break
        if found is None:
            raise ForwardedError("nobody is named")
        return str(found)

    def _ours(self, address: _Address) -> bool:
        return any(address in network for network in self._networks)


def _address(node: str) -> _Address:
    found = _NODE.fullmatch(node)
    try:
        address = ipaddress.ip_address(found[1] or found[2] or found[3] if found else "")
    except ValueError:
        raise ForwardedError(f"{node[:60]!r} is no address") from None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _standard(header: str) -> Iterator[str]:
    """Yield the ``for`` of each element of ``Forwarded``; "" if it has none."""
    pairs: dict[str, str] = {}
    at = 0
    while True:
        found = _PAIR.match(header, at)
        if found is None or (found[1] or "").lower() in pairs:
            raise ForwardedError("Forwarded is malformed")
        if found[1] is not None:
            quoted = found[3]
            value = found[2] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            pairs[found[1].lower()] = value
        if found[4] != ";":
            if pairs:
                yield pairs.get("for", "")
            pairs = {}
        if not found[4]:
            return
        at = found.end()
