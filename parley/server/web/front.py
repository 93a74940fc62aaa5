"""The front of the web door: takes in connections that speak HTTP, until they go on as WebSocket or
end (``connection``).
"""

import contextlib
from typing import Final, Protocol

from framing.errors import ErrorWord
from parley.server.net.loop import Loop
from parley.server.net.sockets import Socket
from parley.server.web import connection
from parley.server.web.connection import Connection
from parley.server.web.site import Site
from parley.server.web.steps import Steps

_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\n"
    b"Connection: close\r\n\r\n"
)
_CROWDED: Final = _FULL.replace(b"503 Service Unavailable", b"429 Too Many Requests")
_SPEAK_TLS: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 29\r\n"
    b"Connection: close\r\n\r\nthis port is for https alone\n"
)


class Host(connection.Host, Protocol):
    """The server, as this door sees it."""

    def refusal(self, address: str) -> ErrorWord | None:
        """Count a connection from ``address``; or return why there is no room for it."""


class Front:
    """Accepts for ``site``. ``sweep`` now and then."""

    farewell = _FULL
    speak_tls = _SPEAK_TLS

    def __init__(self, loop: Loop, host: Host, site: Site) -> None:
        self.loop = loop
        self.host = host
        self.site = site
        self.steps = Steps(loop, host)
        self._all: dict[Connection, None] = {}

    @property
    def descriptors(self) -> int:
        """How many are open for the connections that are here, and the files on them."""
        return len(self._all) + sum(each.busy for each in self._all)

    def accepted(self, sock: Socket, address: str) -> None:
        """Somebody has connected."""
        why = self.host.refusal(address)
        if why is not None:
            with contextlib.suppress(OSError):  # gone already: nobody to tell
                sock.send(_CROWDED if why is ErrorWord.LIMIT_EXCEEDED else _FULL)
            sock.close()
            return
        self._all[Connection(self, sock, address)] = None

    def sweep(self, mono: float) -> None:
        """Close what has overstayed."""
        for each in list(self._all):
            each.sweep(mono)

    def gone(self, connection: Connection) -> None:
        """A connection is closed, or somebody else's from now on."""
        self._all.pop(connection, None)

    def close(self) -> None:
        """Close all."""
        for each in list(self._all):
            each.close()
