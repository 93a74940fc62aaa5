"""Somebody in between: speaks TLS to clients with a certificate of their own, and passes on what
comes, over TLS or without."""

import contextlib
import socket
import ssl
import threading
from pathlib import Path


class Middle:
    """Passes on to ``port``; ``over`` is how to speak TLS there, None for not. To be entered."""

    def __init__(self, cert: Path, key: Path, port: int, over: ssl.SSLContext | None) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(cert, key)
        self._over = over
        self._to = port
        self._sock = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._sock.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Middle":
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._sock.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        self._open.append(plain)
        with contextlib.suppress(OSError):
            near: socket.socket = self._context.wrap_socket(plain, server_side=True)
            far = socket.create_connection(("127.0.0.1", self._to))
            if self._over is not None:
                far = self._over.wrap_socket(far, server_hostname="localhost")
            self._open += [near, far]
            threading.Thread(target=_pass_on, args=(far, near), daemon=True).start()
            _pass_on(near, far)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)
