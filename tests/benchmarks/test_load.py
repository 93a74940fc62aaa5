"""The load counts and checks what it says it does: with good servers it finds nothing, with one
that loses, doubles or reorders a single message it does."""

import contextlib
import json
import selectors
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.peers.start import KINDS, Peer
from benchmarks.programs import ProgramError, built
from framing.frames import FrameDecoder, encode_frame
from tests.conftest import ChatServer, Make
from tests.web.conftest import web_port

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")

CLIENTS = 20
SENDERS = 4


def run_load(port: int, *more: str, protocol: str = "parley") -> subprocess.CompletedProcess[str]:
    """Run the load with a few clients for a moment."""
    words = [f"--protocol={protocol}", f"--port={port}", f"--clients={CLIENTS}"]
    words += [f"--senders={SENDERS}", "--inflight=4", "--warmup=0.1", "--seconds=0.3", *more]
    return subprocess.run(
        [built("load"), *words], capture_output=True, text=True, timeout=60, check=False
    )


def found(ran: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return what the load printed, when all was well."""
    assert ran.returncode == 0, ran.stderr
    result: dict[str, Any] = json.loads(ran.stdout)
    assert result["errors"] == 0
    assert result["sent"] > 0
    assert result["deliveries_per_s"] > 0
    return result


class Faulty:
    """A server with Parley's frames and one fault, at the tenth message of the first sender."""

    def __init__(self, fault: str) -> None:
        self._fault = fault
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._decoders: dict[socket.socket, FrameDecoder] = {}
        self._joined: list[socket.socket] = []
        self._seq = 0
        self._said = 0
        self._held: str | None = None
        self._thread = threading.Thread(target=self._serve)
        self._stop, self._stopped = socket.socketpair()
        self._thread.start()

    def end(self) -> None:
        """Stop."""
        self._stop.close()
        self._thread.join()
        for sock in (self._stopped, self._listener, *self._decoders):
            sock.close()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            for opened in (self._listener, self._stopped):
                selector.register(opened, selectors.EVENT_READ, opened)
            while True:
                for key, _ in selector.select():
                    sock: socket.socket = key.data
                    if sock is self._stopped:
                        return
                    if sock is self._listener:
                        client = sock.accept()[0]
                        self._decoders[client] = FrameDecoder()
                        selector.register(client, selectors.EVENT_READ, client)
                    elif data := self._received(sock):
                        self._take(sock, data)
                    else:
                        selector.unregister(sock)

    @staticmethod
    def _received(sock: socket.socket) -> bytes:
        try:
            return sock.recv(65536)
        except ConnectionError:
            return b""

    def _take(self, sock: socket.socket, data: bytes) -> None:
        decoder = self._decoders[sock]
        decoder.receive_data(data)
        while (body := decoder.next_body()) is not None:
            request = json.loads(body)
            if request["purpose"] == "join":
                self._joined.append(sock)
                self._tell(sock, purpose="welcome")
            else:
                self._answer(sock, request)

    def _answer(self, sock: socket.socket, request: dict[str, Any]) -> None:
        for text in self._changed(request["text"]):
            self._seq += 1
            seq = 1 if self._fault == "seq" and self._said == 10 else self._seq
            for number, client in enumerate(self._joined):
                unseen = self._fault == "lost at one" and number == 5 and self._said == 10
                if client is not sock and not unseen:
                    self._tell(client, purpose="message", seq=seq, text=text)
        self._tell(sock, purpose="ok", ref=request["ref"], seq=self._seq)

    def _changed(self, text: str) -> list[str]:
        """What is said instead of ``text``."""
        if not text.startswith("0000:"):
            return [text]
        self._said += 1
        if self._said == 11 and self._held is not None:
            return [text, self._held]
        if self._said != 10:
            return [text]
        if self._fault == "swapped":
            self._held = text
        return {"lost": [], "doubled": [text, text], "swapped": []}.get(self._fault, [text])

    @staticmethod
    def _tell(sock: socket.socket, **fields: object) -> None:
        with contextlib.suppress(ConnectionError):  # the load has found the fault, and gone
            sock.sendall(encode_frame(json.dumps(fields, separators=(",", ":")).encode()))


@pytest.fixture
def limit() -> Iterator[Peer]:
    peer = Peer("limit")
    yield peer
    peer.stop()


def test_nothing_is_wrong_with_the_limit(limit: Peer) -> None:
    found(run_load(limit.port))


def test_everybody_may_speak(limit: Peer) -> None:
    found(run_load(limit.port, "--senders=0"))


@pytest.mark.parametrize("pattern", ["broadcast", "pairs", "rooms"])
def test_nothing_is_wrong_with_parley(server: ChatServer, pattern: str) -> None:
    found(run_load(server.port, f"--pattern={pattern}", "--rooms=2"))


@pytest.mark.parametrize("pattern", ["broadcast", "pairs", "rooms"])
def test_nothing_is_wrong_with_parley_by_websocket(make_server: Make, pattern: str) -> None:
    port = web_port(make_server("--rate", "0", "--web", "0").start())
    words = [f"--pattern={pattern}", "--rooms=2"]
    found(run_load(port, *words, protocol="parley-web"))
    result = run_load(port, *words, "--size=15000", "--prefix=w", protocol="parley-web")
    found(result)


def test_with_a_rate_each_sampled_delivery_is_timed(limit: Peer) -> None:
    result = found(run_load(limit.port, "--rate=1000", "--size=40"))
    latency = result["latency"]
    # 0.3 s at 1,000 a second; clients 0, 16 and 19 are sampled, and 0 sends a quarter of them.
    # A machine that is busy sends some of them after the end.
    assert 400 < latency["count"] <= 300 * 3 - 75
    assert 0 < latency["p50"] <= latency["p99"] <= latency["p999"] <= latency["max"]


def test_idle_clients_stay_until_stdin_closes(limit: Peer) -> None:
    words = ["--protocol=parley", f"--port={limit.port}", f"--clients={CLIENTS}", "--idle"]
    with subprocess.Popen(
        [built("load"), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as load:
        assert load.stdin is not None
        assert load.stdout is not None
        assert json.loads(load.stdout.readline())["joined"] == CLIENTS
        assert load.poll() is None
        load.stdin.close()
        assert load.wait(10) == 0


def test_a_server_without_a_fault_passes() -> None:
    server = Faulty("none")
    try:
        found(run_load(server.port))
    finally:
        server.end()


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("lost", "lost, doubled or out of order"),
        ("doubled", "lost, doubled or out of order"),
        ("swapped", "lost, doubled or out of order"),
        ("seq", "seq does not grow"),
        ("lost at one", "wrong count at the end"),
    ],
)
def test_a_fault_is_found(fault: str, complaint: str) -> None:
    server = Faulty(fault)
    try:
        ran = run_load(server.port)
    finally:
        server.end()
    assert ran.returncode == 1
    assert complaint in ran.stderr


@pytest.mark.parametrize("name", sorted(KINDS.keys() - {"limit"}))
def test_nothing_is_wrong_with_other_servers(name: str) -> None:
    if name in ("uvloop", "websockets"):
        pytest.importorskip("uvloop")
        pytest.importorskip("websockets")
    try:
        peer = Peer(name)
    except ProgramError as problem:
        pytest.skip(str(problem))
    try:
        for pattern in sorted({"broadcast", "pairs", "rooms"} - peer.cannot):
            more = [f"--pattern={pattern}", "--rooms=2"]
            found(run_load(peer.port, *more, protocol=peer.protocol))
    finally:
        peer.stop()
