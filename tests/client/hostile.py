"""A server that a test plays by hand: whatever it sends, a client must bear."""

import socket
import time
from typing import Any

from tests.wire import Wire

LIMITS = {"frame": 65536, "text": 16000, "page": 500, "rate": 10, "burst": 40, "timeout": 90}


class Peer(Wire):
    """One client's connection, seen from the server's side."""

    def __init__(self, sock: socket.socket) -> None:
        self.adopt(sock)

    def welcome(self, nick: str = "ann", seq: int = 0, **fields: Any) -> None:
        """Wait for a join, and let it in."""
        self.until("join")
        self.let_in(nick, seq, **fields)

    def let_in(self, nick: str = "ann", seq: int = 0, **fields: Any) -> None:
        """Send a welcome."""
        own = {"nick": nick, "status": "online", "since": 1.7e9, "ids": [1]}
        known = {
            "purpose": "welcome", "nick": nick, "id": 1, "seq": seq, "server": "0", "version": 1,
            "session": "s", "motd": "", "rooms": ["#lobby"], "users": [own], "users_total": 1,
            "unread": {}, "limits": LIMITS, "fsync": "always", "time": time.time(), "token": "t",
        }  # fmt: skip
        self.send(**{**known, **fields})

    def message(self, seq: int, text: str, **fields: Any) -> None:
        """Send a message."""
        known = {
            "from": "bob",
            "id": 1,
            "to": "#lobby",
            "time": 1.7e9 + seq % 1000,
            "size": len(text),
        }
        self.send(purpose="message", seq=seq, text=text, **{**known, **fields})


class FakeServer:
    """Listens; ``accept`` returns the next client."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(20)
        self.port = int(self._listener.getsockname()[1])
        self._peers: list[Peer] = []

    def accept(self) -> Peer:
        """Wait for a client to connect."""
        peer = Peer(self._listener.accept()[0])
        self._peers.append(peer)
        return peer

    def close(self) -> None:
        """Be done with it."""
        self._listener.close()
        for peer in self._peers:
            peer.close()
