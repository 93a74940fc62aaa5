"""A client of the wire written from docs/PROTOCOL.md alone: blocking, and not on ``framing``.

So what the tests hold the server to is the text, not the code it shares with the client.
"""

import base64
import contextlib
import hashlib
import hmac
import itertools
import json
import secrets
import socket
import struct
import time
from types import TracebackType
from typing import Any

Event = dict[str, Any]
PATIENCE = 10.0
_numbers = itertools.count(1)


def frame(body: bytes) -> bytes:
    """Return a frame around ``body``."""
    return b"$" + str(len(body)).encode() + body + b"$"


class Wire:
    """A connection. Every read has a deadline and fails with what came instead."""

    def __init__(self, port: int) -> None:
        self.adopt(socket.create_connection(("127.0.0.1", port), PATIENCE))

    def adopt(self, sock: socket.socket) -> None:
        """Speak over ``sock``."""
        self.sock = sock
        self.sock.settimeout(PATIENCE)
        self._buffer = b""
        self.passed: list[Event] = []

    def __enter__(self) -> "Wire":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def send(self, **fields: Any) -> None:
        """Send one object."""
        self.raw(frame(json.dumps(fields).encode()))

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.sock.sendall(data)

    def recv(self, patience: float = PATIENCE) -> Event | None:
        """Return the next event, or None at the end of the connection."""
        deadline = time.monotonic() + patience
        while True:
            found = self._cut()
            if found is not None:
                return found
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"nothing came; before: {self.passed[-5:]}")
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(1 << 18)
            except ConnectionResetError:
                return None
            if not data:
                assert not self._buffer, f"the connection ended within a frame: {self._buffer!r}"
                return None
            self._buffer += data

    def _cut(self) -> Event | None:
        brace = self._buffer.find(b"{")
        if brace < 0:
            return None
        assert self._buffer[:1] == b"$", self._buffer[:80]
        length = int(self._buffer[1:brace])
        if len(self._buffer) < brace + length + 1:
            return None
        body = self._buffer[brace : brace + length]
        assert self._buffer[brace + length : brace + length + 1] == b"$"
        assert length <= 65536, "a frame over the limit came from the server"
        self._buffer = self._buffer[brace + length + 1 :]
        event: Event = json.loads(body)
        self.passed.append(event)
        return event

    def until(self, purpose: str, patience: float = PATIENCE, **fields: Any) -> Event:
        """Return the next event of this purpose with these fields; others are passed over."""
        deadline = time.monotonic() + patience
        seen: list[Event] = []
        while True:
            try:
                event = self.recv(max(0.01, deadline - time.monotonic()))
            except TimeoutError:
                raise AssertionError(f"no {purpose} {fields} came, but {seen[-5:]}") from None
            assert event is not None, f"closed before {purpose} {fields}; came {seen[-5:]}"
            seen.append(event)
            if event["purpose"] == purpose and all(event.get(k) == v for k, v in fields.items()):
                return event

    def ended(self, patience: float = PATIENCE) -> list[Event]:
        """Return what comes before the server ends the connection."""
        events = []
        deadline = time.monotonic() + patience
        while (event := self.recv(max(0.01, deadline - time.monotonic()))) is not None:
            events.append(event)
        return events

    def quiet(self) -> list[Event]:
        """Return what has come up to an answer to a ping that is sent now."""
        ref = f"quiet-{next(_numbers)}"
        self.send(purpose="ping", ref=ref)
        events: list[Event] = []
        while True:
            event = self.recv()
            assert event is not None
            if event["purpose"] == "pong" and event["ref"] == ref:
                return events
            events.append(event)

    def join(self, nick: str, id_: int = 1, **fields: Any) -> Event:
        """Join and return the welcome; the replay is left to be read."""
        self.send(purpose="join", nick=nick, id=id_, time=time.time(), **fields)
        return self.until("welcome")

    def say(self, text: str, to: str | None = None, ref: str | None = None) -> Event:
        """Send a message and return its ok."""
        ref = ref or f"ref-{secrets.token_hex(6)}"
        self.send(purpose="message", ref=ref, text=text, **({"to": to} if to else {}))
        return self.until("ok", ref=ref)

    def error(self, word: str) -> Event:
        """Return the next error, which must be this one."""
        event = self.until("error")
        assert event["error"] == word, event
        assert isinstance(event["text"], str) and event["text"]
        return event

    def login(self, nick: str, password: str, id_: int = 1, **fields: Any) -> Event:
        """Log in by SCRAM-SHA-256 (RFC 5802, RFC 7677); return the welcome or the error."""
        nonce = secrets.token_urlsafe(18)
        bare = f"n={nick},r={nonce}"
        self.send(
            purpose="login", nick=nick, id=id_, time=0, mechanism="SCRAM-SHA-256",
            data=f"n,,{bare}", **fields,
        )  # fmt: skip
        event = self.recv()
        assert event is not None
        if event["purpose"] == "error":
            return event
        first = event["data"]
        values = dict(part.split("=", 1) for part in first.split(","))
        assert values["r"].startswith(nonce) and len(values["r"]) > len(nonce)
        salted = hashlib.pbkdf2_hmac(
            "sha256", password.encode(), base64.b64decode(values["s"]), int(values["i"])
        )
        key = hmac.digest(salted, b"Client Key", "sha256")
        without = f"c=biws,r={values['r']}"
        auth = f"{bare},{first},{without}".encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), auth, "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True)))
        self.send(purpose="response", data=f"{without},p={proof.decode()}")
        event = self.recv()
        assert event is not None
        if event["purpose"] == "welcome":
            server = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), auth, "sha256")
            assert event["data"] == f"v={base64.b64encode(server).decode()}"
        return event

    def close(self) -> None:
        """End the connection in order."""
        self.sock.close()

    def reset(self) -> None:
        """End the connection by RST."""
        linger = struct.pack("ii", 1, 0)
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.sock.close()


def keys(password: str) -> dict[str, Any]:
    """Return the fields of a ``register`` for a password; few rounds, to be quick."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 4096)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return dict(zip(("salt", "stored_key", "server_key"), encoded, strict=True), iterations=4096)


def texts(events: list[Event]) -> list[str]:
    """Return the texts of messages, live and in pages, in the order they came."""
    found: list[str] = []
    for event in events:
        if event["purpose"] == "message":
            found.append(event["text"])
        elif event["purpose"] == "history":
            found += [message["text"] for message in event["messages"]]
    return found
