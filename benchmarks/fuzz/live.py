"""Fuzzing a live server: requests of every type with odd values, changed bytes, broken frames.

    python -m benchmarks.fuzz.live [--minutes 10] [--seed N]

For each body the reference says beforehand whether it is a request. One that is gets exactly one
answer under its ref; one that is not gets ``BAD_REQUEST`` and the connection lives on; what is no
frame gets ``BAD_FRAME`` and the connection's end. In the end what was acknowledged must stand in
the history, once and in order (``benchmarks.invariants``), and the server must end in order.
"""

import argparse
import json
import random
import secrets
import signal
import socket
import sys
import tempfile
import time
import typing
from collections import Counter
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import inspect

from benchmarks.fuzz import reference
from benchmarks.invariants import Sent, Witness, check
from benchmarks.programs import Parley, stop
from framing.frames import FrameDecoder, encode_frame
from framing.limits import FRAME
from framing.requests import AnyRequest, Disconnect, Request, Say, ShutdownAck

_PATIENCE: Final = 60.0  # seconds for an answer
_NICKS: Final = ("ann", "Bob", "cy-d", "nobody")
_TEXTS: Final = (
    *_NICKS,
    *(f"@{nick}" for nick in _NICKS),
    *("#lobby", "#LAB", "#lab2", "#", "@", "", "a", "word", '"a phrase"', "wor*", "*", '"', "%s"),
    *("é" * 40, "x" * 15_999, "x" * 16_001, "\0", "\x1b[2J", "\u202e", "\ud7ff", "😀", "127.0.0.1"),
    *("../x", "a.txt", "CON", "SCRAM-SHA-256", "n,,n=ann,r=abcdefgh", "AAAA" * 6, "a" * 64),
)
_NUMBERS: Final = (0, 1, 2, 3, 17, 50, 500, 501, 4096, 2**31 - 1, 2**31, 2**53, 2**63 - 1, -1)
_TYPES: Final = tuple(typing.get_args(AnyRequest))


class FaultError(Exception):
    """The server did what it must not do."""


class Peer:
    """One client that sends anything and knows what must come back."""

    def __init__(self, port: int, nick: str, dice: random.Random) -> None:
        self.witness = Witness(nick, dice.randrange(2**31))
        self.witnesses = [self.witness]
        self._port = port
        self._dice = dice
        self._said: Say | None = None
        self.count: Counter[str] = Counter()
        self._connect()

    def _connect(self) -> None:
        self._sock = socket.create_connection(("127.0.0.1", self._port), _PATIENCE)
        self._decoder = FrameDecoder()
        token = {"token": self.witness.token} if self.witness.token else {}
        self._send(purpose="join", nick=self.witness.nick, id=self.witness.id, time=0, bot=True,
                   **token)  # fmt: skip
        event = self._recv()
        if event is not None and event.get("error") == "ACCOUNT_REQUIRED":
            # It has registered itself: whoever comes now is somebody else.
            self.witness = Witness(f"x{secrets.token_hex(4)}", self.witness.id)
            self.witnesses.append(self.witness)
            return self._connect()
        if event is None or event["purpose"] != "welcome":
            raise FaultError(f"{self.witness.nick} cannot come in: {event}")
        self.witness.token = event.get("token", self.witness.token)
        return None

    def _send(self, **fields: Any) -> None:
        self._sock.sendall(encode_frame(json.dumps(fields).encode()))

    def _recv(self) -> dict[str, Any] | None:
        while (body := self._decoder.next_body()) is None:
            try:
                data = self._sock.recv(1 << 18)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._decoder.receive_data(data)
        event: dict[str, Any] = json.loads(body)
        return event

    def turn(self) -> None:
        """Send something and look at what comes back."""
        dice = self._dice
        body = msgspec.json.encode(self._request())
        if dice.random() < 0.5:
            body = self._changed(body)
        data = encode_frame(body)
        if dice.random() < 0.05:
            data = self._changed(data)
        bodies, broken = reference.frames(data, FRAME)
        if broken or bodies != [body] or data != encode_frame(body):
            self._breaks(data)
            return
        try:
            request = reference.body(body, AnyRequest)
        except ValueError:
            request = None
        if isinstance(request, (Disconnect, ShutdownAck)):
            self._breaks(data)
            return
        self._settles(body, data, request)

    def _settles(self, body: bytes, data: bytes, request: Request | None) -> None:
        """Send one body, and take what comes up to its answer and that of a ping behind it."""
        ref = getattr(request, "ref", None)
        if isinstance(request, Say):
            self.witness.sent.setdefault(request.ref, Sent(request.ref, request.to, request.text))
        last = secrets.token_hex(8)
        self._sock.sendall(data + encode_frame(b'{"purpose":"ping","ref":"%b"}' % last.encode()))
        answers: list[dict[str, Any]] = []
        seen: list[dict[str, Any]] = []
        ponged = False
        while not ponged or (ref is not None and not answers):
            event = self._recv()
            if event is None:
                raise FaultError(f"the connection ended after {body!r}; before: {seen[-5:]}")
            seen.append(event)
            if event.get("ref") == last:
                ponged = True
            elif event["purpose"] == "error" or (ref is not None and event.get("ref") == ref):
                answers.append(event)
        if request is None:
            right = [event["error"] for event in answers] == ["BAD_REQUEST"]
        else:
            right = len(answers) == 1 if ref is not None else len(answers) <= 1
        if not right or any(event.get("code") == 500 for event in answers):
            raise FaultError(f"{body!r} ({request}) was answered by {answers}")
        for event in answers:
            self.count[event.get("error", event["purpose"])] += 1
        if isinstance(request, Say) and answers[0]["purpose"] == "error":
            if self.witness.sent[request.ref].seq is None:
                del self.witness.sent[request.ref]
        elif isinstance(request, Say):
            sent = self.witness.sent[request.ref]
            if (sent.text, sent.to) != (request.text, request.to):
                raise FaultError(f"{request} was acknowledged as {sent}")
            if sent.seq is None:
                self.witness.sent[sent.ref] = self.witness.sent.pop(sent.ref)
            sent.seq = answers[0]["seq"]

    def _breaks(self, data: bytes) -> None:
        """Send what may end the connection, and nothing behind it; come back."""
        self._said = None  # whether it was stored is not known: it is not said again
        for body in reference.frames(data, FRAME)[0]:
            try:
                request = reference.body(body, AnyRequest)
            except ValueError:
                continue
            if isinstance(request, Say):
                sent = Sent(request.ref, request.to, request.text)
                self.witness.sent.setdefault(request.ref, sent)
        self._sock.sendall(data)
        self._sock.shutdown(socket.SHUT_WR)
        while (event := self._recv()) is not None:
            self.count["at the end: " + event.get("error", event["purpose"])] += 1
        self._sock.close()
        self._connect()

    def _request(self) -> Request:
        if self._said is not None and self._dice.random() < 0.02:
            return self._said  # once more
        kind = self._dice.choice([*_TYPES, Say, Say, Say])
        fields = inspect.type_info(kind).fields  # type: ignore[attr-defined]
        given = {
            field.name: self._value(field.name, field.type)
            for field in fields
            if field.required or self._dice.random() < 0.5
        }
        request: Request = kind(**given)
        if isinstance(request, Say):
            self._said = request
        return request

    def _value(self, name: str, of: inspect.Type) -> Any:
        dice = self._dice
        if name == "ref":  # odd ones too, but each its own
            return dice.choice(_TEXTS)[:20] + secrets.token_hex(6)
        match of:
            case inspect.UnionType():
                return self._value(name, dice.choice(of.types))
            case inspect.StrType():
                return dice.choice(_TEXTS)
            case inspect.IntType():
                return dice.choice(_NUMBERS)
            case inspect.FloatType():
                return dice.choice([0.0, -1.0, 1e9, 1e300, 0.1])
            case inspect.BoolType():
                return dice.random() < 0.5
            case inspect.LiteralType():
                return dice.choice(of.values)
        return None

    def _changed(self, data: bytes) -> bytes:
        dice = self._dice
        for _ in range(dice.randrange(1, 4)):
            at = dice.randrange(len(data) + 1)
            odd = dice.choice([b"", b'"', b"\\ud800", b"\xff", b"{", b"1e999", b",", b"null", b"$"])
            data = data[:at] + odd + data[at + dice.randrange(4) :]
        return data


def fuzz(data: Path, seconds: float, seed: int) -> tuple[list[str], Counter[str]]:
    """Fuzz for so long. Return what is wrong, a sentence each, and what was answered."""
    bounds = ["--rate", "0", "--queries", "0", "--address-registrations", "0"]
    server = Parley(data, bounds)
    dice = random.Random(seed)
    wrong: list[str] = []
    peers = [Peer(server.port, nick, dice) for nick in _NICKS[:-1]]
    try:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            dice.choice(peers).turn()
    except (FaultError, OSError) as problem:
        wrong.append(f"{type(problem).__name__}: {problem}")
    code = stop(server.process, signal.SIGTERM)
    if code != 0 or "Traceback" in server.said:
        wrong.append(f"the server ended with {code}: {server.said[-3000:]}")
    history = json.loads((data / "history.json").read_bytes())
    for record in history:
        if "edit_of" in record or "redact_of" in record:
            record["purpose"] = "change"
    wrong += check(history, [witness for peer in peers for witness in peer.witnesses])
    return wrong, sum((peer.count for peer in peers), Counter())


def main() -> int:
    """Fuzz and say what was found. Return 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description="fuzz a live server")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**9))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="parley-live-") as place:
        wrong, count = fuzz(Path(place) / "data", options.minutes * 60, options.seed)
    print(f"seed {options.seed}: {count.total()} answers: {dict(count.most_common())}")
    for sentence in wrong[:20]:
        print(f"WRONG: {sentence}")
    print("nothing found" if not wrong else f"{len(wrong)} things are wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
