"""A client whose TLS is fed by hand, so that a test decides what goes into which segment."""

import json
import socket
import ssl
from typing import Any

from tests.wire import frame


class ByHand:
    """A connection to ``port``. Nothing goes out but by ``flush`` and ``shake_hands``."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), 10)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    def hello(self) -> bytes:
        """Return the first bytes of the handshake."""
        with_nothing_heard = False
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            with_nothing_heard = True
        assert with_nothing_heard
        return self._outgoing.read()

    def shake_hands(self) -> None:
        """Shake hands. In TLS 1.3 the last part of that is not sent yet."""
        while True:
            try:
                self.tls.do_handshake()
                return
            except ssl.SSLWantReadError:
                self.flush()
                self._hear()

    def put(self, **fields: Any) -> None:
        """Encrypt a frame."""
        self.tls.write(frame(json.dumps(fields).encode()))

    def say_goodbye(self) -> None:
        """Encrypt that nothing more comes."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            return

    def flush(self) -> None:
        """Send what is encrypted."""
        self.sock.sendall(self._outgoing.read())

    def read_until(self, words: bytes) -> bytes:
        """Return what comes, up to these words at least."""
        came = b""
        while words not in came:
            try:
                part = self.tls.read(65536)
                assert part, came
                came += part
            except ssl.SSLWantReadError:
                self._hear()
        return came

    def _hear(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionError("the server has closed")
        self._incoming.write(data)

    def close(self) -> None:
        """Close the socket, without a word."""
        self.sock.close()
