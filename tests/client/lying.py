"""A server that carries files as a test wants it to."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from tests.client.hostile import FakeServer
from tests.conftest import ROOT
from tests.files.carrying import sha256
from tests.wire import frame

DATA = bytes(range(256)) * 800

Carry = Callable[[socket.socket, dict[str, Any]], None]


class LyingServer:
    """Lets one in, answers ``get`` and ``put`` with ``told`` (or if ``mute`` not at all), and
    carries files by ``carry``."""

    def __init__(self, carry: Carry, mute: bool = False, **told: Any) -> None:
        self._fake = FakeServer()
        self.port = self._fake.port
        self._carry = carry
        self._told = told
        self._mute = mute
        self.carried = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError, AssertionError):
            while True:
                peer = self._fake.accept()
                event = peer.recv()
                if event is None:
                    continue
                run = self._chat if event["purpose"] == "join" else self._file
                threading.Thread(target=run, args=(peer, event), daemon=True).start()

    def _chat(self, peer: Any, event: dict[str, Any]) -> None:
        with contextlib.suppress(OSError, AssertionError, TimeoutError):
            peer.let_in(event["nick"])
            peer.send(purpose="history", messages=[], end=True, replay=True)
            while (event := peer.recv(60)) is not None:
                if event["purpose"] in ("get", "put") and not self._mute:
                    known = {
                        "purpose": "ticket", "ref": event["ref"], "ticket": "t", "name":
                        event["name"], "size": event.get("size", len(DATA)), "sha256":
                        event.get("sha256", sha256(DATA)), "lasts": 60,
                        "quic": None,
                    }  # fmt: skip
                    peer.send(**{**known, **self._told})
                elif event["purpose"] == "ping":
                    peer.send(purpose="pong", ref=event["ref"], time=0)

    def _file(self, peer: Any, event: dict[str, Any]) -> None:
        self.carried += 1
        with contextlib.suppress(OSError):
            self._carry(peer.sock, event)
        peer.close()

    def close(self) -> None:
        self._fake.close()


def ok(sock: socket.socket, **fields: Any) -> None:
    sock.sendall(frame(json.dumps({"purpose": "ok", **fields}).encode()))


def honest(sock: socket.socket, event: dict[str, Any]) -> None:
    ok(sock, offset=event.get("offset", 0), size=len(DATA))
    sock.sendall(DATA[event.get("offset", 0) :])


@contextlib.contextmanager
def lying(carry: Carry, **more: Any) -> Iterator[LyingServer]:
    server = LyingServer(carry, **more)
    try:
        yield server
    finally:
        server.close()


def command(server: LyingServer, *arguments: str) -> list[str]:
    """Return the command that runs the client on a server."""
    where = ["127.0.0.1", str(server.port), "ann", "1"]
    return [sys.executable, str(ROOT / "chat_client.py"), *where, *arguments]


def client(server: LyingServer, *arguments: str, **more: Any) -> Any:
    """Run the client to its end."""
    return subprocess.run(
        command(server, *arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=60, **more,
    )  # fmt: skip


def begun(server: LyingServer, *arguments: str) -> subprocess.Popen[str]:
    """Start the client."""
    return subprocess.Popen(
        command(server, *arguments), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
